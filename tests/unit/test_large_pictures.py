"""Pictures with large texts or of very many pixels: read, and fetched by windows."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from flower_dgan.data.array_files import open_numbers
from flower_dgan.data.image_files import open_image, read_image, read_image_size, read_mask
from flower_dgan.data.picture_windows import row_blocks, whole
from flower_dgan.data.prepare import PrepareSettings, prepare
from flower_dgan.data.prepare.files import open_samples, read_samples
from flower_dgan.data.prepare.original import OriginalPair
from flower_dgan.data.prepare.pixels import pieces
from flower_dgan.errors import DataError

GREY = np.arange(24, dtype=np.uint8).reshape(4, 6)
MIB = 2**20
# The whole process, with what Python and its packages take; the picture itself is 14,000 x 14,000 x 3 bytes, 0.55 GiB.
MOST = 1.5 * 2**30


def _texts(kind: str) -> dict[str, object]:
    info = PngImagePlugin.PngInfo()
    if kind == "xmp":
        info.add_itxt("XML:com.adobe.xmp", " " * (3 * MIB), zip=True)
    elif kind == "text":
        info.add_text("history", "x" * (3 * MIB), zip=True)
    elif kind == "many":
        for number in range(70):
            info.add_text(f"history {number}", "x" * MIB)
    return {"icc_profile": bytes(3 * MIB)} if kind == "profile" else {"pnginfo": info}


@pytest.mark.parametrize("kind", ["xmp", "text", "many", "profile"])
def test_texts_and_profiles_of_many_megabytes_do_no_harm(tmp_path: Path, kind: str) -> None:
    for folder in ("images", "masks"):
        (tmp_path / "in" / folder).mkdir(parents=True)
    Image.fromarray(GREY).save(tmp_path / "in/images/a.png", **_texts(kind))
    Image.fromarray(GREY).save(tmp_path / "in/masks/a.png", **_texts(kind))
    assert read_image_size(tmp_path / "in/images/a.png", 1) == (4, 6)
    assert read_image(tmp_path / "in/images/a.png", 1)[..., 0].tolist() == GREY.tolist()
    assert read_mask(tmp_path / "in/masks/a.png").tolist() == GREY.tolist()
    prepare("folder", tmp_path / "in", tmp_path / "out", PrepareSettings(skip_unreadable=True, masks="classes"))
    assert read_mask(tmp_path / "out/images/a.png").tolist() == GREY.tolist()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_windows_are_parts_of_what_is_shown(tmp_path: Path, mode: str, orientation: int) -> None:
    random = np.random.default_rng(0)
    if mode == "I;16":
        image = Image.fromarray(random.integers(0, 65536, (9, 14), dtype=np.uint16))
    else:
        image = Image.fromarray(random.integers(0, 256, (9, 14, 3), dtype=np.uint8)).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for suffix in (".png", ".tif"):
        path = tmp_path / f"a{suffix}"
        image.save(path, exif=exif)
        picture, all_of_it = open_samples(path), read_samples(path)
        assert picture.shape == all_of_it.shape
        assert picture.dtype == all_of_it.dtype
        for rows, columns in ((slice(0, 3), slice(2, 7)), (slice(4, 9), slice(0, 1)), (slice(8, 9), slice(5, 9))):
            assert picture[rows, columns].tolist() == all_of_it[rows, columns].tolist()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_windows_of_many_bands(tmp_path: Path, orientation: int) -> None:
    pytest.importorskip("rasterio", reason="the extra geo is not installed")
    tifffile = pytest.importorskip("tifffile", reason="writes the test's file")
    pixels = np.random.default_rng(0).integers(0, 65536, (9, 14, 5), dtype=np.uint16)
    tag = (274, "H", 1, orientation, True)
    layout = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "a.tif", pixels, **layout, extratags=[tag])
    picture, all_of_it = open_samples(tmp_path / "a.tif"), read_samples(tmp_path / "a.tif")
    assert picture.shape == all_of_it.shape
    assert picture[slice(2, 5), slice(1, 9)].tolist() == all_of_it[2:5, 1:9].tolist()


def test_blocks_cover_a_picture_once() -> None:
    for height, width in ((1, 1), (5000, 3000), (3, 5_000_000)):
        blocks = list(row_blocks(height, width))
        assert [rows.start for rows, _ in blocks] == [0, *(rows.stop for rows, _ in blocks[:-1])]
        assert blocks[-1][0].stop == height
        assert {(columns.start, columns.stop) for _, columns in blocks} == {(0, width)}


def test_values_beyond_the_range_count_once_though_tiles_overlap() -> None:
    image = np.full((7, 5), 10, np.uint16)
    image[5, 4] = image[0, 0] = image[5, 2] = 900  # (5, 4) is in four tiles of 3 x 3, as the last ones overlap
    settings = PrepareSettings(tile=3, value_range=(0, 255))
    found = list(pieces(OriginalPair(image, None), settings, True, "x"))
    assert [name for name, _, _ in found] == ["0-0", "0-2", "3-0", "3-2", "4-0", "4-2"]
    assert sum(beyond for _, _, beyond in found) == 3
    for name, piece, _ in found:
        top, left = map(int, name.split("-"))
        assert whole(piece.image).tolist() == np.minimum(image, 255)[top : top + 3, left : left + 3].tolist()


def test_a_place_in_a_tile_is_named_as_one_of_the_image(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / "in" / folder).mkdir(parents=True)
    values = np.zeros((8, 8, 1), np.float32)
    values[6, 5] = np.nan
    np.save(tmp_path / "in/images/a.npy", values)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "in/masks/a.png")
    settings = PrepareSettings(tile=4, value_range=(0, 1))
    with pytest.raises(DataError, match=r"not finite.*first at \(6, 5"):
        prepare("folder", tmp_path / "in", tmp_path / "out", settings)
    # of an original that cannot be used nothing is left
    assert not [path for path in (tmp_path / "out").rglob("*") if path.suffix in (".png", ".npy")]


def test_arrays_are_prepared_as_runs_read_them(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / "in" / folder).mkdir(parents=True)
    pixels = np.arange(8 * 8 * 4, dtype=np.uint8).reshape(8, 8, 4)
    np.save(tmp_path / "in/images/a.npy", pixels)
    Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "in/masks/a.png")
    prepare("folder", tmp_path / "in", tmp_path / "out", PrepareSettings(tile=4))
    assert read_image(tmp_path / "out/images/a_4-0.npy", 4).tolist() == pixels[4:, :4].tolist()
    prepare("folder", tmp_path / "in", tmp_path / "one", PrepareSettings(bands=(4,)))
    assert read_image(tmp_path / "one/images/a.png", 1).tolist() == pixels[..., 3:].tolist()
    for array in (np.zeros((4, 4, 1), complex), np.zeros((2, 4, 4, 1)), np.zeros((4, 0, 1))):
        np.save(tmp_path / "in/images/a.npy", array)
        with pytest.raises(DataError, match=r"a\.npy holds"):
            open_numbers(tmp_path / "in/images/a.npy")


def test_a_side_beyond_what_travels_is_refused_before_its_pixels_are_read(tmp_path: Path) -> None:
    Image.new("1", (32_768, 1)).save(tmp_path / "a.png")
    for read in (read_samples, read_mask, lambda path: open_image(path, 3)):
        with pytest.raises(DataError, match="is 1 x 32768 pixels: cut it into tiles of 32767 at most"):
            read(tmp_path / "a.png")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says there what was in memory at most")
def test_a_picture_of_two_hundred_million_pixels_is_tiled_in_little_memory(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / "in" / folder).mkdir(parents=True)
    side = 14_000
    image = Image.new("RGB", (side, side), (10, 20, 30))
    image.putpixel((side - 1, side - 2), (200, 100, 50))
    image.save(tmp_path / "in/images/a.png", compress_level=1)
    mask = Image.new("L", (side, side))
    mask.putpixel((side - 1, side - 2), 255)
    mask.save(tmp_path / "in/masks/a.png", compress_level=1)
    del image, mask
    command = (
        "from pathlib import Path; from flower_dgan.data.prepare import PrepareSettings, prepare; "
        "settings = PrepareSettings(tile=4000, bands=(1,)); "
        f"prepare('folder', *map(Path, {[str(tmp_path / 'in'), str(tmp_path / 'out')]}), settings); "
        "print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert 2**29 < int(done.stdout) * 1024 < MOST
    assert len(list((tmp_path / "out/images").iterdir())) == 16
    last = read_image(tmp_path / "out/images/a_10000-10000.png", 1)
    assert np.argwhere(last != 10).tolist() == [[3998, 3999, 0]]
    assert last[3998, 3999] == 200
    assert np.argwhere(read_mask(tmp_path / "out/masks/a_10000-10000.png")).tolist() == [[3998, 3999]]
