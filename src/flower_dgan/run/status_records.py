"""The events that say how a run stands, which a report made after its end could do without."""

from collections.abc import Mapping
from dataclasses import dataclass

from flower_dgan.run.crossing_records import RecordCount

LABEL_MAP, REAL = "label map", "real"
"""Columns of a sample grid; the others are ``draw 1``, ``draw 2``, and so on."""


@dataclass(frozen=True)
class Begin:
    """An attempt at a training began: what there is to know of it to read all the other events.

    Attributes
    ----------
    attempt : int
        From 1; a larger one is a resume.
    version : str
        Of flower-dgan.
    rounds : int
        How many the training has in all.
    done : int
        Those that earlier attempts did, after which this one goes on.
    algorithm, loss, replay, target : str
        The settings of these names.
    undecided : float or None
        The loss of a discriminator that gives every image the same score; None where the loss has no such floor.
    gradient_penalty : float
        The setting.
    noise_channels : int
        The setting; 0 for a generator whose draws on one label map are all the same.
    sample_interval : int
        Rounds between two sample grids.
    heartbeat : float
        At most so many seconds pass without a line while the process lives.
    last_seen : float or None
        When the attempt before wrote its last line; None for the first attempt.
    """

    attempt: int
    version: str
    rounds: int
    done: int
    algorithm: str
    loss: str
    replay: str
    target: str
    undecided: float | None
    gradient_penalty: float
    noise_channels: int
    sample_interval: int
    heartbeat: float
    last_seen: float | None = None


@dataclass(frozen=True)
class Classes:
    """What the classes of the label maps are called, and the colours (``#rrggbb``) in which samples show them."""

    names: tuple[str, ...]
    colours: tuple[str, ...]


@dataclass(frozen=True)
class StageBegin:
    """A stage of the job began; its end is a :class:`~flower_dgan.run.outcome_records.Stage` of the same name."""

    name: str
    attempt: int


@dataclass(frozen=True)
class Heartbeat:
    """The server's process lives.

    Attributes
    ----------
    attempt : int
        Which attempt at the training.
    stage : str
        What it is at; empty between two stages.
    done, of : int
        Steps of the stage that are done, and all; 0 and 0 where it has none to count.
    seconds_left : float or None
        Until the stage ends, as it looks now.
    """

    attempt: int
    stage: str
    done: int
    of: int
    seconds_left: float | None


@dataclass(frozen=True)
class SampleFile:
    """One picture of a sample grid.

    Attributes
    ----------
    row : int
        Row of the grid, from 0: the same label map and noise in every grid of a run.
    site : str
        Whose label map it is.
    column : str
        ``label map``, ``draw 1``, ``draw 2`` and so on for synthetic images that differ by their noise, or ``real``.
    file : str
        A PNG file, relative to the run directory.
    """

    row: int
    site: str
    column: str
    file: str


@dataclass(frozen=True)
class Look:
    """What the synthetic images on the label maps of one site look like, in numbers.

    Attributes
    ----------
    draws_differ : float or None
        Root mean square difference of two draws on one label map, in grey levels; None without noise.
    saturated : float
        Share of the values, from 0 to 1, that are at an end of their range.
    mean, deviation : tuple of float
        Of each channel, in grey levels, 0 to 255, as those of :class:`~flower_dgan.run.member_records.Join`.
    """

    draws_differ: float | None
    saturated: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


@dataclass(frozen=True)
class Samples:
    """A sample grid was written: all its files are there, and whole.

    Attributes
    ----------
    round : int
        After which.
    grid : str
        All of it in one PNG file, relative to the run directory.
    files : tuple of SampleFile
        Its pictures, each a file of its own.
    looks : mapping of str to Look
        By site.
    """

    round: int
    grid: str
    files: tuple[SampleFile, ...]
    looks: Mapping[str, Look]


@dataclass(frozen=True)
class KeptGenerator:
    """A generator of the training was written, whole, as :func:`flower_dgan.generator_file.load_generator` reads it.

    Not all stay: a file that is not there any more made room for later ones. The newest stays.

    Attributes
    ----------
    round : int
        After which.
    file : str
        Relative to the run directory.
    """

    round: int
    file: str


@dataclass(frozen=True)
class LedgerRows:
    """What has crossed the wire since the training began, after a round of it; 0 for its join.

    The totals of a run that ended are :class:`~flower_dgan.run.crossing_records.RecordCount` lines of their own.
    """

    round: int
    rows: tuple[RecordCount, ...]
