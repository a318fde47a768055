"""A client's answer to a bundle, once it was read and found to be usable."""

from dataclasses import dataclass

import torch
from torch import Tensor

from flower_dgan.federation.join import JoinedClient
from flower_dgan.federation.round_report import ClientRound
from flower_dgan.gan.exchange import Feedback, Proposal
from flower_dgan.wire.feedback_message import FeedbackMessage
from flower_dgan.wire.formats import decode_gradients


@dataclass(frozen=True)
class Answer:
    """Feedback that can be used, with what it is about.

    Attributes
    ----------
    client : JoinedClient
        Who gave it.
    message : FeedbackMessage
        What it said.
    proposal : Proposal
        The images that it is about.
    rounds_late : int
        Rounds between sending these and the answer.
    """

    client: JoinedClient
    message: FeedbackMessage
    proposal: Proposal
    rounds_late: int

    def feedback(self) -> Feedback:
        """Return losses and gradients for the generator's half."""
        gradients = decode_gradients(self.message.gradients, self.message.scales)
        return Feedback(torch.from_numpy(self.message.losses), gradients, self.client.channels)

    def report(self, weight: float, losses: Tensor, bounded: int, *, capped: bool) -> ClientRound:
        """Return what is told of it: how much it counted, the generator's losses on its images, what was bounded."""
        message = self.message
        return ClientRound(
            message.discriminator_loss,
            float(losses.mean()),
            message.busy_seconds,
            message.compute_seconds,
            message.peak_memory_mib,
            self.rounds_late,
            weight,
            bounded,
            capped,
        )
