"""Children of an executor, forked for real: who stays, who ends, and that nobody is left."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flower_dgan import memory
from flower_dgan.flower import child
from flower_dgan.flower import workers as module
from flower_dgan.flower.workers import Workers

# Python 3.12 warns of a fork beside threads: those that other tests left here; an executor has none.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

Task = tuple[str, str]
"""A file that the child writes its process id to, and what it does then."""


def do(task: Task) -> bool:
    file, then = Path(task[0]), task[1]
    file.with_suffix(".partial").write_text(str(os.getpid()))
    file.with_suffix(".partial").rename(file)
    match then:
        case "raise":
            raise ValueError("as an app of the owner's may")
        case "exit":
            raise SystemExit
        case "interrupt":
            signal.raise_signal(signal.SIGINT)
        case "hang":
            while True:
                time.sleep(60)
        case "ignore":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
    return then == "stay"


class Tried:
    """Workers whose children tell their process ids."""

    def __init__(self, folder: Path, workers: Workers, lost: list[Task]) -> None:
        self.folder = folder
        self.workers = workers
        self.lost = lost
        self.number = 0

    def start(self, run: int | None, then: str = "stay") -> int:
        """Give a task, and return the process id of the child that does it."""
        self.number += 1
        file = self.folder / str(self.number)
        self.workers.give((str(file), then), run)
        wait_until(lambda: (self.workers.look(), file.exists())[1])
        return int(file.read_text())

    def do(self, run: int | None, then: str = "stay") -> int:
        """Give a task and wait until its child is done, or gone."""
        pid = self.start(run, then)
        self.settle()
        return pid

    def settle(self) -> None:
        while self.workers.busy:
            self.workers.wait(0)
            self.workers.look()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def gone(pid: int) -> bool:
    """Return whether a process has ended; what its parent has not asked after yet has not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Tried]]:
    """Return what makes workers of a number and, for how long they may be idle, of seconds; they end with the test."""
    made: list[Workers] = []

    def build(most: int, idle_seconds: float = 600.0) -> Tried:
        lost: list[Task] = []
        made.append(Workers(do, most, lost.append, idle_seconds))
        return Tried(tmp_path, made[-1], lost)

    yield build
    for each in made:
        each.close()


def test_a_child_stays_for_the_tasks_of_its_run_and_no_other(make: Callable[..., Tried]) -> None:
    tried = make(2)
    first, second = tried.do(1), tried.do(2)
    assert first != second
    assert os.getpid() not in (first, second)
    assert [tried.do(run) for run in (1, 2, 2, 1)] == [first, second, second, first]


def test_none_stays_where_the_owner_wants_none(make: Callable[..., Tried]) -> None:
    tried = make(0)
    pids = [tried.do(1) for _ in range(3)]
    assert len(set(pids)) == 3
    assert all(gone(pid) for pid in pids)


def test_a_task_without_a_run_has_a_child_of_its_own(make: Callable[..., Tried]) -> None:
    tried = make(1)
    stays, alone = tried.do(1), tried.do(None)
    assert gone(alone)
    assert tried.do(1) == stays


def test_the_child_that_was_idle_longest_ends_for_a_new_one(make: Callable[..., Tried]) -> None:
    tried = make(2)
    first, second = tried.do(1), tried.do(2)
    assert tried.do(1) == first
    third = tried.do(3)
    assert [gone(pid) for pid in (first, second, third)] == [False, True, False]
    assert tried.do(1) == first
    assert tried.do(2) != second


@pytest.mark.parametrize("then", ["leave", "raise", "exit", "interrupt"])
def test_whatever_is_in_doubt_ends_a_child(
    then: str, make: Callable[..., Tried], capfd: pytest.CaptureFixture[str]
) -> None:
    tried = make(2)
    other, first = tried.do(2), tried.do(1)
    assert tried.do(1, then) == first
    assert gone(first)
    assert tried.do(1) != first
    assert tried.do(2) == other
    assert ("as an app of the owner's may" in capfd.readouterr().err) == (then == "raise")
    assert [task[1] for task in tried.lost] == ([] if then == "leave" else [then])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_child_that_is_ended_between_two_tasks_is_replaced(number: int, make: Callable[..., Tried]) -> None:
    tried = make(1)
    first = tried.do(1)
    os.kill(first, number)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    second = tried.do(1)
    assert gone(first)
    assert second != first
    assert tried.do(1) == second
    assert tried.lost == []


