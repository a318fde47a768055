"""What commands do with places: names that are no overrides, folders that are somebody's, disks that are full."""

import errno
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from PIL import Image

from flower_dgan import whole_file
from flower_dgan.cli import main as command
from flower_dgan.config import ModelConfig
from flower_dgan.data.prepare import PrepareSettings, prepare
from flower_dgan.errors import DataError, StorageError
from flower_dgan.generator_file import load_generator, save_generator
from flower_dgan.networks.build import ImageShape, build_generator
from flower_dgan.resolve import AS_THEY_ARE, in_quotes, resolve
from flower_dgan.sweep.multirun import _with_quoted_paths
from flower_dgan.sweep.one_run import job_directory
from tests.small_disk import small_disk

NAMES = (
    "real (1)",
    "b,c=d$e#'f",
    'a"b',
    "a\\b",
    "x${y}",
    "x\\${y}",
    "[1]",
    "{a}",
    "ende\\",
    "Köln",
    "медведь",
    "a: b",
    "~",
)
MODEL = ModelConfig("small", "small", 4, 4, 3, True, "none")
SHAPE = ImageShape(2, 1, 16, ("breast", "kidney"))


def run(*arguments: object) -> None:
    """Run the command as a shell would, in this process."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("sys.argv", ["flower-dgan", *map(str, arguments)])
        try:
            command.main()
        except SystemExit as end:
            if end.code:
                raise


@pytest.fixture
def failing(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that runs a command which must fail, and returns the one line that it writes on stderr."""

    def fail(*arguments: object) -> str:
        with pytest.raises(SystemExit) as stop:
            run(*arguments)
        assert stop.value.code == 1
        error = capsys.readouterr().err
        assert error.startswith("Error: ")
        assert error.count("\n") == 1
        return error

    return fail


def folder_of_pairs(root: Path, count: int = 6) -> Path:
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for number in range(count):
        mask = np.zeros((32, 32), np.uint8)
        mask[8:20, 8 + number : 20 + number] = 255
        Image.fromarray(mask).save(root / f"masks/p{number}.png")
        Image.fromarray(mask // 2 + rng.integers(0, 60, (32, 32), dtype=np.uint8)).save(root / f"images/p{number}.png")
    return root


@pytest.fixture
def generator(tmp_path: Path) -> Path:
    path = tmp_path / "generator.safetensors"
    save_generator(path, build_generator(MODEL, SHAPE), MODEL, SHAPE)
    return path


@pytest.mark.parametrize(
    ("key", "name"), [(each, NAMES[0]) for each in AS_THEY_ARE] + [("data.root", n) for n in NAMES[1:]]
)
def test_a_path_is_no_override(key: str, name: str) -> None:
    extra = {"algorithm.previous": "algorithm=tdgan-small", "partition.file": "partition=csv"}.get(key, "")
    value: object = resolve(f"{extra} {shlex.quote(f'{key}={name}')}")
    for part in key.split("."):
        value = getattr(value, part)
    assert value == name


def test_hydra_reads_what_is_quoted_and_null() -> None:
    quoted = "data.root='/a \\' b'"
    assert resolve(f"{shlex.quote(quoted)} resume=null").data.root == "/a ' b"
    assert resolve("data.root=null").data.root is None


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=1))
@example("'")
@example("\\'")
@example("\\\\${a}\\")
def test_any_path_can_be_quoted_for_hydra(name: str) -> None:
    value = OverridesParser.create().parse_override(f"path={in_quotes(name)}").value()
    assert OmegaConf.create({"path": value}).path == name


def test_paths_of_a_sweep_are_quoted_where_hydra_would_read_them_otherwise() -> None:
    assert _with_quoted_paths("data.root=/a,/b") == "data.root=/a,/b"
    assert _with_quoted_paths("data.root=/a (1),/b") == "data.root='/a (1)','/b'"
    assert _with_quoted_paths("hydra.sweep.dir=/a, b") == "hydra.sweep.dir='/a, b'"
    for stays in ("data.root='/a (1)'", "data.root=choice(a,b)", "hydra.sweep.dir=${now:%Y}", "seed=1,2"):
        assert _with_quoted_paths(stays) == stays


