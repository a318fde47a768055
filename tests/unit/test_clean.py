"""`flower-dgan clean`: what goes, what stays, and what is refused."""

import fcntl
import os
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.errors import ConfigError, StorageError
from flower_dgan.node.approvals import Approvals, settings_hash
from flower_dgan.node.book import Book
from flower_dgan.node.state import ClientState
from flower_dgan.removal import survey
from flower_dgan.resolve import resolve

TRAINING, OTHER = "0123456789abcdef", "fedcba9876543210"
OLD = 1_000_000_000


def write(path: Path, text: str = "12345") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def age(folder: Path) -> None:
    for each in [folder, *folder.rglob("*")]:
        os.utime(each, (OLD, OLD), follow_symlinks=False)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory with two old trainings of one node, what it draws by, and what left it."""
    for home in ("STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{home}_HOME", str(tmp_path / home.lower()))
    state = tmp_path / "state" / "flower-dgan"
    for training in (TRAINING, OTHER):
        path = ClientState(training, "Clinic A").path
        for name in ("node.json", "lock", "round-1/weights.safetensors", "validation/pixels.npy"):
            write(path / name)
    write(state / "secrets" / "clinic")
    write(state / "ledger" / "clinic.jsonl")
    write(state / "identity")
    age(state)
    return state


def cleaned(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["clean", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["clean", *map(str, arguments)])
    assert isinstance(result.exception, ConfigError), result.output
    return str(result.exception)


def test_one_training_of_a_node_goes_and_everything_else_stays(state: Path) -> None:
    output = cleaned(state / "clients" / TRAINING, "--yes")
    assert str(ClientState(TRAINING, "Clinic A").path) in output
    assert not (state / "clients" / TRAINING).exists()
    assert ClientState(OTHER, "Clinic A").path.is_dir()
    assert (state / "secrets" / "clinic").read_text() == "12345"


def test_it_asks_first_and_says_what_would_go(state: Path) -> None:
    result = CliRunner().invoke(app, ["clean", str(state)], input="n\n")
    assert result.exit_code == 1
    assert "4" in result.output
    assert ClientState(TRAINING, "Clinic A").path.is_dir()


def test_a_state_directory_keeps_its_records_unless_they_are_named(state: Path) -> None:
    cleaned(state, "--yes")
    assert list((state / "clients").iterdir()) == []
    assert (state / "ledger" / "clinic.jsonl").is_file()
    assert (state / "identity").is_file()
    assert "key for sums with others" in cleaned()
    output = cleaned(state, "--records", "--yes")
    assert "begin anew" in output
    assert not (state / "identity").exists()
    assert not (state / "ledger").exists()
    assert not (state / "secrets").exists()


def test_a_training_that_may_be_under_way_stays_until_its_owner_ends_it(state: Path) -> None:
    path, config = ClientState(TRAINING, "Clinic A").path, resolve("")
    book = Book(state / "book.sqlite")
    book.begin_anew()
    approvals = Approvals(book)
    approvals.note_unasked(TRAINING, config)
    os.utime(path / "lock")
    output = cleaned(state, "--yes", code=1)
    assert f"policy revoke {settings_hash(config)}" in output.replace("\n", "")
    assert (path / "node.json").is_file()
    assert not ClientState(OTHER, "Clinic A").path.exists(), "the other training is not its concern"
    assert "as these trainings need them" in refused(state, "--records", "--yes")
    approvals.revoke(settings_hash(config))
    cleaned(state, "--yes")
    assert not path.exists()


def test_a_training_that_goes_on_while_its_owner_is_asked_stays(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ClientState(TRAINING, "Clinic A").path

    def answer(*_: object, **__: object) -> bool:
        os.utime(path / "lock")
        return True

    monkeypatch.setattr("typer.confirm", answer)
    assert "may be under way" in refused(state / "clients" / TRAINING)
    assert (path / "node.json").is_file()


def test_what_a_process_works_in_is_refused(state: Path) -> None:
    path = ClientState(TRAINING, "Clinic A").path
    with (path / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        age(state)
        assert "A process works in" in refused(path, "--yes")
    assert (path / "node.json").is_file()


@pytest.mark.parametrize("name", ["round-1/link", "link"])
def test_a_link_inside_refuses_it_all(state: Path, tmp_path: Path, name: str) -> None:
    precious = write(tmp_path / "precious" / "image.png")
    path = ClientState(TRAINING, "Clinic A").path
    (path / name).symlink_to(precious.parent)
    age(state)
    assert "is a link" in refused(state, "--yes")
    assert precious.read_text() == "12345"
    assert (path / "node.json").is_file()


def test_a_linked_place_is_refused(state: Path, tmp_path: Path) -> None:
    (tmp_path / "flower-dgan").symlink_to(state)
    assert "is a link" in refused(tmp_path / "flower-dgan", "--yes")
    assert (state / "clients" / TRAINING).is_dir()


def test_what_is_called_otherwise_than_a_training_is_passed_over(state: Path) -> None:
    odd = [write(state / "clients" / name / "x") for name in ("notes", "..0123456789abcde", "a\nb", "x\udcff")]
    age(state)
    cleaned(state, "--yes")
    assert all(each.is_file() for each in odd)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    directory = tmp_path / "flower-dgan" / "runs" / "run"
    for name in ("training.json", "config.yaml", "metrics.jsonl", "lock", "checkpoints/00000001.safetensors"):
        write(directory / name)
    return directory


def test_a_run_directory_goes(run: Path) -> None:
    assert "checkpoints" in cleaned(run, "--yes")
    assert not run.exists()


def test_what_trackers_and_kept_generators_leave_in_a_run_goes_with_it(run: Path, tmp_path: Path) -> None:
    """wandb makes links to its newest run and log: they go, and what they lead to stays where it is elsewhere."""
    precious = write(tmp_path / "precious")
    for name in ("generators/round-00001.safetensors", "tensorboard/events.out", "mlartifacts/1/a/samples/grid.png"):
        write(run / name)
    for name in ("mlflow.db", "mlflow.db-wal", "wandb/offline-run-1/run-1.wandb"):
        write(run / name)
    (run / "wandb" / "latest-run").symlink_to("offline-run-1")
    (run / "wandb" / "debug.log").symlink_to(precious)
    assert "is a link" not in cleaned(), "runs are listed with the links in them"
    assert "Not of the run" not in cleaned(run, "--yes")
    assert not run.exists()
    assert precious.read_text() == "12345"


def test_a_linked_folder_of_a_tracker_refuses_it_all(run: Path, tmp_path: Path) -> None:
    precious = write(tmp_path / "precious" / "image.png")
    (run / "wandb").symlink_to(precious.parent)
    assert "is a link" in refused(run, "--yes")
    assert precious.is_file()
    assert (run / "config.yaml").is_file()


def test_a_run_that_cannot_be_removed_whole_is_still_a_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the same command goes on, as the error says."""
    unlink = Path.unlink

    def fails(path: Path, missing_ok: bool = False) -> None:
        if path.name == "metrics.jsonl":
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", fails)
        result = CliRunner().invoke(app, ["clean", str(run), "--yes"])
    assert isinstance(result.exception, StorageError)
    assert not (run / "checkpoints").exists()
    cleaned(run, "--yes")
    assert not run.exists()


