"""What happened in a round, as the strategy tells it."""

from dataclasses import dataclass

from flower_dgan.federation.answer_figures import NO_FIGURES, AnswerFigures


@dataclass(frozen=True)
class ClientRound:
    """What one client contributed to a round.

    Attributes
    ----------
    discriminator_loss, generator_loss : float
        Means over the bundle.
    busy_seconds, compute_seconds : float
        Time that the client spent on its message, and the part of it that was the discriminator's.
    peak_memory_mib : float
        Largest resident memory of the client's process so far.
    rounds_late : int
        Rounds between sending the bundle and using its feedback.
    weight : float
        Its weight in the generator's gradient.
    bounded : int
        Samples, or uploads of weights, that were scaled down as they were beyond what is usual, see
        ``flower_dgan.gan.guard``.
    capped : bool
        Whether its number of images would have given it more than the largest share.
    figures : AnswerFigures
        What its answer looked like.
    """

    discriminator_loss: float
    generator_loss: float
    busy_seconds: float
    compute_seconds: float
    peak_memory_mib: float
    rounds_late: int
    weight: float
    bounded: int
    capped: bool
    figures: AnswerFigures = NO_FIGURES


@dataclass(frozen=True)
class RoundReport:
    """What happened in a round.

    Attributes
    ----------
    round_number : int
        From 1.
    images : int
        Synthetic images whose feedback was used.
    staleness : int
        Steps that the generator had done between drawing these images and using their feedback.
    generator_seconds : float
        Time of drawing and stepping at the server.
    clients : dict of str to ClientRound
        By client name.
    rejected : dict of str to str
        Client name to the reason why its reply was not used.
    late : tuple of str
        Clients that are still at work on a bundle.
    bounded_together : int
        Samples that were scaled down after the scores of all clients had been merged.
    """

    round_number: int
    images: int
    staleness: int
    generator_seconds: float
    clients: dict[str, ClientRound]
    rejected: dict[str, str]
    late: tuple[str, ...]
    bounded_together: int
