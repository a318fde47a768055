"""Tests of the scores of generated images: numbers made by hand, and scikit-learn's digits."""

import warnings
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flower_dgan.comparison import classifier as classifier_module
from flower_dgan.comparison.by_class import (
    Classifier,
    class_agreement,
    class_shares,
    covered_classes,
    frechet_cnn32,
    frechet_cnn32_floor,
    train_classifier,
)
from flower_dgan.data import open_source
from flower_dgan.data.pairs import Pixels
from flower_dgan.errors import DataError
from flower_dgan.resolve import resolve

Split = tuple[tuple[Pixels, ...], list[int]]


class OneHot(nn.Module):
    """Takes the grey value of the first pixel as the class, and the class as the only feature."""

    def forward(self, images: Tensor) -> Tensor:
        values = ((images[:, 0, 0, 0] + 1) * 127.5).round().long()
        return nn.functional.one_hot(values, 4).float()


READOUT = Classifier(OneHot(), nn.Identity(), 4)


def grey(*values: int) -> list[Pixels]:
    return [np.full((4, 4, 1), value, dtype=np.uint8) for value in values]


def test_shares_count_every_class() -> None:
    shares = class_shares(READOUT, grey(0, 0, 0, 2, 2, 3, 0, 0))
    assert shares == (5 / 8, 0.0, 2 / 8, 1 / 8)


def test_a_class_counts_from_5_percent_on() -> None:
    assert covered_classes((0.125, 0.1249, 0.75, 0.0001)) == 2
    assert covered_classes((0.05, 0.0499, *[0.1] * 8)) == 9
    assert covered_classes((0.05, 0.0499, *[0.1] * 8), among=(0, 1, 9)) == 2


def test_agreement_is_the_share_of_images_of_the_class_that_was_asked_for() -> None:
    assert class_agreement(READOUT, grey(0, 1, 2, 3), [0, 1, 2, 0]) == 0.75


@pytest.mark.parametrize(
    ("labels", "message"), [([0], "2 images but 1 labels"), ([0, -1], "there is -1"), ([4, 0], "there is 4")]
)
def test_labels_that_do_not_fit_are_named(labels: Sequence[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        class_agreement(READOUT, grey(0, 1), labels)
    with pytest.raises(DataError, match=message):
        train_classifier(grey(0, 1), labels, classes=4, seed=0)


def test_images_that_do_not_fit_are_named() -> None:
    with pytest.raises(DataError, match="no image"):
        train_classifier([], [], classes=4, seed=0)
    with pytest.raises(DataError, match=r"\(4, 4, 1\) and \(8, 8, 1\)"):
        class_shares(READOUT, [*grey(0), np.zeros((8, 8, 1), dtype=np.uint8)])


@pytest.fixture(scope="module")
def digits() -> tuple[Split, Split]:
    source = open_source(resolve("").data)

    def split(name: str) -> Split:
        entries = getattr(source, name)
        return source.load(entries).images, [entry.label for entry in entries]

    return split("train"), split("test")


@pytest.fixture(scope="module")
def classifier(digits: tuple[Split, Split]) -> Classifier:
    return train_classifier(*digits[0], classes=10, seed=0)


def test_classifier_reads_digits(classifier: Classifier, digits: tuple[Split, Split]) -> None:
    images, labels = digits[1]
    assert class_agreement(classifier, images, labels) > 0.96
    shares = class_shares(classifier, images)
    assert sum(shares) == pytest.approx(1)
    assert covered_classes(shares) == 10


def test_classifier_is_fixed_by_its_seed_and_leaves_the_global_rng_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier_module, "STEPS", 5)
    before = torch.get_rng_state()
    images = grey(0, 60, 120, 255)
    first, again, other = (
        train_classifier(images, [0, 0, 1, 1], classes=2, seed=seed).features(images) for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(again, first, rtol=0, atol=0)
    assert not torch.equal(other, first)


def test_distance_sees_noise_and_missing_classes(classifier: Classifier, digits: tuple[Split, Split]) -> None:
    (train, labels), (test, _) = digits
    generator = np.random.default_rng(0)
    noisy = [
        np.clip(image + generator.normal(0, 80, image.shape), 0, 255).astype(np.uint8) for image in train[: len(test)]
    ]
    few = [image for image, label in zip(train, labels, strict=True) if label < 5]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        floor = frechet_cnn32_floor(classifier, train, test, samples=len(test))
        assert frechet_cnn32(classifier, noisy, test) > 3 * floor
        assert frechet_cnn32(classifier, few, test) > 3 * floor
        assert frechet_cnn32(classifier, test, test) == pytest.approx(0, abs=1e-6 * floor)
    assert covered_classes(class_shares(classifier, few)) == 5


def test_few_images_make_a_warning(classifier: Classifier, digits: tuple[Split, Split]) -> None:
    images = digits[1][0]
    with pytest.warns(UserWarning, match="319 images are few for a Fréchet distance on 32 features: take 320"):
        frechet_cnn32(classifier, images[:319], images)
