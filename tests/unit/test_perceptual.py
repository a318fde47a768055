"""The perceptual loss: layers by their names, numbers by hand, and the images as they are."""

import pytest
import torch
import torchvision
from torch import Tensor, nn

from flower_dgan.gan.discriminator import PixelLosses
from flower_dgan.gan.perceptual import PerceptualLoss, pretrained_perceptual_loss
from tests.reference.perceptual import RELUS, activations, layout, named_layers, perceptual_distance, random_features

MEAN, SPREAD = (torch.tensor(v)[None, :, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
"""ImageNet's."""


def doubling_features(negative: str = "") -> nn.Sequential:
    """Return VGG-16's layout with convolutions of one pixel that double each of three channels.

    The convolution of the given name doubles and changes the sign.
    """
    layers = []
    for name, layer in zip(named_layers(layout()), layout(), strict=True):
        if isinstance(layer, nn.Conv2d):
            layer = nn.Conv2d(3, 3, 1, bias=False)
            factor = -2.0 if name == negative else 2.0
            layer.weight.data = factor * torch.eye(3)[:, :, None, None]
        layers.append(layer)
    return nn.Sequential(*layers)


def constant(*values: float, channels: int = 3) -> Tensor:
    """Return an image (channels, 16, 16) of one value for each of some values."""
    return torch.tensor(values)[:, None, None, None].expand(-1, channels, 16, 16)


def test_the_papers_layers_have_these_indices() -> None:
    """As ``vgg16(weights=None)`` is built: an activation after each convolution, a pooling after each block."""
    indices = named_layers(layout())
    assert [indices[name] for name in RELUS] == [3, 8, 15, 22]
    assert indices["conv1_1"] == 0
    assert indices["pool5"] == 30


@pytest.mark.parametrize("channels", [1, 3])
def test_the_distance_on_numbers_by_hand(channels: int) -> None:
    """Each layer doubles: 2, 4, 7 and 10 convolutions are before the four activations, which cut off below 0.

    0.5 and -0.25 are 0.5 and 0 there: (0.5 * 2^n)^2 = 4 + 64 + 4096 + 262144, a quarter of the sum is 66577. 0.75 and
    0.25 differ by as much. The images are not normalised: otherwise they would be others in each channel.
    """
    loss = PerceptualLoss(doubling_features())
    first, second = constant(0.5, 0.75, 0.5, channels=channels), constant(-0.25, 0.25, 0.5, channels=channels)
    expected = torch.tensor([66577.0, 66577.0, 0.0])
    torch.testing.assert_close(loss(first, second), expected)
    torch.testing.assert_close(perceptual_distance(doubling_features(), first, second), expected)


def test_an_activation_counts_and_not_the_convolution_before_it() -> None:
    """Where the second convolution of the first block turns the sign, only what was below 0 is left: nothing."""
    features = doubling_features("conv1_2")
    assert PerceptualLoss(features)(constant(0.5), constant(0.25)).tolist() == [0.0]


def test_random_weights_give_what_the_named_layers_give() -> None:
    features = random_features()
    first, second = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = PerceptualLoss(features)(first, second)
    torch.testing.assert_close(found, perceptual_distance(features, first, second))
    torch.testing.assert_close(PerceptualLoss(features)(second, first), found)
    normalized = perceptual_distance(features, (first - MEAN) / SPREAD, (second - MEAN) / SPREAD)
    assert (normalized / found - 1).abs().min() > 0.1
    # each of the four is worth something, so that another layer would be seen
    ours, theirs = activations(features, first, "pool4"), activations(features, second, "pool4")
    parts = torch.stack([((ours[name] - theirs[name]) ** 2).mean((1, 2, 3)) for name in ours]) / 4
    names = list(ours)
    for name in RELUS:
        for other in (names[names.index(name) - 1], names[names.index(name) + 1]):
            change = parts[names.index(other)] - parts[names.index(name)]
            assert (change / found).abs().min() > 1e-3, (name, other)


@pytest.mark.parametrize(("synthetic", "real", "sign"), [(0.5, 0.25, 1.0), (0.25, 0.5, -1.0)])
def test_descending_takes_the_synthetic_image_to_the_real_one(synthetic: float, real: float, sign: float) -> None:
    """By hand: each layer's mean of (2^n (x - y))^2 has the slope 2 * 4^n * 0.25 in all pixels together, up or down."""
    loss = PerceptualLoss(doubling_features())
    images = constant(synthetic).clone().requires_grad_(True)
    loss(images, constant(real)).sum().backward()
    assert float(images.grad.sum()) == pytest.approx(sign * sum(0.5 * 4**n for n in (2, 4, 7, 10)) / 4)
    assert (sign * images.grad).min() >= 0
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_the_pixel_losses_are_a_weighted_sum() -> None:
    """|0.5 + 0.25| = 0.75 everywhere: 100 * 0.75 + 2 * 66577."""
    losses = PixelLosses(100.0, 2.0, PerceptualLoss(doubling_features()))
    torch.testing.assert_close(losses(constant(0.5), constant(-0.25)), torch.tensor([75.0 + 133154.0]))


def test_pretrained_are_imagenets_first_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    features, asked = doubling_features(), []

    class Network:
        pass

    def vgg16(weights: object) -> Network:
        asked.append(weights)
        network = Network()
        network.features = features
        return network

    monkeypatch.setattr(torchvision.models, "vgg16", vgg16)
    loss = pretrained_perceptual_loss()
    assert asked == [torchvision.models.VGG16_Weights.IMAGENET1K_V1]
    assert loss(constant(0.5), constant(-0.25)).item() == pytest.approx(66577)
