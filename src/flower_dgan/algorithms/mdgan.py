"""MD-GAN: k batches for N workers, whose discriminators move from worker to worker.

C. Hardy, E. Le Merrer, B. Sericola: "MD-GAN: Multi-Discriminator Generative Adversarial Networks for Distributed
Datasets", IPDPS 2019. One global iteration (algorithm 1):

1. The server makes k batches X(0), ..., X(k-1) of b images, k <= N, and sends each worker n two of them (section
   IV-B1): X_n(g) = X(n mod k), on which it wants feedback, and X_n(d) = X((n+1) mod k), on which the worker trains.
2. The worker does L steps of its discriminator on X_n(d) and b real images, and returns the feedback
   F_n = d L_G(X_n(g)) / d x on each image (section IV-B2).
3. The server averages: the generator's gradient is 1/N sum_n (1/b) sum_i F_n,i dx_i/dw (section IV-B3, equation 2).
4. Every E epochs the workers swap their discriminators (section IV-C3), which moves |theta| numbers a worker.

A worker receives 2 b d numbers for images of d numbers and returns b d.

Deviations: k is fixed in the configuration; the workers' conditions travel with the images, as a worker has not the
label maps of the others; discriminators move through the server, so that a swap is |theta| up and |theta| down, and all
move at once along a random circle instead of each to a random worker; E is counted in rounds; the moments of a worker's
optimizer stay with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from flower_dgan import gan
from flower_dgan.algorithms.base import Algorithm
from flower_dgan.config import AlgorithmSettings, MergeSettings, TrainingConfig
from flower_dgan.config.ranges import Because, Count, Size
from flower_dgan.gan.releases import Releases
from flower_dgan.lazily import torch
from flower_dgan.randomness import derive_generator


@dataclass(frozen=True, kw_only=True)
class MdGanSettings(AlgorithmSettings, MergeSettings):
    """What MD-GAN's runs choose.

    Attributes
    ----------
    shared_batches : int
        k: batches, or bundles of them, that a round draws for all workers; at least 1.
    swap_interval : int
        E, in rounds: after so many the workers swap their discriminators, so that weights leave the nodes; 0 for never.
    """

    shared_batches: Annotated[Size, Because("it is k")]
    swap_interval: Annotated[Count, Because("0 is never")]


class MdGan(Algorithm[MdGanSettings]):
    """Workers are trained on one of k shared batches and asked about another; their discriminators move."""

    name = "mdgan"
    Settings = MdGanSettings
    formerly = ("separate_batches=true",)
    formerly_off = ("separate_batches=false", "shared_batches=0", "swap_interval=0")
    bundles = 2

    @property
    def releases(self) -> Releases:
        """Losses and gradients; label maps to other workers; discriminators where they move."""
        return Releases(weights=self.settings.swap_interval > 0, label_maps_to_clients=True)

    @property
    def one_in_flight(self) -> bool:
        """Whether discriminators move: a worker must have the one that it was given before it is asked again."""
        return self.settings.swap_interval > 0

    def check(self, config: TrainingConfig) -> None:
        """Find contradictions."""
        super().check(config)
        self.settings.check_merge(config.model)

    def require_clients(self, clients: int) -> None:
        """Raise FederationError if the merge rule cannot do with so few."""
        self.settings.require_clients(clients)

    def ask(
        self, state: gan.ServerState, round_number: int, clients: Sequence[str]
    ) -> Iterator[tuple[str, gan.Proposal, gan.Question]]:
        """Step 1: make k batches, and send each worker two of them; X_n(d) comes first."""
        batches = gan.propose_shared(state, round_number, self.settings.shared_batches)
        places = {name: place for place, name in enumerate(state.clients)}
        for name in clients:
            judged, trained_on = (batches[number] for number in batches_of(places[name], len(batches)))
            question = gan.question_about(state, name, trained_on, judged)
            moving = state.parameters.get(name)
            wanted = swaps(self.settings.swap_interval, round_number)
            yield name, judged, replace(question, weights=moving, return_weights=wanted)

    def answer(self, session: gan.Session, round_number: int, question: gan.Question) -> gan.Answer:
        """Step 2: train on X_n(d), with the discriminator that moved here if one did, and judge X_n(g)."""
        if question.weights is not None:
            session.load(question.weights)
        both = session.synthetic(question)
        size = len(both) // 2
        answer = gan.step_and_judge(session, round_number, both[:size], both[size:])
        return replace(answer, weights=session.weights()) if question.return_weights else answer

    def learn(
        self,
        state: gan.ServerState,
        round_number: int,
        proposals: Mapping[str, gan.Proposal],
        answers: Mapping[str, gan.Answer],
        discounts: Mapping[str, float],
    ) -> gan.Step:
        """Step 3, and step 4 where discriminators came back: each is bounded, and sent on in the next round."""
        step = gan.sum_gradients(
            state,
            round_number,
            proposals,
            answers,
            discounts,
            merge=self.settings.merge,
            final_rate=self.settings.final_rate,
        )
        came_back = {name: each.weights for name, each in answers.items() if each.weights is not None}
        bounded, acted = gan.bound_weights(
            state.guards["weights"], {name: list(weights.values()) for name, weights in came_back.items()}
        )
        partners = swap_partners(list(came_back), state.bundles.seed, round_number)
        state.parameters = {
            partners[name]: dict(zip(came_back[name], arrays, strict=True)) for name, arrays in bounded.items()
        }
        counts = {name: step.bounded.get(name, 0) + acted.get(name, 0) for name in {**step.bounded, **acted}}
        return replace(step, bounded=counts)


def batches_of(worker: int, count: int) -> tuple[int, int]:
    """Return which of ``count`` batches a worker, from 0, gives feedback on, and which it is trained on."""
    return worker % count, (worker + 1) % count


def swaps(interval: int, round_number: int) -> bool:
    """Return whether discriminators move after a round; never where the interval is 0."""
    return interval > 0 and round_number % interval == 0


def swap_partners(workers: Sequence[str], seed: int, round_number: int) -> dict[str, str]:
    """Return to which worker the discriminator of each goes: never to itself, unless it is alone."""
    generator = derive_generator(seed, "swap", round_number)
    circle = [workers[index] for index in torch.randperm(len(workers), generator=generator).tolist()]
    return dict(zip(circle, [*circle[1:], *circle[:1]], strict=True))
