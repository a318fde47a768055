"""What a round of a training was, as records: what each client did in it, and how good its generator was."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ClientRound:
    """What one client did in one round.

    Attributes
    ----------
    discriminator_loss, generator_loss : float
        Means over the bundle.
    busy_seconds, compute_seconds : float
        Time that the client spent on the message, and the part of it that was the discriminator's.
    bytes_sent, bytes_received : int
        As the client sees them.
    rounds_late : int
        Rounds between sending the bundle and using its feedback.
    weight : float
        Its weight in the generator's gradient.
    bounded : int
        Samples or uploads that were scaled down as they were beyond what is usual.
    capped : bool
        Whether its weight was lowered to the largest share.
    arrived_seconds : float or None
        From when the server began to wait to when the answer was there.
    sendings : int
        How often the message was sent before it was answered.
    score, score_spread : float or None
        Mean and standard deviation, over the bundle, of the score that the client's discriminator gives synthetic
        images, as its loss implies it: a logit for binary cross-entropy. None where a loss does not say.
    feedback_length : float or None
        Mean length of the gradient of a sample; None where no feedback travels.
    feedback_direction : float or None
        Cosine, from -1 to 1, of its mean gradient with that of the other clients; None where nothing is comparable.
    feedback_follows : float or None
        How far its gradients follow the label maps as those of the others do, see
        ``flower_dgan.federation.answer_figures``; near 0 they do not. None where nothing is comparable.
    peak_memory_mib : float or None
        Largest resident memory of the client's process so far, as its node said.
    """

    discriminator_loss: float
    generator_loss: float
    busy_seconds: float
    compute_seconds: float
    bytes_sent: int
    bytes_received: int
    rounds_late: int
    weight: float
    bounded: int = 0
    capped: bool = False
    arrived_seconds: float | None = None
    sendings: int = 1
    score: float | None = None
    score_spread: float | None = None
    feedback_length: float | None = None
    feedback_direction: float | None = None
    feedback_follows: float | None = None
    peak_memory_mib: float | None = None


@dataclass(frozen=True)
class Round:
    """One round.

    Attributes
    ----------
    round : int
        Its number.
    seconds : Mapping[str, float]
        Wall-clock seconds by what they were spent on.
    images : int
        Synthetic images that fed the generator's steps.
    clients : Mapping[str, ClientRound]
        By site; the clients whose reply was used.
    rejected : Mapping[str, str]
        By site; why the reply was not used.
    staleness : int
        Generator steps between drawing the images and using their feedback.
    late : tuple of str
        Sites that were still at work when the round ended.
    repeats : Mapping[str, int]
        By site; messages that were sent again, as there was no reply.
    bounded_together : int
        Samples that were scaled down after the scores of all had been merged.
    attempt : int
        Which attempt at the training did it.
    """

    round: int
    seconds: Mapping[str, float]
    images: int
    clients: Mapping[str, ClientRound]
    rejected: Mapping[str, str]
    staleness: int
    late: tuple[str, ...]
    repeats: Mapping[str, int]
    bounded_together: int = 0
    attempt: int = 1


@dataclass(frozen=True)
class Validation:
    """What the nodes' validation images say of the generator at the end of a round.

    Attributes
    ----------
    round : int
        The round.
    metric : str
        What the scores are.
    score : float or None
        Their weighted mean; None where nobody gave one.
    clients : Mapping[str, float]
        By site; rounded scores.
    missing : Mapping[str, str]
        By site; why there is none.
    """

    round: int
    metric: str
    score: float | None
    clients: Mapping[str, float]
    missing: Mapping[str, str]


@dataclass(frozen=True)
class Selection:
    """The round of the generator with the best score, None without one; and of that which draws the synthetic set."""

    best: int | None
    taken: int
