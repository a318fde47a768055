"""Alarms of discriminators: one that is sure of everything, or knows nothing."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from flower_dgan.run.alarm_rules.finding import IDLE_ANSWERS, Finding, Known, is_early
from flower_dgan.run.round_records import ClientRound, Round

WON = 0.05
"""Part of the loss of an undecided discriminator below which one is taken to be sure of all that it sees.

With binary cross-entropy it then gives the right answer 97 % on average (exp of minus half of 0.05 times 1.386).
"""


WON_ANSWERS = 3
"""Answers of a client in a row with such a loss.

One tells little: the loss swings by a factor of ten from round to round while all is well, and in the default run on
the embedded digits it falls below a tenth of the undecided one now and then. Three are a quarter of a training of 12.
"""

SURE: Mapping[str, float] = MappingProxyType({"bce": -4.6, "minimax": -4.6, "least-squares": 0.1, "hinge": -1.0})
"""Score below which a discriminator is sure that an image is synthetic, by its loss.

As a logit, less than one chance in a hundred that it is real; for least squares a tenth of the way from synthetic, 0,
to real, 1; for the hinge the margin, below which nothing is left to learn.
"""

BEST = 2.0
"""Standard deviations above the mean score at which the synthetic images are that a discriminator likes best.

A low loss alone is no win: a generator that lags behind catches up with a discriminator that still likes some images
better than others. In ``uagan-mnist-cpu`` the loss is below the threshold in ten answers in a row, the best images have
logits of -3.3 and above all the while, and ten rounds later the loss is back. With a discriminator that learns four
times as often and a generator that hardly does the best ones have -6.2 and less (``benchmarks/alarms.py``).
"""


KNOWS_NOTHING = 0.98
"""Part of the loss of an undecided discriminator from which one is taken to tell nothing apart."""


SAME_SCORE = 0.02
"""Standard deviation of its scores below which it gives all images the same one: of logits, where 1 is 73 % to 50."""


def discriminators(known: Known, record: Any) -> Iterator[Finding]:
    """Whether a client's discriminator is sure of all, or tells nothing apart; who did not answer stays as it was."""
    if not isinstance(record, Round) or known.begin is None or not (undecided := known.begin.undecided):
        return
    help_by = "a lower algorithm.discriminator_learning_rate, or more rounds of fewer exchange.exchanges"
    if known.begin.replay == "target":
        help_by += ", or algorithm.replay=gradient"
    help_by += f", or a larger algorithm.gradient_penalty ({known.begin.gradient_penalty:g} now)"
    for name, client in record.clients.items():
        loss = client.discriminator_loss
        said = f"discriminator loss {loss:.3g}, where one that cannot tell has {undecided:.3g}{_scores(client)}"
        holds = loss < WON * undecided and _is_sure_of_all(client, known.begin.loss)
        yield Finding("D has won", name, record.round, loss, said, help_by, holds, WON_ANSWERS)
        same = client.score_spread is not None and client.score_spread < SAME_SCORE
        yield Finding(
            "D knows nothing",
            name,
            record.round,
            loss,
            said,
            "a larger algorithm.discriminator_learning_rate, or look whether that node's images and label maps belong "
            "together: flower-dgan data check",
            same and loss >= KNOWS_NOTHING * undecided and not is_early(known.begin, record.round),
            IDLE_ANSWERS,
        )


def _is_sure_of_all(client: ClientRound, loss: str) -> bool:
    """Return whether it is sure of the synthetic images that it likes best; where nothing says so its loss decides."""
    if client.score is None or client.score_spread is None or loss not in SURE:
        return True
    return client.score + BEST * client.score_spread < SURE[loss]


def _scores(client: ClientRound) -> str:
    if client.score is None:
        return ""
    return f", and scores synthetic images {client.score:.3g} (deviation {client.score_spread or 0:.2g})"
