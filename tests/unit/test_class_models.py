"""Networks without label maps: the multilayer perceptrons and DCGAN."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from flower_dgan.config import ModelConfig
from flower_dgan.errors import ConfigError
from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.networks.build import ImageShape, build_discriminator, build_generator
from flower_dgan.networks.condition import class_features, class_vector
from flower_dgan.networks.dcgan import DcganDiscriminator, DcganGenerator
from flower_dgan.networks.mlp import ByClassDiscriminator, MlpDiscriminator, MlpGenerator

MODEL = ModelConfig("mlp", "mlp", 8, 8, 4, False, "none")
SHAPE = ImageShape(10, 1, 28, ("a", "b"))


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def constant(classes: int, ids: list[int], size: int) -> Tensor:
    return one_hot(torch.tensor(ids), classes)[:, :, None, None].float().expand(-1, -1, size, size).contiguous()


def inputs(label_maps: Tensor, noise_channels: int = 4) -> GeneratorInput:
    generator = torch.Generator().manual_seed(0)
    batch, _, size, _ = label_maps.shape
    noise = torch.randn(batch, noise_channels, generator=generator)
    return GeneratorInput(label_maps, noise, torch.zeros(batch, 1, size, size), torch.zeros(batch, dtype=torch.int64))


def test_class_vector() -> None:
    torch.testing.assert_close(class_vector(constant(3, [2, 0], 5)), torch.tensor([[0.0, 0, 1], [1, 0, 0]]))
    # A quarter of the pixels is of class 1.
    label_map = one_hot(torch.tensor([[[0, 0], [0, 1]]]), 2).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(class_vector(label_map), torch.tensor([[0.75, 0.25]]))
    assert class_vector(torch.ones(4, 1, 5, 5)).shape == (4, 0)
    assert [class_features(classes) for classes in (1, 2, 10)] == [0, 2, 10]


def test_mlp_has_the_papers_size() -> None:
    # 100 * 512 + 512 = 51,712; 512 * 512 + 512 = 262,656; 512 * 784 + 784 = 402,192
    assert parameters(MlpGenerator(1, 1, 512, 28, 100)) == 51_712 + 262_656 + 402_192 == 716_560
    # 784 * 512 + 512 = 401,920; 262,656; the paper's 11 outputs are 5,643, here one is 513
    assert parameters(MlpDiscriminator(1, 1, 512, 28)) == 401_920 + 262_656 + 513
    # ten classes are ten more inputs of 512 neurons
    assert parameters(MlpGenerator(1, 1, 256, 28, 64)) == 16_640 + 65_792 + 201_488 == 283_920
    assert parameters(MlpGenerator(10, 1, 512, 28, 100)) == 716_560 + 5_120
    assert parameters(MlpDiscriminator(10, 1, 512, 28)) == 665_089 + 5_120
    # 64 * 64 + 64, 64 * 64 + 64, and 10 scores of 64 values
    assert parameters(ByClassDiscriminator(10, 1, 64, 8)) == 4_160 + 4_160 + 650 == 8_970


def test_dcgan_has_the_size_of_pytorchs_example() -> None:
    # 100 * 512 * 16, then 512 * 256 * 16, 256 * 128 * 16, 128 * 64 * 16 and 64 * 3 * 16; scales and shifts of 960
    weights = 819_200 + 2_097_152 + 524_288 + 131_072 + 3_072
    assert parameters(DcganGenerator(1, 3, 64, 64, 100)) == weights + 2 * 960 == 3_576_704
    # the same way down from 3 channels, 512 * 16 for the score; scale and shift of 128 + 256 + 512
    weights = 3_072 + 131_072 + 524_288 + 2_097_152 + 8_192
    assert parameters(DcganDiscriminator(1, 3, 64, 64)) == weights + 2 * 896 == 2_765_568
    # 28 pixels: 7 x 7, 14 x 14, 28 x 28: 64 * 64 * 49 + 64 * 32 * 16 + 32 * 16, and 2 * 96
    assert parameters(DcganGenerator(1, 1, 32, 28, 64)) == 200_704 + 32_768 + 512 + 192
    # (1 + 10) * 16 * 16 + 16 * 32 * 16 + 32 * 49, and 2 * 32
    assert parameters(DcganDiscriminator(10, 1, 16, 28)) == 2_816 + 8_192 + 1_568 + 64


def test_dcgan_begins_with_the_papers_weights() -> None:
    torch.manual_seed(0)
    weights = DcganGenerator(1, 3, 64, 64, 100).layers[0].weight
    # 819,200 draws: the standard error of their standard deviation is 0.02 / sqrt(2 * 819,200) = 1.6e-5
    assert abs(weights.std().item() - 0.02) < 1e-4


@pytest.mark.parametrize("size", [8, 28, 32, 48, 64])
@pytest.mark.parametrize(("classes", "channels"), [(1, 3), (10, 1)])
def test_shapes(size: int, classes: int, channels: int) -> None:
    label_maps = constant(classes, [0, classes - 1], size)
    for generator, discriminator in (
        (MlpGenerator(classes, channels, 8, size, 4), MlpDiscriminator(classes, channels, 8, size)),
        (DcganGenerator(classes, channels, 4, size, 4), DcganDiscriminator(classes, channels, 4, size)),
    ):
        images = generator(inputs(label_maps))
        assert images.shape == (2, channels, size, size)
        assert 0 < images.abs().max() <= 1
        assert discriminator(label_maps, images).shape == (2, 1, 1, 1)


@pytest.mark.parametrize("kind", [MlpGenerator, DcganGenerator])
def test_generators_use_class_and_noise_and_keep_samples_apart(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network = kind(3, 1, 8, 28, 4)
    given = inputs(constant(3, [0, 1, 2], 28))
    images = network(given)
    other_class = GeneratorInput(given.label_maps.roll(1, 1), given.noise, given.texture, given.sites)
    other_noise = GeneratorInput(given.label_maps, -given.noise, given.texture, given.sites)
    for other in (other_class, other_noise):
        assert (network(other) - images).abs().amax((1, 2, 3)).min() > 1e-4
    # Another pass, and one in parts, give the same images.
    torch.testing.assert_close(network(given), images, rtol=0, atol=0)
    torch.testing.assert_close(torch.cat([network(given[:1]), network(given[1:])]), images)


@pytest.mark.parametrize("name", ["mlp", "mlp-relu", "dcgan"])
def test_a_site_is_an_input_beside_noise_and_class(name: str) -> None:
    torch.manual_seed(0)
    model = replace(MODEL, generator=name, site_condition=True)
    network = build_generator(model, SHAPE)
    of_one = build_generator(replace(model, site_condition=False), SHAPE)
    # two sites: two more rows of 8 weights, of DCGAN two more of 8 * 2 channels times 7 x 7
    assert parameters(network) - parameters(of_one) == (2 * 16 * 49 if name == "dcgan" else 2 * 8)
    given = inputs(constant(10, [3, 3], 28))
    same = GeneratorInput(given.label_maps, given.noise[:1].repeat(2, 1), given.texture, torch.tensor([0, 1]))
    first, second = network(same)
    assert (first - second).abs().max() > 1e-4
    first, second = of_one(same)
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("kind", [MlpDiscriminator, ByClassDiscriminator, DcganDiscriminator])
def test_discriminators_use_class_and_image_and_keep_samples_apart(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network = kind(3, 1, 8, 28)
    label_maps, images = constant(3, [0, 1], 28), torch.randn(2, 1, 28, 28)
    scores = network(label_maps, images)
    assert (network(label_maps.roll(1, 1), images) - scores).abs().min() > 1e-6
    assert (network(label_maps, -images) - scores).abs().min() > 1e-6
    torch.testing.assert_close(network(label_maps[1:], images[1:]), scores[1:])


def test_a_score_for_each_class_of_which_the_images_own_counts() -> None:
    """Only the row of its class in the last layer has a gradient, and a label map of half a class has half a score."""
    torch.manual_seed(0)
    network = ByClassDiscriminator(3, 1, 8, 4)
    images = torch.randn(1, 1, 4, 4)
    of_each = network.layers(images.flatten(1))[0]
    for own in range(3):
        network.zero_grad()
        score = network(constant(3, [own], 4), images)
        torch.testing.assert_close(score.flatten(), of_each[own][None])
        score.sum().backward()
        moved = network.layers[4].weight.grad.abs().sum(1) > 0  # type: ignore[union-attr]
        assert moved.tolist() == [each == own for each in range(3)]
    half = network(constant(3, [2], 4) / 2, images)
    torch.testing.assert_close(half.flatten(), of_each[2][None] / 2)
    assert ByClassDiscriminator(1, 1, 8, 4)(torch.ones(1, 1, 4, 4), images).shape == (1, 1, 1, 1)


def test_a_slope_of_0_is_relu() -> None:
    network = build_generator(replace(MODEL, generator="mlp-relu"), SHAPE)
    hidden = torch.tensor([[-2.0, 0.5]])
    torch.testing.assert_close(network.layers[1](hidden), torch.tensor([[0.0, 0.5]]))  # type: ignore[index, operator]


def test_networks_by_name() -> None:
    kinds = {"mlp": (MlpGenerator, MlpDiscriminator), "dcgan": (DcganGenerator, DcganDiscriminator)}
    for name, (generator, discriminator) in kinds.items():
        model = replace(MODEL, generator=name, discriminator=name)
        assert isinstance(build_generator(model, SHAPE), generator)
        assert isinstance(build_discriminator(model, SHAPE), discriminator)


@pytest.mark.parametrize(
    ("change", "size", "words"),
    [
        ({"noise_channels": 0}, 28, "model.generator=mlp .* draws from noise alone: set model.noise_channels=100"),
        ({"generator": "dcgan", "noise_channels": 0}, 28, "model.generator=dcgan .* set model.noise_channels=100"),
        ({"generator": "dcgan"}, 30, r"data.image_size=30: it wants .* \(28, 32, 64\), not 30"),
        ({"generator": "dcgan"}, 36, "not 36"),
        ({"generator": "dcgan"}, 7, "not 7"),
    ],
)
def test_generators_that_cannot_work(change: dict[str, object], size: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build_generator(replace(MODEL, **change), replace(SHAPE, image_size=size))  # type: ignore[arg-type]


def test_discriminator_that_cannot_work() -> None:
    with pytest.raises(ConfigError, match=r"model.discriminator=dcgan with data.image_size=100: it wants .* not 100"):
        build_discriminator(replace(MODEL, discriminator="dcgan"), replace(SHAPE, image_size=100))
