"""How the generator learns from feedback on images that it made some steps ago.

Feedback is the gradient g of a sample's loss at the image x~ that the generator made when the bundle was proposed. Each
step runs the generator again on the same input, x = G(y, z), and propagates a gradient in image space, in the channels
that the client holds:

``gradient``
    g itself. Exact for the first step of a bundle, stale for the others, as G has moved.
``target``
    x - (x~ - eta g / rms(g)), with rms over the client's whole bundle: half the squared distance to a target image one
    functional gradient step away (as in CFG-GAN; Johnson and Zhang 2018, algorithm 1). It fades as G reaches the
    target, so that many steps on one bundle cannot run away. A diversity term may be added, at the server alone: the
    colours of two draws on one label map, averaged over blocks of a quarter of the image, are pushed apart while they
    differ by less than 0.2 (the idea of the mode-seeking loss; Mao et al. 2019).
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flower_dgan.config import ReplayName
from flower_dgan.data.channels import held
from flower_dgan.gan.exchange import Feedback, GeneratorInput, Proposal
from flower_dgan.gan.guard import root_mean_square, root_mean_squares

_DIVERSE_ENOUGH = 0.2


@dataclass(frozen=True)
class Answered:
    """A bundle with a client's answer to it.

    Attributes
    ----------
    proposal : Proposal
        What the client was sent.
    feedback : Feedback
        Its answer, for as many samples.
    scale : float
        What its gradients are multiplied by, see :meth:`Replay.answered`.
    """

    proposal: Proposal
    feedback: Feedback
    scale: float

    def gradients(self, part: slice) -> Tensor:
        """Return the scaled gradients of some of the samples, in the channels that the client holds."""
        gradients = self.feedback.gradients[part]
        return gradients if self.scale == 1 else (self.scale * gradients.double()).float()

    def draw(self, network: nn.Module, part: slice) -> Tensor:
        """Draw the same samples with the generator as it is now, in the same channels."""
        images: Tensor = network(self.proposal.inputs(part))
        return images[:, held(self.feedback.channels)]


@dataclass(frozen=True)
class Replay:
    """A way to use feedback in several steps.

    Attributes
    ----------
    kind : {"gradient", "target"}
        See above.
    target_step : float
        For ``target``: eta, in units of [-1, 1].
    diversity : float
        For ``target``: how far the diversity term moves the target, in units of [-1, 1]; 0 for none.
    """

    kind: ReplayName
    target_step: float = 0.0
    diversity: float = 0.0

    def keep(self, proposal: Proposal) -> Proposal:
        """Return what is wanted of a proposal that was sent: gradients are replayed without the images."""
        return proposal if self.kind == "target" else replace(proposal, images=proposal.images.new_empty(0))

    def answered(self, proposal: Proposal, feedback: Feedback, rate: float) -> Answered:
        """Return them with the scale of the gradients: 1, or for ``target`` ``rate`` eta / rms(g), 0 without any.

        The root mean square is one of float64: in float32 that of gradients below 1e-23 is 0, and the scale without
        bound.
        """
        if self.kind == "gradient":
            return Answered(proposal, feedback, 1.0)
        rms = root_mean_square(root_mean_squares(feedback.gradients))
        return Answered(proposal, feedback, rate * self.target_step / rms if rms else 0.0)

    def direction(self, network: nn.Module, images: Tensor, answered: Answered, part: slice, rate: float) -> Tensor:
        """Return the gradient in image space at some of the samples.

        Parameters
        ----------
        network : nn.Module
            G.
        images : Tensor (samples, channels, height, width)
            x as :meth:`Answered.draw` returns it, without a graph.
        answered : Answered
            The client's answer.
        part : slice
            Which samples.
        rate : float
            Factor of the diversity term.
        """
        gradients = answered.gradients(part)
        if self.kind == "gradient":
            return gradients
        sent = answered.proposal.images[part, held(answered.feedback.channels)]
        direction = images - (sent - gradients)
        if self.diversity:
            direction -= rate * self.diversity * _apart(network, images, answered, part)
        return direction


@torch.no_grad()
def _apart(network: nn.Module, images: Tensor, answered: Answered, part: slice) -> Tensor:
    """Return the direction, of -1, 0 and 1, that leads each image's colours away from another draw's."""
    inputs = answered.proposal.inputs(part)
    opposite = GeneratorInput(inputs.label_maps, -inputs.noise, inputs.texture, inputs.sites)
    other = network(opposite)[:, held(answered.feedback.channels)]
    block = images.shape[-1] // 4
    difference = F.avg_pool2d(images - other, block)
    close = difference.abs().mean((1, 2, 3), keepdim=True) < _DIVERSE_ENOUGH
    return F.interpolate(difference.sign() * close, scale_factor=block)
