"""Files that one program reads otherwise than another: ends, depths, palettes and bits that say two things."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flower_dgan.config import DataConfig
from flower_dgan.data import open_source, read_label_maps
from flower_dgan.data.check import check_data
from flower_dgan.data.image_files import read_image, read_mask
from flower_dgan.data.prepare import PrepareSettings, prepare
from flower_dgan.data.prepare.files import read_samples
from flower_dgan.errors import DataError
from flower_dgan.resolve import resolve

GREY = np.arange(64, dtype=np.uint8).reshape(8, 8)
IDS = np.where(np.arange(8) < 3, 1, 0).astype(np.uint8) * np.ones((8, 1), np.uint8)
# A hand's breadth of noise, so that a JPEG of it has kilobytes.
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def jpeg(path: Path, **options: object) -> bytes:
    Image.fromarray(NOISE).save(path, "JPEG", quality=95, **options)
    return path.read_bytes()


@pytest.mark.parametrize("rest", [b"", bytes(2000), b"\xff" * 9])
def test_a_jpeg_whose_end_was_never_written_is_refused(tmp_path: Path, rest: bytes) -> None:
    """Decoders make its lower half grey, and say nothing of it."""
    path = tmp_path / "a.jpg"
    content = jpeg(path)
    path.write_bytes(content[: len(content) // 2] + rest)
    for read in (read_samples, lambda path: read_image(path, 3)):
        with pytest.raises(DataError, match=r"a\.jpg cannot be read as PNG, JPEG or TIFF \(its end is missing"):
            read(path)


def test_the_end_of_a_small_picture_in_a_jpeg_is_not_its_own(tmp_path: Path) -> None:
    small = jpeg(tmp_path / "small.jpg")
    exif = b"Exif\0\0II*\0" + small[:30_000]
    assert exif.endswith(b"\xff\xd9")
    content = jpeg(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "a.jpg").write_bytes(content[:-400] + bytes(400))
    with pytest.raises(DataError, match="its end is missing"):
        read_image(tmp_path / "a.jpg", 3)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"comment": b"\xff\xd9 in words"}])
def test_whole_jpegs_are_read_whatever_is_behind_them(tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / "a.jpg"
    expected = np.asarray(Image.open(path)) if jpeg(path, **options) else None
    for behind in (b"", bytes(300), b"a file of another program"):
        path.write_bytes(jpeg(path, **options) + behind)
        assert np.array_equal(read_image(path, 3), expected)


def test_twelve_bits_are_scaled_by_what_twelve_bits_can_hold(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio", reason="writes the test's file")
    for part in ("images", "masks"):
        (tmp_path / "in" / part).mkdir(parents=True)
    values = np.full((8, 8), 4095, np.uint16)
    values[0, :4] = (0, 1, 2048, 2056)
    for name, bits, count in (("grey", 12, 1), ("rgb", 12, 3), ("ten", 10, 1)):
        profile = {"driver": "GTiff", "width": 8, "height": 8, "count": count, "dtype": "uint16", "nbits": bits}
        with rasterio.open(tmp_path / f"in/images/{name}.tif", "w", **profile) as file:
            for band in range(1, count + 1):
                file.write(values >> (12 - bits), band)
        Image.fromarray(IDS * 255).save(tmp_path / f"in/masks/{name}.png")
    # 2048 / 4095 * 255 = 127.53, 2056 / 4095 * 255 = 128.03, 512 / 1023 * 255 = 127.62, 514 / 1023 * 255 = 128.1
    for tile in (None, 8):
        prepare("folder", tmp_path / "in", tmp_path / f"out{tile}", PrepareSettings(tile=tile))
        for path in sorted((tmp_path / f"out{tile}/images").iterdir()):
            assert read_image(path, 1)[0, :5, 0].tolist() == [0, 0, 128, 128, 255]
    prepare("folder", tmp_path / "in", tmp_path / "given", PrepareSettings(value_range=(0, 8190)))
    assert read_image(tmp_path / "given/images/grey.png", 1).max() == 128  # 4095 / 8190 * 255, to even


def test_a_volume_in_one_tiff_is_not_its_first_slice(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="writes the test's file")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.stack([np.resize(GREY, (16, 16))] * 2), volumetric=True, tile=(2, 16, 16))
    for read in (read_samples, read_mask, lambda path: read_image(path, 1)):
        with pytest.raises(DataError, match=r"a\.tif holds a volume of 2 slices"):
            read(path)


def test_bits_of_which_zero_is_white_are_read_from_fax_codes_alone(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="writes the test's file")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, IDS > 0)  # True is stored as 1 and, by its tags, shown black
    for read in (read_samples, read_mask, lambda path: read_image(path, 1)):
        with pytest.raises(DataError, match=r"a\.tif has one bit a pixel in which 0 is white"):
            read(path)
    tifffile.imwrite(path, IDS > 0, photometric="minisblack")
    assert read_mask(path).tolist() == (IDS * 255).tolist()
    Image.fromarray(IDS > 0).save(path, compression="group4")
    assert read_mask(path).tolist() == (IDS * 255).tolist()


def palette(path: Path, ids: np.ndarray, colours: list[int]) -> None:
    image = Image.fromarray(ids, mode="P")
    image.putpalette(colours)
    image.save(path)


BLACK, WHITE, RED, GREEN = [0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0]


def test_a_palette_that_shows_the_reverse_of_its_indices_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    palette(path, IDS, WHITE + BLACK)
    with pytest.raises(DataError, match="holds the values 0 and 1, which its palette shows as #ffffff and #000000, in"):
        read_mask(path)
    # what programs make of black and white if they are asked for few colours
    Image.fromarray(IDS * 255).quantize(2).save(path)
    with pytest.raises(DataError, match="in reverse order"):
        read_mask(path)
    palette(path, IDS * 2, [9] * 3 + WHITE + [5] * 3)
    with pytest.raises(DataError, match="holds the values 0 and 2, which its palette shows as #090909 and #050505"):
        read_mask(path)


@pytest.mark.parametrize("colours", [BLACK + WHITE, WHITE + RED, RED + BLACK, BLACK + BLACK, [7] * 3 + [9] * 3])
def test_palettes_that_do_not_contradict_are_read_by_their_indices(tmp_path: Path, colours: list[int]) -> None:
    palette(tmp_path / "a.png", IDS, colours)
    assert read_mask(tmp_path / "a.png").tolist() == IDS.tolist()


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """A folder of two pairs, of which a test writes the masks."""
    for part in ("images", "masks"):
        (tmp_path / "in" / part).mkdir(parents=True)
    for name in "ab":
        Image.fromarray(GREY + ord(name)).save(tmp_path / f"in/images/{name}.png")
    return tmp_path / "in/masks"


@pytest.fixture(scope="module")
def config() -> DataConfig:
    return resolve("data=folder data.name_pattern=null data.channels=1").data


@pytest.mark.parametrize(
    ("said", "options"),
    [
        ("classes", PrepareSettings(masks="classes")),
        ("binary", PrepareSettings(masks="binary")),
        ("objects", PrepareSettings(instances=True)),
    ],
)
def test_palettes_of_their_own_are_refused_by_every_command(
    masks: Path, tmp_path: Path, config: DataConfig, said: str, options: PrepareSettings
) -> None:
    palette(masks / "a.png", IDS, BLACK + RED)
    palette(masks / "b.png", IDS, RED + BLACK)
    ours = replace(config, root=str(masks.parent), image_size=8, masks=said)
    words = r"#ff0000 is the value 1 in .*a\.png and 0 in .*b\.png, since each has a palette of its own"
    with pytest.raises(DataError, match=words):
        open_source(ours)
    assert any("a palette of its own" in problem for problem in check_data(ours).problems)
    with pytest.raises(DataError, match=words):
        read_label_maps(masks, 8, masks=said)
    with pytest.raises(DataError, match=words):
        prepare("folder", masks.parent, tmp_path / "out", options)


def test_one_palette_is_read_though_two_values_have_one_colour(masks: Path) -> None:
    palette(masks / "a.png", IDS, BLACK + BLACK + RED)
    palette(masks / "b.png", IDS * 2, BLACK + BLACK + RED)
    assert [each.max() for each in read_label_maps(masks, 8, masks="classes").maps] == [1, 2]
    # numbers of objects have whatever colours they have
    palette(masks / "a.png", IDS, BLACK + RED + GREEN)
    palette(masks / "b.png", IDS * 2, BLACK + GREEN + RED)
    assert [each.max() for each in read_label_maps(masks, 8, masks="objects").maps] == [1, 1]
    with pytest.raises(DataError, match="#ff0000 is the value 1 in"):
        read_label_maps(masks, 8, masks="classes")


def test_what_a_file_holds_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "floats.tif").write_bytes(b"II*\0 and no picture")
    (tmp_path / "other.png").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    for name, held in (("empty.png", "nothing"), ("floats.tif", "TIFF of numbers"), ("other.png", "something else")):
        with pytest.raises(DataError, match=rf"{name} cannot be read as PNG, JPEG or TIFF \(it holds {held}"):
            read_mask(tmp_path / name)


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "in/masks").mkdir(parents=True)
    (tmp_path / "in/images").write_text("a list of links")
    with pytest.raises(DataError, match=r"in/images is no folder\. Expected is images/ and masks/"):
        prepare("folder", tmp_path / "in", tmp_path / "out", PrepareSettings())


@pytest.mark.skipif(
    os.getuid() == 0 and not shutil.which("setpriv"), reason="root may read everything, unless it is taken from it"
)
def test_what_may_not_be_read_is_one_line_with_what_to_do(masks: Path) -> None:
    for name in "ab":
        Image.fromarray(IDS * 255).save(masks / f"{name}.png")
    drop = "-dac_override,-dac_read_search"
    command = [sys.executable, "-c", "from flower_dgan.cli.main import main; main()", "data", "edit-masks", str(masks)]
    if os.getuid() == 0:
        command = ["setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}", *command]
    for what, words in (
        (masks / "b.png", f"Error: {masks}/b.png cannot be read: Permission denied. Let this user read it."),
        (masks, f"Error: {masks}: Permission denied. Let this user read and write it, or name another place."),
    ):
        what.chmod(0)
        try:
            done = subprocess.run([*command, str(masks.parent / "new")], capture_output=True, text=True, check=False)
        finally:
            what.chmod(0o755)
        assert (done.returncode, done.stderr) == (1, f"{words}\n")
        assert not (masks.parent / "new").exists()
