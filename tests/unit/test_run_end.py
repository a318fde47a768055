"""How a run ended: in its log, its measurements and its report; and what is left of runs that died."""

import json
import logging
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from flower_dgan.errors import ConfigError, DataError, DganError, DivergedError
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.federation.run_end import InOneLine, ending
from flower_dgan.report import write_report
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve

ROUND = {
    "kind": "round", "round": 1, "seconds": {"flower": 1.0}, "images": 4, "staleness": 0, "clients": {}, "rejected": {},
    "late": [], "repeats": {},
}  # fmt: skip


def begun(path: Path) -> RunDirectory:
    config = resolve("")
    return RunDirectory.open(replace(config, output=replace(config.output, directory=str(path))), 1)


def how_ended(directory: RunDirectory) -> str:
    """Return the section of the report."""
    return (directory.path / "report.md").read_text().partition("## How it ended\n\n")[2].partition("\n")[0]


def test_a_run_that_finishes_says_so_last(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "flwr")
    directory = begun(tmp_path / "run")
    with ending(directory):
        directory.measure(**ROUND)
    assert caplog.messages[-1] == f"Run finished: {directory.path}"
    assert how_ended(directory) == "The run finished."


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (DivergedError("The generator is\nnot finite."), "The generator is not finite."),
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
        (KeyError("x"), "defect: KeyError: 'x'"),
    ],
)
def test_a_run_that_fails_says_why_in_one_line(
    error: Exception, why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = begun(tmp_path / "run")
    with pytest.raises(type(error)), ending(directory):
        raise error
    assert caplog.messages[-1] == f"Run failed: {why} Its directory: {directory.path}"
    end = read_metrics(directory.path).end
    assert end is not None
    assert (end.how, end.why, end.attempt) == ("failed", why, 1)
    assert how_ended(directory).startswith("The run failed: ")


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt])
def test_a_run_that_is_stopped_is_neither(stop: type[BaseException], tmp_path: Path) -> None:
    directory = begun(tmp_path / "run")
    with pytest.raises(stop), ending(directory):
        raise stop
    write_report(directory.path)
    assert how_ended(directory).startswith(f"The run stopped: it was ended from outside ({stop.__name__})")


def test_a_run_that_was_killed_has_a_report(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Amid a line, which is passed over and named."""
    directory = begun(tmp_path / "run")
    directory.measure(**ROUND)
    with (directory.path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"kind": "rou')
    write_report(directory.path)
    assert how_ended(directory).startswith("The run has not ended, or was ended from outside")
    assert "1 rounds" in (directory.path / "report.md").read_text()
    assert f"The last 13 bytes of {directory.path}/metrics.jsonl are no whole line" in caplog.text


def test_zero_bytes_of_a_power_cut_are_named(tmp_path: Path) -> None:
    directory = begun(tmp_path / "run")
    directory.measure(**ROUND)
    file = directory.path / "metrics.jsonl"
    file.write_bytes(file.read_bytes() + bytes(50))
    assert len(read_metrics(directory.path).rounds) == 1
    file.write_bytes(file.read_bytes() + b"\n" + json.dumps(ROUND).encode() + b"\n")
    with pytest.raises(DataError, match=r"metrics\.jsonl, line 2: it holds zero bytes, as after a power cut\. Delete"):
        read_metrics(directory.path)


@pytest.mark.parametrize("damage", [b"", bytes(40), b"{", b"[1]", b"\xff\xfe"])
@pytest.mark.parametrize("name", ["training.json", "config.yaml"])
def test_a_damaged_file_of_a_run_is_named(name: str, damage: bytes, tmp_path: Path) -> None:
    directory = begun(tmp_path / "run")
    (directory.path / name).write_bytes(damage)
    with pytest.raises(ConfigError) as caught:
        RunDirectory.open(replace(resolve(""), resume=str(directory.path)), 2)
    assert str(directory.path / name) in str(caught.value)
    assert "\n" not in str(caught.value)
    directory.measure(**ROUND)
    write_report(directory.path)


def test_nothing_of_the_users_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/config.yaml").write_text("mine")
    with pytest.raises(ConfigError, match=r"mine is not empty \(there is config\.yaml\): set output\.directory"):
        begun(tmp_path / "mine")
    assert [(each.name, each.read_text()) for each in (tmp_path / "mine").iterdir()] == [("config.yaml", "mine")]


def test_flower_logs_no_traceback_of_what_a_user_can_act_on(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("a logger as Flower's")
    logger.addFilter(InOneLine())
    for error in (DganError("Set\nseed."), ValueError("?")):
        try:
            raise error
        except Exception as caught:
            logger.error("ServerApp raised an exception", exc_info=caught)
    first, second = caplog.records
    assert (first.getMessage(), first.exc_info) == ("Run failed: Set seed.", None)
    assert second.exc_info is not None


@pytest.mark.parametrize(
    ("said", "status"), [("INFO : Run finished: /runs/1", 0), ("ERROR: Run failed: The disk is full.", 1), ("", 1)]
)
def test_a_script_exits_by_how_the_run_ended(said: str, status: int, tmp_path: Path) -> None:
    """`flwr run --stream` returns 0 whatever happens; Hydra and TOML would read the folder's name otherwise."""
    root = tmp_path / "the 'nuclei' (1), \\ ${x}"
    (root / "images").mkdir(parents=True)
    (root / "images/tr_lung_p_0.png").touch()
    flwr = tmp_path / "bin/flwr"
    flwr.parent.mkdir()
    flwr.write_text(f"""#!/bin/sh
case "$1" in run) cp "$5" {tmp_path}/run.toml; echo '{said}' ;; esac
""")
    flwr.chmod(0o755)
    path = f"{flwr.parent}:{Path(sys.executable).parent}:/usr/bin:/bin"
    script = Path(__file__).parents[2] / "simulations/nuclei.sh"
    done = subprocess.run([script, root, "seed=3"], env={"PATH": path}, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    overrides = tomllib.loads((tmp_path / "run.toml").read_text())["overrides"]
    config = resolve(overrides)
    assert (config.data.root, config.seed) == (str(root), 3)
