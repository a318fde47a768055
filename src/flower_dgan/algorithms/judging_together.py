"""What algorithms share whose clients all judge the same images: one loss of the generator is made of all scores."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from flower_dgan import gan
from flower_dgan.algorithms.base import Algorithm
from flower_dgan.config import AlgorithmSettings
from flower_dgan.errors import DivergedError
from flower_dgan.gan.releases import Releases
from flower_dgan.lazily import torch

SettingsT = TypeVar("SettingsT", bound=AlgorithmSettings)


class JudgingTogether(Algorithm[SettingsT]):
    """A round draws one bundle from the label maps of all; clients return scores, and :meth:`loss_of` makes one loss.

    A final class says how, and whether clients count by their images.
    """

    waits = True
    by_samples = False

    @property
    def releases(self) -> Releases:
        """Scores and their gradients; label maps to other clients."""
        return Releases(label_maps_to_clients=True)

    @abstractmethod
    def loss_of(self, scores: torch.Tensor, shares: torch.Tensor, loss: gan.SampleLoss) -> torch.Tensor:
        """Return the generator's loss of each sample, (samples,), with its graph.

        Parameters
        ----------
        scores : Tensor, (clients, samples)
            Logits of the D_k.
        shares : Tensor, (clients, samples)
            What :meth:`shares` returns; each column sums to 1.
        loss : callable
            The configured generator's loss of logits (samples, 1).
        """

    def shares(
        self,
        clients: Sequence[gan.ClientLabels],
        weights: Mapping[str, float],
        label_maps: torch.Tensor,
        largest: float,
    ) -> torch.Tensor:
        """Return how much each client counts for each sample, (clients, samples): by its weight.

        Parameters
        ----------
        clients : sequence of ClientLabels
            Those that answered.
        weights : mapping of str to float
            Theirs, in the same order.
        label_maps : Tensor, (samples, classes, height, width)
            Those of the samples.
        largest : float
            Largest share of one client.
        """
        return torch.tensor(list(weights.values()))[:, None].expand(-1, len(label_maps))

    def ask(
        self, state: gan.ServerState, round_number: int, clients: Sequence[str]
    ) -> Iterator[tuple[str, gan.Proposal, gan.Question]]:
        """Send all the same images."""
        (proposal,) = gan.propose_shared(state, round_number, 1)
        for name in clients:
            yield name, proposal, gan.question_about(state, name, proposal)

    def answer(self, session: gan.Session, round_number: int, question: gan.Question) -> gan.Answer:
        """Update D_k, and return its scores and their gradients."""
        synthetic = session.synthetic(question)
        return gan.step_and_judge(session, round_number, synthetic, synthetic, scores=True)

    def learn(
        self,
        state: gan.ServerState,
        round_number: int,
        proposals: Mapping[str, gan.Proposal],
        answers: Mapping[str, gan.Answer],
        discounts: Mapping[str, float],
    ) -> gan.Step:
        """Merge the scores, and step G on the loss that was made of them."""
        found, capped = gan.client_weights(state, discounts, by_samples=self.by_samples)
        total = gan.worth(discounts)
        weights = {name: found[name] for name in answers}
        feedback, bounded = gan.bound_gradients(state.guards["gradients"], gan.feedback_of(state, answers))
        feedback, also = gan.bound_scores(state.guards["scores"], feedback)
        bounded = {name: max(bounded.get(name, 0), also.get(name, 0)) for name in {**bounded, **also}}
        proposal = next(iter(proposals.values()))
        labels, label_maps = [state.clients[name] for name in answers], proposal.inputs().label_maps
        whole = {name: weight / total for name, weight in weights.items()}
        shares = self.shares(labels, whole, label_maps, state.bundles.largest_share)
        loss = gan.LOSSES[self.settings.loss].generator
        merged = gan.merge_scores(
            lambda scores: self.loss_of(scores, shares, loss),
            list(feedback.values()),
            self.settings.generator_weight,
            state.channels,
        )
        if not merged.gradients.isfinite().all():
            raise DivergedError(
                f"algorithm={self.name} made of finite scores something that is not: choose another, or bound what it "
                "computes."
            )
        rate = self.settings.final_rate
        together = gan.step_on_one(state, round_number, proposal, merged, final_rate=rate, total=total)
        losses = {name: loss(each.feedback.losses.double()[:, None]) for name, each in answers.items()}
        return gan.Step(weights, losses, bounded, together, capped)
