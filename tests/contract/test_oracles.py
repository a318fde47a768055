"""Every algorithm as its preset ships it, through the real strategy and ClientApp, against its plain loop.

Several exchanges and generator steps a message, uint8 and float16, target replay, diversity, the moving average and the
schedule of the rates are those of the presets. Made small are the networks, the images, the batches and the number of
rounds. Generator, moving average and all discriminators are compared.

What travels is rounded on both sides, each by code of its own. As all steps agree bit by bit, nothing falls to another
level. Where the product came to add up in another order than the loop, a pixel that stands within float32's rounding of
the middle between two levels would be seen by D as the other one, 2 / 255 away: no error, but Adam, whose first steps
have one length whatever the gradient's, would make 1e-3 of it in a few rounds. The loops' order is therefore the
formulas' own, client after client, and a difference beyond ``TOLERANCE`` is looked at with float32 formats first.
"""

from pathlib import Path

import pytest
import torchvision

from flower_dgan.baselines.rows import open_federation
from flower_dgan.config.places import conf_directory
from flower_dgan.generator_file import load_generator
from flower_dgan.resolve import resolve
from tests.reference.perceptual import perceptual_distance, random_features, stand_in
from tests.reference.runs import TOLERANCE, Distance, Trained, train_product, train_reference

SMALL = (
    "downstream=none exchange.rounds=3 exchange.batch_size=2 exchange.join_timeout=0.2 output.synthetic_images=2 "
    "model.generator_width=4 model.discriminator_width=4"
)
UNEVEN = "partition=size partition.exponent=2"
"""Of three clients with 1, 1/4 and 1/9 as much the first would have 0.73 of the weight, beyond ``largest_share``."""
TINY_IMAGES = "data.image_size=16"
FEWER_EXCHANGES = "exchange.exchanges=6 exchange.generator_steps=6"
PIXEL_LOSSES = "data.image_size=32 allow_pixel_losses=true"  # 70 x 70 PatchGAN needs no less

PRESETS = {
    "asyndgan": PIXEL_LOSSES,
    "dgan": TINY_IMAGES,
    "dgan-average": TINY_IMAGES,
    "dgan-images": f"{TINY_IMAGES} {FEWER_EXCHANGES}",
    "dgan-selective": TINY_IMAGES,
    "dgan-sequential": TINY_IMAGES,
    "fusion": TINY_IMAGES,
    "gman": TINY_IMAGES,
    "mdgan": TINY_IMAGES,
    "tdgan": PIXEL_LOSSES,
    "tdgan-images": f"{TINY_IMAGES} {FEWER_EXCHANGES}",
    "tdgan-small": TINY_IMAGES,
    "uagan": TINY_IMAGES,
}
VARIANTS = [
    "dgan algorithm.merge=agreement",
    "dgan algorithm.largest_share=1 algorithm.loss=least-squares",
    "dgan data.augmentation=all",
    "dgan exchange.feedback_format=int8 algorithm.discriminator_steps=2",
    "dgan-images algorithm.replay=target algorithm.passes=1 exchange.exchanges=6 exchange.generator_steps=6",
    "dgan-images exchange.exchanges=6 exchange.generator_steps=3 algorithm.passes=3 model.levels=none",
    "dgan algorithm.gradient_penalty=2",
    "dgan-images exchange.exchanges=9 exchange.generator_steps=3 algorithm.merge=agreement",
    "uagan algorithm.merge=odds-by-class data.condition=class model.site_condition=false",
    "gman algorithm.sharpness=inf",
    "mdgan algorithm.swap_interval=1",
    "mdgan algorithm.shared_batches=3 algorithm.swap_interval=2 exchange.rounds=3",
    "dgan-selective algorithm.upload=random algorithm.discriminator_steps=2",
    "dgan-selective algorithm.upload=threshold",
    "fusion model=fusion-gate model.generator_width=4 model.discriminator_width=4",
    "dgan-sequential model=fusion-mixture exchange.rounds=4 model.generator_width=4 model.discriminator_width=4",
]


@pytest.fixture
def distance(monkeypatch: pytest.MonkeyPatch) -> Distance:
    """Give the product a VGG-16 with random weights, and return the plain loop's distance on the same weights."""
    features = random_features()
    monkeypatch.setattr(torchvision.models, "vgg16", lambda weights: stand_in(features))
    return lambda synthetic, real: perceptual_distance(features, synthetic, real)


