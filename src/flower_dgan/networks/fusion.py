"""A generator that is fused of M sub-generators, one a site, each trained by the feedback of its site's client alone.

The improvement of "DGAN for remote sensing" (ICCIP 2022): the central node of a distributed GAN, where one generator
would average over clients that differ much, is M generators G_1 ... G_M. They are fused by

a mixture
    G(y, z) = G_k(y, z) with probability pi_k, the client's share of the data;
a gate
    G(y, z) = leave( sum_k g_k(f) f_k ), with f_k the last features of G_k and g the softmax, pixel by pixel, of a 1 x 1
    convolution that sees all of them.

Training is AsynDGAN's. A sample for client k has a gradient with respect to G_k only: for the mixture the others do not
draw it, for the gate their features are constants in it. Gate and output layer learn from all clients.

Deviations: the sub-generators are :class:`~flower_dgan.networks.small.SmallGenerator`; there is one a client, not a
cluster of clients; the form of the gate is a choice of this package. The shares pi are those of the sites that whoever
draws deals out: a run does so by the clients' label maps, and ``flower-dgan synthesize`` alike for all.
"""

import torch
from torch import Tensor, nn

from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.networks.small import SmallGenerator, straight_through_clamp


def _sub_generators(
    classes: int, channels: int, width: int, image_size: int, noise_channels: int, sites: int
) -> list[SmallGenerator]:
    if sites < 1:
        raise ValueError("there is a sub-generator a site, and there is no site")
    return [SmallGenerator(classes, channels, width, image_size, noise_channels) for _ in range(sites)]


class MixtureGenerator(nn.Module):
    """Every sample is drawn by the sub-generator of its site.

    Parameters
    ----------
    classes, channels, width, image_size, noise_channels : int
        Of each :class:`~flower_dgan.networks.small.SmallGenerator`.
    sites : int
        M, at least 1.

    Raises
    ------
    ValueError
        If there is no site, or the sub-generators cannot make images of this size.
    """

    def __init__(
        self, classes: int, channels: int, width: int, image_size: int, noise_channels: int, sites: int
    ) -> None:
        super().__init__()
        self.subs = nn.ModuleList(_sub_generators(classes, channels, width, image_size, noise_channels, sites))

    def forward(self, inputs: GeneratorInput) -> Tensor:
        """Return images (batch, channels, height, width) in [-1, 1]."""
        by_site = inputs.sites.argsort(stable=True)
        counts = inputs.sites.bincount(minlength=len(self.subs)).tolist()
        if len(counts) > len(self.subs):
            raise IndexError(f"site {len(counts) - 1} has no sub-generator: there are {len(self.subs)}")
        parts = torch.split(by_site, counts)
        drawn = [sub(inputs[part]) for sub, part in zip(self.subs, parts, strict=True) if len(part)]
        return torch.cat(drawn)[by_site.argsort()]


class GatedGenerator(nn.Module):
    """Every sample is drawn by all sub-generators, and a gate says pixel by pixel how much each counts.

    The images do not depend on the sites of the samples, but their gradients do: of the sub-generators only that of the
    sample's site has one.

    Parameters
    ----------
    classes, channels, width, image_size, noise_channels : int
        Of each :class:`~flower_dgan.networks.small.SmallGenerator`.
    sites : int
        M, at least 1.

    Raises
    ------
    ValueError
        If there is no site, or the sub-generators cannot make images of this size.
    """

    def __init__(
        self, classes: int, channels: int, width: int, image_size: int, noise_channels: int, sites: int
    ) -> None:
        super().__init__()
        subs = _sub_generators(classes, channels, width, image_size, noise_channels, sites)
        self.leave = subs[0].leave
        for sub in subs:  # one output layer for all stands behind the gate
            del sub.leave
        self.subs = nn.ModuleList(subs)
        self.gate = nn.Conv2d(sites * width, sites, 1)

    def forward(self, inputs: GeneratorInput) -> Tensor:
        """Return images (batch, channels, height, width) in [-1, 1]."""
        features = self.features(inputs)
        fused = (self.shares(features)[:, :, None] * features).sum(1)
        return straight_through_clamp(self.leave(fused))

    def features(self, inputs: GeneratorInput) -> Tensor:
        """Return the features of every sub-generator, (batch, M, width, height, width of the image)."""
        features = []
        for site, sub in enumerate(self.subs):
            own = inputs.sites == site
            with torch.set_grad_enabled(torch.is_grad_enabled() and bool(own.any())):
                each: Tensor = sub.features(inputs)  # type: ignore[operator]
            features.append(torch.where(own[:, None, None, None], each, each.detach()))
        return torch.stack(features, 1)

    def shares(self, features: Tensor) -> Tensor:
        """Return how much each sub-generator counts at each pixel, (batch, M, height, width); they sum to 1."""
        return self.gate(features.flatten(1, 2)).softmax(1)  # type: ignore[no-any-return]
