"""Heartbeats, stages, and the steps that are counted in them."""

import logging
import time
from pathlib import Path

import pytest

from flower_dgan.federation.kept_generators import MOST_KEPT, KeptGenerators
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.generator_file import load_generator
from flower_dgan.networks.build import ImageShape, build_generator
from flower_dgan.resolve import resolve
from flower_dgan.run.event_log import EventLog
from flower_dgan.run.event_reader import read_events
from flower_dgan.run.outcome_records import Stage
from flower_dgan.run.pulse import Pulse
from flower_dgan.run.status_records import Heartbeat, KeptGenerator, StageBegin
from flower_dgan.steps import step_done, steps_told_to
from flower_dgan.wire.protocol import Training


def test_steps_are_told_to_the_innermost_listener_and_to_none_outside() -> None:
    outer, inner = [], []
    step_done()
    with steps_told_to(lambda: outer.append(1)):
        step_done()
        with steps_told_to(lambda: inner.append(1)):
            step_done()
        step_done()
    step_done()
    assert (len(outer), len(inner)) == (2, 1)


def test_a_heartbeat_says_which_stage_and_how_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pulse = Pulse(EventLog(tmp_path), 2)
    assert pulse.heartbeat() == Heartbeat(2, "", 0, 0, None)
    with pulse.stage("segmentation", 40):
        assert pulse.heartbeat() == Heartbeat(2, "segmentation", 0, 40, None)
        pulse.step(10)
        now = 130.0  # 3 s a step
        assert pulse.heartbeat() == Heartbeat(2, "segmentation", 10, 40, 90.0)
        with pulse.stage("part"):
            pulse.step()
            assert pulse.heartbeat() == Heartbeat(2, "part", 1, 0, None)
        assert pulse.heartbeat() == Heartbeat(2, "segmentation", 10, 40, 90.0)
    assert pulse.heartbeat() == Heartbeat(2, "", 0, 0, None)


def test_a_pulse_beats_while_its_body_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of a stage of minutes there is a line in the log; rounds have lines of their own."""
    log = EventLog(tmp_path)
    pulse = Pulse(log, 1, every=0.01)

    def beats(stage: str) -> None:
        with pulse.stage(stage, 50):
            pulse.step(20)
            before = len(read_events(tmp_path))
            while len(read_events(tmp_path)) < before + 2:
                time.sleep(0.01)

    with caplog.at_level(logging.INFO, logger="flwr"), pulse.beating():
        beats("training")
        assert not caplog.records
        beats("segmentation")
    whole = log.path.read_text()
    assert {event.record.stage for event in read_events(tmp_path)} >= {"training", "segmentation"}
    assert "segmentation: 20 of 50 steps | 0:0" in caplog.messages[0]
    time.sleep(0.05)
    assert log.path.read_text() == whole


@pytest.mark.parametrize(
    ("error", "how", "why"),
    [(OSError("the disk is full"), "failed", "OSError: the disk is full"), (SystemExit(3), "stopped", "SystemExit: 3")],
)
def test_a_stage_that_does_not_end_well_says_so(tmp_path: Path, error: BaseException, how: str, why: str) -> None:
    directory = RunDirectory(tmp_path, Training("0" * 16, 4))
    with directory.stage("join"):
        step_done()

    def fail() -> None:
        with directory.stage("training", 5):
            raise error

    with pytest.raises(type(error)):
        fail()
    begun, joined, training, ended = (event.record for event in read_events(tmp_path))
    assert (begun, training) == (StageBegin("join", 4), StageBegin("training", 4))
    assert isinstance(joined, Stage)
    assert isinstance(ended, Stage)
    assert (joined.name, joined.how, ended.name, ended.how, ended.why) == ("join", "finished", "training", how, why)


def test_kept_generators_are_whole_and_thinned_out_and_the_newest_stays(tmp_path: Path) -> None:
    config, shape = resolve("output.checkpoint_interval=5"), ImageShape(2, 1, 32, ("a", "b"))
    directory, now = RunDirectory(tmp_path, Training("0" * 16, 1)), 0.0
    network = build_generator(config.model, shape)
    kept = KeptGenerators(directory, config, shape, lambda: now)
    for number in range(1, 31):
        kept.keep(number, network)
        now += 2.5  # so that every other one is too soon
    kept.keep(31, network, last=True)
    kept.keep(32, network, last=True)
    written = [event.record for event in read_events(tmp_path)]
    assert [each.round for each in written] == [*range(1, 31, 2), 31, 32]
    assert written[0] == KeptGenerator(1, "generators/00000001.safetensors")
    files = sorted((tmp_path / "generators").iterdir())
    assert len(written) == MOST_KEPT + 1
    assert [int(file.stem) for file in files] == [1, 5, 9, 13, 17, 21, 25, 29, 32]
    assert (tmp_path / "generators").stat().st_mode & 0o777 == 0o700
    for file in (files[0], files[-1]):
        assert load_generator(file)[2] == shape


def test_a_later_generator_that_was_left_over_takes_no_place(tmp_path: Path) -> None:
    config, shape = resolve("output.checkpoint_interval=0"), ImageShape(2, 1, 32, ("a", "b"))
    network = build_generator(config.model, shape)
    folder = tmp_path / "generators"
    folder.mkdir()
    for number in (*range(1, 16), 40):
        (folder / f"{number:08d}.safetensors").touch()
    kept = KeptGenerators(RunDirectory(tmp_path, Training("0" * 16, 1)), config, shape)
    kept.keep(16, network)  # 17 files, of which it is the last but one
    assert sorted(int(file.stem) for file in folder.iterdir()) == [1, 3, 5, 7, 9, 11, 13, 15, 16, 40]
    (folder / "notes.safetensors").touch()
    assert RunDirectory(tmp_path, Training("0" * 16, 2)).go_on() is None  # from the beginning
    assert [file.name for file in folder.iterdir()] == ["notes.safetensors"]
