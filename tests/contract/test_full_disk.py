"""A disk that is full at any write of a training: an error that names the place, and after that the same generator."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from flwr.app import Context, Error, Message
from flwr.clientapp import ClientApp

from flower_dgan import whole_file
from flower_dgan.client_app import app
from flower_dgan.errors import DganError
from flower_dgan.federation.job import run_job
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.generator_file import load_generator
from flower_dgan.report.run_metrics import read_metrics
from tests.conftest import move_to
from tests.small_disk import SmallDisk, small_disk

from .conftest import TINY, Reply, TamperedApp, configuration

SETTINGS = f"{TINY} exchange.rounds=2 exchange.exchanges=1 output.checkpoint_interval=0"


def start(directory: Path) -> None:
    extra = f" resume={directory}" if RunDirectory.is_begun(directory) else ""
    overrides = f"{SETTINGS}{extra}"
    run_job(InProcessGrid(app, simulated_contexts(2, overrides)), configuration(overrides, directory), 1)


def results(directory: Path) -> dict[str, bytes]:
    """Return what a run leaves to others: its generator, and each synthetic image and mask."""
    network = load_generator(directory / "generator.safetensors")[0]
    weights = torch.nn.utils.parameters_to_vector(network.parameters()).detach().numpy().tobytes()
    files = sorted((directory / "synthetic").rglob("*.png"))
    return {"weights": weights} | {str(each.relative_to(directory)): each.read_bytes() for each in files}


class Writes:
    """Counts what is written, and fills the disk before the write of a name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, disk: SmallDisk | None = None, full_at: str = "") -> None:
        self.names: list[str] = []
        real = whole_file.writing

        @contextmanager
        def writing(path: Path) -> Iterator[None]:
            self.names.append(path.name)
            if disk is not None and full_at and full_at in path.name:
                disk.fill()
            with real(path):
                yield

        monkeypatch.setattr(whole_file, "writing", writing)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], set[str]]:
    directory = tmp_path_factory.mktemp("undisturbed") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        move_to(tmp_path_factory.mktemp("home-of-undisturbed"), monkeypatch)
        writes = Writes(monkeypatch)
        start(directory)
    return results(directory), set(writes.names)


PLACES = (
    "groups.json",
    "config.yaml",
    "training.json",
    "metrics.jsonl",
    "node.json",
    "round-00000002",
    "members.json",
    "round-00001.png",
    "0-draw-2.png",
    "00000001.safetensors",
    "00000002.safetensors",
    "generator.safetensors",
    "label_maps.npz",
    "part-1_00000.png",
)


def test_the_places_are_all_that_a_run_writes(undisturbed: tuple[dict[str, bytes], set[str]]) -> None:
    """But for what ends no run (report, open bundles), pictures of a grid, and the cache, whose files are hashes."""
    others = {name for name in undisturbed[1] if not any(place in name for place in PLACES)}
    others -= {name for name in others if len(Path(name).stem) == 64}
    others -= {name for name in others if re.fullmatch(r"\d-(draw-\d|label-map)\.png", name)}
    others -= {name for name in others if re.fullmatch(r"\d{8}-[0-9a-f]{16}\.bin|open-bundles", name)}
    assert {name for name in others if not name.startswith(("round-", "part-"))} == {
        "curves.png", "images", "masks", "report.md", "shapes.npy"
    }  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_after_room_was_made_a_run_ends_as_the_undisturbed_one(
    place: str, undisturbed: tuple[dict[str, bytes], set[str]], tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk") as disk, pytest.MonkeyPatch.context() as monkeypatch:
        move_to(disk.path / "home", monkeypatch)
        directory = disk.path / "run"
        with pytest.MonkeyPatch.context() as during:
            Writes(during, disk, place)
            with pytest.raises(DganError, match=r"No space left on device\. Free space") as caught:
                start(directory)
        assert "\n" not in str(caught.value)
        disk.make_room()
        start(directory)
        assert results(directory) == undisturbed[0]
        end = read_metrics(directory).end
        assert end is not None
        assert end.how == "finished"


def test_a_full_disk_at_one_node_costs_it_the_round_and_no_more(tmp_path: Path) -> None:
    """Where the server's disk has room, the run goes on: it ends as one in which that node gave no answer to a message.

    The node's second round finds no room, and its third has some again.
    """
    settings = f"{TINY} exchange.rounds=3 exchange.exchanges=1"

    def run(directory: Path, client_app: ClientApp | TamperedApp) -> tuple[dict[str, bytes], list[dict[str, str]]]:
        grid = InProcessGrid(client_app, simulated_contexts(2, settings))
        run_job(grid, configuration(settings, directory), 1)
        return results(directory), [round_.rejected for round_ in read_metrics(directory).rounds]

    with small_disk(tmp_path / "disk") as disk, pytest.MonkeyPatch.context() as monkeypatch:
        move_to(tmp_path / "home", monkeypatch)
        monkeypatch.setenv("XDG_STATE_HOME", str(disk.path))

        def full(message: Message, context: Context, reply: Reply) -> Message:
            if (message.metadata.group_id, context.node_id) != ("2", 2):
                return reply(message, context)
            disk.fill()
            try:
                return reply(message, context)
            finally:
                disk.make_room()

        ended, rejected = run(tmp_path / "full", TamperedApp(full))

    def silent(message: Message, context: Context, reply: Reply) -> Message:
        if (message.metadata.group_id, context.node_id) == ("2", 2):
            return Message(Error(code=0, reason="it did nothing"), reply_to=message)
        return reply(message, context)

    with pytest.MonkeyPatch.context() as monkeypatch:
        move_to(tmp_path / "other-home", monkeypatch)
        expected, _ = run(tmp_path / "silent", TamperedApp(silent))
    assert [list(each) for each in rejected] == [[], ["part-1"], []]
    assert "disk" in rejected[1]["part-1"]
    assert ended == expected


def test_a_report_that_finds_no_room_ends_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with small_disk(tmp_path / "disk") as disk, pytest.MonkeyPatch.context() as monkeypatch:
        move_to(disk.path / "home", monkeypatch)
        Writes(monkeypatch, disk, "curves.png")
        start(disk.path / "run")
        assert "The report could not be written" in caplog.text
        assert not list((disk.path / "run").rglob("*.partial"))
