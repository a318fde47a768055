"""Sweeps: what is checked before the first job, and how jobs run, fail, and go on. The jobs here are no runs."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import hydra
import pytest
from omegaconf import DictConfig, OmegaConf

from flower_dgan.errors import ConfigError, DganError
from flower_dgan.report.sweep_jobs import JobRecord, failed_jobs, read_record, write_record
from flower_dgan.resolve import in_quotes, resolve
from flower_dgan.run.round_records import Selection, Validation
from flower_dgan.run.run_records import RunMetrics
from flower_dgan.sweep.launcher import default_workers
from flower_dgan.sweep.multirun import plan
from flower_dgan.sweep.one_run import job_directory, objective, run_overrides
from flower_dgan.sweep.processes import Processes
from flower_dgan.sweep.progress_line import time_left
from flower_dgan.tasks.results import TstrResult

SETTINGS = """
defaults: [_self_, {override hydra/launcher: flower_dgan}, {override hydra/job_logging: none}]
x: 1
action: square
hydra:
  sweep: {subdir: "${hydra.job.override_dirname}"}
  launcher: {jobs: 2}
"""


def task(settings: DictConfig) -> int:
    """Leave a mark for each start in the directory of the job, and do as told."""
    directory = Path(hydra.core.hydra_config.HydraConfig.get().runtime.output_dir)
    mark = directory / "starts"
    starts = len(mark.read_text()) if mark.is_file() else 0
    mark.write_text("x" * (starts + 1))
    os.write(1, f"x is {settings.x}\n".encode())
    if settings.action == "fail" and settings.x == 2 and not starts:
        raise ConfigError("Two is\ntoo many.")
    if settings.action == "die" and settings.x == 2 and not starts:
        os.kill(os.getpid(), signal.SIGKILL)
    return int(settings.x**2)


def sweep(scratch: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> int:
    """Run a multirun of the task; return its exit status."""
    (scratch / "settings.yaml").write_text(SETTINGS)
    monkeypatch.setattr(sys, "argv", ["sweep", "--multirun", *overrides, f"hydra.sweep.dir={scratch / 'sweep'}"])
    try:
        hydra.main(version_base="1.3", config_path=str(scratch), config_name="settings")(task)()
    except SystemExit as end:
        return int(str(end.code or 0))
    return 0


def starts(scratch: Path) -> dict[str, int]:
    return {file.parent.name: len(file.read_text()) for file in sorted((scratch / "sweep").glob("*/starts"))}


def test_every_job_has_a_directory_a_log_and_a_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sweep(tmp_path, monkeypatch, "x=1,2,3") == 0
    for number, x in enumerate((1, 2, 3)):
        directory = tmp_path / "sweep" / f"x={x}"
        record = read_record(directory)
        assert record is not None
        assert (record.number, record.overrides, record.value, record.error) == (number, (f"x={x}",), x**2, None)
        assert (directory / "log.txt").read_text() == f"x is {x}\n"


@pytest.mark.parametrize(
    ("action", "reason"), [("fail", "Two is too many."), ("die", "its process was ended from outside (exit code -9)")]
)
def test_what_fails_is_named_and_alone_run_again(
    action: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(tmp_path, monkeypatch, "x=1,2,3", f"action={action}") == 1
    assert reason in capsys.readouterr().err
    assert failed_jobs(tmp_path / "sweep") == {f"action={action},x=2": reason}
    assert sweep(tmp_path, monkeypatch, "x=1,2,3", f"action={action}") == 0
    assert failed_jobs(tmp_path / "sweep") == {}
    assert starts(tmp_path) == {f"action={action},x=1": 1, f"action={action},x=2": 2, f"action={action},x=3": 1}


def test_another_sweep_does_not_take_what_a_directory_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = "hydra.job.config.override_dirname.exclude_keys=[action]"
    assert sweep(tmp_path, monkeypatch, "x=1,3", "action=fail", names) == 0
    assert sweep(tmp_path, monkeypatch, "x=1,2,3", "action=die", names) == 1
    assert "x=1 holds a run with other settings: x=1 action=fail, and not x=1 action=die." in capsys.readouterr().err
    assert starts(tmp_path) == {"x=1": 1, "x=3": 1}


def test_a_directory_has_one_sweep_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sweep").mkdir()
    with (tmp_path / "sweep/lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert sweep(tmp_path, monkeypatch, "x=1,2") == 1
    assert "Another sweep still works in" in capsys.readouterr().err
    assert starts(tmp_path) == {}


def test_jobs_go_side_by_side(tmp_path: Path) -> None:
    def wait_for_the_other(number: int) -> int:
        (tmp_path / str(number)).touch()
        deadline = time.monotonic() + 20
        while not (tmp_path / str(1 - number)).is_file():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return number

    processes = Processes(2)
    for number in range(2):
        assert not processes.full
        processes.start(number, partial(wait_for_the_other, number), tmp_path / f"{number}.txt")
    assert processes.full
    ended = []
    while len(processes):
        ended += processes.ended(30.0)
    assert sorted((number, outcome.value, outcome.error) for number, outcome in ended) == [(0, 0, None), (1, 1, None)]


def test_jobs_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    script = """
import os, sys, time
from pathlib import Path
from flower_dgan.sweep.processes import Processes
def work():
    Path(sys.argv[1]).write_text(str(os.getpid()))
    time.sleep(60)
