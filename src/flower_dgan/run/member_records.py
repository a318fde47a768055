"""Who takes part in a training, as records: clients that joined, changes of membership, devices."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Join:
    """A client that joined, and what it said it has.

    Attributes
    ----------
    site, node_id : str
        Its name, and the id of its node.
    images : int
        Its number of real images.
    channels : str
        Which channels these have.
    mean, deviation : tuple of int
        Of each channel of these images, in grey levels; none where ``model.levels`` does not ask for them.
    policy : str
        Under which policy its node said that it takes part: a preset's name, ``own rules`` of its owner's, or
        ``no owner``; empty in runs of earlier versions.
    """

    site: str
    node_id: str
    images: int
    channels: str
    mean: tuple[int, ...] = ()
    deviation: tuple[int, ...] = ()
    policy: str = ""


CAME, CAME_BACK, MOVED, REFUSED, LEFT_OUT, AWAY = "came", "came back", "moved", "refused", "left out", "away"
"""Changes of membership: a new client; one that answers again; one that another node is now; a node that does not take
part; a client that is not asked any more; one whose node is not connected."""


@dataclass(frozen=True)
class Change:
    """A change of membership.

    Attributes
    ----------
    who : str
        The client's name, or the node where it has none.
    what : str
        What happened, in words.
    round : int
        After which round; 0 is the join.
    change : str
        One of ``came``, ``came back``, ``moved``, ``refused``, ``left out``, ``away``; empty in runs of earlier
        versions.
    """

    who: str
    what: str
    round: int
    change: str = ""


@dataclass(frozen=True)
class Where:
    """On which device the networks of ``who`` were in an attempt at a training, and that device in words."""

    who: str
    device: str
    what: str
    attempt: int