def both(overrides: str, directory: Path, distance: Distance | None = None) -> tuple[Trained, Trained]:
    return (
        train_product(overrides, 3, directory),
        train_reference(resolve(overrides), 3, distance=distance),
    )


def test_all_presets_are_here() -> None:
    """All but those with noise, whose numbers are in tests/unit/test_dpmerf.py and tests/unit/test_dpgan.py."""
    presets = {path.stem for path in (conf_directory() / "algorithm").glob("*.yaml")}
    assert set(PRESETS) == presets - {"base", "dpgan", "dpmerf"}


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_is_its_loop(name: str, tmp_path: Path, distance: Distance) -> None:
    rounds = "exchange.rounds=2" if PRESETS[name] == PIXEL_LOSSES else ""
    ours, loop = both(f"algorithm={name} {SMALL} {UNEVEN} {PRESETS[name]} {rounds}", tmp_path / "run", distance)
    assert ours.difference(loop) <= TOLERANCE


@pytest.mark.parametrize("variant", VARIANTS)
def test_other_settings_of_an_algorithm_are_its_loop(variant: str, tmp_path: Path) -> None:
    name, _, rest = variant.partition(" ")
    overrides = f"algorithm={name} {SMALL} {UNEVEN} {TINY_IMAGES} exchange.rounds=2 {rest}"
    ours, loop = both(overrides, tmp_path / "run")
    assert ours.difference(loop) <= TOLERANCE


@pytest.mark.parametrize("name", ["tdgan", "tdgan-images", "tdgan-small"])
def test_the_second_task_is_its_loop(name: str, tmp_path: Path, distance: Distance) -> None:
    """It begins with the first one's moving average, and is reminded of the first one's label maps."""
    common = f"algorithm={name} {SMALL} {PRESETS[name]} exchange.rounds=2 partition=label"
    first = f"{common} partition.label_groups=[[0,1],[2]]"
    second = f"{common} partition.label_groups=[[3],[4,5]] algorithm.previous='{tmp_path / 'first'}'"
    train_product(first, 2, tmp_path / "first")
    ours = train_product(second, 2, tmp_path / "second")
    before = load_generator(tmp_path / "first" / "generator.safetensors")[0]
    labels = open_federation(resolve(first), 2).labels
    loop = train_reference(resolve(second), 2, distance=distance, before=(before, labels))
    assert ours.difference(loop) <= TOLERANCE
    never = "algorithm.reminding_l1_weight=0 algorithm.reminding_perceptual_weight=0"
    forgetful = train_reference(resolve(f"{second} {never}"), 2, distance=distance, before=(before, labels))
    assert ours.difference(forgetful) > 10 * TOLERANCE


@pytest.fixture(scope="module")
def run_of_images(tmp_path_factory: pytest.TempPathFactory, shared_home: Path) -> tuple[str, Trained]:
    """Return the overrides of a run that moves images, with diversity, and what it trained."""
    overrides = (
        f"algorithm=dgan-images algorithm.merge=samples {SMALL} {UNEVEN} {TINY_IMAGES} "
        "exchange.exchanges=4 exchange.generator_steps=4 exchange.rounds=2"
    )
    return overrides, train_product(overrides, 3, tmp_path_factory.mktemp("images") / "run")


def test_that_run_is_its_loop(run_of_images: tuple[str, Trained]) -> None:
    overrides, ours = run_of_images
    assert ours.difference(train_reference(resolve(overrides), 3)) <= TOLERANCE


@pytest.mark.parametrize(
    "changed",
    [
        "algorithm.diversity=0",
        "algorithm.target_step=0.16",
        "algorithm.replay=gradient algorithm.passes=1",
        "algorithm.passes=1",
        "algorithm.gradient_penalty=0.9",
        "algorithm.final_rate=0.3",
        "algorithm.average_decay=0",
        "algorithm.largest_share=1",
        "algorithm.discriminator_weight=2",
        "exchange.generator_steps=2",
        "exchange.image_format=float32",
        "exchange.feedback_format=float32",
        "exchange.feedback_format=int8",
    ],
)
def test_a_loop_with_one_other_setting_is_not(changed: str, run_of_images: tuple[str, Trained]) -> None:
    """So that a setting which the product ignored would be seen."""
    overrides, ours = run_of_images
    assert ours.difference(train_reference(resolve(f"{overrides} {changed}"), 3)) > TOLERANCE
