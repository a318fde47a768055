"""Distributed-GAN: three ways for one generator to learn from the data of many users.

X. Wang, Y. Wang: "Distributed Generative Adversarial Net", 2019. The user's discriminators never see each other's data.

Approach 1, :class:`Selective`: the server has a discriminator D of its own, with weights w. User k trains a copy of it
on its own real images and the common synthetic ones, and uploads some entries i of the change,

    delta_k = w_k - w,    u_k,i = delta_k,i  if i is selected,  0 otherwise,

those that are largest, those at random places, or those beyond a threshold. The server keeps the largest change of each
entry and steps the generator against its own D,

    w_i  <-  w_i + u_k(i),i    with  k(i) = argmax_k |u_k,i|.

Approach 2, :class:`Average`: all users judge the same synthetic images; what the discriminators say is averaged, and
the generator's loss is that of the mean,

    D(x) = 1/K sum_k D_k(x).

The users send D_k(x) as a logit and its gradient with respect to x, so that one exchange is exact.

Approach 3, :class:`Sequential`: in one epoch, user after user, each steps its discriminator, and the generator steps on
that one's feedback before the next user's turn. A round is one turn here, and an epoch has as many as there are users.

Deviations: the generator's loss is the configured one, non-saturating by default; in approach 1 the moments of a user's
optimizer stay with the user from round to round, while its weights are the server's again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from flower_dgan import gan
from flower_dgan.algorithms.asyndgan import AsynDgan
from flower_dgan.algorithms.base import Algorithm
from flower_dgan.algorithms.judging_together import JudgingTogether
from flower_dgan.config import AlgorithmSettings
from flower_dgan.config.ranges import NonNegative, PositiveFraction
from flower_dgan.device import device_of, to_cpu, to_device
from flower_dgan.errors import DivergedError, ProtocolError
from flower_dgan.gan.releases import Releases
from flower_dgan.lazily import torch
from flower_dgan.randomness import derive_generator

_SERVER = "server"


@dataclass(frozen=True, kw_only=True)
class SelectiveSettings(AlgorithmSettings):
    """What approach 1 chooses.

    Attributes
    ----------
    upload : {"largest", "random", "threshold"}
        Which entries of the change of the discriminator's weights the users upload.
    upload_share : float
        For ``largest`` and ``random``: share of the entries, in (0, 1].
    upload_threshold : float
        For ``threshold``: smallest magnitude that is uploaded.
    """

    upload: Literal["largest", "random", "threshold"]
    upload_share: PositiveFraction
    upload_threshold: NonNegative


class Selective(Algorithm[SelectiveSettings]):
    """Approach 1: the server's discriminator learns from the users' changes, and the generator from it."""

    name = "dgan-selective"
    Settings = SelectiveSettings
    formerly_off = ("upload=none",)
    waits = True

    @property
    def releases(self) -> Releases:
        """Changes of weights; label maps to other users."""
        return Releases(feedback=False, changes=True, label_maps_to_clients=True)

    @property
    def one_in_flight(self) -> bool:
        """The discriminator that is sent is the one that the last round made."""
        return True

    def begin(self, state: gan.ServerState) -> None:
        """Make the server's discriminator."""
        if _SERVER not in state.parameters:
            network = state.make_discriminator(_SERVER).network
            state.parameters[_SERVER] = weights_of(network)

    def ask(
        self, state: gan.ServerState, round_number: int, clients: Sequence[str]
    ) -> Iterator[tuple[str, gan.Proposal, gan.Question]]:
        """Send all the same images, and the server's discriminator."""
        (proposal,) = gan.propose_shared(state, round_number, 1)
        for name in clients:
            question = gan.question_about(state, name, proposal)
            yield name, proposal, replace(question, weights=state.parameters[_SERVER])

    def answer(self, session: gan.Session, round_number: int, question: gan.Question) -> gan.Answer:
        """Train a copy of D, and return the selected entries of delta_k."""
        if question.weights is None:
            raise ProtocolError("a bundle without the discriminator whose change is to be uploaded")
        session.load(question.weights)
        synthetic, before = session.synthetic(question), session.half.flat_weights()
        losses = [
            session.half.step(session.draw_real(round_number, number), synthetic[part])
            for number, part in enumerate(session.parts(len(synthetic)))
        ]
        places = derive_generator(session.secret, "upload", round_number, session.name)
        change = select(session.half.flat_weights() - before, self.settings, places)
        return gan.Answer(gan.no_feedback(synthetic), gan.mean_of(losses), change=change)

    def learn(
        self,
        state: gan.ServerState,
        round_number: int,
        proposals: Mapping[str, gan.Proposal],
        answers: Mapping[str, gan.Answer],
        discounts: Mapping[str, float],
    ) -> gan.Step:
        """Take over the largest change of each weight, and step G against D."""
        weights, _ = gan.client_weights(state, discounts, by_samples=False)
        uploads = {name: [each.change.numpy()] for name, each in answers.items() if each.change is not None}
        bounded, acted = gan.bound_weights(state.guards["weights"], uploads)
        half = state.make_discriminator(_SERVER)
        half.network.load_state_dict({key: torch.from_numpy(value) for key, value in state.parameters[_SERVER].items()})
        add_change(half.network, keep_largest([torch.from_numpy(change) for (change,) in bounded.values()]))
        state.parameters = {_SERVER: weights_of(half.network)}
        proposal = next(iter(proposals.values()))
        device = device_of(half.network)
        images = to_device(proposal.images, device)
        judged = half.feedback(gan.Batch(images, proposal.inputs(device=device).label_maps))
        feedback = gan.Feedback(to_cpu(judged.losses), to_cpu(judged.gradients))
        if not (feedback.losses.isfinite().all() and feedback.gradients.isfinite().all()):
            raise DivergedError("The clients' changes were too large: the server's discriminator is not finite.")
        together = gan.step_on_one(state, round_number, proposal, feedback, final_rate=self.settings.final_rate)
        return gan.Step(weights, dict.fromkeys(answers, feedback.losses.double()), acted, together)


