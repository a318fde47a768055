"""Tests of the segmentation model and its score, with counts made by hand."""

from dataclasses import replace

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from flower_dgan.config import DownstreamConfig
from flower_dgan.data.pairs import Pairs
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.tasks.segmentation import TASK
from flower_dgan.tasks.segmentation.deeplab import build_deeplab
from flower_dgan.tasks.segmentation.fit import train_segmenter
from flower_dgan.tasks.tstr import score

CONFIG = DownstreamConfig(
    encoder="tu-test_efficientnet",
    encoder_weights=None,
    steps=15,
    batch_size=8,
    learning_rate=0.01,
    seeds=1,
    rows=(),
    metrics=("dice",),
    dist_fid=0,
)


def stripes(count: int, seed: int) -> Pairs:
    """Grey images whose bright pixels are the mask."""
    generator = np.random.default_rng(seed)
    label_maps = []
    images = []
    for _ in range(count):
        label_map = np.zeros((32, 32), dtype=np.uint8)
        top, left = generator.integers(0, 16, 2)
        label_map[top : top + 16, left : left + 12] = 1
        label_maps.append(label_map)
        images.append((60 + 140 * label_map + generator.integers(0, 40, (32, 32))).astype(np.uint8)[:, :, None])
    return Pairs(tuple(images), tuple(label_maps), 2)


def dice_of(model: nn.Module, test: Pairs) -> float:
    return score(TASK, model, test, image_size=32, metrics=("dice",))["dice"]


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    return train_segmenter(stripes(32, seed=0), CONFIG, image_size=32, augmentation="flips", seed=3)


def test_training_learns_an_easy_task(trained: nn.Module) -> None:
    test = stripes(8, seed=1)
    longer = train_segmenter(
        stripes(32, seed=0), replace(CONFIG, steps=40), image_size=32, augmentation="flips", seed=3
    )
    untrained = train_segmenter(
        stripes(32, seed=0), replace(CONFIG, learning_rate=0.0), image_size=32, augmentation="flips", seed=3
    )
    dice = dice_of(longer, test)
    assert dice > 0.85
    assert dice > dice_of(untrained, test) + 0.2
    assert not trained.training


def test_training_is_fixed_by_its_seed_and_leaves_the_global_rng_alone(trained: nn.Module) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    again = train_segmenter(stripes(32, seed=0), CONFIG, image_size=32, augmentation="flips", seed=3)
    other = train_segmenter(stripes(32, seed=0), replace(CONFIG, steps=1), image_size=32, augmentation="flips", seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in again.state_dict().items():
        assert torch.equal(value, trained.state_dict()[name]), name
    assert not torch.equal(next(iter(other.parameters())), next(iter(again.parameters())))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"encoder": "resnet81"}, "Did you mean 'resnet18'"),
        ({"encoder": "tu-test_resnett"}, "Did you mean 'tu-test_resnet'"),
        ({"encoder": "resnet18", "encoder_weights": "imagnet"}, "Did you mean 'imagenet'"),
        ({"encoder": "vgg11"}, "does not fit DeepLabV3"),
        ({"batch_size": 1}, "batch_size"),
        ({"steps": 0}, "steps"),
    ],
)
def test_settings_that_cannot_work_are_named(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train_segmenter(stripes(2, 0), replace(CONFIG, **changed), image_size=32, augmentation="none", seed=0)


def test_batch_norm_follows_a_short_training() -> None:
    model = build_deeplab(replace(CONFIG, encoder="efficientnet-b0"), channels=1, classes=2)
    momenta = [module.momentum for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert momenta
    assert set(momenta) == {0.1}


def test_image_size_must_suit_the_encoder() -> None:
    with pytest.raises(ConfigError, match="multiple of 16, not 24"):
        train_segmenter(stripes(2, 0), CONFIG, image_size=24, augmentation="none", seed=0)


def test_weights_that_cannot_be_downloaded_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> str:
        raise FileNotFoundError("offline")

    monkeypatch.setattr(smp.encoders, "hf_hub_download", offline)
    config = replace(CONFIG, encoder="resnet18", encoder_weights="imagenet")
    with pytest.raises(DataError, match=r"downstream\.encoder_weights=null"):
        train_segmenter(stripes(2, 0), config, image_size=32, augmentation="none", seed=0)


@pytest.mark.parametrize(("count", "classes", "message"), [(0, 2, "no pair"), (2, 1, "at least one more class")])
def test_data_that_teach_nothing_are_refused(count: int, classes: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        train_segmenter(replace(stripes(count, 0), classes=classes), CONFIG, image_size=32, augmentation="none", seed=0)
