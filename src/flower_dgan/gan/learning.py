"""How the generator learns from the answers of a round: how much each client counts, bounds, and the sum."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from flower_dgan.config import MergeName
from flower_dgan.errors import ConfigError
from flower_dgan.gan.exchange import Answer, Feedback, Proposal
from flower_dgan.gan.generator import AddedLoss, scheduled_rate
from flower_dgan.gan.guard import bound_gradients
from flower_dgan.gan.merge import Weights, merge_rule
from flower_dgan.gan.server_state import ServerState
from flower_dgan.gan.shares import bound_shares

TOGETHER = "all"
"""Stands for all clients where their answers have become one."""


@dataclass(frozen=True)
class Step:
    """What became of the answers of a round.

    Attributes
    ----------
    weights : mapping of str to float
        How much each client counted, by name; they sum to less than 1 where all answers were late.
    losses : mapping of str to Tensor
        The generator's losses (samples,) on each client's images, in float64, where the square of any is finite.
    bounded : mapping of str to int
        To how many samples of a client the guard's bound applied, or 1 for its weights; only those where it did.
    together : int
        To how many samples it applied after the answers of all had been merged.
    capped : frozenset of str
        Clients whose weight was lowered to the largest share.
    """

    weights: Weights = field(default_factory=dict)
    losses: Mapping[str, Tensor] = field(default_factory=dict)
    bounded: Mapping[str, int] = field(default_factory=dict)
    together: int = 0
    capped: frozenset[str] = frozenset()

    def check(self, clients: Iterable[str]) -> None:
        """Raise ConfigError if it does not say of each of these clients what became of its answer."""
        for what, told in (("weight", self.weights), ("losses", self.losses)):
            if missing := [name for name in clients if name not in told]:
                raise ConfigError(
                    f"The algorithm's learn returned a Step without the {what} of {', '.join(missing)}: it has to name "
                    "each client that answered, in weights and in losses."
                )


def client_weights(
    state: ServerState, discounts: Mapping[str, float], *, by_samples: bool
) -> tuple[dict[str, float], frozenset[str]]:
    """Return the weight w_k of each client that answered, and which of them would weigh more without the bound.

    The weights sum to :func:`worth`, which is 1 unless all are late.

    Parameters
    ----------
    state : ServerState
        Says how many images each client has, and the largest share of one among three or more.
    discounts : mapping of str to float
        By the names of those that answered: what late feedback is worth, in (0, 1].
    by_samples : bool
        Whether w_k is pi_k = n_k / sum n (AsynDGAN, equation 1) before late feedback is discounted, or 1 / K, as in its
        released code up to the factor K, which Adam does not see.

    Raises
    ------
    ValueError
        If nobody answered, or a client has no images.
    """
    counts = {name: state.clients[name].images if by_samples else 1 for name in discounts}
    if not counts or min(counts.values()) < 1:
        raise ValueError(f"image counts {counts}: at least one client, each with at least one image")
    late = {name: count * discounts[name] for name, count in counts.items()}
    shares = {name: each / sum(late.values()) for name, each in late.items()}
    bounded = bound_shares(shares, state.bundles.largest_share, len(state.clients))
    weights = {name: worth(discounts) * share for name, share in bounded.items()}
    return weights, frozenset(name for name in shares if bounded[name] < shares[name])


def worth(discounts: Mapping[str, float]) -> float:
    """Return what the answers of a round are worth together: the discount of the newest, 1 where one is not late.

    Among themselves answers count by their discounts. Where all are late there is none for the others to count less
    than, and shares that sum to 1 would scale the discount up again. So the rate of the round's steps is multiplied by
    it: learning rate, target step and diversity, as :func:`~flower_dgan.gan.generator.scheduled_rate` does at the end
    of a training. As a factor of the gradient it would be lost in every merge rule: Adam divides a gradient by the size
    of the earlier ones, so that rounds of late feedback alone would move the generator as far as any; target replay
    would have targets as far away as ever; ``agreement`` shares out anew what is given to it; and of scores that are
    merged the shares must sum to 1.

    Parameters
    ----------
    discounts : mapping of str to float
        Of at least one answer, each in (0, 1].
    """
    return max(discounts.values())


def feedback_of(state: ServerState, answers: Mapping[str, Answer]) -> dict[str, Feedback]:
    """Return the clients' feedback with the channels that it is about."""
    return {name: replace(each.feedback, channels=state.clients[name].channels) for name, each in answers.items()}


def sum_gradients(
    state: ServerState,
    round_number: int,
    proposals: Mapping[str, Proposal],
    answers: Mapping[str, Answer],
    discounts: Mapping[str, float],
    *,
    merge: MergeName,
    final_rate: float,
    added: AddedLoss | None = None,
) -> Step:
    """Step the generator on the weighted sum of the clients' gradients, each bounded before.

    Parameters
    ----------
    state : ServerState
        Changed in place.
    round_number : int
        The round that closes.
    proposals, answers : mapping
        Client name to what it was sent and what it said.
    discounts : mapping of str to float
        What each answer is worth, see :func:`client_weights`. The rates of the step are multiplied by :func:`worth`.
    merge : {"samples", "equal", "agreement"}
        How the clients are weighed, see ``flower_dgan.gan.merge``.
    final_rate : float
        Factor of the generator's rates in the last round.
    added : callable or None
        A loss of the generator that the server computes alone, see :meth:`GeneratorHalf.apply`.

    Raises
    ------
    DivergedError
        If the generator is not finite afterwards.
    """
    weights, capped = client_weights(state, discounts, by_samples=merge == "samples")
    total = worth(discounts)
    feedback, bounded = bound_gradients(state.guards["gradients"], feedback_of(state, answers))
    merged = state.generator.apply(
        [proposals[name] for name in feedback],
        list(feedback.values()),
        {name: weights[name] / total for name in feedback},
        state.generator_steps,
        total * scheduled_rate(round_number, state.rounds, final_rate),
        merge=merge_rule(merge, state.trust),
        added=added,
    )
    losses = {name: each.feedback.losses.double() for name, each in answers.items()}
    return Step({name: total * weight for name, weight in merged.items()}, losses, bounded, 0, capped)


def step_on_one(
    state: ServerState,
    round_number: int,
    proposal: Proposal,
    feedback: Feedback,
    *,
    final_rate: float,
    total: float = 1.0,
) -> int:
    """Step the generator on feedback that is nobody's alone; return to how many samples the guard's bound applied.

    ``total`` is what the answers are worth together, see :func:`worth`.
    """
    bounded, together = bound_gradients(state.guards["merged"], {TOGETHER: feedback})
    rate = total * scheduled_rate(round_number, state.rounds, final_rate)
    state.generator.apply([proposal], list(bounded.values()), {TOGETHER: 1.0}, state.generator_steps, rate)
    return together.get(TOGETHER, 0)
