"""The networks of ``model=strong``: sizes, condition, plain formulas, and feedback that is about one image alone."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from flower_dgan.config import TrainingConfig
from flower_dgan.data.levels import Levels
from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.gan.exchange import Batch, GeneratorInput
from flower_dgan.gan.losses import BCE
from flower_dgan.networks.build import ImageShape, build_discriminator, build_generator
from flower_dgan.networks.footprint import discriminator_footprint, generator_footprint
from flower_dgan.networks.multiscale import MultiScaleDiscriminator, PatchesOfClasses
from flower_dgan.networks.spade import Spade, SpadeGenerator
from flower_dgan.resolve import resolve

CLASSES, CHANNELS = 3, 2


def random_maps(samples: int, size: int) -> Tensor:
    classes = torch.randint(CLASSES, (samples, size, size), generator=torch.Generator().manual_seed(1))
    return F.one_hot(classes, CLASSES).permute(0, 3, 1, 2).float()


def random_inputs(samples: int, size: int, noise: int = 4) -> GeneratorInput:
    generator = torch.Generator().manual_seed(0)
    return GeneratorInput(
        label_maps=random_maps(samples, size),
        noise=torch.randn(samples, noise, generator=generator),
        texture=torch.randn(samples, 1, size, size, generator=generator),
        sites=torch.arange(samples) % 2,
    )


def random_images(samples: int, size: int) -> Tensor:
    return torch.rand(samples, CHANNELS, size, size, generator=torch.Generator().manual_seed(2)) * 2 - 1


def strong(size: int, width: int = 1) -> TrainingConfig:
    return resolve(
        f"algorithm=dgan-images model=strong data.image_size={size} model.generator_width={width} "
        f"model.discriminator_width={2 * width} downstream=none"
    )


@pytest.mark.parametrize("size", [64, 128, 256])
def test_sizes_of_images_and_scores(size: int) -> None:
    levels = tuple(Levels((mean, mean), (30, 30), False) for mean in (60, 200))
    shape = ImageShape(CLASSES, CHANNELS, size, ("a", "b"), levels)
    config = strong(size)
    generator = build_generator(config.model, shape)
    images = generator(random_inputs(2, size, config.model.noise_channels))
    assert images.shape == (2, CHANNELS, size, size)
    assert images[0].mean() < 0 < images[1].mean()  # in units of each site's levels
    discriminator = build_discriminator(config.model, replace(shape, sites=(), levels=levels[:1]))
    assert discriminator(random_maps(2, size), images).shape == (2, 2, size // 8, size // 8)


def test_parameters_at_the_width_of_the_paper() -> None:
    """Counted by hand, of 3 channels and 2 classes."""
    config = resolve("algorithm=dgan-images model=strong model.generator_width=64 data.image_size=256 downstream=none")
    shape = ImageShape(2, 3, 256, ("a",))
    widths = [1024, 1024, 1024, 512, 256, 128, 64]

    def spade(channels: int) -> int:
        return (2 * 9 + 1) * 128 + (128 * 9 + 1) * 2 * channels + (256 + 1) * 2 * channels

    expected = (2 * 9 + 1) * 1024 + (64 * 9 + 1) * 3 + (64 + 1) * 256 + (256 + 1) * 256 + 256
    for inner, outer in pairwise(widths):
        expected += spade(inner) + spade(outer) + (9 * inner + 1) * outer + (9 * outer + 1) * outer + outer
        expected += inner * outer if inner != outer else 0
    assert generator_footprint(config, shape).parameters == expected
    w = config.model.discriminator_width
    patches = (5 * 16 + 1) * w + (16 * w + 1) * 2 * w + (32 * w + 1) * 4 * w + (36 * w + 1) * 8 * w
    patches += 9 * 8 * w + 1 + 2 * 8 * w
    assert discriminator_footprint(config, shape).parameters == 2 * patches


def test_the_generator_uses_all_that_it_is_given() -> None:
    torch.manual_seed(0)
    network, given = SpadeGenerator(CLASSES, CHANNELS, 2, 64, 4, 2), random_inputs(2, 64)
    images = network(given)
    for change in (
        {"noise": -given.noise},
        {"texture": -given.texture},
        {"sites": 1 - given.sites},
        {"label_maps": given.label_maps.roll(1, 1)},
    ):
        assert (network(replace(given, **change)) - images).abs().amax((1, 2, 3)).min() > 1e-3
    torch.testing.assert_close(network(given), images, rtol=0, atol=0)  # the server draws a batch twice


def test_a_pixel_of_the_label_map_is_not_lost_on_the_way() -> None:
    """A single foreground pixel changes the image, most of all near itself."""
    torch.manual_seed(0)
    network, given = SpadeGenerator(2, 1, 2, 64, 4), random_inputs(1, 64)
    maps = torch.zeros(1, 2, 64, 64)
    maps[:, 0] = 1
    with_pixel = maps.clone()
    with_pixel[0, :, 40, 20] = torch.tensor([0.0, 1.0])
    images = [network(replace(given, label_maps=each)) for each in (maps, with_pixel)]
    change = (images[1] - images[0])[0, 0].abs()
    assert change.argmax().item() in [64 * row + column for row in range(36, 45) for column in range(16, 25)]


def test_an_image_depends_on_its_own_input_alone() -> None:
    torch.manual_seed(0)
    network, given = SpadeGenerator(CLASSES, CHANNELS, 2, 64, 4, 2), random_inputs(3, 64)
    alone = GeneratorInput(*(each[1:2] for each in (given.label_maps, given.noise, given.texture, given.sites)))
    torch.testing.assert_close(network(given)[1:2], network(alone), rtol=1e-4, atol=1e-5)


def test_spade_is_its_formula() -> None:
    """By loops: normalised over each group of 8 channels, then scaled and shifted at each pixel by its class."""
    torch.manual_seed(0)
    spade = Spade(16, CLASSES, 4).double()
    x, style = torch.randn(2, 16, 4, 4, dtype=torch.float64), torch.randn(2, 256, dtype=torch.float64)
    class_of_image = torch.eye(CLASSES, dtype=torch.float64)[[0, 2]]
    label_maps = class_of_image[:, :, None, None].expand(-1, -1, 4, 4)
    made = spade(x, label_maps, style)
    # where the label map is constant and the border repeated, a convolution is the sum of its weights
    read = torch.relu(class_of_image @ spade.read.weight.sum((2, 3)).T + spade.read.bias)
    both = read @ spade.of_map.weight.sum((2, 3)).T + spade.of_map.bias
    both = both + style @ spade.of_style.weight.T + spade.of_style.bias
    for sample in range(2):
        for group in range(2):
            part = x[sample, 8 * group : 8 * group + 8]
            normal = (part - part.mean()) / (part.var(unbiased=False) + 1e-5).sqrt()
            for index in range(8):
                channel = 8 * group + index
                expected = normal[index] * (1 + both[sample, channel]) + both[sample, 16 + channel]
                torch.testing.assert_close(made[sample, channel], expected)


def plain_scores(network: PatchesOfClasses, label_maps: Tensor, images: Tensor) -> Tensor:
    """Return the scores patch after patch, with nothing of torch.nn."""
    h = torch.cat([label_maps, images], 1)
    for layer, stride in zip((0, 2, 4, 6), (2, 2, 2, 1), strict=True):
        convolution = network.features[layer]
        h = F.conv2d(h, convolution.weight, convolution.bias, stride, 1)
        h = torch.maximum(h, 0.2 * h)
    scores = F.conv2d(h, network.score.weight, network.score.bias, padding=1)[:, 0]
    rows, columns = scores.shape[1:]
    result = torch.zeros_like(scores)
    for row in range(rows):
        for column in range(columns):
            region = label_maps[:, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            shares = region.sum((2, 3)) / 64
            told = shares @ network.project.weight[:, :, 0, 0].T
            result[:, row, column] = scores[:, row, column] + (told * h[:, :, row, column]).sum(1)
    return result


def feedback_of(network: Callable[[Tensor, Tensor], Tensor], label_maps: Tensor, images: Tensor) -> Tensor:
    """Return the gradient of each image's own loss, image after image."""
    found = []
    for label_map, image in zip(label_maps, images, strict=True):
        one = image[None].clone().requires_grad_(True)
        loss = torch.log1p((-network(label_map[None], one)).exp()).mean()
        found.append(torch.autograd.grad(loss, one)[0])
    return torch.cat(found)


