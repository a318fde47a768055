"""How the generator learns from feedback on images that it made some steps ago.

Feedback is the gradient g of a sample's loss at the image x~ that the generator made when the bundle was proposed. Each
step runs the generator again on the same input, x = G(y, z), and propagates a gradient in image space, in the channels
that the client holds:

``gradient``
    g itself. Exact for the first step of a bundle, stale for the others, as G has moved.
``target``
    x - (x~ - eta g / rms(g)), with rms over the client's whole bundle: half the squared distance to a target image one
    functional gradient step away. It fades as G reaches the target, so that many steps on one bundle cannot run away.
``moved``
    (x - (x~ - g)) / u^2, where the client has moved the images itself while its discriminator learned, and x~ - g is
    where they came to (composite functional gradients, CFG-GAN; Johnson and Zhang 2018, algorithm 1): see
    :func:`flower_dgan.gan.answering.move_and_judge`. u is what G draws in, a site's deviation with
    ``model.levels=site``. The generator goes through the bundle as often as the client did.

To ``target`` and ``moved`` a diversity term may be added, at the server alone: the colours of two draws on one label
map, averaged over blocks of a quarter of the image, are pushed apart while they differ by less than 0.2 u (the idea of
the mode-seeking loss; Mao et al. 2019).
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flower_dgan.config import ReplayName
from flower_dgan.data.channels import Channels, held
from flower_dgan.device import device_of, to_device
from flower_dgan.gan.exchange import Feedback, GeneratorInput, Proposal
from flower_dgan.gan.guard import root_mean_square, root_mean_squares
from flower_dgan.gan.site_levels import units_of
from flower_dgan.placing import compute

_DIVERSE_ENOUGH = 0.2


@dataclass(frozen=True)
class Replay:
    """A way to use feedback in several steps.

    Attributes
    ----------
    kind : {"gradient", "target", "moved"}
        See above.
    target_step : float
        For ``target``: eta, in units of [-1, 1].
    diversity : float
        For ``target`` and ``moved``: how far the diversity term moves the target, in units of u; 0 for none.
    passes : int
        How often the generator goes through a bundle.
    """

    kind: ReplayName
    target_step: float = 0.0
    diversity: float = 0.0
    passes: int = 1

    def keep(self, proposal: Proposal) -> Proposal:
        """Return what is wanted of a proposal that was sent: gradients are replayed without the images."""
        return proposal if self.kind != "gradient" else replace(proposal, images=proposal.images.new_empty(0))

    def factor(self, feedback: Feedback, rate: float) -> float:
        """Return by what gradients are multiplied: for ``target`` by ``rate`` eta / rms(g), otherwise by 1.

        The root mean square is one of float64: in float32 that of gradients below 1e-23 is 0, and the factor without
        bound. Gradients that are all 0 stay so.
        """
        if self.kind != "target":
            return 1.0
        rms = root_mean_square(root_mean_squares(feedback.gradients))
        return rate * self.target_step / rms if rms else 0.0

    def direction(
        self,
        network: nn.Module,
        images: Tensor,
        proposal: Proposal,
        feedback: Feedback,
        part: slice,
        rate: float,
        factor: float,
    ) -> Tensor:
        """Return the gradient in image space at some of the samples.

        Parameters
        ----------
        network : nn.Module
            G.
        images : Tensor (samples, channels, height, width)
            x as :func:`redraw` returns it, without a graph.
        proposal : Proposal
            What the client was sent.
        feedback : Feedback
            Its answer, for as many samples.
        part : slice
            Which samples.
        rate : float
            Factor of the diversity term.
        factor : float
            Of the gradients, see :meth:`factor`.
        """
        gradients = to_device(scaled(feedback.gradients[part], factor), images.device)
        if self.kind == "gradient":
            return gradients
        sent = to_device(proposal.images[part, held(feedback.channels)], images.device)
        direction = images - (sent - gradients)
        units = units_of(network, proposal.sites[part])
        if self.kind == "moved":
            direction /= units**2
        if self.diversity:
            apart = _apart(network, images, proposal, part, feedback.channels, units)
            direction -= rate * self.diversity * apart / units
        return direction


def scaled(gradients: Tensor, factor: float) -> Tensor:
    """Return gradients of some samples times a factor, multiplied in float64 and rounded once."""
    return gradients if factor == 1.0 else (factor * gradients.double()).to(gradients.dtype)


def redraw(network: nn.Module, proposal: Proposal, part: slice, channels: Channels) -> Tensor:
    """Draw the same samples with the generator as it is now, in the channels that a client holds."""
    images = compute(network, proposal.inputs(part, device_of(network)))
    return images[:, held(channels)]


@torch.no_grad()
def _apart(
    network: nn.Module, images: Tensor, proposal: Proposal, part: slice, channels: Channels, units: Tensor
) -> Tensor:
    """Return the direction, of -1, 0 and 1, that leads each image's colours away from another draw's."""
    inputs = proposal.inputs(part, images.device)
    opposite = GeneratorInput(inputs.label_maps, -inputs.noise, inputs.texture, inputs.sites)
    other = compute(network, opposite)[:, held(channels)]
    block = images.shape[-1] // 4
    difference = F.avg_pool2d((images - other) / units, block)
    close = difference.abs().mean((1, 2, 3), keepdim=True) < _DIVERSE_ENOUGH
    return F.interpolate(difference.sign() * close, scale_factor=block)
