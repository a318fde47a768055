"""Pipes, sockets, devices and folders in the place of files: one line with the path, and nothing waits for a pipe."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.comparison.image_sets import read_images
from flower_dgan.data import open_source
from flower_dgan.data.check import check_data
from flower_dgan.data.idx_files import read_part
from flower_dgan.data.label_map_folder import read_label_maps
from flower_dgan.data.prepare import PrepareSettings, prepare
from flower_dgan.errors import ConfigError, DataError, told
from flower_dgan.flower.node_config import read_node_config
from flower_dgan.node.own_policy import read_policy
from flower_dgan.node.training_file import read_training_file
from flower_dgan.resolve import resolve
from tests.pairs import make_folder

SETTINGS = "data=folder downstream=none"


def _socket(path: Path) -> None:
    # by a short name: those of sockets have 108 bytes
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


KINDS: dict[str, Callable[[Path], object]] = {
    "a named pipe": os.mkfifo,
    "a socket": _socket,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": Path.mkdir,
}


@pytest.fixture(autouse=True)
def nothing_waits() -> Iterator[None]:
    """End a test that waits for a pipe, which would end never."""

    def stop(*_: object) -> None:
        raise AssertionError("it waits for a pipe")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "data", sites=1, images=4)


def require_one_line(attempt: Callable[[], object], path: Path, kind: str) -> None:
    with pytest.raises((DataError, ConfigError, OSError)) as caught:
        attempt()
    sentence = told(caught.value)
    assert sentence is not None
    assert str(path) in sentence
    assert "\n" not in sentence
    # what Linux says of a folder is its own
    assert kind in sentence or (kind == "a folder" and "Is a directory" in sentence), sentence


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["images/x.png", "masks/x.png", "images/tr_site0_tr0_0.png", "images/x.npy"])
def test_what_is_called_as_an_image_and_is_none_is_named_by_all(
    root: Path, tmp_path: Path, place: str, kind: str
) -> None:
    path = root / place
    if path.exists():
        path.unlink()
    KINDS[kind](path)
    config = resolve(f"{SETTINGS} data.root='{root}' data.image_size=32").data
    found = check_data(config)
    (problem,) = found.problems
    assert problem.startswith(f"{path} is {kind} and no file: ")
    (reason,) = (why for why, names in found.files[path.parent.name].unused.items() if path.name in names)
    assert reason == ("sub-folder" if kind == "a folder" else f"{kind} and no file")
    for attempt in (
        lambda: open_source(config),
        lambda: prepare("folder", root, tmp_path / "out", PrepareSettings()),
        lambda: read_images(root, 3) if "images" in place else read_label_maps(root / "masks", 32),
    ):
        require_one_line(attempt, path, kind)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", list(KINDS)[:3])
@pytest.mark.parametrize("place", ["images/x", "masks/notes.txt", "x.png", "instances/x.png"])
def test_others_are_counted_and_named(root: Path, place: str, kind: str) -> None:
    (root / place).parent.mkdir(exist_ok=True)
    KINDS[kind](root / place)
    found = check_data(resolve(f"{SETTINGS} data.root='{root}' data.image_size=32").data)
    part = str(Path(place).parent)
    assert found.files[part].unused[f"{kind} and no file"] == (Path(place).name,)


def test_a_pipe_in_a_folder_within_is_not_looked_into(root: Path) -> None:
    (root / "images/old").mkdir()
    os.mkfifo(root / "images/old/x")
    found = check_data(resolve(f"{SETTINGS} data.root='{root}' data.image_size=32").data)
    assert (found.problems, found.files["images"].unused) == ((), {"sub-folder": ("old",)})


@pytest.mark.parametrize("kind", KINDS)
def test_tables_annotations_policies_and_settings(root: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "given.toml"
    KINDS[kind](path)
    table = resolve(f"{SETTINGS} data.root='{root}' data.table='{path}' data.name_pattern=null data.image_size=32").data
    require_one_line(lambda: open_source(table), path, kind)
    assert [str(path) in each for each in check_data(table).problems] == [True]
    require_one_line(lambda: read_policy(path), path, kind)
    require_one_line(lambda: read_node_config(str(path)), path, kind)
    if kind != "a folder":  # which may be that of a run
        require_one_line(lambda: read_training_file(path, lambda *_: None), path, kind)
    KINDS[kind](root / "instances.json")
    objects = resolve(f"{SETTINGS} data.root='{root}' data.image_size=32").data
    assert any(str(root / "instances.json") in each for each in check_data(objects).problems)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_prepared(tmp_path: Path, kind: str) -> None:
    aperio = tmp_path / "monuseg"
    for folder in ("Tissue Images", "Annotations"):
        (aperio / folder).mkdir(parents=True)
    for name in ("TCGA-A7-A13E-01Z", "TCGA-A7-A13F-01Z"):
        Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(aperio / f"Tissue Images/{name}.tif")
        KINDS[kind](aperio / f"Annotations/{name}.xml")
    out = tmp_path / "out"
    for attempt, path in (
        (lambda: prepare("monuseg", aperio, out, PrepareSettings()), aperio / "Annotations/TCGA-A7-A13E-01Z.xml"),
        (lambda: read_part(tmp_path / "a-images-idx3-ubyte.gz", tmp_path / "b", 10), tmp_path / "b"),
    ):
        if not path.exists():
            KINDS[kind](path)
        require_one_line(attempt, path, kind)
    (tmp_path / "packed").mkdir()
    KINDS[kind](tmp_path / "packed/data.h5")
    require_one_line(
        lambda: prepare("asyndgan-hdf5", tmp_path / "packed", out, PrepareSettings()),
        tmp_path / "packed/data.h5",
        kind,
    )


def test_the_commands_say_it_in_one_line(root: Path, tmp_path: Path) -> None:
    os.mkfifo(root / "images/x.png")
    for arguments in (
        ["data", "edit-masks", str(root / "images"), str(tmp_path / "out")],
        ["evaluate", str(root), str(root)],
        ["predict", str(root / "images/x.png"), str(root), str(tmp_path / "out")],
    ):
        error = CliRunner().invoke(app, arguments).exception
        assert error is not None
        assert str(root / "images/x.png") in str(told(error))
