"""The progress of a sweep: one line."""

from collections.abc import Iterable, Sequence
from statistics import fmean
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from flower_dgan.sweep.processes import Outcome


class SweepProgress:
    """One line on a terminal, drawn anew; elsewhere one line for each job that ends.

    Parameters
    ----------
    jobs : int
        How many there are.
    """

    def __init__(self, jobs: int) -> None:
        self._console = Console(stderr=True, highlight=False)
        # without a thread of its own, as processes are forked meanwhile
        self._bar = Progress(
            BarColumn(), TextColumn("{task.description}"), console=self._console, auto_refresh=False
        )  # fmt: skip
        self._jobs = jobs
        self._text = f"{jobs} jobs"
        self._task = self._bar.add_task(self._text, total=jobs)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, outcomes: Iterable[Outcome], running: Sequence[float], waiting: int, workers: int) -> None:
        """Draw the line.

        Parameters
        ----------
        outcomes : iterable of Outcome
            Of the jobs that ended, in this start or an earlier one.
        running : sequence of float
            Seconds that each of the running jobs has run for.
        waiting, workers : int
            Jobs that wait, and jobs that can run at once.
        """
        ended = list(outcomes)
        failed = sum(outcome.error is not None for outcome in ended)
        parts = [f"{len(ended) - failed} of {self._jobs} jobs done", f"{failed} failed", f"{len(running)} running"]
        finished = [outcome.seconds for outcome in ended if outcome.error is None]
        if finished and (running or waiting):
            parts.append(f"{_clock(time_left(fmean(finished), running, waiting, workers))} left")
        self._text = ", ".join(parts)
        self._bar.update(self._task, completed=len(ended), description=self._text, refresh=self._console.is_terminal)

    def job_ended(self, name: str, outcome: Outcome) -> None:
        """Say what failed, and off a terminal also what finished."""
        if outcome.error is not None:
            self._console.print(f"{name} failed: {outcome.error}", style="red", markup=False, soft_wrap=True)
        elif not self._console.is_terminal:
            self._console.print(f"{name} finished in {_clock(outcome.seconds)}", markup=False, soft_wrap=True)


def time_left(typical: float, running: Sequence[float], waiting: int, workers: int) -> float:
    """Return the seconds that are left if every job takes ``typical`` seconds and ``workers`` go at once."""
    begun = sum(max(0.0, typical - seconds) for seconds in running)
    return (begun + typical * waiting) / min(workers, len(running) + waiting)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
