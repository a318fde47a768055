"""Files as people have them: every command reads the same of them, or refuses them alike and by name."""

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform
from PIL import Image
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.comparison.image_sets import read_images
from flower_dgan.config import DataConfig
from flower_dgan.data import named_clients, open_source
from flower_dgan.data.check import check_data
from flower_dgan.data.image_files import read_image, read_mask
from flower_dgan.data.instances import with_instances
from flower_dgan.data.label_map_folder import read_label_maps
from flower_dgan.data.prepare import PrepareSettings, prepare
from flower_dgan.data.prepare.files import read_samples
from flower_dgan.errors import DataError
from flower_dgan.resolve import resolve

GREY = np.arange(24, dtype=np.uint8).reshape(4, 6)
MASK = (GREY % 2 * 255).astype(np.uint8)


def config(root: Path, **changes: object) -> DataConfig:
    settings = resolve("data=folder data.channels=1 data.image_size=4").data
    return replace(settings, root=str(root), name_pattern=None, **changes)  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder, pixels in (("images", GREY), ("masks", MASK)):
        (tmp_path / "in" / folder).mkdir(parents=True)
        for name in ("a", "b", "c"):
            Image.fromarray(pixels).save(tmp_path / f"in/{folder}/{name}.png")
    return tmp_path / "in"


# Numbers