@pytest.mark.parametrize("name", ["real (1)", "b,c=d$e#'f"])
def test_commands_take_any_folder(
    name: str, generator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder_of_pairs(tmp_path / name)
    run("data", "check", root, "data.image_size=16 data.name_pattern=null data.channels=1")
    chosen = "data.image_size=16 data.name_pattern=null data.channels=1 downstream.steps=1 downstream.seeds=1"
    run("evaluate", root, root, "--overrides", chosen)
    run("synthesize", generator, root / "masks", tmp_path / f"synthetic {name}", "--count", 2)
    run("data", "edit-masks", root / "masks", tmp_path / f"edited {name}", "--count", 2)
    assert len(list((tmp_path / f"synthetic {name}/images").iterdir())) == 2
    assert len(list((tmp_path / f"edited {name}").iterdir())) == 2
    assert name in capsys.readouterr().out


def test_no_command_mixes_its_files_with_the_users(
    generator: Path, tmp_path: Path, failing: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    root, picture = folder_of_pairs(tmp_path / "real"), tmp_path / "mine.png"
    Image.new("L", (4, 4)).save(picture)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    for line in (
        ("synthesize", generator, root / "masks", root),
        ("data", "edit-masks", root / "masks", root),
        ("synthesize", generator, root / "masks", picture),
    ):
        assert " name a new " in failing(*line)
    for option, line in (
        ("--picture", ("data", "check", root, "data.image_size=16", "--picture", picture)),
        ("--output", ("data", "partition", "--output", picture)),
        ("--json", ("compare", root, root, "--metric", "fid-cnn-32-n4", "--json", picture)),
    ):
        assert f"{option} {picture} is there already" in failing(*line)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.png")} == before
    check = ("data", "check", root, "data.image_size=16 data.name_pattern=null data.channels=1", "--picture")
    run(*check, tmp_path / "ours.png")
    run(*check, tmp_path / "ours.png")  # which was drawn here


def test_no_command_writes_into_a_folder_that_it_reads(
    generator: Path, tmp_path: Path, failing: Callable[..., str]
) -> None:
    root = folder_of_pairs(tmp_path / "real")
    (tmp_path / "link").symlink_to(root)
    for inside in (root / "masks/more", tmp_path / "link/masks/a/b"):
        for line in (
            ("synthesize", generator, root / "masks", inside),
            ("data", "edit-masks", root / "masks", inside),
            ("data", "prepare", "folder", root, inside),
            ("predict", tmp_path / "no.safetensors", root, inside),
        ):
            assert f"{inside} lies in {tmp_path}/real" in failing(*line)
            assert not inside.exists()
    run("data", "edit-masks", root / "masks", root / "masks 2", "--count", 1)  # beside it, of a name that begins alike
    assert "lies in" in failing("data", "prepare", "folder", root, root)
    free, shape = tmp_path / "free.safetensors", ImageShape(1, 1, 16, ("all",))
    save_generator(free, build_generator(MODEL, shape), MODEL, shape)
    run("synthesize", free, tmp_path, tmp_path / "drawn", "--count", 1)  # it reads no label maps
    assert len(list((tmp_path / "drawn/images").iterdir())) == 1


def test_a_link_that_leads_to_itself_is_one_line(tmp_path: Path, failing: Callable[..., str]) -> None:
    """Python before 3.13 raises RuntimeError of it, not an error of the system."""
    root, loop, new = folder_of_pairs(tmp_path / "real"), tmp_path / "loop", tmp_path / "new"
    loop.symlink_to(tmp_path / "other")
    (tmp_path / "other").symlink_to(loop)
    for line in (
        ("synthesize", loop, root / "masks", new),
        ("data", "prepare", "folder", root, new, "--stain-reference", loop),
        ("data", "prepare", "folder", loop, new),
        ("data", "edit-masks", loop, new),
        ("data", "check", loop),
        ("predict", loop, root, new),
        ("report", loop),
    ):
        assert str(loop) in failing(*line)
    assert not new.exists()


def test_two_rows_of_a_table_never_share_a_name(tmp_path: Path, failing: Callable[..., str]) -> None:
    root = folder_of_pairs(tmp_path / "real")
    assert "is named twice" in failing("evaluate", root, root, root)
    assert "is named twice" in failing("compare", root, root, f"{root}/", "--metric", "fid-cnn-32-n4")
    assert "what another row" in failing("compare", root, "real training split", "--metric", "fid-cnn-32-n4")


def test_a_system_error_names_its_place(failing: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    for number, advice in (
        (errno.ENOSPC, "Free space"),
        (errno.EACCES, "Let this user read"),
        (errno.ENOENT, "that is there"),
        (errno.EIO, "start the same again"),
    ):
        monkeypatch.setattr(
            command, "app", lambda number=number: Path("/x").stat() or _raise(OSError(number, "so", "/a b"))
        )
        monkeypatch.setattr(Path, "stat", lambda _: None)
        error = failing("config")
        assert error.startswith("Error: /a b: so. ")
        assert advice in error
    monkeypatch.setattr(command, "app", lambda: _raise(MemoryError()))
    assert "not enough memory" in failing("config")


def _raise(error: Exception) -> None:
    raise error


def test_a_defect_is_called_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "app", lambda: _raise(KeyError("key")))
    with pytest.raises(SystemExit) as stop:
        run("config")
    assert stop.value.code == 70
    *trace, last = capsys.readouterr().err.splitlines()
    assert trace[0] == "Traceback (most recent call last):"
    assert last.startswith(
        "Defect: KeyError: 'key'. This is an error in flower-dgan and not in what you did: report it"
    )


def test_a_folder_that_may_not_be_written_is_found_before_the_work(
    tmp_path: Path, failing: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write anywhere, so that the system's answer is replaced."""
    root = folder_of_pairs(tmp_path / "real")
    monkeypatch.setattr("os.access", lambda path, _: Path(path) != tmp_path)
    new = tmp_path / "a/b"
    error = f"Error: {new} cannot be written: Permission denied. Let this user write into {new.parent}"
    assert failing("synthesize", "no-such-file", root, new).startswith(error)
    assert failing("data", "edit-masks", "no-such-folder", new).startswith(error)
    assert "Permission denied" in failing("data", "partition", "--output", tmp_path / "p.png")


def test_a_file_or_folder_that_cannot_be_finished_leaves_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        (disk.path / "old").write_text("before")
        with pytest.raises(StorageError, match=r"old cannot be written: No space left on device\. Free space"):
            _write_old(disk.path, disk.fill)
        assert (disk.path / "old").read_text() == "before"
        lines = disk.path / "lines"
        disk.make_room()
        whole_file.append_line(lines, "first")
        disk.fill()
        with pytest.raises(StorageError, match="lines cannot be written"):
            whole_file.append_line(lines, "x" * 100_000)
        disk.make_room()
        assert lines.read_text() == "first\n"
        assert {each.name for each in disk.path.iterdir()} == {"old", "lines"}


def _write_old(folder: Path, fill: Callable[[], None]) -> None:
    with whole_file.whole_file(folder / "old") as partial:
        fill()
        partial.write_bytes(bytes(100_000))


def test_commands_on_a_full_disk_end_alike_after_room_was_made(
    generator: Path, tmp_path: Path, failing: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder_of_pairs(tmp_path / "real")
    draw = ("synthesize", generator, root / "masks")
    run(*draw, tmp_path / "whole", "--count", 4)
    prepare("folder", root, tmp_path / "prepared", PrepareSettings(tile=16))
    with small_disk(tmp_path / "disk") as disk:
        for name in ("any_00002.png", "breast_0000", "kidney_0000"):
            _fill_at(monkeypatch, disk.fill, name)
            new = disk.path / "set"
            if name != "any_00002.png":
                assert "No space left on device. Free space" in failing(*draw, new, "--count", 4)
                assert not new.exists()
            monkeypatch.undo()
            disk.make_room()
        run(*draw, new, "--count", 4)
        assert _files(new) == _files(tmp_path / "whole")
        for name in ("prepared.json", "p2_0-16.png", "p4_0-0.png", "prepared.jsonl"):
            output = disk.path / name
            _fill_at(monkeypatch, disk.fill, name)
            with pytest.raises(StorageError, match="No space left on device"):
                prepare("folder", root, output, PrepareSettings(tile=16))
            monkeypatch.undo()
            disk.make_room()
            prepare("folder", root, output, PrepareSettings(tile=16))
            assert _files(output) == _files(tmp_path / "prepared")


def _fill_at(monkeypatch: pytest.MonkeyPatch, fill: Callable[[], None], name: str) -> None:
    real = whole_file.writing

    def writing(path: Path) -> object:
        if path.name.startswith(name):
            fill()
        return real(path)

    monkeypatch.setattr(whole_file, "writing", writing)


def _files(folder: Path) -> dict[str, bytes]:
    """Return all that a folder holds but for what says when what was made."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != "prepared.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.parametrize("damage", ["torn", "zeros", "empty", "line"])
def test_prepare_makes_again_what_a_power_cut_left(damage: str, tmp_path: Path) -> None:
    root, output = folder_of_pairs(tmp_path / "real", 3), tmp_path / "out"
    prepare("folder", root, output, PrepareSettings())
    whole = _files(output)
    file = output / "images/p1.png"
    content = file.read_bytes()
    match damage:
        case "torn":
            file.write_bytes(content[:-20])
        case "zeros":
            file.write_bytes(content[:60] + bytes(len(content) - 60))
        case "empty":
            file.write_bytes(b"")
        case "line":
            lines = (output / "prepared.jsonl").read_bytes().splitlines(keepends=True)
            (output / "prepared.jsonl").write_bytes(lines[0] + lines[2] + bytes(30))
    assert prepare("folder", root, output, PrepareSettings()).made == 1
    made, expected = _files(output), dict(whole)
    assert sorted(made.pop("prepared.jsonl").splitlines()) == sorted(expected.pop("prepared.jsonl").splitlines())
    assert made == expected
    (output / "prepared.json").write_bytes(b"")
    with pytest.raises(DataError, match=r"prepared\.json cannot be read: .* Delete "):
        prepare("folder", root, output, PrepareSettings())


@pytest.mark.parametrize(("first", "second"), [("tile", "Tile"), ("straße", "STRASSE"), ("fi", "\ufb01")])
def test_originals_whose_files_some_file_system_takes_for_one(first: str, second: str, tmp_path: Path) -> None:
    root = folder_of_pairs(tmp_path / "real", 2)
    for kind in ("images", "masks"):
        for old, new in (("p0", first), ("p1", second)):
            (root / kind / f"{old}.png").rename(root / kind / f"{new}.png")
    with pytest.raises(DataError, match="would both be called"):
        prepare("folder", root, tmp_path / "out", PrepareSettings())


def test_an_original_whose_name_leaves_no_room_is_refused_before_any_is_made(tmp_path: Path) -> None:
    root = folder_of_pairs(tmp_path / "real", 2)
    for kind in ("images", "masks"):
        (root / kind / "p0.png").rename(root / kind / f"{'n' * 201}.png")
    with pytest.raises(DataError, match="its name has 201 bytes, and 200 at most"):
        prepare("folder", root, tmp_path / "out", PrepareSettings())


def test_jobs_never_share_a_directory() -> None:
    names = [
        job_directory(f"data.root={each}") for each in ("a", "A", "a.", "a ", "a/b", "a_b", "a:b", "e\u0301", "\xe9")
    ]
    assert len({name.casefold().rstrip(" .") for name in names}) == len(names)
    assert not any(set(name) & set('<>:"|?*\\/') for name in names)
    assert job_directory("seed=1") == "seed=1"
    assert job_directory("con").casefold() != "con"


def test_a_damaged_generator_is_named(generator: Path) -> None:
    content = bytearray(generator.read_bytes())
    content[-5] ^= 1
    generator.write_bytes(content)
    with pytest.raises(DataError, match=r"is not a generator .* the file is damaged"):
        load_generator(generator)


def test_names_that_no_file_can_have_elsewhere_are_read_and_written_otherwise(tmp_path: Path) -> None:
    root = folder_of_pairs(tmp_path / "real", 5)
    names = ("con", "nul.v2", "a:b", "slide.", "plain ")
    for kind in ("images", "masks"):
        for number, name in enumerate(names):
            (root / kind / f"p{number}.png").rename(root / kind / f"{name}.png")
    prepare("folder", root, tmp_path / "out", PrepareSettings())
    for kind in ("images", "masks"):
        made = {path.name for path in (tmp_path / "out" / kind).iterdir()}
        assert made == {"con-.png", "nul-.v2.png", "a-b.png", "slide..png", "plain .png"}
    assert prepare("folder", root, tmp_path / "out", PrepareSettings()).made == 0
    # tiles have names of their own
    prepare("folder", root, tmp_path / "tiles", PrepareSettings(tile=16))
    assert (tmp_path / "tiles/images/con_0-0.png").is_file()
    for kind in ("images", "masks"):
        (root / kind / "plain .png").rename(root / kind / "A-b.png")
    with pytest.raises(
        DataError, match=r"images/(a:b|A-b)\.png and images/(a:b|A-b)\.png would both be called (a|A)-b"
    ):
        prepare("folder", root, tmp_path / "both", PrepareSettings())


def test_one_folder_by_two_names_is_one(tmp_path: Path, failing: Callable[..., str]) -> None:
    root = folder_of_pairs(tmp_path / "real")
    other = f"{root}/images/.."
    assert f"{other} is the same folder as {root}: name each folder once" in failing("evaluate", root, root, other)


def test_a_row_about_images_that_were_learned_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test, same, own = (folder_of_pairs(tmp_path / name, 3) for name in ("test", "same", "own"))
    for number in range(3):
        pixels = np.array(Image.open(own / f"images/p{number}.png"))
        Image.fromarray(255 - pixels).save(own / f"images/p{number}.png")
    shutil.copy(test / "images/p1.png", own / "images/p1.png")
    Image.fromarray(np.full((32, 32), 7, np.uint8)).save(test / "images/p2.png")
    shutil.copy(test / "images/p2.png", same / "images/p2.png")  # of one value, as many images may be
    run(
        "evaluate",
        test,
        same,
        own,
        "--overrides",
        "data.image_size=32 data.channels=1 downstream.steps=1 downstream.seeds=1",
    )
    said = " ".join(capsys.readouterr().out.split())
    assert f"2 of 3 test images are also in {same}, pixel by pixel" in said
    assert f"1 of 3 test images are also in {own}, pixel by pixel" in said


@pytest.mark.parametrize("command", ["edit-masks", "synthesize"])
def test_a_seed_is_not_negative(command: str, tmp_path: Path, generator: Path) -> None:
    masks = folder_of_pairs(tmp_path / "real") / "masks"
    line = ("data", command, masks) if command == "edit-masks" else (command, generator, masks)
    with pytest.raises(SystemExit) as stop:
        run(*line, tmp_path / "out", "--seed", -1, "--count", 1)
    assert stop.value.code == 2
    assert not (tmp_path / "out").exists()
