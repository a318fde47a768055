"""Pictures with an alpha channel, transparent colours, further bands or pages: read rightly, or refused by name."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
from PIL import ExifTags, Image

from flower_dgan.data import open_source
from flower_dgan.data.image_files import read_image, read_image_size, read_mask
from flower_dgan.data.lossy_files import lossy_format
from flower_dgan.data.picture_windows import whole
from flower_dgan.data.prepare import PrepareSettings, prepare
from flower_dgan.data.prepare.files import read_samples
from flower_dgan.errors import DataError
from flower_dgan.resolve import resolve

GREY = np.arange(24, dtype=np.uint8).reshape(4, 6)
OPAQUE = np.full((4, 6), 255, np.uint8)
ALMOST = OPAQUE.copy()
ALMOST[3, 5] = 254


def _palette(transparency: bytes | None = None) -> tuple[Image.Image, dict[str, Any]]:
    """Return a picture whose colour i is (i, i, i)."""
    image = Image.fromarray(GREY, mode="P")
    image.putpalette(bytes(np.repeat(np.arange(256), 3).tolist()))
    return image, {} if transparency is None else {"transparency": transparency}


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bands", [1, 3])
def test_opaque_alpha_is_dropped(tmp_path: Path, suffix: str, bands: int) -> None:
    path = tmp_path / f"a{suffix}"
    colours = np.stack([GREY + 10 * band for band in range(bands)], axis=2)
    Image.fromarray(np.dstack([colours, OPAQUE])).save(path)
    expected = colours if bands == 3 else np.dstack([GREY] * 3)
    assert read_image(path, 3).tolist() == expected.tolist()
    assert read_samples(path).tolist() == colours.squeeze().tolist()
    if bands == 1:
        assert read_mask(path).tolist() == GREY.tolist()


def test_an_image_that_is_transparent_anywhere_is_refused_at_the_start(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for name in ("a", "b"):
        Image.fromarray(GREY % 2 * 255).save(root / f"masks/{name}.png")
        Image.fromarray(GREY).save(root / f"images/{name}.png")
    settings = replace(resolve("data=folder data.channels=1").data, root=str(root), name_pattern=None, image_size=4)
    assert len(open_source(settings).train) == 1
    path = root / "images/b.png"
    palette, used = _palette(bytes([255] * 23 + [0]))
    _, unused = _palette(bytes([255] * 24 + [0]))
    grey, colours = Image.fromarray(GREY), Image.fromarray(np.dstack([GREY] * 3))
    for image, options in (
        (Image.fromarray(np.dstack([GREY, ALMOST])), {}),
        (Image.fromarray(np.dstack([GREY, GREY, GREY, ALMOST])), {}),
        (palette, used),
        (grey, {"transparency": 23}),
        (colours, {"transparency": (23, 23, 23)}),
    ):
        image.save(path, **options)
        with pytest.raises(DataError, match=r"images/b\.png has transparent pixels.* on a background"):
            open_source(settings)
        with pytest.raises(DataError, match=r"images/b\.png has transparent pixels"):
            prepare("folder", root, tmp_path / f"out-{image.mode}-{len(options)}", PrepareSettings())
    for image, options in ((palette, unused), (grey, {"transparency": 24}), (colours, {"transparency": (24, 23, 23)})):
        image.save(path, **options)
        open_source(settings)
        assert read_image(path, 1)[..., 0].tolist() == GREY.tolist()


def test_sixteen_bit_grey_with_a_transparent_value(tmp_path: Path) -> None:
    deep = Image.fromarray(GREY.astype(np.uint16) * 1000)
    deep.save(tmp_path / "a.png", transparency=23_001)
    assert read_samples(tmp_path / "a.png").max() == 23_000
    deep.save(tmp_path / "a.png", transparency=23_000)
    with pytest.raises(DataError, match=r"a\.png has transparent pixels"):
        read_samples(tmp_path / "a.png")


def test_masks_are_values_and_no_colours(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    image, transparent = _palette(bytes([0] * 24))
    image.save(path, **transparent)
    assert read_mask(path).tolist() == GREY.tolist()
    Image.fromarray(GREY).save(path, transparency=3)
    assert read_mask(path).tolist() == GREY.tolist()
    Image.fromarray(np.dstack([GREY, ALMOST])).save(path)
    with pytest.raises(DataError, match=r"mask\.png has transparent pixels.* each pixel with the value of its class"):
        read_mask(path)


def test_a_coloured_mask_whose_object_is_its_alpha_is_refused(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / "in" / folder).mkdir(parents=True)
    Image.fromarray(GREY).save(tmp_path / "in/images/a.png")
    Image.fromarray(np.dstack([OPAQUE, OPAQUE, OPAQUE, GREY])).save(tmp_path / "in/masks/a.png")
    with pytest.raises(DataError, match=r"masks/a\.png has transparent pixels"):
        prepare("folder", tmp_path / "in", tmp_path / "out", PrepareSettings(palette=("#000000", "#ffffff")))


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"planarconfig": "separate"}])
@pytest.mark.parametrize("extra", ["unspecified", "unassalpha"])
def test_a_fourth_band_is_no_transparency(tmp_path: Path, extra: str, options: dict[str, str]) -> None:
    pytest.importorskip("rasterio", reason="the extra geo is not installed")
    tifffile = pytest.importorskip("tifffile", reason="writes the test's file")
    pixels = np.dstack([GREY, GREY + 50, GREY + 100, GREY + 150])
    for folder in ("images", "masks"):
        (tmp_path / "in" / folder).mkdir(parents=True)
    path = tmp_path / "in/images/a.tif"
    stored = pixels.transpose(2, 0, 1) if options.get("planarconfig") else pixels
    tifffile.imwrite(path, stored, photometric="rgb", extrasamples=[extra], **{"planarconfig": "contig", **options})
    Image.fromarray(GREY % 2 * 255).save(tmp_path / "in/masks/a.png")
    with pytest.raises(DataError, match=r"a\.tif (has 4 bands.*--band|has transparent pixels|cannot be read)"):
        read_image(path, 3)
    assert read_samples(path).tolist() == pixels.tolist()
    prepare("folder", tmp_path / "in", tmp_path / "out", PrepareSettings(bands=(4,)))
    assert read_image(tmp_path / "out/images/a.png", 1)[..., 0].tolist() == pixels[..., 3].tolist()


def test_a_mask_of_two_bands_is_refused(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="writes the test's file")
    pixels = np.dstack([GREY, GREY + 50])
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric="minisblack", planarconfig="contig", extrasamples=["unspecified"])
    with pytest.raises(DataError, match=r"a\.tif has 2 bands"):
        read_mask(path)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_deep_colour_with_alpha(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")
    colours = np.stack([GREY.astype(np.uint16) * 1000] * 3)
    for last, refused in ((65_535, False), (65_534, True)):
        alpha = np.full((1, 4, 6), 65_535, np.uint16)
        alpha[0, 3, 5] = last
        shape = {"height": 4, "width": 6, "dtype": "uint16"}
        with rasterio.open(tmp_path / "a.png", "w", driver="PNG", count=4, **shape) as file:
            file.write(np.concatenate([colours, alpha]))
        if refused:
            with pytest.raises(DataError, match=r"a\.png has transparent pixels"):
                read_samples(tmp_path / "a.png")
        else:
            assert read_samples(tmp_path / "a.png").tolist() == colours.transpose(1, 2, 0).tolist()


def test_pages_and_frames(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="writes the test's file")
    path = tmp_path / "a.tif"
    first, second = Image.fromarray(GREY), Image.fromarray(GREY + 1)
    first.save(path, save_all=True, append_images=[second])
    first.save(tmp_path / "a.png", save_all=True, append_images=[second])
    for several in (path, tmp_path / "a.png"):
        for read in (read_samples, read_mask, lambda path: read_image(path, 1)):
            with pytest.raises(DataError, match=r"holds more than one frame"):
                read(several)
    # What a smaller copy of the picture is, as in a cloud-optimised GeoTIFF, is no other picture.
    with tifffile.TiffWriter(path) as file:
        file.write(GREY)
        file.write(GREY[::2, ::2], subfiletype=1)
    assert read_mask(path).tolist() == GREY.tolist() == read_samples(path).tolist()
    assert read_image(path, 1)[..., 0].tolist() == GREY.tolist()


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_pages_of_numbers(tmp_path: Path) -> None:
    pytest.importorskip("rasterio", reason="the extra geo is not installed")
    tifffile = pytest.importorskip("tifffile", reason="writes the test's file")
    tifffile.imwrite(tmp_path / "a.tif", np.stack([GREY, GREY]).astype(np.float32), photometric="minisblack")
    with pytest.raises(DataError, match="holds more than one frame"):
        read_samples(tmp_path / "a.tif")


def test_a_picture_of_another_format_is_named(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.jpg", "GIF")
    with pytest.raises(DataError, match=r"a\.jpg cannot be read as PNG, JPEG or TIFF \(it holds GIF\)"):
        read_image(tmp_path / "a.jpg", 1)


def test_a_jpeg_with_another_behind_it_is_jpeg(tmp_path: Path) -> None:
    picture = Image.fromarray(GREY)
    picture.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[picture])
    assert lossy_format(tmp_path / "a.jpg") == "JPEG"
    for read in (read_samples, lambda path: read_image(path, 1)):
        with pytest.raises(DataError, match=r"a\.jpg holds more than one frame"):
            read(tmp_path / "a.jpg")


@pytest.mark.parametrize("cut", [False, True])
def test_a_jpeg_of_a_telephone_is_its_first_picture_as_it_is_shown(tmp_path: Path, cut: bool) -> None:
    """It has a preview or a map behind it, which some programs cut off and leave in the table of its pictures."""
    path, picture = tmp_path / "a.jpg", Image.fromarray(np.repeat(GREY, 8, 0))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    picture.save(path, "JPEG", exif=exif)
    expected = np.rot90(np.asarray(Image.open(path)), -1)
    picture.save(path, "MPO", exif=exif, save_all=True, append_images=[picture.resize((4, 4))])
    if cut:
        with Image.open(path) as image:
            first = image.mpinfo[0xB002][0]["Size"]
        path.write_bytes(path.read_bytes()[:first])
    assert expected.shape[0] != expected.shape[1]
    assert np.array_equal(read_image(path, 1)[..., 0], expected)
    assert read_image_size(path, 1) == expected.shape
    assert np.array_equal(np.asarray(whole(read_samples(path))), expected)


def test_a_transparent_scene_is_refused(tmp_path: Path) -> None:
    content = BytesIO()
    Image.fromarray(np.dstack([GREY, GREY, GREY, ALMOST])).save(content, "WEBP", lossless=True)
    for split in ("train", "val"):
        folder = tmp_path / f"in/bedroom_{split}_lmdb"
        folder.mkdir(parents=True)
        with lmdb.open(str(folder), map_size=2**20) as environment, environment.begin(write=True) as transaction:
            transaction.put(b"key", content.getvalue())
    with pytest.raises(DataError, match=r"bedroom_train_lmdb/key has transparent pixels"):
        prepare("lsun", tmp_path / "in", tmp_path / "out", PrepareSettings())