processes = Processes(2)
for number in range(2):
    processes.start(number, work, Path(sys.argv[1] + ".log"))
while not Path(sys.argv[1]).is_file() or not Path(sys.argv[1]).read_text():
    time.sleep(0.01)
os.kill(os.getpid(), 9)
"""
    note = tmp_path / "id"
    done = subprocess.run([sys.executable, "-c", script, str(note)], check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    child = Path("/proc") / note.read_text()
    deadline = time.monotonic() + 5
    while child.is_dir() and "\nState:\tZ" not in (child / "status").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_stopping_kills_what_runs(tmp_path: Path) -> None:
    processes = Processes(1)
    processes.start(0, lambda: time.sleep(60), tmp_path / "log.txt")
    begin = time.monotonic()
    processes.stop()
    assert (len(processes), time.monotonic() - begin < 5) == (0, True)


def test_workers_are_what_the_cores_have_threads_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    settings = OmegaConf.create({"threads": 1})
    assert default_workers(settings, [["seed=0"]]) == 8
    assert default_workers(settings, [["threads=2"], ["threads=3"]]) == 2
    assert default_workers(settings, [["threads=null"]]) == 1
    assert default_workers(OmegaConf.create({"threads": None}), [["seed=0"]]) == 1
    assert default_workers(OmegaConf.create({"threads": 16}), [["seed=0"]]) == 1


def test_time_left_counts_what_runs_and_what_waits() -> None:
    # 100 s a job: two have 40 and 0 s to go, four wait; on two workers
    assert time_left(100.0, [60.0, 130.0], 4, 2) == pytest.approx(220.0)
    assert time_left(100.0, [60.0], 0, 2) == pytest.approx(40.0)


def test_records_survive_a_round_trip(tmp_path: Path) -> None:
    record = JobRecord(3, ("seed=1", "x=[1,2]"), 1.5, None, "why")
    write_record(tmp_path / "job", record)
    assert read_record(tmp_path / "job") == record
    assert read_record(tmp_path) is None
    assert json.loads((tmp_path / "job/job.json").read_text())["number"] == 3


def test_the_plan_keeps_directory_and_names_what_is_swept(own_home: Path) -> None:
    directory, overrides = plan(["algorithm=dgan,uagan", "exchange.rounds=3", "seed=range(2)"])
    assert directory.parent == own_home / "data/flower-dgan/sweeps"
    assert overrides == [
        "algorithm=dgan,uagan",
        "exchange.rounds=3",
        "seed=range(2)",
        f"hydra.sweep.dir='{directory}'",
        "hydra.job.config.override_dirname.exclude_keys=[exchange.rounds]",
    ]
    again, overrides = plan(["seed=0,1", f"hydra.sweep.dir='{directory}'"])
    assert (again, overrides[1]) == (directory, f"hydra.sweep.dir='{directory}'")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["algorithm=dgan,uagn"], "Unknown choice of algorithm 'uagn'. Did you mean 'uagan'?"),
        (["exchange.round=3", "seed=0,1"], "Unknown setting 'exchange.round'. Did you mean 'exchange.rounds'?"),
        (["sweep.client=3"], "Unknown setting 'sweep.client'. Did you mean 'sweep.clients'?"),
        (["exchange.feedback_format=int8,float61"], "Did you mean 'float16'?"),
        # values that are fine alone
        (
            ["algorithm=mdgan", "algorithm.swap_interval=0,1", "exchange.in_flight=1,2"],
            "algorithm.swap_interval=1 exchange.in_flight=2: ",
        ),
        (["partition=label,iid"], "partition=iid takes any number of clients: set sweep.clients=<number>."),
        (["partition.label_groups=[[0],[1]],[[0,1],[1]]"], "names label 1 twice"),
        (["sweep.clients=2,3"], "3 clients but 2 label groups"),
        (["sweep.clients=two"], "sweep.clients='two' is no number"),
        (["data.image_size=32,36"], "multiple of 16, not 36"),
        (["downstream.encoder=resnet18,resnet81"], "Did you mean 'resnet18'?"),
        (["resume=/run"], "leave resume and output.directory away"),
        (["algorithm.generator_learning_rate=interval(-1,1)"], "generator_learning_rate=-1.0 must be in"),
        (["seed=0,"], "cannot be applied"),
        (["hydra.swep.dir=x"], "cannot be applied"),
    ],
)
def test_every_job_is_checked_before_the_first(arguments: list[str], message: str) -> None:
    with pytest.raises(DganError, match=re.escape(message)):
        plan(arguments)


def test_an_optimizer_chooses_by_validation_images_where_there_are_some() -> None:
    tested = tuple(TstrResult(row, seed, {"dice": dice}) for row, seed, dice in (("DGAN", 0, 0.5), ("DGAN", 1, 0.7)))
    nothing = RunMetrics((), (), (), (), (), (), ())
    by_test, by_validation = resolve(""), resolve("selection=best")
    assert objective(replace(nothing, tstr=tested), by_test) == pytest.approx(0.6)
    assert objective(nothing, by_test) is None
    scores = tuple(Validation(number, "dice", score, {}, {}) for number, score in ((3, 0.9), (6, 0.8)))
    validated = replace(nothing, tstr=tested, validations=scores)
    assert objective(replace(validated, selection=Selection(3, 3)), by_validation) == 0.9
    assert objective(replace(validated, selection=Selection(3, 6)), by_validation) == 0.8
    assert objective(replace(nothing, tstr=tested), by_validation) is None


def test_number_of_clients_can_be_swept() -> None:
    plan(["partition=iid", "sweep.clients=2,4"])


def test_job_directories_are_names_of_files() -> None:
    assert job_directory("algorithm=uagan,seed=0") == "algorithm=uagan,seed=0"
    assert job_directory("") == "job"
    assert job_directory("data.root=/a/b,seed=0").startswith("data.root=_a_b,seed=0-")
    long = ["x" * 300 + each for each in "ab"]
    alike = ["data.root=/site/a", "data.root=/site_a", "data.root=_site_a", "data.root=/SITE/a", "data.root=_SITE_a"]
    names = [job_directory(each) for each in (*long, *alike, "ж" * 300)]
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert len(name.encode()) < 200
        assert Path(name).name == name


def test_runs_are_given_what_flower_would_give_them() -> None:
    assert run_overrides(["data.root=/a b", "sweep.clients=3", "seed=0"]) == "'data.root=/a b' seed=0"


def test_a_sweep_wants_a_folder_of_its_own(tmp_path: Path) -> None:
    mine = tmp_path / "mine (1)"
    mine.mkdir()
    arguments = ["seed=0,1", "partition=iid", "sweep.clients=2", f"hydra.sweep.dir={in_quotes(str(mine))}"]
    assert plan(arguments)[0] == mine
    (mine / "thesis.md").touch()
    with pytest.raises(ConfigError, match="is not empty and holds no sweep: name a new folder"):
        plan(arguments)
    (mine / "lock").touch()
    assert plan(arguments)[0] == mine
