"""How much is used up of what an owner's policy allows of each image, and of each patient, in all trainings together.

Only the node knows that, so it is on the owner's page and in the node's log, and nothing of it is told to a server.
"""

import logging
from dataclasses import dataclass

from flower_dgan.node.book import Book
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.node.privacy_book import epsilon_spent

NEARLY = 0.8
"""Share of a budget beyond which it is nearly used up."""

EPSILON = "epsilon of all releases with noise"
_BY_IMAGE = (
    "end trainings that are not wanted any more (flower-dgan policy revoke), give the node images that were used less, "
    "or allow more in the policy: once it is used up, trainings that use the image are refused"
)
_BY_NOISE = "let releases be asked for with more noise: once it is used up, new ones are refused"

logger = logging.getLogger("flwr")


@dataclass(frozen=True)
class Used:
    """How often the image was asked about, drawn and in a training for which that is most, and the epsilon spent."""

    asked: int = 0
    drawn: int = 0
    trainings: int = 0
    epsilon: float = 0.0


@dataclass(frozen=True)
class Budget:
    """What the policy allows, and how much of it is used.

    Attributes
    ----------
    what : str
        Of what.
    used, limit : float
        In its unit: times, trainings, or epsilon. The limit may be 0.
    help_by : str
        What may help where it is nearly used up.
    """

    what: str
    used: float
    limit: float
    help_by: str

    @property
    def nearly(self) -> bool:
        """Whether it is nearly used up."""
        return bool(self.limit) and self.used > NEARLY * self.limit


def budgets(policy: ReleasePolicy, used: Used) -> list[Budget]:
    """Return how far each budget is used up; none where the policy has no limit."""
    found = [
        ("asked about", used.asked, policy.queries_per_image, _BY_IMAGE),
        ("drawn", used.drawn, policy.queries_per_image, _BY_IMAGE),
        ("trainings", used.trainings, policy.trainings, _BY_IMAGE),
        (EPSILON, used.epsilon, policy.epsilon or None, _BY_NOISE),
    ]
    return [Budget(what, count, limit, help_by) for what, count, limit, help_by in found if limit is not None]


def warn_of_budgets(book: Book, policy: ReleasePolicy) -> None:
    """Say in the node's log which budgets are nearly used up: once for each limit, whatever processes come and go.

    Raises
    ------
    StorageError
        If the book cannot be read or written.
    """
    _, asked, drawn, trainings = book.most_used()
    with book.reading() as rows:
        epsilon = 0.0 if rows is None else epsilon_spent(rows, policy.delta)
    nearly = [each for each in budgets(policy, Used(asked, drawn, trainings, epsilon)) if each.nearly]
    if not nearly:
        return
    with book.changing() as rows:
        new = [
            each
            for each in nearly
            if rows.execute("INSERT OR IGNORE INTO warned VALUES (?, ?)", (each.what, each.limit)).rowcount
        ]
    for each in new:
        logger.warning(
            "Over %.0f %% of what this node's policy allows is used up (%s): %.6g of %.6g. What may help: %s.",
            100 * NEARLY,
            each.what,
            each.used,
            each.limit,
            each.help_by,
        )
