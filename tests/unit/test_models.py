from itertools import pairwise

import pytest
import torch
from torch import nn

from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.networks.condition import condition
from flower_dgan.networks.patchgan import PatchDiscriminator
from flower_dgan.networks.resnet import ResnetGenerator
from flower_dgan.networks.small import SmallDiscriminator, SmallGenerator
from flower_dgan.networks.spade import SpadeGenerator
from flower_dgan.networks.unet import UnetGenerator


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def inputs(size: int, noise_channels: int = 4) -> GeneratorInput:
    generator = torch.Generator().manual_seed(0)
    label_maps = torch.zeros(2, 3, size, size)
    label_maps[:, 1] = 1
    return GeneratorInput(
        label_maps=label_maps,
        noise=torch.randn(2, noise_channels, generator=generator),
        texture=torch.randn(2, 1, size, size, generator=generator),
        sites=torch.tensor([0, 1]),
    )


def test_resnet_generator_has_the_papers_size() -> None:
    assert parameters(ResnetGenerator(3, 3, 64)) == 11_378_179


def test_patch_discriminator_has_the_papers_size_and_field() -> None:
    network = PatchDiscriminator(3, 3, 64)
    assert parameters(network) == 2_767_809
    # four 4 x 4 convolutions with strides 2, 2, 2, 1 and one more: 256 -> 128 -> 64 -> 32 -> 31 -> 30
    assert network(torch.zeros(1, 3, 256, 256), torch.zeros(1, 3, 256, 256)).shape == (1, 1, 30, 30)


def test_unet_generator_has_pix2pix_size_for_instance_norm() -> None:
    # encoder 64, 128, 256, 512 x 5 and decoder with skips; convolutions of 4 x 4 with bias, counted by hand:
    widths = [64, 128, 256, 512, 512, 512, 512, 512]
    down = sum(a * b * 16 + b for a, b in zip([3, *widths], widths, strict=False))
    up = sum((b if i == 6 else 2 * b) * a * 16 + a for i, (a, b) in enumerate(pairwise(widths)))
    assert parameters(UnetGenerator(3, 3, 64, 256)) == down + up + 2 * 64 * 3 * 16 + 3


@pytest.mark.parametrize(
    "network",
    [
        SmallGenerator(3, 1, 8, 16, 4, 2),
        UnetGenerator(3, 1, 4, 16, 4, 2),
    ],
    ids=lambda network: type(network).__name__,
)
def test_generators_use_label_map_noise_and_site(network: nn.Module) -> None:
    given = inputs(16)
    images = network(given)
    assert images.shape == (2, 1, 16, 16)
    assert images.abs().max() <= 1
    other_map = GeneratorInput(given.label_maps.roll(1, 1), given.noise, given.texture, given.sites)
    other_noise = GeneratorInput(given.label_maps, -given.noise, given.texture, given.sites)
    other_site = GeneratorInput(given.label_maps, given.noise, given.texture, 1 - given.sites)
    for other in (other_map, other_noise, other_site):
        assert (network(other) - images).abs().max() > 1e-4
    torch.testing.assert_close(network(given), images, rtol=0, atol=0)


def test_resnet_generator_uses_the_label_map() -> None:
    network = ResnetGenerator(3, 1, 4, blocks=1)
    given = inputs(16)
    given.label_maps[:, :, :8] = given.label_maps[:, :, :8].roll(1, 1)
    images = network(given)
    assert images.shape == (2, 1, 16, 16)
    assert images.std() > 1e-3


def test_generators_treat_samples_independently() -> None:
    network = SmallGenerator(3, 1, 8, 16, 4, 2)
    given = inputs(16)
    torch.testing.assert_close(network(given)[1:], network(given[1:2]))


@pytest.mark.parametrize(
    "network", [SmallGenerator(3, 1, 8, 64, 4, 2), SpadeGenerator(3, 1, 4, 64, 4, 2)], ids=["small", "spade"]
)
def test_generators_do_not_know_where_the_border_is(network: nn.Module) -> None:
    given = inputs(64)
    given.label_maps[..., 20:40] = given.label_maps[..., 20:40].roll(1, 1)
    columns = GeneratorInput(
        given.label_maps, given.noise, given.texture[:, :, :1].expand_as(given.texture), given.sites
    )
    images = network(columns)
    assert images.std(-1).min() > 1e-3  # what differs from column to column shows
    torch.testing.assert_close(images, images[:, :, 32:33].expand_as(images), rtol=0, atol=1e-4)


def test_small_generator_lets_gradients_through_the_clamp() -> None:
    network = SmallGenerator(3, 1, 8, 16, 4)
    with torch.no_grad():
        network.leave.bias.fill_(9)
    images = network(inputs(16))
    assert images.min() == images.max() == 1
    images.sum().backward()
    torch.testing.assert_close(network.leave.bias.grad, torch.tensor([2.0 * 16 * 16]))


def test_condition_spreads_noise_and_site() -> None:
    given = inputs(4, noise_channels=1)
    stacked = condition(given, 2)
    assert stacked.shape == (2, 3 + 1 + 2, 4, 4)
    torch.testing.assert_close(stacked[:, :3], given.label_maps)
    torch.testing.assert_close(stacked[1, 3], given.noise[1].expand(4, 4).contiguous())
    torch.testing.assert_close(stacked[:, 4:, 0, 0], torch.tensor([[1.0, 0.0], [0.0, 1.0]]))


def test_generators_refuse_sizes_they_cannot_make() -> None:
    with pytest.raises(ValueError, match="divisible by 4, not 18"):
        SmallGenerator(2, 1, 8, 18)
    with pytest.raises(ValueError, match="not 48"):
        UnetGenerator(2, 1, 8, 48)


def test_discriminators_return_scores_of_regions() -> None:
    label_maps, images = torch.zeros(2, 3, 32, 32), torch.zeros(2, 1, 32, 32)
    assert SmallDiscriminator(3, 1, 4)(label_maps, images).shape == (2, 1, 8, 8)