def test_a_disk_that_is_mounted_in_a_run_refuses_it_all(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    precious, lstat = write(run / "samples" / "precious.png"), Path.lstat

    def elsewhere(path: Path) -> os.stat_result:
        seen = list(lstat(path))
        seen[stat.ST_DEV] += "samples" in path.parts
        return os.stat_result(seen)

    monkeypatch.setattr(Path, "lstat", elsewhere)
    assert "samples is on another file system" in refused(run, "--yes")
    assert precious.is_file()
    assert (run / "config.yaml").is_file()


def test_what_a_run_did_not_write_stays_in_its_directory(run: Path, tmp_path: Path) -> None:
    write(run / "notes.txt")
    (run / "mine").symlink_to(tmp_path)
    assert "kept: 2" in cleaned(run, "--yes")
    assert sorted(each.name for each in run.iterdir()) == ["mine", "notes.txt"]


def test_a_run_that_is_under_way_is_refused(run: Path) -> None:
    with (run / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "A process works in" in refused(run, "--yes")
    assert (run / "training.json").is_file()


def test_the_cache_of_label_maps_goes_and_nothing_beside_it(tmp_path: Path) -> None:
    cache = tmp_path / "flower-dgan" / "label-maps"
    entry, other = write(cache / f"{'ab' * 32}.npz"), write(cache / "mine.npz")
    cleaned(cache, "--yes")
    assert not entry.exists()
    assert other.is_file()


def test_any_other_directory_is_refused(tmp_path: Path) -> None:
    kept = [write(tmp_path / "project" / "secrets" / "key"), write(tmp_path / "label-maps" / f"{'ab' * 32}.npz")]
    for each in (tmp_path, tmp_path / "project", tmp_path / "label-maps"):
        assert "nothing was removed" in refused(each, "--yes")
        assert "is no state directory" in refused(each, "--records", "--yes")
    assert all(each.is_file() for each in kept)


def test_without_a_place_it_lists_what_there_is(state: Path) -> None:
    (state / "secrets" / "link").symlink_to(state)
    output = cleaned()
    assert str(state / "clients") in output
    assert str(state / "secrets") in output
    assert "is a link, which flower-dgan never makes there" in output


def test_a_survey_counts_what_is_there(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "one")
    write(tmp_path / "a" / "two")
    found = survey(tmp_path / "a")
    assert (found.files, found.bytes) == (2, 10)
    os.mkfifo(tmp_path / "a" / "pipe")
    with pytest.raises(ConfigError, match="neither a file nor a directory"):
        survey(tmp_path / "a")
