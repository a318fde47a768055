"""The discriminator that the server itself has in Distributed-GAN's approach 1."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flower_dgan.algorithms.distributed_gan import keep_largest
from flower_dgan.errors import DivergedError
from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.gan.exchange import Batch, Feedback, Proposal
from flower_dgan.wire.parameters import DISCRIMINATOR, Parameters


class ServerDiscriminator:
    """Goes to every client in each round, and is changed by what they upload.

    Parameters
    ----------
    half : DiscriminatorHalf
        Changed in place; it is never stepped.
    start : Parameters
        Its weights; those that it has if empty.

    Attributes
    ----------
    entries : int
        Its weights, one after the other.
    losses : Tensor, (samples,)
        Generator loss of each image that it judged last.
    """

    def __init__(self, half: DiscriminatorHalf, start: Parameters) -> None:
        self._half = half
        if start:
            half.network.load_state_dict({name: torch.from_numpy(value) for name, value in start.items()})
        self.entries = len(half.flat_weights())
        self.losses = torch.zeros(0)

    def parameters(self) -> Parameters:
        """Return its weights by name; not copied."""
        return {name: value.numpy() for name, value in self._half.network.state_dict().items()}

    def snapshot(self) -> dict[str, Tensor]:
        """Return what a server needs to go on, by name; not copied."""
        return {f"{DISCRIMINATOR}:{name}": value for name, value in self._half.network.state_dict().items()}

    @torch.no_grad()
    def learn(self, uploads: Sequence[NDArray[np.float32]]) -> None:
        """Take over the largest change of each weight from what the clients uploaded, (entries,) each."""
        kept = keep_largest([torch.from_numpy(upload) for upload in uploads])
        parameters = list(self._half.network.parameters())
        parts = torch.split(kept, [parameter.numel() for parameter in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.add_(part.view_as(parameter))

    def judge(self, proposal: Proposal) -> Feedback:
        """Return its feedback on the images of a round.

        Raises
        ------
        DivergedError
            If that is not finite, as changes that are finite may still be too large.
        """
        synthetic = Batch(proposal.images, proposal.inputs().label_maps)
        feedback = self._half.feedback(synthetic, synthetic)  # there are no pixel losses to read the first
        if not (feedback.losses.isfinite().all() and feedback.gradients.isfinite().all()):
            raise DivergedError("The clients' changes were too large: the server's discriminator is not finite.")
        self.losses = feedback.losses
        return feedback
