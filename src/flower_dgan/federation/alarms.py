"""What goes wrong in a training, as far as the server can tell from what it has anyway.

Three rules, each judged for each client: its discriminator has won, the sample images on its label maps saturate, two
draws on one of its label maps are the same. Colours that no site has cannot be seen here: there is no real image.
"""

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from torch import Tensor

from flower_dgan.config import Config, LossName
from flower_dgan.federation.round_report import RoundReport
from flower_dgan.run.run_records import Alarm

logger = logging.getLogger("flwr")

UNDECIDED: Mapping[LossName, float | None] = MappingProxyType(
    {"bce": 2 * math.log(2), "minimax": 2 * math.log(2), "least-squares": 0.5, "hinge": 2.0, "wasserstein": None}
)
"""The lowest loss, real and synthetic together, of a discriminator that gives every image the same score.

Wasserstein's is a difference of means without a floor, so that none of its values says that the discriminator has won.
"""

WON = 0.05
"""Part of the loss of an undecided discriminator below which one is taken to be sure of all that it sees.

With binary cross-entropy it then gives the right answer 97 % on average (exp of minus half of 0.05 times 1.386).
"""

WON_ANSWERS = 3
"""Answers of a client in a row with such a loss.

One tells little: the loss swings by a factor of ten from round to round while all is well, and in the default run on
the embedded digits it falls below a tenth of the undecided one now and then. Three are a quarter of a training of 12.
"""

END = 1 / 255
"""Distance from -1 or 1 within which a value becomes the first or the last of 256 grey levels."""

SATURATED = 0.95
"""Share of values at the ends from which images count as saturated: hardly any level between is left.

Not less, for real images have plain grounds: those of digits are black nearly everywhere.
"""

SAME = 2 / 255
"""Root mean square difference of two draws below which they count as the same: one of 256 grey levels."""

BEGINNING = 0.25
"""Part of the rounds in which equal draws mean nothing yet: a generator learns first what all images have in common."""


class Measure(Protocol):
    """Writes one measurement down, as ``RunDirectory.measure`` does."""

    def __call__(self, kind: str, **values: object) -> None:
        """Write it."""


@dataclass
class _Row:
    """How long a rule has held for a client: since which round, how many times in a row; whether that was said."""

    since: int
    times: int
    said: bool


class Alarms:
    """Says once when a rule begins to hold, and once when it no longer does.

    Parameters
    ----------
    config : Config
        The run's configuration.
    measure : callable
        Writes an :class:`~flower_dgan.run.run_records.Alarm` down.
    before : iterable of Alarm
        What an earlier attempt at the training wrote down; what still held then goes on.
    """

    def __init__(self, config: Config, measure: Measure, before: Iterable[Alarm] = ()) -> None:
        self._config = config
        self._measure = measure
        self._rows: dict[tuple[str, str], _Row] = {}
        for alarm in before:
            if alarm.begins:
                self._rows[alarm.name, alarm.site] = _Row(alarm.since, 1, said=True)
            else:
                self._rows.pop((alarm.name, alarm.site), None)

    def judge_round(self, report: RoundReport) -> None:
        """Look at the discriminators' losses of a round; who did not answer in it is left as it was."""
        algorithm = self._config.algorithm
        undecided = UNDECIDED[algorithm.loss]
        if undecided is None:
            return
        undecided *= algorithm.discriminator_weight
        help_by = "a lower algorithm.discriminator_learning_rate, or more rounds of fewer exchange.exchanges"
        if algorithm.replay == "target":
            help_by += ", or algorithm.replay=gradient"
        help_by += f", or a larger algorithm.gradient_penalty ({algorithm.gradient_penalty:g} now)"
        for name, client in report.clients.items():
            loss = client.discriminator_loss
            self._judge(
                ("D has won", name),
                report.round_number,
                loss,
                f"discriminator loss {loss:.3g}, where one that cannot tell has {undecided:.3g}",
                help_by,
                holds=loss < WON * undecided,
                wanted=WON_ANSWERS,
            )

    def judge_samples(self, round_number: int, drawn: Mapping[str, Tensor]) -> None:
        """Look at the images of a sample grid.

        Parameters
        ----------
        round_number : int
            The round after which they were drawn.
        drawn : mapping of str to Tensor, float, (draws, rows, channels, height, width)
            The images in [-1, 1] on the label maps of each client, by its name; draws differ by their noise alone.
        """
        config = self._config
        step = "target_step" if config.algorithm.replay != "gradient" else "generator_learning_rate"
        for name, images in drawn.items():
            if config.data.target == "images":  # label maps as images are black and white
                share = (images.abs() >= 1 - END).double().mean().item()
                self._judge(
                    ("images saturate", name),
                    round_number,
                    share,
                    f"{share:.1%} of the values of its sample images are at an end of their range",
                    f"a lower algorithm.{step}; look at samples/, for a site's real images may be black and white",
                    holds=share >= SATURATED,
                )
            if config.model.noise_channels and round_number > BEGINNING * config.exchange.rounds:
                difference = (images[0] - images[1]).double().square().mean().sqrt().item()
                self._judge(
                    ("draws collapse", name),
                    round_number,
                    difference,
                    f"two draws on one label map differ by {difference * 127.5:.1f} of 256 grey levels",
                    "a larger algorithm.diversity, with algorithm.replay=moved or target; and no pixel losses, which "
                    "want one image of a label map",
                    holds=difference < SAME,
                )

    def _judge(
        self,
        key: tuple[str, str],
        round_number: int,
        figure: float,
        said: str,
        help_by: str,
        *,
        holds: bool,
        wanted: int = 1,
    ) -> None:
        if not holds:
            row = self._rows.pop(key, None)
            if row is not None and row.said:
                self._write(Alarm(*key, row.since, round_number, False, figure, said))
            return
        row = self._rows.setdefault(key, _Row(round_number, 0, said=False))
        row.times += 1
        if row.times >= wanted and not row.said:
            row.said = True
            self._write(Alarm(*key, row.since, round_number, True, figure, said, help_by))

    def _write(self, alarm: Alarm) -> None:
        self._measure("alarm", **vars(alarm))
        if alarm.begins:
            logger.warning(
                "%s at %s since round %d: %s. What may help: %s.",
                alarm.name,
                alarm.site,
                alarm.since,
                alarm.said,
                alarm.help_by,
            )
        else:
            logger.info(
                "%s at %s since round %d is over in round %d: %s.",
                alarm.name,
                alarm.site,
                alarm.since,
                alarm.round,
                alarm.said,
            )
