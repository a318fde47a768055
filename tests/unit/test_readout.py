"""Images are read out of a node under ``research``, which says so, and not under ``standard`` and ``strict``."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from flower_dgan.node import open_sessions
from flower_dgan.wire.refusals import Refusal
from tests.clinic import Clinic
from tests.readout import ROWS_OF_PLAIN_GRADIENTS, Reader, differences, write_images

WHOLE = f"{ROWS_OF_PLAIN_GRADIENTS} model.discriminator=mlp model.discriminator_width=16 exchange.batch_size=1"
WITHIN = (
    "algorithm=dgan exchange=single exchange.rounds=1000 data.condition=none downstream=none model=small-all-sites "
    "algorithm.discriminator_weight=0.01 algorithm.discriminator_learning_rate=0.002 algorithm.betas=[0.0,0.9] "
    "exchange.batch_size=4 algorithm.loss=hinge data.augmentation=none"
)
"""The nearest to the attack that the bounds of ``standard`` leave."""


def digits(size: int, count: int = 24) -> NDArray[np.uint8]:
    grey = np.clip(load_digits().images[:count] * 16, 0, 255).astype(np.uint8)
    return grey.repeat(size // 8, 1).repeat(size // 8, 2)


@pytest.fixture
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reader]:
    """Return one of a node with digits of so many pixels, and a policy whose name or lines are given."""
    size, policy = request.param
    open_sessions._OPEN.clear()
    grey = digits(size)
    clinic = Clinic(write_images(tmp_path / "pairs", grey), tmp_path)
    if "\n" in policy:
        clinic.policy.write_text(policy)
    else:
        clinic.node_config["policy"] = policy
    yield Reader(clinic, grey / 127.5 - 1)
    open_sessions._OPEN.clear()


STANDARD = "preset: standard\napproval: false\n"


@pytest.mark.parametrize("reader", [(16, "research")], indirect=True)
def test_a_dense_layer_gives_whole_images_away(reader: Reader) -> None:
    """One message an image, of a node that draws itself and begins in secret: no difference to the eye."""
    read, refused = reader.read(WHOLE, messages=2)
    assert refused is None
    assert reader.best_psnr(read[:1]) > 40
    assert reader.psnr_of_the_mean() < 20


@pytest.mark.parametrize(
    ("reader", "overrides", "rule"),
    [
        ((16, STANDARD), WHOLE, Refusal.DISTINCT_IMAGES),
        ((16, STANDARD), f"{WHOLE} exchange.batch_size=4", Refusal.LOSS_WEIGHTS),
        ((16, STANDARD), f"{WITHIN} model.discriminator=mlp", Refusal.DISCRIMINATORS),
        ((8, STANDARD), f"{WITHIN} model.discriminator=small", Refusal.IMAGE_SIZE),
        ((16, "strict"), WHOLE, Refusal.FEEDBACK),
        ((16, "strict"), f"{WITHIN} model.discriminator=small", Refusal.FEEDBACK),
    ],
    indirect=["reader"],
)
def test_the_attacks_are_refused_by_a_rule_that_is_named(reader: Reader, overrides: str, rule: Refusal) -> None:
    read, refused = reader.read(overrides, messages=1)
    assert len(read) == 0
    assert refused == rule


@pytest.mark.parametrize("reader", [(16, STANDARD)], indirect=True)
@pytest.mark.parametrize("network", ["small", "dcgan", "multi-scale"])
def test_what_the_bounds_leave_reads_no_more_than_the_mean_says(reader: Reader, network: str) -> None:
    read, refused = reader.read(f"{WITHIN} model.discriminator={network}", messages=12)
    assert refused is None
    assert reader.best_psnr(differences(read)) <= reader.psnr_of_the_mean() + 3
