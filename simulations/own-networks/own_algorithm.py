"""An algorithm of one's own: all clients judge the same images, and the median of their gradients is followed."""

from dataclasses import dataclass

import torch

from flower_dgan import gan
from flower_dgan.algorithms.base import Algorithm
from flower_dgan.config import AlgorithmSettings


@dataclass(frozen=True, kw_only=True)
class MedianSettings(AlgorithmSettings):
    """What can be set beside what every algorithm has: ``strength`` is a factor of the gradient."""

    strength: float


class Median(Algorithm[MedianSettings]):
    """One bad client among three or more cannot move the median of a pixel's gradient far."""

    Settings = MedianSettings
    waits = True

    @property
    def releases(self):
        """Feedback leaves a node, and the label maps that the common images are made from reach other clients."""
        return gan.Releases(label_maps_to_clients=True)

    def ask(self, state, round_number, clients):
        """Draw one bundle for all."""
        (proposal,) = gan.propose_shared(state, round_number, 1)
        return [(name, proposal, gan.question_about(state, name, proposal)) for name in clients]

    def answer(self, session, round_number, question):
        """Step the discriminator on each batch, and return the generator's loss on it and its gradient."""
        synthetic = session.synthetic(question)
        return gan.step_and_judge(session, round_number, synthetic, synthetic)

    def learn(self, state, round_number, proposals, answers, discounts):
        """Follow the median over the clients."""
        feedback, bounded = gan.bound_gradients(state.guards["gradients"], gan.feedback_of(state, answers))
        gradients = torch.stack([each.gradients for each in feedback.values()]).quantile(0.5, dim=0)
        losses = {name: each.losses.double() for name, each in feedback.items()}
        merged = gan.Feedback(torch.stack([*losses.values()]).mean(0), self.settings.strength * gradients)
        proposal = next(iter(proposals.values()))
        together = gan.step_on_one(state, round_number, proposal, merged, final_rate=self.settings.final_rate)
        return gan.Step(dict.fromkeys(answers, 1 / len(answers)), losses, bounded, together)