class Average(JudgingTogether[AlgorithmSettings]):
    """Approach 2: the generator's loss is that of the mean of what the users' discriminators say."""

    name = "dgan-average"
    formerly = ("merge=average",)

    def loss_of(self, scores: torch.Tensor, shares: torch.Tensor, loss: gan.SampleLoss) -> torch.Tensor:
        """Return the loss on D(x), in which all users count the same."""
        return average(scores, loss)


class Sequential(AsynDgan):
    """Approach 3: AsynDGAN with one user a round, one after the other."""

    name = "dgan-sequential"
    formerly = ("turns=one-by-one",)
    formerly_off = ("turns=together",)
    waits = True

    @property
    def one_in_flight(self) -> bool:
        """The generator steps on one user's feedback before the next user's turn."""
        return True

    def takes_part(self, clients: Sequence[str], round_number: int) -> Sequence[str]:
        """Return the user whose turn it is."""
        return [whose_turn(clients, round_number)] if clients else []


def weights_of(network: torch.nn.Module) -> gan.Parameters:
    """Return all that a network has learned, by name; not copied where it is on the CPU."""
    return {name: to_cpu(value).numpy() for name, value in network.state_dict().items()}


def select(change: torch.Tensor, settings: SelectiveSettings, generator: torch.Generator) -> torch.Tensor:
    """Return what of a change is uploaded, (entries,): 0 where it is not. Of equals the first are the largest.

    Parameters
    ----------
    change : Tensor, (entries,)
        delta_k.
    settings : SelectiveSettings
        Their rule ``upload``, with ``upload_share`` or ``upload_threshold``.
    generator : torch.Generator
        Draws the places of ``random``.
    """
    count = math.ceil(settings.upload_share * len(change))
    if settings.upload == "threshold":
        return torch.where(change.abs() >= settings.upload_threshold, change, 0.0)
    if settings.upload == "largest":
        places = change.abs().sort(descending=True, stable=True).indices[:count]  # Adam's first steps are equals
    else:
        places = torch.randperm(len(change), generator=generator)[:count]
    return torch.zeros_like(change).index_copy(0, places, change[places])


def keep_largest(changes: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the change of each entry that is largest in magnitude over the users, (entries,); the first of equals."""
    kept = changes[0]
    for change in changes[1:]:
        kept = torch.where(change.abs() > kept.abs(), change, kept)
    return kept


def add_change(network: torch.nn.Module, change: torch.Tensor) -> None:
    """Add a change (entries,) to all parameters of a network, one after the other."""
    parameters = list(network.parameters())
    parts = torch.split(change, [parameter.numel() for parameter in parameters])
    with torch.no_grad():
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.add_(to_device(part.view_as(parameter), parameter.device))


def average(scores: torch.Tensor, loss: gan.SampleLoss) -> torch.Tensor:
    """Return the generator's loss on the mean of the D_k, (samples,).

    Parameters
    ----------
    scores : Tensor, (clients, samples)
        Logits of the D_k.
    loss : callable
        The generator's loss of logits (samples, 1): that of the mean is log mean_k D_k - log mean_k (1 - D_k).
    """
    logsigmoid = torch.nn.functional.logsigmoid
    mean, rest = torch.logsumexp(logsigmoid(scores), 0), torch.logsumexp(logsigmoid(-scores), 0)
    return loss((mean - rest)[:, None])


def whose_turn(clients: Sequence[str], round_number: int) -> str:
    """Return the one client of a round, from 1, in approach 3."""
    return clients[(round_number - 1) % len(clients)]
