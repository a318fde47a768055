"""How good synthetic images are, as records: distances to real ones, and what models do best and worst on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Distance:
    """The Fréchet distance of the real images of a site, or of all sites together, to others.

    ``windows`` are the real ones of the site, ``images`` the synthetic or other ones (``compared``); where either is
    less than ``wanted`` the distance means little.
    """

    metric: str
    site: str
    windows: int
    compared: str
    images: int
    distance: float
    wanted: int

    @property
    def means_little(self) -> bool:
        """Whether there are too few samples."""
        return min(self.windows, self.images) < self.wanted


@dataclass(frozen=True)
class MissingMoments:
    """A site that Dist-FID does without, and why."""

    site: str
    reason: str


@dataclass(frozen=True)
class RowPicture:
    """A window of a test image beside what a model found there.

    Attributes
    ----------
    rank : str
        ``worst 1``, ``worst 2`` and so on, or ``best 1``.
    figure : float
        The metric, of this window alone.
    file : str
        A PNG file, relative to the run directory: green where a class was found, red where missed, blue where there
        is none; at the left all that is true.
    """

    rank: str
    figure: float
    file: str


@dataclass(frozen=True)
class RowPictures:
    """What the first model of a row of the TSTR table does worst and best on, by a metric of masks.

    Attributes
    ----------
    row : str
        As :class:`~flower_dgan.tasks.results.TstrResult` names it.
    metric : str
        By its name.
    pictures : tuple of RowPicture
        The worst ones first. They show images of the server's own test split, and of no client.
    """

    row: str
    metric: str
    pictures: tuple[RowPicture, ...]
