"""How much memory a step takes, by hand."""

import pytest
import torch
from torch import nn

from flower_dgan.networks.build import ImageShape
from flower_dgan.networks.footprint import Footprint, discriminator_footprint, generator_footprint, saved_bytes
from flower_dgan.resolve import resolve

SHAPE = ImageShape(2, 3, 256, ("a",))


def test_what_a_pass_keeps_is_its_inputs_and_not_its_weights() -> None:
    network = nn.Sequential(nn.Linear(3, 5, device="meta"), nn.ReLU(), nn.Linear(5, 1, device="meta"))
    # (2, 3) for the first layer; what ReLU makes, (2, 5), for itself and for the last layer, once
    assert saved_bytes(network, lambda: network(torch.zeros(2, 3, device="meta"))) == 4 * (2 * 3 + 2 * 5)


def test_the_papers_networks_have_their_sizes() -> None:
    config = resolve("algorithm=dgan model=papers exchange=single exchange.batch_size=8 data.image_size=256")
    generator, discriminator = generator_footprint(config, SHAPE), discriminator_footprint(config, SHAPE)
    assert generator.parameters == pytest.approx(11.38e6, rel=0.01)
    assert generator.state == 20 * generator.parameters  # five times four bytes
    assert discriminator.state == 16 * discriminator.parameters
    assert generator.step is not None
    assert discriminator.step is not None
    # at least the 64 feature maps of full resolution that the first convolution and its normalisation keep
    assert generator.step > 2 * 4 * 8 * 64 * 256**2
    half = generator_footprint(resolve("algorithm=dgan model=papers exchange=single exchange.batch_size=4"), SHAPE)
    assert half.step is not None
    assert generator.step == pytest.approx(2 * half.step, rel=0.01)


def test_what_cannot_be_tried_is_said_to_be_unknown() -> None:
    found = generator_footprint(resolve("algorithm=fusion data.image_size=16"), ImageShape(2, 1, 16, ("a", "b")))
    assert found.step is None
    assert "a step not known" in str(found)
    assert str(Footprint(1000, 2**20, 2**21)) == "1,000 parameters, state 1.0 MiB, a step 2.0 MiB"


def test_random_state_is_left_as_it_is() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    generator_footprint(resolve(""), ImageShape(2, 1, 32, ("a",)))
    assert torch.equal(torch.get_rng_state(), before)