def png(path: Path, samples: list[list[int]], bits: int) -> None:
    """Write a grey PNG of 1, 2 or 4 bits, as the standard packs them: the first sample in the highest bits."""
    rows = b""
    for row in samples:
        number = 0
        for value in row:
            number = number << bits | value
        spare = -len(row) * bits % 8
        rows += b"\0" + (number << spare).to_bytes((len(row) * bits + spare) // 8, "big")

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", len(samples[0]), len(samples), bits, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


@pytest.mark.parametrize(("bits", "highest"), [(2, 3), (4, 15)])
def test_class_ids_in_few_bits_are_ids_and_no_levels(tmp_path: Path, bits: int, highest: int) -> None:
    png(tmp_path / "a.png", [[0, 1, 2], [highest, 1, 0]], bits)
    assert read_mask(tmp_path / "a.png").tolist() == [[0, 1, 2], [highest, 1, 0]]
    png(tmp_path / "a.png", [[0, 1], [1, 0]], bits)
    assert read_mask(tmp_path / "a.png").tolist() == [[0, 1], [1, 0]]
    # black and white
    png(tmp_path / "a.png", [[0, highest]], bits)
    assert read_mask(tmp_path / "a.png").tolist() == [[0, 255]]
    # an image is what is seen
    png(tmp_path / "a.png", [[0, 1, highest]], bits)
    assert read_image(tmp_path / "a.png", 1)[..., 0].tolist() == [[0, 255 // highest, 255]]


def test_black_and_white_in_one_bit(tmp_path: Path) -> None:
    png(tmp_path / "a.png", [[0, 1, 1]], 1)
    assert read_mask(tmp_path / "a.png").tolist() == [[0, 255, 255]] == read_samples(tmp_path / "a.png").tolist()


READERS: tuple[Callable[[Path], object], ...] = (read_samples, read_mask, lambda path: read_image(path, 1))


def test_numbers_that_would_be_mixed_up_are_refused_by_every_reader(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="writes the test's file")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY.astype(np.int8) - 5)
    for read in READERS:
        with pytest.raises(DataError, match=r"a\.tif has signed numbers of 8 bits"):
            read(path)
    for pixels in (GREY.astype(np.uint16), GREY.astype(np.float32)):
        tifffile.imwrite(path, pixels, photometric="miniswhite")
        for read in READERS:
            with pytest.raises(
                DataError, match=r"a\.tif has (more than 8 bits in which 0 is white|16 bits|mode|other colours)"
            ):
                read(path)
    # of 8 bits Pillow makes what is seen
    tifffile.imwrite(path, GREY, photometric="miniswhite")
    for read in READERS:
        assert np.asarray(read(path)).squeeze().tolist() == (255 - GREY).tolist()


@pytest.mark.parametrize(("mode", "suffix"), [("CMYK", "jpg"), ("CMYK", "tif"), ("LAB", "tif"), ("YCbCr", "tif")])
def test_other_colours_are_refused_by_every_reader(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.new(mode, (6, 4)).save(path)
    if mode == "YCbCr":  # which Pillow gives back as it is, from a file without compression
        with Image.open(path) as image:
            assert image.mode == "YCbCr"
    for read in READERS:
        with pytest.raises(DataError, match=rf"a\.{suffix} has (colours of the kind|mode) {mode}"):
            read(path)


# Pairs


@pytest.mark.parametrize("option", [True, False])
def test_a_mask_that_cannot_be_read_is_left_out_as_an_image_is(root: Path, tmp_path: Path, option: bool) -> None:
    (root / "masks/b.png").write_bytes((root / "masks/b.png").read_bytes()[:50])
    command = ["data", "prepare", "folder", str(root), str(tmp_path / "out"), *(["--skip-unreadable"] * option)]
    result = CliRunner().invoke(app, command)
    if option:
        assert "Left out: " in result.output
        assert "masks/b.png cannot be read" in result.output
        assert sorted(path.name for path in (tmp_path / "out/masks").iterdir()) == ["a.png", "c.png"]
    else:
        assert "masks/b.png cannot be read" in str(result.exception)
        assert not (tmp_path / "out").exists()


def test_masks_none_of_which_can_be_read_are_an_error(root: Path, tmp_path: Path) -> None:
    for path in (root / "masks").iterdir():
        path.write_bytes(b"none")
    with pytest.raises(DataError, match=r"3 of 3 masks cannot be used, the first one: .*masks/a\.png cannot be read"):
        prepare("folder", root, tmp_path / "out", PrepareSettings(skip_unreadable=True))


def test_a_picture_of_another_format_is_named(root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("d", "e"):
        for folder in ("images", "masks"):
            Image.fromarray(GREY).save(root / folder / f"{name}.bmp")
    assert prepare("folder", root, tmp_path / "out", PrepareSettings()).pairs == 3
    assert "images/d.bmp and 1 more pictures in images are of a format that is not read" in caplog.text
    assert "masks/d.bmp and 1 more" in caplog.text
    for read in (lambda: read_label_maps(root / "masks", 4), lambda: read_images(root, 1)):
        caplog.clear()
        read()
        assert "d.bmp and 1 more pictures in" in caplog.text


def test_names_that_look_the_same_are_refused_by_every_command(root: Path, tmp_path: Path) -> None:
    for name in ("K\u00f6ln", "Ko\u0308ln"):
        (root / f"images/{name}.png").write_bytes((root / "images/a.png").read_bytes())
        (root / f"masks/{name}.png").write_bytes((root / "masks/a.png").read_bytes())
    entries = [*open_source(config(_moved(root, tmp_path))).train]
    (root / "instances").mkdir()
    for folder in ("images", "masks"):
        for path in (root / folder).iterdir():
            (root / "instances" / path.name).write_bytes(path.read_bytes())
    pairs = open_source(config(tmp_path / "moved")).load(entries)
    for attempt in (
        lambda: open_source(config(root)),
        lambda: prepare("folder", root, tmp_path / "out", PrepareSettings()),
        lambda: read_images(root, 1),
        lambda: read_label_maps(root / "masks", 4),
        lambda: with_instances(pairs, config(root), entries),
    ):
        with pytest.raises(DataError, match="They look the same, but a letter with its accent"):
            attempt()


def _moved(root: Path, tmp_path: Path) -> Path:
    for folder in ("images", "masks"):
        (tmp_path / "moved" / folder).mkdir(parents=True)
        for name in ("a", "b"):
            content = (root / folder / f"{name}.png").read_bytes()
            (tmp_path / "moved" / folder / f"{name}.png").write_bytes(content)
    return tmp_path / "moved"


def test_names_that_are_no_text_are_refused_by_every_command(root: Path, tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (root / folder / "K\udcf6ln.png").write_bytes((root / folder / "a.png").read_bytes())
    for attempt in (
        lambda: open_source(config(root)),
        lambda: prepare("folder", root, tmp_path / "out", PrepareSettings()),
        lambda: read_images(root, 1),
        lambda: read_label_maps(root / "masks", 4),
    ):
        with pytest.raises(DataError, match=r"K\\udcf6ln.png', whose name is no UTF-8"):
            attempt()


def test_one_pair_will_do_where_nothing_is_divided(root: Path) -> None:
    for name in ("b", "c"):
        for folder in ("images", "masks"):
            (root / folder / f"{name}.png").unlink()
    with pytest.raises(DataError, match="among 1 pairs"):
        open_source(config(root))
    source = open_source(config(root), divided=False)
    assert [entry.name for entry in source.train] == ["a"]
    assert source.test == ()
    assert source.load(source.train).images[0][..., 0].tolist() == GREY.tolist()


# Tables


@pytest.mark.parametrize("cell", ["Bonn", "Bonn ", " Bonn", "\u00a0Bonn\t"])
def test_blanks_that_nobody_sees_make_no_other_site_and_no_other_patient(root: Path, cell: str) -> None:
    text = f"name ; site;group ;split\na;Bonn;p1;tr\nb; {cell} ;p1 ;tr \n;;;\nc;x;p2;te\n"
    (root / "t.csv").write_text(text, encoding="utf-8")
    settings = config(root, table="t.csv", sites=("Bonn ",))
    assert [(entry.name, entry.site, entry.group) for entry in open_source(settings).train] == [
        ("a", "Bonn", "p1"),
        ("b", "Bonn", "p1"),
    ]


def test_a_patient_is_not_on_both_sides_by_a_blank(root: Path) -> None:
    (root / "t.csv").write_text("name,group,split\na,p1,tr\nb,p1 ,te\nc,p2,te\n")
    with pytest.raises(DataError, match="Group p1 has images both in training and in test"):
        open_source(config(root, table="t.csv"))
    for old, new in (("a", "p1_tr"), ("b", "p1 _te"), ("c", "p2_te")):
        for folder in ("images", "masks"):
            (root / folder / f"{old}.png").rename(root / folder / f"{new}.png")
    named = replace(config(root), name_pattern="(?P<group>[^_]+)_(?P<split>..)")
    with pytest.raises(DataError, match="Group p1 has images both in training and in test"):
        open_source(named)


def test_another_separator_or_encoding_is_named(root: Path) -> None:
    (root / "t.csv").write_text("name|site\na|x\n")
    with pytest.raises(DataError, match=r"Unknown column 'name\|site'.*separated by commas, semicolons or tabs"):
        open_source(config(root, table="t.csv"))
    (root / "t.csv").write_bytes("name;site\na;Köln\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"cannot be read as a CSV file in UTF-8 or UTF-16.*Save it as 'CSV UTF-8'"):
        open_source(config(root, table="t.csv"))


def test_splits_and_sites_are_found_however_their_accents_are_written(root: Path) -> None:
    (root / "t.csv").write_text("name,site,split\na,K\u00f6ln,\u00fcben\nb,K\u00f6ln,te\nc,x,\u00fcben\n", "utf-8")
    settings = config(root, table="t.csv", train_splits=("u\u0308ben ",), test_splits=("te",), sites=("Ko\u0308ln",))
    assert [entry.name for entry in open_source(settings).train] == ["a"]


# Data sets as they are unpacked


@pytest.mark.parametrize("name", ["asyndgan-hdf5", "brats", "celeba", "city-osm", "lsun", "monuseg", "pets", "whu"])
def test_a_layout_that_is_not_there_says_what_is(tmp_path: Path, name: str) -> None:
    (tmp_path / "in/archive (1)/data").mkdir(parents=True)
    with pytest.raises(DataError, match=r"It holds archive \(1\)\.$"):
        prepare(name, tmp_path / "in", tmp_path / "out", PrepareSettings())


def _jpegs(folder: Path, names: tuple[str, ...]) -> None:
    folder.mkdir(parents=True)
    for name in names:
        Image.fromarray(np.stack([GREY] * 3, 2)).save(folder / name)


def _celeba(root: Path, folder: str) -> None:
    _jpegs(root / folder, ("000001.jpg", "000002.jpg"))
    (root / "list_eval_partition.txt").write_text("000001.jpg 0\n000002.jpg 2\n", encoding="utf-16")
    (root / "identity_CelebA.txt").write_text("000001.jpg 7\n000002.jpg 8\n", encoding="utf-8-sig")


def test_faces_unpacked_twice_deep(tmp_path: Path) -> None:
    _celeba(tmp_path / "in", "img_align_celeba/img_align_celeba")
    (tmp_path / "in/img_align_celeba/._000001.jpg").write_bytes(b"twin")
    assert prepare("celeba", tmp_path / "in", tmp_path / "out", PrepareSettings()).pairs == 2
    _celeba(tmp_path / "deep/archive", "img_align_celeba")
    with pytest.raises(DataError, match=r"deep has no .*deep/archive has all of them: give that folder"):
        prepare("celeba", tmp_path / "deep", tmp_path / "none", PrepareSettings())
    _celeba(tmp_path / "odd", "img_align_celeba/unzipped")
    with pytest.raises(DataError, match=r"img_align_celeba has no file \*\.jpg: move .*It holds unzipped\."):
        prepare("celeba", tmp_path / "odd", tmp_path / "none", PrepareSettings())
    (tmp_path / "odd/identity_CelebA.txt").rename(tmp_path / "odd/identity.csv")
    with pytest.raises(DataError, match=r"It holds identity.csv, img_align_celeba, list_eval_partition.txt"):
        prepare("celeba", tmp_path / "odd", tmp_path / "none", PrepareSettings())


def test_ships_unpacked_twice_deep(tmp_path: Path) -> None:
    _jpegs(tmp_path / "in/train_v2/train_v2", ("a.jpg", "b.jpg"))
    (tmp_path / "in/train_ship_segmentations_v2.csv").write_text("ImageId,EncodedPixels\na.jpg,1 2\nb.jpg,\n")
    assert prepare("ships", tmp_path / "in", tmp_path / "out", PrepareSettings()).pairs == 2


def test_twins_of_macos_are_no_cities_and_no_patients(tmp_path: Path) -> None:
    (tmp_path / "city/Ko\u0308ln").mkdir(parents=True)
    white = np.full((4, 6, 3), 255, np.uint8)
    Image.fromarray(white).save(tmp_path / "city/Ko\u0308ln/Ko\u0308ln1_image.png")
    Image.fromarray(white).save(tmp_path / "city/Ko\u0308ln/K\u00f6ln1_labels.png")
    (tmp_path / "city/Ko\u0308ln/._Ko\u0308ln1_image.png").write_bytes(b"twin")
    (tmp_path / "city/Ko\u0308ln/._Ko\u0308ln1_labels.png").write_bytes(b"twin")
    assert prepare("city-osm", tmp_path / "city", tmp_path / "out", PrepareSettings()).pairs == 1
    assert [path.name for path in (tmp_path / "out/images").iterdir()] == ["K-ln_K-ln1_0.png"]
    _brain(tmp_path / "brats", "RAS", "RAS")
    (patient,) = (tmp_path / "brats/HGG").iterdir()
    (patient / f"._{patient.name}_seg.nii.gz").write_bytes(b"twin")
    assert prepare("brats", tmp_path / "brats", tmp_path / "brains", PrepareSettings()).pairs == 1


def _brain(root: Path, image_axes: str, labels_axes: str) -> None:
    """Write a volume whose lesion lies at (2, 5) of slice 1, counted to the right, front and head, stored otherwise."""
    folder = root / "HGG/Brats18_TCIA01_1_1"
    folder.mkdir(parents=True)
    volume = np.zeros((6, 8, 3), np.float32)
    volume[1:3, 2:7, 1] = 100  # ten pixels, which a slice must have
    labels = (volume > 0).astype(np.float32)
    volume[..., 1] += 20
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    for kind, array, axes in (("t2", volume, image_axes), ("seg", labels, labels_axes)):
        turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(axes))
        stored = nibabel.Nifti1Image(apply_orientation(array, turn), affine @ inv_ornt_aff(turn, array.shape))
        assert "".join(nibabel.aff2axcodes(stored.affine)) == axes
        nibabel.save(stored, folder / f"{folder.name}_{kind}.nii.gz")


def test_damaged_hdf5_is_an_error_in_words(tmp_path: Path) -> None:
    path = tmp_path / "in/train_breast.h5"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        for key in ("a", "b"):
            file[f"images/{key}"], file[f"labels/{key}"] = np.stack([GREY] * 3, 2), (GREY % 2)
    content = path.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for number in range(80):
        spoiled = bytearray(content)
        for place in random.integers(0, len(content), 3).tolist():
            spoiled[place] = int(random.integers(256))
        path.write_bytes(bytes(spoiled))
        try:
            prepare("asyndgan-hdf5", path.parent, tmp_path / str(number), PrepareSettings())
        except DataError:
            refused += 1
    assert refused > 10
    with h5py.File(path, "w") as file:  # a few bytes that say they are terabytes
        file.create_dataset("images/a", (2**20, 2**20, 3), "u1", chunks=(64, 64, 3))
        file["labels/a"] = GREY
    with pytest.raises(DataError, match=r"/images/a has the shape \(1048576, 1048576, 3\), more than"):
        prepare("asyndgan-hdf5", path.parent, tmp_path / "out", PrepareSettings())


@pytest.mark.parametrize(("image", "labels"), [("RAS", "LPS"), ("LPS", "LPS"), ("SAR", "PIR"), ("AIL", "RAS")])
def test_volumes_are_read_alike_however_their_axes_are_stored(tmp_path: Path, image: str, labels: str) -> None:
    _brain(tmp_path / "in", image, labels)
    assert prepare("brats", tmp_path / "in", tmp_path / "out", PrepareSettings()).pairs == 1
    (path,) = (tmp_path / "out/masks").iterdir()
    expected = np.zeros((6, 8), int)
    expected[1:3, 2:7] = 1
    assert read_mask(path).tolist() == expected.tolist()
    assert (read_image(tmp_path / "out/images" / path.name, 1)[..., 0] == 255).astype(int).tolist() == expected.tolist()


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", *(f"utf-{b}{o}" for b in (16, 32) for o in ("", "-le", "-be"))]
)
def test_tables_are_read_in_every_encoding_of_unicode(root: Path, encoding: str) -> None:
    (root / "t.csv").write_text("name;site\r\na;K\u00f6ln\r\nb;\u0141\u00f3d\u017a\r\nc;x\r\n", encoding, newline="")
    found = open_source(config(root, table="t.csv", test_fraction=0.4))
    assert {entry.name: entry.site for entry in (*found.train, *found.test)} == {
        "a": "K\u00f6ln",
        "b": "\u0141\u00f3d\u017a",
        "c": "x",
    }


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "cp1250", "mac-roman", "shift-jis", "gb18030", "cp037"])
@pytest.mark.parametrize("told", ["data.table", "partition.file", "check"])
def test_tables_in_other_encodings_are_refused_with_the_line(root: Path, encoding: str, told: str) -> None:
    site = "\u6771\u4eac" if encoding in ("shift-jis", "gb18030") else "K\u00f6ln"
    text = f"name,{'client' if told == 'partition.file' else 'site'}\na,x\nb,{site}\nc,x\n"
    (root / "t.csv").write_bytes(text.encode(encoding))
    line = 1 if encoding == "cp037" else 3  # EBCDIC has nothing where ASCII has it
    words = rf"t\.csv cannot be read.*line {line} has the byte 0x.. where UTF-8 has none.*Save it as 'CSV UTF-8'"
    if told == "check":
        assert any(re.search(words, problem) for problem in check_data(config(root, table="t.csv")).problems)
        return
    if told == "partition.file":
        division = replace(resolve("partition=csv partition.file=x").partition, file=str(root / "t.csv"))
        entries = open_source(config(root)).train
        with pytest.raises(DataError, match=words):
            named_clients(entries, division)
        return
    with pytest.raises(DataError, match=words):
        open_source(config(root, table="t.csv"))


def test_half_a_table_in_utf_16_is_refused(root: Path) -> None:
    (root / "t.csv").write_bytes("name,site\na,x\nb,x\nc,x\n".encode("utf-16-le")[:-1])
    with pytest.raises(DataError, match="begins as text in UTF-16-LE does, and goes on otherwise"):
        open_source(config(root, table="t.csv"))