def test_feedback_is_that_of_plain_formulas_and_of_each_image_alone() -> None:
    """In batches by the product, one by one by the formulas: the batch-mates of an image have no say."""
    torch.manual_seed(0)
    network = MultiScaleDiscriminator(CLASSES, CHANNELS, 2).double()
    label_maps, images = random_maps(3, 32).double(), random_images(3, 32).double()

    def plain(given_maps: Tensor, given: Tensor) -> Tensor:
        fine = plain_scores(network.scales[0], given_maps, given)
        halves = [
            (each[..., ::2, ::2] + each[..., 1::2, ::2] + each[..., ::2, 1::2] + each[..., 1::2, 1::2]) / 4
            for each in (given_maps, given)
        ]
        coarse = plain_scores(network.scales[1], *halves)
        return torch.stack([fine, coarse.repeat_interleave(2, 1).repeat_interleave(2, 2)], 1)

    torch.testing.assert_close(network(label_maps, images), plain(label_maps, images))
    half = DiscriminatorHalf(network, torch.optim.SGD(network.parameters(), 0.1), BCE, 1.0, 1.0, None, 1)
    together = half.feedback(Batch(images, label_maps))
    torch.testing.assert_close(together.gradients, feedback_of(plain, label_maps, images))
    others = Batch(torch.cat([images[:1], -images[1:]]), torch.cat([label_maps[:1], label_maps[1:].roll(1, 1)]))
    torch.testing.assert_close(half.feedback(others).gradients[:1], together.gradients[:1])


def test_both_scales_count_the_same() -> None:
    """Whatever one of them says everywhere has half of the mean."""
    network = MultiScaleDiscriminator(1, 1, 1)
    for scale, said in zip(network.scales, (3.0, -1.0), strict=True):
        torch.nn.init.zeros_(scale.score.weight)
        torch.nn.init.constant_(scale.score.bias, said)
    scores = network(torch.ones(2, 1, 64, 64), torch.zeros(2, 1, 64, 64))
    assert scores.mean((2, 3)).tolist() == [[3.0, -1.0]] * 2
    assert scores.flatten(1).mean(1).tolist() == [1.0, 1.0]


def test_a_class_is_told_by_projection() -> None:
    """Blind to the label map beside the image, it still has another score for each class; one class tells nothing."""
    torch.manual_seed(0)
    network, images = PatchesOfClasses(CLASSES, 1, 2), torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        network.features[0].weight[:, :CLASSES] = 0
    maps = torch.eye(CLASSES)[:, None, :, None, None].expand(-1, -1, -1, 16, 16)
    scores = torch.cat([network(each, images) for each in maps])
    h = network.features(torch.cat([maps[0], images], 1))
    for index in range(CLASSES):
        said = (network.project.weight[:, index, 0, 0, None, None] * h[0]).sum(0)
        torch.testing.assert_close(scores[index, 0], network.score(h)[0, 0] + said)
    assert (scores[0] - scores[1]).abs().min() > 0
    assert PatchesOfClasses(1, 1, 2).project is None
