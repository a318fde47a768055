"""What is common to all data sets that are prepared: resuming, tiles, ranges, colours, and bad input."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.data.prepare import PrepareSettings, prepare
from flower_dgan.data.prepare.files import read_samples, to_class_ids
from flower_dgan.data.prepare.original import Original, OriginalPair
from flower_dgan.data.prepare.pixels import to_uint8
from flower_dgan.data.prepare.tiles import cut
from flower_dgan.errors import ConfigError, DataError

DEFAULT = PrepareSettings()


def _write(root: Path, name: str, image: np.ndarray, mask: np.ndarray) -> None:
    for folder, pixels in (("images", image), ("masks", mask)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / folder / f"{name}.png")


def _read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for number in range(4):
        mask = np.zeros((6, 8), np.uint8)
        mask[:2, :number] = 255
        _write(tmp_path / "source", f"tr_a_p{number}_0", np.full((6, 8), 100 * number, np.uint16), mask)
    return tmp_path / "source"


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_interrupted_and_begun_again(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, output = tmp_path / "whole", tmp_path / "output"
    prepare("folder", source, whole, PrepareSettings(tile=4))

    def stop_before_third(originals: Sequence[Original]) -> Iterator[Original]:
        yield from originals[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare("folder", source, output, PrepareSettings(tile=4), stop_before_third)
    assert json.loads((output / "prepared.json").read_text())["complete"] is False
    assert len(list((output / "images").glob("*.png"))) == 8
    # a crash amid a file and amid a line
    (output / "images/tr_a_p2_0_0-0.partial").write_bytes(b"half")
    with (output / "prepared.jsonl").open("a") as lines:
        lines.write('{"source": "images/tr_a_p2')
    kept = (output / "images/tr_a_p0_0_0-0.png").stat().st_mtime_ns
    result = prepare("folder", source, output, PrepareSettings(tile=4))
    assert (result.pairs, result.made) == (16, 8)
    assert (output / "images/tr_a_p0_0_0-0.png").stat().st_mtime_ns == kept
    made = _files(output)
    about = json.loads(made.pop("prepared.json"))
    assert about["complete"] is True
    expected = _files(whole)
    assert json.loads(expected.pop("prepared.json"))["classes"] == about["classes"] == ["background", "class 1"]
    assert made == expected
    assert prepare("folder", source, output, PrepareSettings(tile=4)).made == 0
    # a pair that was deleted is made again
    (output / "masks/tr_a_p1_0_0-0.png").unlink()
    assert prepare("folder", source, output, PrepareSettings(tile=4)).made == 4


def test_other_settings_want_another_folder(source: Path, tmp_path: Path) -> None:
    prepare("folder", source, tmp_path / "output", DEFAULT)
    with pytest.raises(DataError, match="was begun with other settings"):
        prepare("folder", source, tmp_path / "output", PrepareSettings(tile=4))
    with pytest.raises(DataError, match="is not empty"):
        prepare("folder", source, source, DEFAULT)


def test_an_option_that_was_wrong_leaves_nothing_in_the_way(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    with pytest.raises(DataError, match="there is no --band 9"):
        prepare("folder", source, output, PrepareSettings(bands=(9,)))
    assert [path.name for path in output.iterdir()] == ["prepared.json"]
    prepare("folder", source, output, PrepareSettings(bands=(1,)))
    assert json.loads((output / "prepared.json").read_text())["settings"]["bands"] == [1]
    for text in ("[]", "{}", '"complete"'):
        (output / "prepared.json").write_text(text)
        with pytest.raises(DataError, match=r"prepared\.json is none of flower-dgan's"):
            prepare("folder", source, output, PrepareSettings(bands=(1,)))


def test_what_cannot_be_read_is_named_and_left_out_only_if_told(source: Path, tmp_path: Path) -> None:
    whole = (source / "images/tr_a_p1_0.png").read_bytes()
    (source / "images/tr_a_p1_0.png").write_bytes(whole[:45])
    with pytest.raises(DataError, match=r"1 of 4 originals cannot be used: .*tr_a_p1_0.png cannot be read"):
        prepare("folder", source, tmp_path / "output", DEFAULT)
    result = prepare("folder", source, tmp_path / "output", PrepareSettings(skip_unreadable=True))
    assert (result.pairs, result.made, len(result.unreadable)) == (3, 0, 1)
    assert "tr_a_p1_0" in json.loads((tmp_path / "output/prepared.json").read_text())["unreadable"][0]
    (source / "images/tr_a_p1_0.png").write_bytes(whole)
    assert prepare("folder", source, tmp_path / "output", DEFAULT).made == 1


def test_many_that_cannot_be_read_end_it_early(tmp_path: Path) -> None:
    for number in range(9):
        _write(tmp_path / "s", str(number), np.zeros((2, 4), np.uint8), np.zeros((2, 4), np.uint8))
        if number > 1:
            (tmp_path / f"s/images/{number}.png").write_bytes(b"none")
    words = r"5 of 9 originals cannot be used \(and no more were tried\), the first one: .*/2\.png cannot be read"
    with pytest.raises(DataError, match=words) as caught:
        prepare("folder", tmp_path / "s", tmp_path / "o", DEFAULT)
    assert "\n" not in str(caught.value)
    for number in range(2, 9):
        (tmp_path / f"s/masks/{number}.png").write_bytes(b"none")
    words = r"^7 of 9 masks cannot be used, the first one: .*/masks/2\.png cannot be read"
    with pytest.raises(DataError, match=words) as caught:
        prepare("folder", tmp_path / "s", tmp_path / "p", DEFAULT)
    assert "\n" not in str(caught.value)
    assert prepare("folder", tmp_path / "s", tmp_path / "o", PrepareSettings(skip_unreadable=True)).pairs == 2


def test_tiles_reach_the_edge() -> None:
    image = np.arange(7 * 5).reshape(7, 5).astype(np.uint8)
    tiles = dict(cut(OriginalPair(image, image, image.astype(np.uint16)), 3, None))
    assert list(tiles) == ["0-0", "0-2", "3-0", "3-2", "4-0", "4-2"]
    assert tiles["4-2"].image.tolist() == [[22, 23, 24], [27, 28, 29], [32, 33, 34]]
    assert tiles["4-2"].instances is not None
    assert tiles["4-2"].mask is not None
    assert tiles["4-2"].mask.tolist() == tiles["4-2"].instances.tolist() == tiles["4-2"].image.tolist()
    assert list(dict(cut(OriginalPair(image, image), 3, 2))) == ["0-0", "0-2", "2-0", "2-2", "4-0", "4-2"]


def test_ranges() -> None:
    deep = np.array([[0, 257, 32896, 65535]], np.uint16)
    assert to_uint8(deep, None, "x")[0].tolist() == [[0, 1, 128, 255]]
    # (250 - 100) / 300 * 255 = 127.5, rounded to even; two values are beyond 100 .. 400
    pixels, beyond = to_uint8(np.array([99.0, 100, 250, 400, 401]), (100, 400), "x")
    assert (pixels.tolist(), beyond) == ([0, 0, 128, 255, 255], 2)
    assert to_uint8(np.array([7, 9], np.uint8), None, "x") == (pytest.approx(np.array([7, 9])), 0)
    with pytest.raises(DataError, match="x holds float64, whose range is unknown: give --range low high"):
        to_uint8(np.array([0.5]), None, "x")
    with pytest.raises(DataError, match="not finite"):
        to_uint8(np.array([np.nan]), (0, 1), "x")


def test_sixteen_bits_and_instances_of_a_folder(source: Path, tmp_path: Path) -> None:
    mask = np.zeros((6, 8), np.uint16)
    mask[1, 1:4] = (1, 700, 65535)
    for path in (source / "masks").iterdir():
        Image.fromarray(mask).save(path)
    output = tmp_path / "output"
    prepare("folder", source, output, PrepareSettings(instances=True, value_range=(0, 510)))
    assert _read(output / "images/tr_a_p3_0.png")[0, 0] == 150
    assert _read(output / "masks/tr_a_p3_0.png")[1].tolist() == [0, 255, 255, 255, 0, 0, 0, 0]
    assert _read(output / "instances/tr_a_p3_0.png")[1, 3] == 65535
    with pytest.raises(DataError, match=r"holds the values 0, 1, 700, 65535.*data prepare folder --instances"):
        prepare("folder", source, tmp_path / "other", DEFAULT)


def test_instances_beside_masks_come_along(source: Path, tmp_path: Path) -> None:
    (source / "instances").mkdir()
    numbers = np.arange(48, dtype=np.uint16).reshape(6, 8)
    Image.fromarray(numbers).save(source / "instances/tr_a_p2_0.png")
    prepare("folder", source, tmp_path / "tiles", PrepareSettings(tile=4))
    assert _read(tmp_path / "tiles/instances/tr_a_p2_0_2-4.png").tolist() == numbers[2:, 4:].tolist()
    assert len(list((tmp_path / "tiles/instances").iterdir())) == 4  # the other images have none
    assert prepare("folder", source, tmp_path / "tiles", PrepareSettings(tile=4)).made == 0
    (tmp_path / "tiles/instances/tr_a_p2_0_2-4.png").unlink()
    assert prepare("folder", source, tmp_path / "tiles", PrepareSettings(tile=4)).made == 4
    assert _read(tmp_path / "tiles/masks/tr_a_p2_0_0-0.png")[0].tolist() == [255, 255, 0, 0]
    with pytest.raises(DataError, match=r"instances numbers the objects, and so would masks/: leave --instances away"):
        prepare("folder", source, tmp_path / "both", PrepareSettings(instances=True))
    Image.fromarray(numbers[1:]).save(source / "instances/tr_a_p1_0.png")
    with pytest.raises(DataError, match=r"tr_a_p1_0.png: the image is 6 x 8 .* but its instances 5 x 8"):
        prepare("folder", source, tmp_path / "sizes", DEFAULT)
    (source / "instances/tr_a_p1_0.png").rename(source / "instances/tr_a_p9_0.png")
    with pytest.raises(DataError, match=r"No image of the same name for .*tr_a_p9_0.png: add it, or remove the file"):
        prepare("folder", source, tmp_path / "alone", DEFAULT)


def test_colours(tmp_path: Path) -> None:
    colours = np.array([[[255, 255, 255], [255, 0, 0], [250, 8, 3]]], np.uint8)
    palette = ("#ffffff", "#ff0000")
    assert to_class_ids(colours[:, :2], palette, False, "x").tolist() == [[0, 1]]
    assert to_class_ids(colours, palette, True, "x").tolist() == [[0, 1, 1]]
    with pytest.raises(DataError, match="x has the colours #fa0803, and the classes #ffffff, #ff0000"):
        to_class_ids(colours, palette, False, "x")
    with pytest.raises(ConfigError, match="'red' is no colour"):
        to_class_ids(colours, ("red",), False, "x")
    _write(tmp_path / "s", "a", colours, np.tile(colours[:, :2], (1, 2, 1))[:, :3])
    prepare("folder", tmp_path / "s", tmp_path / "o", PrepareSettings(palette=(*palette, "#0000ff")))
    assert _read(tmp_path / "o/masks/a.png").tolist() == [[0, 1, 0]]


def test_size(tmp_path: Path) -> None:
    # the centred square of 4 x 6 leaves out the first and the last column
    image = np.zeros((4, 6), np.uint8)
    image[:, 1:3], image[:, 0] = 80, 255
    mask = np.zeros((4, 6), np.uint8)
    mask[:, 1:3], mask[:, 5] = 255, 255
    _write(tmp_path / "s", "a", image, mask)
    prepare("folder", tmp_path / "s", tmp_path / "o", PrepareSettings(size=8))
    assert _read(tmp_path / "o/masks/a.png").tolist() == [[255] * 4 + [0] * 4] * 8
    enlarged = _read(tmp_path / "o/images/a.png")
    assert enlarged.shape == (8, 8)
    # far from the step Lanczos keeps the values, up to its overshoot; the bright column is not in it
    assert enlarged[:, 0].tolist() == [enlarged[0, 0]] * 8
    assert 75 <= enlarged[0, 0] <= 85
    assert enlarged[0, 7] <= 5


def test_bands(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    _write(tmp_path / "s", "a", pixels, np.zeros((2, 4), np.uint8))
    prepare("folder", tmp_path / "s", tmp_path / "o", PrepareSettings(bands=(3,)))
    assert _read(tmp_path / "o/images/a.png").tolist() == pixels[..., 2].tolist()
    prepare("folder", tmp_path / "s", tmp_path / "p", PrepareSettings(bands=(3, 2, 1)))
    assert _read(tmp_path / "p/images/a.png").tolist() == pixels[..., ::-1].tolist()
    with pytest.raises(DataError, match="has 3 channels: there is no --band 4"):
        prepare("folder", tmp_path / "s", tmp_path / "q", PrepareSettings(bands=(4,)))


def test_more_bands_need_rasterio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "s", "a", np.zeros((2, 4), np.uint8), np.zeros((2, 4), np.uint8))
    (tmp_path / "s/images/a.png").unlink()
    Image.new("F", (4, 2)).save(tmp_path / "s/images/a.tif")
    monkeypatch.setitem(__import__("sys").modules, "rasterio", None)
    with pytest.raises(ConfigError, match=r"a\.tif, of more .* needs rasterio.*pip install 'flower-dgan\[geo\]'"):
        prepare("folder", tmp_path / "s", tmp_path / "o", DEFAULT)


def test_rasterio_reads_many_bands_and_deep_colour(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")
    bands = np.arange(5 * 4 * 6, dtype=np.uint16).reshape(5, 4, 6) * 500
    shape = {"height": 4, "width": 6, "dtype": "uint16"}
    _write(tmp_path / "s", "a", np.zeros((4, 6), np.uint8), np.zeros((4, 6), np.uint8))
    (tmp_path / "s/images/a.png").unlink()
    with rasterio.open(tmp_path / "s/images/a.tif", "w", driver="GTiff", count=5, **shape) as file:
        file.write(bands)
    assert read_samples(tmp_path / "s/images/a.tif").tolist() == bands.transpose(1, 2, 0).tolist()
    prepare("folder", tmp_path / "s", tmp_path / "o", PrepareSettings(bands=(4, 2, 1), value_range=(0, 51000)))
    # value / 51,000 * 255 is value / 200: the fourth band begins at 72 * 500
    assert _read(tmp_path / "o/images/a.png")[0, 0].tolist() == [180, 60, 0]
    prepare("folder", tmp_path / "s", tmp_path / "all", PrepareSettings(size=4, value_range=(0, 51000)))
    whole = np.load(tmp_path / "all/images/a.npy")
    assert (whole.dtype, whole.shape) == (np.uint8, (4, 4, 5))
    # begun again it goes on where it was
    assert (
        prepare("folder", tmp_path / "s", tmp_path / "all", PrepareSettings(size=4, value_range=(0, 51000))).made == 0
    )
    with rasterio.open(tmp_path / "deep.png", "w", driver="PNG", count=3, **shape) as file:
        file.write(bands[:3])
    assert read_samples(tmp_path / "deep.png").tolist() == bands[:3].transpose(1, 2, 0).tolist()


def test_hidden_twins_and_accents(source: Path, tmp_path: Path) -> None:
    for folder, name in (("images", "tr_K\u00f6ln_p0_0.png"), ("masks", "tr_Ko\u0308ln_p0_0.png")):
        (source / folder / "tr_a_p0_0.png").rename(source / folder / name)
        (source / folder / "._tr_a_p1_0.png").write_bytes(b"twin of macOS")
    assert prepare("folder", source, tmp_path / "o", DEFAULT).pairs == 4
    for folder in ("images", "masks"):
        assert (tmp_path / "o" / folder / "tr_K\u00f6ln_p0_0.png").is_file()
    (source / "masks/tr_K\u00f6ln_p0_0.png").write_bytes((source / "masks/tr_a_p1_0.png").read_bytes())
    with pytest.raises(DataError, match=r"holds both .* They look the same"):
        prepare("folder", source, tmp_path / "other", DEFAULT)


def test_only_labelled(source: Path, tmp_path: Path) -> None:
    result = prepare("folder", source, tmp_path / "o", PrepareSettings(tile=2, only_labelled=True))
    # of 4 x 12 tiles, those at the top left of three images and at their right in the last one
    assert (result.pairs, result.empty) == (4, 44)
    assert sorted(path.stem for path in (tmp_path / "o/masks").iterdir())[-1] == "tr_a_p3_0_0-2"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tile": 0}, "--tile 0 must be from 1"),
        ({"palette": ("#ff0000", "#FF0000")}, "names one colour twice"),
        ({"value_range": (-1e308, 1e308)}, "too far apart"),
        ({"stride": 4}, "give --tile too"),
        ({"size": 4, "tile": 4}, "leave one of them out"),
        ({"value_range": (3, 3)}, "--range 3 3 is empty"),
        ({"bands": (1, 0)}, "--band 0: channels are counted from 1"),
        ({"palette": ("#ffffff", "#000000"), "instances": True}, "--colour and --instances are both given"),
        ({"palette": ("#ffffff",)}, "--colour names one colour"),
    ],
)
def test_settings_out_of_range(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        PrepareSettings(**settings)  # type: ignore[arg-type]


def test_names_and_options(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'monuseg'"):
        prepare("monusegs", tmp_path, tmp_path / "o", DEFAULT)
    with pytest.raises(ConfigError, match="--colour is for folder, not for whu"):
        prepare("whu", tmp_path, tmp_path / "o", PrepareSettings(palette=("#000000", "#ffffff")))
    with pytest.raises(DataError, match="There is no"):
        prepare("whu", tmp_path / "none", tmp_path / "o", DEFAULT)


def test_command(source: Path, tmp_path: Path) -> None:
    arguments = ["data", "prepare", "folder", str(source), str(tmp_path / "o"), "--range", "0", "200"]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"}, catch_exceptions=False)
    assert result.exit_code == 0
    # the 48 pixels of the image of 300
    assert "48 values of images were beyond --range" in result.output
    assert "4 pairs (4 made now)" in result.output
    assert CliRunner().invoke(app, ["data", "check", str(tmp_path / "o"), "data.image_size=4"]).exit_code == 1
    ungrouped = "data.image_size=4 data.name_pattern=null data.channels=1"
    assert CliRunner().invoke(app, ["data", "check", str(tmp_path / "o"), ungrouped]).exit_code == 0
