"""Images are read out of a node under ``research``, which says so, and not under ``standard`` and ``strict``."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from flower_dgan.audit.attacked_node import AttackedNode, approving, own_state
from flower_dgan.audit.own_sample import Sample
from flower_dgan.audit.reading_images import (
    ROWS_OF_PLAIN_GRADIENTS,
    WHOLE,
    WITHIN,
    best_psnr,
    psnr_of_the_mean,
    read_by_chosen_weights,
    read_by_halving,
    read_gradients,
)

FORM = (1, 16)


def digits(side: int, count: int = 24, channels: int = 1) -> Sample:
    """Return digits of 8 x 8 pixels, each enlarged to squares; 4 is their middle. Channel k is turned k times."""
    grey = np.clip(load_digits().images[:count] * 16, 0, 255).astype(np.uint8)
    cut = grey[:, 2:6, 2:6] if side == 4 else grey.repeat(side // 8, 1).repeat(side // 8, 2)
    images = np.stack([np.rot90(cut, turns, (1, 2)) for turns in range(channels)], 3)
    return Sample(images, (cut > 127).astype(np.uint8), 2)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Callable[[Sample, str], AttackedNode]]:
    """Return what makes a node with these images, of an owner who approves, with this policy."""
    with own_state(tmp_path):

        def make(sample: Sample, policy: str) -> AttackedNode:
            return AttackedNode(sample.write(tmp_path / "pairs"), approving(policy, tmp_path)[0])

        yield make


Make = Callable[[Sample, str], AttackedNode]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_dense_layer_gives_whole_images_away(node: Make, channels: int) -> None:
    """One message an image, of a node that draws itself and begins in secret: no difference to the eye."""
    sample = digits(16, channels=channels)
    read = read_gradients(node(sample, "research"), WHOLE, (channels, 16), messages=1)
    assert not read.refused
    assert best_psnr(read.images[:1], sample.floats) > 40
    assert psnr_of_the_mean(sample.floats) < 20


@pytest.mark.parametrize(
    ("side", "policy", "overrides", "rule"),
    [
        (16, "standard", WHOLE, "distinct_images"),
        (16, "standard", f"{WHOLE} exchange.batch_size=4", "loss_weights"),
        (16, "standard", f"{WITHIN} model.discriminator=mlp", "discriminators"),
        (8, "standard", f"{WITHIN} model.discriminator=small", "image_size"),
        (4, "standard", f"{ROWS_OF_PLAIN_GRADIENTS} exchange.batch_size=4", "image_size"),
        (16, "strict", WHOLE, "feedback"),
        (16, "strict", f"{WITHIN} model.discriminator=small", "feedback"),
    ],
)
def test_the_attacks_are_refused_by_a_rule_that_is_named(
    node: Make, side: int, policy: str, overrides: str, rule: str
) -> None:
    read = read_gradients(node(digits(side), policy), overrides, (1, side), messages=1)
    assert len(read.images) == 0
    assert read.refused == rule


@pytest.mark.parametrize("network", ["small", "dcgan", "multi-scale"])
def test_what_the_bounds_leave_reads_no_more_than_the_mean_says(node: Make, network: str) -> None:
    sample = digits(16)
    read = read_gradients(node(sample, "standard"), f"{WITHIN} model.discriminator={network}", FORM, messages=12)
    assert not read.refused
    assert best_psnr(read.images, sample.floats) <= psnr_of_the_mean(sample.floats) + 3


def test_nine_messages_halve_every_pixels_interval(node: Make) -> None:
    """Of images that the server names, as pixel losses let it: to 1 / 512 of the range or so."""
    sample = digits(16)
    read = read_by_halving(node(sample, "research"), FORM)
    assert len(read.images) == 4
    nearest = [np.abs(sample.floats - one).max(axis=(1, 2, 3)).min() for one in read.images]
    assert max(nearest) <= 2**-8
    assert min(best_psnr(one[None], sample.floats) for one in read.images) > 40


@pytest.mark.parametrize(("policy", "rule"), [("standard", "pixel_losses"), ("strict", "feedback")])
def test_images_that_a_server_names_are_not_compared_with(node: Make, policy: str, rule: str) -> None:
    assert read_by_halving(node(digits(16), policy), FORM).refused == rule


@pytest.mark.parametrize("channels", [1, 3])
def test_weights_that_a_server_chooses_bring_windows_back(node: Make, channels: int) -> None:
    """The default small network on windows of 4 x 4: each is read by a step on it, in channels and all."""
    sample = digits(4, channels=channels)
    read = read_by_chosen_weights(node(sample, "research"), channels)
    assert len(read.images) == 4
    assert min(best_psnr(one[None], sample.floats) for one in read.images) > 30
    assert psnr_of_the_mean(sample.floats) < 20


@pytest.mark.parametrize(("policy", "rule"), [("standard", "weights"), ("strict", "feedback")])
def test_weights_neither_come_nor_go(node: Make, policy: str, rule: str) -> None:
    assert read_by_chosen_weights(node(digits(4), policy), 1).refused == rule
