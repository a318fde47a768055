"""Pictures that EXIF turns: image and mask are read as they are shown, in every format and by every reader."""

import struct
import zlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from flower_dgan.comparison.image_sets import read_images
from flower_dgan.config import DataConfig
from flower_dgan.data import open_source
from flower_dgan.data.image_files import read_image, read_image_size, read_mask, read_size
from flower_dgan.data.instances import with_instances
from flower_dgan.data.label_map_folder import read_label_maps
from flower_dgan.data.pairs import Entry, Pairs
from flower_dgan.data.picture_checks import MASK_MODES
from flower_dgan.data.prepare import PrepareSettings, prepare
from flower_dgan.data.prepare.files import read_samples
from flower_dgan.errors import DataError
from flower_dgan.resolve import resolve

# Where the stored row 0 and column 0 are when it is shown, as the EXIF standard lists them (tag 0112).
ROW_0 = ("top", "top", "bottom", "bottom", "left", "right", "right", "left")
COLUMN_0 = ("left", "right", "right", "left", "top", "top", "bottom", "bottom")
SHOWN = np.arange(24, dtype=np.uint8).reshape(4, 6)


def _stored(shown: np.ndarray, orientation: int) -> np.ndarray:
    """Return what a camera stores of what is to be shown, pixel by pixel after the standard."""
    row, column = ROW_0[orientation - 1], COLUMN_0[orientation - 1]
    height, width = shown.shape[:2]
    aside = row in ("left", "right")
    stored = np.zeros(((width, height) if aside else (height, width)) + shown.shape[2:], shown.dtype)
    for y in range(height):
        for x in range(width):
            to = {"top": y, "bottom": height - 1 - y, "left": x, "right": width - 1 - x}
            stored[to[row], to[column]] = shown[y, x]
    return stored


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_every_orientation_in_every_mode(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = tmp_path / f"a{suffix}"
    colours = np.stack([SHOWN, SHOWN + 50, SHOWN + 100], axis=2)
    for shown in (SHOWN, SHOWN.astype(np.uint16) * 1000, SHOWN % 2 == 1):
        Image.fromarray(_stored(shown, orientation)).save(path, exif=_exif(orientation))
        assert read_mask(path).tolist() == (shown * 255 if shown.dtype == bool else shown).tolist()
        assert read_size(path, MASK_MODES) == (4, 6)
        assert read_mask(path).flags.c_contiguous  # torch takes no negative strides
    palette = Image.fromarray(_stored(SHOWN, orientation), mode="P")
    palette.putpalette(bytes(range(72)))
    palette.save(path, exif=_exif(orientation))
    assert read_mask(path).tolist() == SHOWN.tolist()
    Image.fromarray(_stored(colours, orientation)).save(path, exif=_exif(orientation))
    assert read_image(path, 3).tolist() == colours.tolist() == read_samples(path).tolist()
    assert read_image_size(path, 3) == (4, 6)


def _pair(root: Path, name: str, orientation: int, mask_suffix: str = ".png", mask_orientation: int = 1) -> None:
    """Write a bright JPEG of 32 x 32 pixels, dark where the mask is as they are shown: the upper left, 8 x 16."""
    mask = np.zeros((32, 32), np.uint8)
    mask[:8, :16] = 255
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(_stored(255 - mask, orientation))
    picture.convert("RGB").save(root / f"images/{name}.jpg", exif=_exif(orientation), quality=95)
    stored = Image.fromarray(_stored(mask, mask_orientation))
    stored.save(root / f"masks/{name}{mask_suffix}", exif=_exif(mask_orientation))


def test_mask_lies_on_what_was_drawn_around(tmp_path: Path) -> None:
    for name, orientation in enumerate(range(1, 9)):
        _pair(tmp_path / "in", f"tr_{name}", orientation)
    _pair(tmp_path / "in", "te_0", 6, ".tif", 8)
    _pair(tmp_path / "in", "te_1", 1, ".png", 3)
    settings = replace(resolve("data=folder data.image_size=32").data, name_pattern="(?P<split>tr|te)_.*")
    prepare("folder", tmp_path / "in", tmp_path / "out", PrepareSettings())
    for root in (tmp_path / "in", tmp_path / "out"):
        source = open_source(replace(settings, root=str(root)))
        pairs = source.load((*source.train, *source.test))
        assert len(pairs.images) == 10
        for image, label_map in zip(pairs.images, pairs.label_maps, strict=True):
            assert ((image[..., 0] < 128) == (label_map == 1)).all()
        for image in read_images(root, 1):
            assert (np.argwhere(image[..., 0] < 128).max(0) == (7, 15)).all()
        for label_map in read_label_maps(root / "masks", 32).maps:
            assert label_map[:8, :16].all()
            assert label_map.sum() == 8 * 16


def test_a_note_after_the_pixels_counts(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    content = BytesIO()
    Image.fromarray(_stored(SHOWN, 6)).save(content, "PNG")
    path = tmp_path / "a.png"
    end = chunk(b"IEND", b"")
    note = chunk(b"eXIf", _exif(6).tobytes().removeprefix(b"Exif\x00\x00"))
    path.write_bytes(content.getvalue().removesuffix(end) + note + end)
    assert read_size(path, MASK_MODES) == (4, 6)
    assert read_mask(path).tolist() == SHOWN.tolist()


@pytest.mark.parametrize("tag", [None, 6])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_xmp_turns_a_picture_once(tmp_path: Path, channels: int, tag: int | None) -> None:
    pytest.importorskip("rasterio", reason="the extra geo is not installed")
    tifffile = pytest.importorskip("tifffile", reason="writes the test's file")
    shown = np.stack([SHOWN + 20 * channel for channel in range(channels)], axis=2)
    stored = _stored(shown, 6)
    note = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    tags = [(700, "B", len(note), note, True), *([(274, "H", 1, tag, True)] if tag else [])]
    layout = {"photometric": "rgb" if channels == 3 else "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "a.tif", stored.squeeze(), **layout, extratags=tags)
    assert read_samples(tmp_path / "a.tif").tolist() == shown.squeeze().tolist()
    if channels != 5:
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", note.decode())
        Image.fromarray(stored.squeeze()).save(tmp_path / "a.png", pnginfo=info, **({"exif": _exif(6)} if tag else {}))
        for name in ("a.tif", "a.png"):
            assert read_image(tmp_path / name, channels).tolist() == shown.tolist()
            assert read_image_size(tmp_path / name, channels) == (4, 6)


@pytest.mark.parametrize("note", [b"Exif\x00\x00no TIFF header", b"Exif\x00\x00II*\x00", b"Exif\x00\x00"])
def test_a_damaged_note_turns_nothing(tmp_path: Path, note: bytes) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(np.full((4, 6), 200, np.uint8)).save(path, exif=note)
    assert read_size(path, MASK_MODES) == (4, 6)
    assert read_image(path, 1).shape == (4, 6, 1)
    Image.fromarray(np.full((4, 6), 200, np.uint8)).save(path, exif=_exif(9))
    assert read_image(path, 1).shape == (4, 6, 1)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_many_bands_are_turned(tmp_path: Path, orientation: int, big: bool) -> None:
    pytest.importorskip("rasterio", reason="the extra geo is not installed")
    tifffile = pytest.importorskip("tifffile", reason="writes the test's file")
    shown = (np.arange(4 * 6 * 5, dtype=np.uint16) * 500).reshape(4, 6, 5)
    stored = _stored(shown, orientation)
    path = tmp_path / "a.tif"
    tag = (274, "H", 1, orientation, True)
    layout = {"photometric": "minisblack", "planarconfig": "contig", "bigtiff": big}
    tifffile.imwrite(path, stored, **layout, extratags=[tag])
    assert read_samples(path).tolist() == shown.tolist()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_scenes_are_turned(tmp_path: Path, kind: str) -> None:
    shown = np.zeros((32, 48, 3), np.uint8)
    shown[:16] = 255
    content = BytesIO()
    Image.fromarray(_stored(shown, 8)).save(content, kind, exif=_exif(8), quality=95)
    for split in ("train", "val"):
        folder = tmp_path / f"in/bedroom_{split}_lmdb"
        folder.mkdir(parents=True)
        with lmdb.open(str(folder), map_size=2**20) as environment, environment.begin(write=True) as transaction:
            transaction.put(b"k", content.getvalue())
    prepare("lsun", tmp_path / "in", tmp_path / "out", PrepareSettings())
    for image in read_images(tmp_path / "out", 1):
        assert ((image[..., 0] > 128) == (shown[..., 0] > 128)).all()


def test_unequal_sizes_say_what_exif_turned(tmp_path: Path) -> None:
    """A mask that was drawn on the pixels as they are stored, whose sides are the other way round."""
    settings = replace(resolve("data=folder data.image_size=4").data, name_pattern=None, root=str(tmp_path))
    for folder in ("images", "masks", "instances"):
        (tmp_path / folder).mkdir()
    for name in "ab":
        for folder in ("images", "masks", "instances"):
            numbers = SHOWN % 2 * (SHOWN % 6 if folder == "instances" else 1)  # each column is an object
            Image.fromarray(numbers).save(tmp_path / folder / f"{name}.png")
    stored = Image.fromarray(_stored(SHOWN, 6))
    stored.save(tmp_path / "images/a.png", exif=_exif(6))
    with_instances(*_pairs_of(settings))
    Image.fromarray(_stored(SHOWN % 2, 6)).save(tmp_path / "masks/a.png")
    with pytest.raises(DataError, match=r"is 4 x 6 .* is 6 x 4.* EXIF turns images/a\.png \(orientation 6\): sizes"):
        open_source(settings)
    Image.fromarray(SHOWN).save(tmp_path / "images/a.png")
    Image.fromarray(SHOWN % 2).save(tmp_path / "masks/a.png", exif=_exif(8))
    with pytest.raises(DataError, match=r"EXIF turns masks/a\.png \(orientation 8\): sizes"):
        open_source(settings)
    stored.save(tmp_path / "images/a.png")
    Image.fromarray(SHOWN % 2).save(tmp_path / "masks/a.png")
    with pytest.raises(DataError, match=r"is 6 x 4 .* is 4 x 6: make them equal .*interpolation\)\.$"):
        open_source(settings)
    Image.fromarray(SHOWN).save(tmp_path / "images/a.png")
    Image.fromarray(SHOWN % 2).save(tmp_path / "instances/a.png", exif=_exif(5))
    with pytest.raises(DataError, match=r"a\.png is 6 x 4 pixels, and its mask is 4 x 6.*EXIF turns instances/a\.png"):
        with_instances(*_pairs_of(settings))


def _pairs_of(settings: DataConfig) -> tuple[Pairs, DataConfig, list[Entry]]:
    source = open_source(settings)
    entries = [*source.train, *source.test]
    return source.load(entries), settings, entries
