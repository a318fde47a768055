"""How a job goes, as records: stages, the end of an attempt, alarms, memory."""

from dataclasses import dataclass

FINISHED, FAILED, STOPPED = "finished", "failed", "stopped"


@dataclass(frozen=True)
class End:
    """How an attempt at a training ended: ``finished``, ``failed`` or ``stopped``, and why, in one line."""

    how: str
    why: str
    attempt: int


@dataclass(frozen=True)
class Stage:
    """A stage of the job that ended: its wall-clock seconds, how it ended (as :class:`End`), and why in one line."""

    name: str
    seconds: float
    how: str = FINISHED
    why: str = ""


@dataclass(frozen=True)
class Alarm:
    """Something that goes wrong in a training, as it begins or as it ends.

    Attributes
    ----------
    name : str
        What, see ``flower_dgan.run.alarm_rules``.
    site : str
        Of which client.
    since : int
        The first round of which it is true; the same in both lines.
    round : int
        When it was said, or from when on it is no longer true.
    begins : bool
        Whether it begins.
    figure : float
        What the rule looked at.
    said : str
        That figure in words.
    help_by : str
        What may help; empty where it ends.
    """

    name: str
    site: str
    since: int
    round: int
    begins: bool
    figure: float
    said: str
    help_by: str = ""

    @property
    def in_words(self) -> str:
        """All of it in one line."""
        where = f" at {self.site}" if self.site else ""
        if self.begins:
            return f"{self.name}{where} since round {self.since}: {self.said}. What may help: {self.help_by}."
        return f"{self.name}{where} since round {self.since} is over in round {self.round}: {self.said}."


@dataclass(frozen=True)
class MemoryPeak:
    """The highest memory use of one process in MiB."""

    who: str
    peak_mib: float
