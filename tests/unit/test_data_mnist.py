"""MNIST and Fashion-MNIST: torchvision's layout, a part alone, and folders that are neither."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torchvision
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.config import DataConfig
from flower_dgan.data import MnistSource, open_source
from flower_dgan.data.idx_files import find_parts
from flower_dgan.data.mnist import download, download_folder
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.node.node import open_node
from flower_dgan.resolve import resolve
from tests.idx import write_idx, write_part

DIGITS = list(range(10)) * 2
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data" / "digits"


def settings(root: Path | None, source: str = "mnist") -> DataConfig:
    config = resolve(f"data={source} data.condition=label-map model=small").data
    return replace(config, root=None if root is None else str(root))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_torchvisions_layout_has_its_splits(tmp_path: Path, suffix: str) -> None:
    images = write_part(tmp_path / "MNIST/raw", "train", DIGITS, suffix)
    write_part(tmp_path / "MNIST/raw", "t10k", [3, 1, 4], suffix)
    source = open_source(settings(tmp_path))
    assert isinstance(source, MnistSource)
    assert (len(source.train), len(source.test)) == (20, 3)
    assert (source.classes, source.image_classes) == (2, 10)
    assert [(entry.name, entry.label, entry.site) for entry in source.test] == [
        ("t10k-00000", 3, "digit-3"),
        ("t10k-00001", 1, "digit-1"),
        ("t10k-00002", 4, "digit-4"),
    ]
    assert [entry.label for entry in source.train] == DIGITS
    pairs = source.load([source.train[7], source.train[5]])
    np.testing.assert_array_equal(pairs.images[0][:, :, 0], images[7])
    np.testing.assert_array_equal(pairs.images[1][:, :, 0], images[5])
    # the square of 12 x 12
    assert pairs.label_maps[0].sum() == 144
    assert pairs.label_maps[0][8, 8] == 1


def test_torchvision_reads_the_same_files(tmp_path: Path) -> None:
    images = write_part(tmp_path / "MNIST/raw", "train", DIGITS)
    write_part(tmp_path / "MNIST/raw", "t10k", [3, 1, 4])
    theirs = torchvision.datasets.MNIST(tmp_path, train=True, download=False)
    np.testing.assert_array_equal(theirs.data.numpy(), images)
    assert theirs.targets.tolist() == DIGITS


def test_a_part_alone_is_split(tmp_path: Path) -> None:
    write_part(tmp_path, "t10k", DIGITS, ".gz")
    source = open_source(settings(tmp_path))
    # a fifth of 20
    assert (len(source.train), len(source.test)) == (16, 4)
    assert not {entry.name for entry in source.train} & {entry.name for entry in source.test}
    assert open_source(settings(tmp_path)).test == source.test


def test_of_a_file_that_is_there_twice_the_unpacked_one_is_read(tmp_path: Path) -> None:
    write_part(tmp_path, "train", DIGITS)
    (tmp_path / f"{IMAGES}.gz").write_bytes(b"as torchvision left it")
    assert len(open_source(settings(tmp_path)).train) == 16


def test_classes_of_fashion(tmp_path: Path) -> None:
    write_part(tmp_path / "FashionMNIST/raw", "train", DIGITS)
    write_part(tmp_path / "FashionMNIST/raw", "t10k", DIGITS)
    source = open_source(settings(tmp_path, "fashion-mnist"))
    names = "t-shirt-top trouser pullover dress coat sandal shirt sneaker bag ankle-boot"
    assert [entry.site for entry in source.test[:10]] == names.split()


def test_size_follows_the_configuration(tmp_path: Path) -> None:
    write_part(tmp_path, "train", DIGITS)
    source = open_source(replace(settings(tmp_path), image_size=32))
    assert source.load(source.test[:1]).images[0].shape == (32, 32, 1)
    assert {(entry.height, entry.width) for entry in source.train} == {(32, 32)}


def test_class_as_condition(tmp_path: Path) -> None:
    write_part(tmp_path, "train", DIGITS)
    source = open_source(replace(settings(tmp_path), condition="class"))
    pairs = source.load(source.test)
    assert source.classes == 10
    assert [set(label_map.flat) for label_map in pairs.label_maps] == [{entry.label} for entry in source.test]


def test_a_deployed_node_has_files_of_its_own(tmp_path: Path) -> None:
    write_part(tmp_path, "train", DIGITS)
    config = resolve("data=mnist exchange.batch_size=4")
    node = open_node(config, {"data-path": str(tmp_path), "name": "clinic"})
    assert (node.name, len(node.pairs), node.pairs.classes) == ("clinic", 16, 1)


def test_without_a_folder() -> None:
    with pytest.raises(DataError, match=r"needs a folder: set data.root .*<data.root>/MNIST/raw"):
        open_source(settings(None))


def test_without_files(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError) as error:
            open_source(settings(root, "fashion-mnist"))
        for words in (
            f"no files of fashion-mnist in {root / 'FashionMNIST/raw'} or {root}.",
            "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte",
            "flower-dgan data download fashion-mnist <data.root>",
        ):
            assert words in str(error.value)


def _cut_short(root: Path) -> None:
    (root / IMAGES).write_bytes((root / IMAGES).read_bytes()[:-5])


def _packed_short(root: Path) -> None:
    (root / f"{IMAGES}.gz").write_bytes(gzip.compress((root / IMAGES).read_bytes())[:-20])
    (root / IMAGES).unlink()


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no labels": (lambda root: (root / LABELS).unlink(), f"{IMAGES} has no train-labels beside it"),
    "no images": (lambda root: (root / IMAGES).unlink(), f"{LABELS} has no train-images beside it"),
    "a foreign part": (
        lambda root: write_part(root, "validation", [1]),
        "the files of train, validation: keep train and t10k, or one",
    ),
    "cut short": (_cut_short, f"{IMAGES} is no whole idx file of images"),
    "packed and cut short": (_packed_short, f"{IMAGES}.gz is no whole idx file of images"),
    "a web page": (
        lambda root: (root / LABELS).write_bytes(b"Not found: the page that you want is no longer here."),
        f"{LABELS} is no whole idx file of labels",
    ),
    "empty": (lambda root: (root / LABELS).write_bytes(b""), f"{LABELS} is no whole idx file of labels"),
    "not packed": (
        lambda root: (root / IMAGES).rename(root / f"{IMAGES}.gz"),
        f"{IMAGES}.gz is no whole idx file of images",
    ),
    "images as labels": (
        lambda root: (root / LABELS).write_bytes((root / IMAGES).read_bytes()),
        f"{LABELS} is no whole idx file of labels",
    ),
    "fewer labels": (lambda root: write_idx(root / LABELS, np.arange(9)), "has 20 images, and .* 9 labels"),
    "nothing": (lambda root: write_part(root, "train", []), f"{IMAGES} is no whole idx file"),
    "an eleventh class": (
        lambda root: write_part(root, "train", [*DIGITS, 10]),
        "has the label 10, but labels are 0 .. 9",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_files_that_cannot_be_used(name: str, tmp_path: Path) -> None:
    spoil, words = SPOILED[name]
    write_part(tmp_path, "train", DIGITS)
    spoil(tmp_path)
    with pytest.raises(DataError, match=words):
        open_source(settings(tmp_path))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channels": 3}, "mnist is grey, but data.channels=3"),
        ({"table": "a.csv"}, "reads no data.table"),
        ({"name_pattern": "x"}, "reads no data.name_pattern"),
        ({"sites": ("digit-10",)}, "Did you mean 'digit-1'"),
    ],
)
def test_settings_that_do_not_fit(change: dict[str, object], words: str, tmp_path: Path) -> None:
    write_part(tmp_path, "train", DIGITS)
    with pytest.raises(ConfigError, match=words):
        open_source(replace(settings(tmp_path), **change))  # type: ignore[arg-type]


def test_download_is_torchvisions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[bool] = []

    def torchvisions(root: Path, download: bool) -> None:
        calls.append(download)
        for part in ("train", "t10k"):
            write_part(root / "FashionMNIST/raw", part, DIGITS)

    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", torchvisions)
    command = ["data", "download", "fashion-mnist", str(tmp_path)]
    for _ in range(2):  # what is there is not asked for again
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0
        assert "data=fashion-mnist" in result.output
    assert calls == [True]
    assert [path.name for path in tmp_path.iterdir()] == ["FashionMNIST"]
    assert {part: len(files) for part, files in find_parts(tmp_path / "FashionMNIST/raw").items()} == {
        "t10k": 2, "train": 2
    }  # fmt: skip


def test_a_download_overwrites_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """torchvision would write into the folder, over files of the same names that are not what it knows."""
    (tmp_path / "MNIST/raw").mkdir(parents=True)
    (tmp_path / "MNIST/raw/train-images-idx3-ubyte.gz").write_bytes(b"my own")
    (tmp_path / "MNIST/raw/train-labels-idx1-ubyte.gz").write_bytes(b"my own")
    refused = CliRunner().invoke(app, ["data", "download", "mnist", str(tmp_path)]).exception
    assert f"{tmp_path}/MNIST is not empty: name a new folder" in str(refused)
    assert (tmp_path / "MNIST/raw/train-images-idx3-ubyte.gz").read_bytes() == b"my own"

    def breaks_off(root: Path, download: bool) -> None:
        (root / "MNIST/raw").mkdir(parents=True)
        raise RuntimeError("Error downloading")

    monkeypatch.setattr(torchvision.datasets, "MNIST", breaks_off)
    refused = CliRunner().invoke(app, ["data", "download", "mnist", str(tmp_path / "other")]).exception
    assert "mnist cannot be downloaded: Error downloading" in str(refused)
    assert not list((tmp_path / "other").iterdir())


def test_download_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(root: Path, download: bool) -> None:
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setattr(torchvision.datasets, "MNIST", offline)
    with pytest.raises(
        DataError,
        match=r"mnist cannot be downloaded: Error downloading train.*Needed are train-images-idx3-ubyte.*MNIST/raw",
    ):
        download("mnist", tmp_path)
    with pytest.raises(ConfigError, match="Did you mean 'mnist'"):
        download_folder("minst", tmp_path)


@pytest.mark.skipif(not BESIDE.is_dir(), reason="the real digits are not in the folder beside the repository")
def test_real_files() -> None:
    source = open_source(settings(BESIDE / "mnist-10k"))
    assert (len(source.train), len(source.test)) == (8000, 2000)
    entry = next(entry for entry in (*source.train, *source.test) if entry.name == "t10k-00000")
    # The first image of the test files is a seven.
    assert entry.label == 7
    label_map = source.load([entry]).label_maps[0]
    assert label_map[8, 8] == 1
    assert label_map[24, 20] == 0
    fashion = open_source(settings(BESIDE / "fashion-mnist-900", "fashion-mnist"))
    assert (len(fashion.train), len(fashion.test)) == (720, 180)