@pytest.mark.parametrize("before", [True, False])
def test_what_a_child_was_given_and_did_not_take_another_does(
    before: bool, make: Callable[..., Tried], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies before the task is in its pipe, which the executor had not noticed, or before it has read it."""
    tried = make(1)
    first = tried.do(1)
    os.kill(first, signal.SIGKILL if before else signal.SIGSTOP)
    os.waitid(os.P_PID, first, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
    with monkeypatch.context() as unnoticed:
        unnoticed.setattr(Workers, "look", lambda _: None)
        tried.workers.give((str(tried.folder / "given"), "stay"), 1)
    if not before:
        os.kill(first, signal.SIGKILL)
    wait_until(lambda: (tried.workers.look(), (tried.folder / "given").exists())[1])
    tried.settle()
    assert gone(first)
    assert tried.do(1) == int((tried.folder / "given").read_text())
    assert tried.lost == []


def test_a_child_that_is_killed_amid_a_task(make: Callable[..., Tried], caplog: pytest.LogCaptureFixture) -> None:
    tried = make(1)
    first = tried.start(1, "hang")
    os.kill(first, signal.SIGKILL)
    tried.settle()
    assert gone(first)
    assert "was ended by signal 9" in caplog.text
    assert tried.lost == [(str(tried.folder / "1"), "hang")]
    assert tried.do(1) != first


def test_a_child_at_another_task_of_its_run_is_not_waited_for(
    make: Callable[..., Tried], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOMENT_SECONDS", 0.0)
    tried = make(2)
    first = tried.start(1, "hang")
    second = tried.start(1)
    assert second != first
    wait_until(lambda: (tried.workers.look(), gone(second))[1])  # it does not stay
    assert not gone(first)


def test_busy_children_stay_and_others_do_one_task_meanwhile(make: Callable[..., Tried]) -> None:
    tried = make(1)
    first = tried.start(1, "hang")
    second = tried.start(2)
    wait_until(lambda: (tried.workers.look(), gone(second))[1])
    assert not gone(first)


def test_an_idle_child_ends_and_a_busy_one_does_not(make: Callable[..., Tried]) -> None:
    tried = make(2, 0.0)
    busy, idle = tried.start(1, "hang"), tried.start(2)
    wait_until(lambda: (tried.workers.look(), gone(idle))[1])
    assert not gone(busy)


def test_one_stays_while_memory_is_short(make: Callable[..., Tried], monkeypatch: pytest.MonkeyPatch) -> None:
    tried = make(3)
    pids = [tried.do(run) for run in (1, 2, 3)]
    assert not any(map(gone, pids))
    monkeypatch.setattr(module, "memory_is_short", lambda: True)
    tried.workers.look()
    assert [gone(pid) for pid in pids] == [True, True, False]
    fourth = tried.do(4)
    assert gone(pids[2])
    assert tried.do(4) == fourth


def test_idle_children_end_where_there_is_no_memory_for_another(
    make: Callable[..., Tried], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = make(3)
    idle = [tried.do(run) for run in (1, 2)]
    fork, calls = os.fork, iter([OSError(12, "Cannot allocate memory"), None])

    def scarce() -> int:
        if (error := next(calls)) is not None:
            raise error
        return fork()

    monkeypatch.setattr(os, "fork", scarce)
    third = tried.do(3)
    assert all(map(gone, idle))
    assert not gone(third)


@pytest.mark.parametrize("idle", [0, 1])
def test_a_task_without_memory_for_a_child_is_lost_and_the_next_one_is_done(
    idle: int, make: Callable[..., Tried], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried = make(3)
    pids = [tried.do(run) for run in range(idle)]

    def none_left() -> int:
        raise OSError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as scarce:
        scarce.setattr(os, "fork", none_left)
        tried.workers.give(("file", "stay"), 5)
    assert tried.lost == [("file", "stay")]
    assert all(map(gone, pids))
    assert "Resource temporarily unavailable" in caplog.text
    assert not gone(tried.do(5))


def test_closing_ends_children_at_whatever_they_are(
    make: Callable[..., Tried], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(child, "_STOP_SECONDS", 0.2)
    tried = make(3)
    pids = [tried.start(1, "hang"), tried.start(2, "ignore"), tried.start(3)]
    caplog.set_level(logging.WARNING)
    tried.workers.close()
    assert all(map(gone, pids))


def test_memory_is_short_below_an_eighth(monkeypatch: pytest.MonkeyPatch) -> None:
    if Path("/proc/meminfo").exists():
        assert 0 < memory.available_memory() < memory.machine_memory()
    monkeypatch.setattr(memory, "machine_memory", lambda: 8_000)
    for available, short in ((999, True), (1_000, False), (None, False)):
        monkeypatch.setattr(memory, "available_memory", lambda available=available: available)
        assert memory.memory_is_short() == short


ORPHANS = """
import sys, time
from pathlib import Path
from flower_dgan.flower.workers import Workers
from tests.unit.test_workers import Tried, do
tried = Tried(Path(sys.argv[1]), Workers(do, 2, print), [])
print(tried.do(1), tried.start(2, "hang"), tried.start(None, "hang"), flush=True)
time.sleep(600)
"""


def test_children_end_with_their_parent_even_if_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ORPHANS, str(tmp_path)], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 3
        assert not any(map(gone, pids))
        parent.kill()
    # init, or whoever has their place, asks after them in its own time
    wait_until(lambda: all(gone(pid) or _is_zombie(pid) for pid in pids))


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
