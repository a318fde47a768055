"""Levels of a site, networks in units of them, and what of them travels."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from flower_dgan.baselines.rows import open_federation
from flower_dgan.data.levels import Levels, levels_of
from flower_dgan.errors import ConfigError, PolicyError, ProtocolError
from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.gan.site_levels import InUnitsOf, SiteLevels, units_of
from flower_dgan.generator_file import load_generator, save_generator
from flower_dgan.networks.build import ImageShape, build_generator
from flower_dgan.networks.small import SmallGenerator
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.resolve import resolve
from flower_dgan.wire.join_messages import NodeDescription
from flower_dgan.wiring import discriminator_half, generator_half

DIM = Levels((10,), (5,))
BRIGHT = Levels((200,), (40,))


def images(*values: list[list[int]]) -> list[np.ndarray]:
    """Return images of one row, each of these pixels."""
    return [np.array([value], np.uint8) for value in values]


def test_every_pixel_counts_the_same() -> None:
    # channel 0: 10, 20, 60 has mean 30 and variance (400 + 100 + 900) / 3; channel 1: 255 throughout
    found = levels_of(images([[10, 255], [20, 255]], [[60, 255]]))
    assert found == Levels((30, 255), (22, 1), grey=False)


def test_large_images_do_not_overflow() -> None:
    found = levels_of([np.full((3000, 3000, 1), 255, np.uint8), np.zeros((3000, 3000, 1), np.uint8)])
    assert found == Levels((128,), (128,))


@pytest.mark.parametrize(("last", "grey"), [([7, 7, 7], True), ([7, 7, 8], False)])
def test_one_coloured_pixel_is_enough_for_colour(last: list[int], grey: bool) -> None:
    assert levels_of(images([[3, 3, 3], [9, 9, 9]], [last])).grey is grey


def test_an_image_of_one_channel_is_not_grey_in_colour() -> None:
    assert not levels_of(images([[3], [9]])).grey


@pytest.mark.parametrize(
    ("mean", "deviation"),
    [((256,), (1,)), ((-1,), (1,)), ((1,), (0,)), ((1,), (129,)), ((), ()), ((1, 2), (1,)), ((1.0,), (1,))],
)
def test_other_levels_are_none(mean: tuple[int, ...], deviation: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="levels"):
        Levels(mean, deviation)


def test_a_generator_draws_in_units_of_each_site() -> None:
    drawn = torch.tensor([2.0, 2.0, -1.0]).reshape(3, 1, 1, 1)
    found = SiteLevels([DIM, BRIGHT])(drawn, torch.tensor([0, 1, 1]))
    # (10 + 2 * 5) / 127.5 - 1, (200 + 2 * 40) / 127.5 - 1, (200 - 40) / 127.5 - 1
    torch.testing.assert_close(found.flatten(), torch.tensor([20 / 127.5 - 1, 280 / 127.5 - 1, 160 / 127.5 - 1]))


def test_a_grey_site_is_drawn_grey() -> None:
    levels = [Levels((10, 10, 10), (2, 2, 2), grey=True), Levels((10, 10, 10), (2, 2, 2))]
    drawn = torch.tensor([[1.0, 2.0, 6.0], [1.0, 2.0, 6.0]]).reshape(2, 3, 1, 1)
    grey, coloured = SiteLevels(levels)(drawn, torch.tensor([0, 1])).flatten(1)
    torch.testing.assert_close(grey, torch.full((3,), 16 / 127.5 - 1))
    torch.testing.assert_close(coloured, torch.tensor([12.0, 14.0, 22.0]) / 127.5 - 1)


def test_a_discriminator_sees_units_of_its_client() -> None:
    class Seen(torch.nn.Module):
        def forward(self, label_maps: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
            return images

    network = InUnitsOf(Seen(), BRIGHT)
    found = network(torch.zeros(1, 1, 1, 1), torch.tensor([240 / 127.5 - 1, 180 / 127.5 - 1]).reshape(1, 1, 1, 2))
    torch.testing.assert_close(found.flatten(), torch.tensor([1.0, -0.5]), rtol=1e-5, atol=1e-6)
    assert not network.state_dict(), "levels are not among what a discriminator has learned"


def test_units_are_deviations_or_one() -> None:
    with_levels = SmallGenerator(2, 1, 4, 8, 2, 2, [DIM, BRIGHT])
    found = units_of(with_levels, torch.tensor([1, 0]))
    torch.testing.assert_close(found.flatten(), torch.tensor([40.0, 5.0]) / 127.5)
    assert found.shape == (2, 1, 1, 1)
    assert units_of(SmallGenerator(2, 1, 4, 8, 2, 2), torch.tensor([1])).flatten().tolist() == [1.0]


def test_images_begin_at_the_levels_of_their_site() -> None:
    """Before it has learned anything a generator's images have each site's mean, within its deviation."""
    config = resolve("algorithm=dgan-images data.image_size=16")
    network = generator_half(config, ImageShape(2, 1, 16, ("dim", "bright"), (DIM, BRIGHT))).network
    samples = 8
    for site, levels in enumerate((DIM, BRIGHT)):
        inputs = GeneratorInput(
            torch.ones(samples, 2, 16, 16),
            torch.randn(samples, 16),
            torch.randn(samples, 1, 16, 16),
            torch.full((samples,), site),
        )
        with torch.no_grad():
            grey = (network(inputs) + 1) * 127.5
        assert abs(grey.mean() - levels.mean[0]) < levels.deviation[0]
        assert grey.std() < 2 * levels.deviation[0]


@pytest.mark.parametrize("changed", ["model.site_condition=false", "model.generator=unet", "model.generator=a.b:C"])
def test_other_generators_have_no_levels(changed: str) -> None:
    with pytest.raises(ConfigError, match=r"model\.levels=none"):
        resolve(f"algorithm=dgan-images data.image_size=16 {changed}")


@pytest.mark.parametrize("algorithm", ["mdgan algorithm.swap_interval=1", "dgan-selective"])
def test_a_discriminator_that_moves_has_no_levels_of_its_own(algorithm: str) -> None:
    resolve(f"algorithm={algorithm} model=images model.levels=none")
    with pytest.raises(ConfigError, match=r"model\.levels=none"):
        resolve(f"algorithm={algorithm} model=images")


def test_a_generator_file_holds_the_levels(tmp_path: Path) -> None:
    config = resolve("algorithm=dgan-images data.image_size=16")
    coloured = (Levels((1, 2, 3), (4, 5, 6)), Levels((7, 7, 7), (8, 8, 8), grey=True))
    shape = ImageShape(2, 3, 16, ("a", "b"), coloured)
    network = build_generator(config.model, shape)
    save_generator(tmp_path / "g.safetensors", network, config.model, shape)
    read, _, read_shape = load_generator(tmp_path / "g.safetensors")
    assert read_shape == shape
    torch.testing.assert_close(read.state_dict(), network.state_dict(), rtol=0, atol=0)


def described(levels: Levels | None) -> NodeDescription:
    return NodeDescription("breast", 2, (0, 1, 2), 2, True, "a0" * 16, "b" * 64, levels=levels)


@pytest.mark.parametrize("levels", [None, Levels((1, 2, 3), (4, 5, 6)), Levels((7, 7, 7), (8, 8, 8), grey=True)])
def test_levels_travel_as_whole_numbers(levels: Levels | None) -> None:
    assert NodeDescription.from_records(described(levels).to_records()).levels == levels


@pytest.mark.parametrize(
    "sent",
    [
        [1],
        [1, 2, 3],
        [1, 2, 3, 4, 5, 6],
        [1, 2, 3, 4, 5, 6, 2],
        [1, 2, 300, 4, 5, 6, 0],
        [1, 2, 3, 0, 5, 6, 0],
        [1, 2, 4, 5, 0],
        [0.5] * 7,
        ["1"] * 7,
        [-1, 2, 3, 4, 5, 6, 0],
        [1, 2, 3, 4, 4, 5, 6, 7, 0],
    ],
)
def test_other_levels_are_refused(sent: list[int]) -> None:
    records = described(None).to_records()
    records.config_records["node"]["levels"] = sent
    with pytest.raises(ProtocolError, match="levels"):
        NodeDescription.from_records(records)


def test_an_owner_may_keep_the_levels() -> None:
    policy = ReleasePolicy(True, False, False, False, None, levels=False)
    with pytest.raises(PolicyError, match="levels") as caught:
        policy.check_settings(resolve("algorithm=dgan-images"))
    assert caught.value.rule == "levels"
    policy.check_settings(resolve("algorithm=dgan-images model.levels=none"))


def test_members_alone_and_together_see_their_own_levels() -> None:
    """Each session's discriminator is in its own client's units, also where one is shared, or a client is alone."""
    config = resolve("algorithm=dgan-images data.image_size=16 partition=label partition.label_groups=[[0],[1]]")
    federation = open_federation(config, 2)
    assert len(set(federation.shape.levels)) == 2
    wanted = {labels.name: labels.levels for labels in federation.labels}
    alone = federation.alone(1)
    for sessions in (
        federation.sessions(config),
        federation.sharing(config),
        alone.sessions(config),
        alone.sharing(config),
    ):
        for name, session in sessions.items():
            levels = wanted[name]
            assert levels == levels_of(session.pairs.images)
            torch.testing.assert_close(session.half.units.flatten(), levels.deviations)
            torch.testing.assert_close(session.half.network.mean.flatten(), levels.means)
    shared = list(federation.sharing(config).values())
    assert len({id(each.half.network.network) for each in shared}) == 1


def test_without_levels_units_are_one() -> None:
    config = resolve("algorithm=dgan-images data.image_size=16 model.levels=none")
    half = discriminator_half(config, ImageShape(2, 1, 16, ()), "a")
    assert half.units.flatten().tolist() == [1.0]
    assert not isinstance(half.network, InUnitsOf)
    assert dataclasses.asdict(DIM) == {"mean": (10,), "deviation": (5,), "grey": False}
