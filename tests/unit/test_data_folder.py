"""Folders of images and masks: what is read, and each way in which a folder can be wrong."""

import re
import struct
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flower_dgan.config import DataConfig
from flower_dgan.data import FolderSource, open_source
from flower_dgan.errors import ConfigError, DataError

CONFIG = DataConfig(
    "folder",
    None,
    4,
    3,
    (),
    None,
    None,
    ("tr",),
    ("te",),
    0.5,
    (),
    "none",
    "label-map",
    "images",
    "clients",
    None,
    (),
    (),
)
PATTERN = "(?P<split>tr|te)_(?P<site>[^_]+)_(?P<group>[^_]+)_.*"
NUCLEI = Path(__file__).resolve().parents[3] / "shared" / "data" / "nuclei"


def _write(
    root: Path, name: str, mask: int | list[int] = 255, size: tuple[int, int] = (4, 6), suffix: str = ".png"
) -> None:
    """Write an image (4 rows, 6 columns; red 10, green 20, blue 30) and a mask whose first pixels are given."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), (10, 20, 30), dtype=np.uint8)).save(root / "images" / f"{name}{suffix}")
    pixels = np.zeros(size, dtype=np.uint8)
    pixels.flat[: np.size(mask)] = mask
    Image.fromarray(pixels).save(root / "masks" / f"{name}.png")


def _remove(root: Path, name: str) -> None:
    for folder in ("images", "masks"):
        (root / folder / f"{name}.png").unlink()


def _source(root: Path, **change: object) -> FolderSource:
    return FolderSource(replace(CONFIG, root=str(root), **change))  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("tr_b_p1_0", "tr_b_p1_1", "tr_a_p2_0", "te_c_p3_0"):
        _write(tmp_path, name)
    return tmp_path


def _refused(root: Path, *words: str, error: type[Exception] = DataError, **change: object) -> None:
    with pytest.raises(error) as caught:
        _source(root, **change)
    for word in words:
        assert word in str(caught.value)


# What is read


def test_names_give_split_site_and_group(root: Path) -> None:
    source = open_source(replace(CONFIG, root=str(root), name_pattern=PATTERN))
    assert [(entry.name, entry.site, entry.group) for entry in source.train] == [
        ("tr_a_p2_0", "a", "p2"),
        ("tr_b_p1_0", "b", "p1"),
        ("tr_b_p1_1", "b", "p1"),
    ]
    assert [(entry.name, entry.site) for entry in source.test] == [("te_c_p3_0", "c")]
    assert {(entry.height, entry.width, entry.label) for entry in source.train} == {(4, 6, -1)}


def test_pixels_of_rgb_and_grey(root: Path) -> None:
    source = _source(root, name_pattern=PATTERN)
    pairs = source.load(source.train[:2])
    assert pairs.images[1].shape == (4, 6, 3)
    assert pairs.images[1][3, 5].tolist() == [10, 20, 30]
    assert pairs.label_maps[0].dtype == np.uint8
    assert pairs.label_maps[0].ravel().tolist() == [1] + [0] * 23
    assert pairs.classes == 2
    grey = _source(root, name_pattern=PATTERN, channels=1)
    # 0.299 * 10 + 0.587 * 20 + 0.114 * 30 = 18.15
    assert grey.load(grey.train[:1]).images[0].tolist() == [[[18]] * 6] * 4


def test_jpeg_and_tiff_in_any_case(root: Path) -> None:
    _write(root, "tr_d_p4_0", suffix=".JPG")
    _write(root, "tr_d_p4_1", suffix=".Tiff")
    (root / "images" / ".tr_hidden.png").write_bytes(b"")
    (root / "images" / "notes.txt").write_text("no image")
    source = _source(root, name_pattern=PATTERN, sites=("d",))
    assert [entry.name for entry in source.train] == ["tr_d_p4_0", "tr_d_p4_1"]
    assert source.load(source.train).images[1][0, 0].tolist() == [10, 20, 30]


def test_class_ids_are_decided_over_all_masks(tmp_path: Path) -> None:
    _write(tmp_path, "a", [1, 5])
    _write(tmp_path, "b", 0)
    source = _source(tmp_path)
    assert source.classes == 6
    pairs = source.load((*source.train, *source.test))
    assert sorted(label_map.max() for label_map in pairs.label_maps) == [0, 5]


def test_palette_masks_are_ids_and_one_bit_masks_binary(tmp_path: Path) -> None:
    _write(tmp_path, "a", 0)
    _write(tmp_path, "b", 0)
    for name in "ab":
        mask = Image.fromarray(np.array([[0, 1, 2, 2, 0, 0]] * 4, dtype=np.uint8), mode="P")
        mask.putpalette([0, 0, 0, 255, 0, 0, 7, 7, 7])
        mask.save(tmp_path / "masks" / f"{name}.png")
    source = _source(tmp_path, masks="classes")
    assert source.classes == 3
    assert source.load(source.train).label_maps[0][0].tolist() == [0, 1, 2, 2, 0, 0]
    for name in "ab":
        Image.fromarray(np.array([[True, False] * 3] * 4)).save(tmp_path / "masks" / f"{name}.png")
    source = _source(tmp_path)
    assert source.classes == 2
    assert source.load(source.train).label_maps[0][0].tolist() == [1, 0, 1, 0, 1, 0]


def test_without_names_a_share_of_the_images_is_held_out(tmp_path: Path) -> None:
    for index in range(10):
        _write(tmp_path, f"i{index}")
    source = _source(tmp_path, test_fraction=0.28)
    assert (len(source.train), len(source.test)) == (7, 3)
    assert {entry.site for entry in source.train} == {"all"}
    assert _source(tmp_path, test_fraction=0.28).test == source.test
    # The first three of ten by SHA-256, worked out with sha256sum.
    assert {entry.group for entry in source.test} == {"i5", "i6", "i2"}


def test_groups_are_held_out_whole(tmp_path: Path) -> None:
    for group in "abcd":
        for tile in range(3):
            _write(tmp_path, f"{group}-{tile}")
    source = _source(tmp_path, name_pattern="(?P<group>.)-.")
    assert set(Counter(entry.group for entry in source.train).values()) == {3}
    assert not {entry.group for entry in source.train} & {entry.group for entry in source.test}
    assert len(source.test) == 6


def test_table(root: Path) -> None:
    rows = "tr_b_p1_0,te,x\ntr_b_p1_1,tr,y\n\ntr_a_p2_0,tr,x\nte_c_p3_0,te,x\nmore,tr,z\n"
    (root / "sites.csv").write_text("name,split,site\n" + rows, encoding="utf-8-sig")
    for table in ("sites.csv", str(root / "sites.csv")):
        source = _source(root, table=table)
        assert [(entry.name, entry.site, entry.group) for entry in source.train] == [
            ("tr_a_p2_0", "x", "tr_a_p2_0"),
            ("tr_b_p1_1", "y", "tr_b_p1_1"),
        ]
        assert [entry.name for entry in source.test] == ["te_c_p3_0", "tr_b_p1_0"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("first", ["", "sep={}\r\n", "\r\n"])
def test_tables_as_spreadsheets_write_them(root: Path, encoding: str, separator: str, first: str) -> None:
    for folder, name in (("images", "tr_Ko\u0308ln.png"), ("masks", "tr_K\u00f6ln.png")):
        (root / folder / "tr_a_p2_0.png").rename(root / folder / name)
    rows = (
        "name,split,site",
        "tr_b_p1_0,te,x",
        "tr_b_p1_1,tr,K\u00f6ln",
        "tr_Ko\u0308ln,tr,Ko\u0308ln",
        '"te_c_p3_0",te,"x;y\u2028, or\tz"',
    )
    text = first.format(separator) + "\r\n".join([*(row.replace(",", separator) for row in rows[:-1]), ""])
    text += rows[-1].replace(",", separator, 2)
    (root / "sites.csv").write_bytes(text.encode(encoding))
    source = _source(root, table="sites.csv")
    assert {(entry.name, entry.site) for entry in source.train} == {
        ("tr_b_p1_1", "K\u00f6ln"),
        ("tr_K\u00f6ln", "K\u00f6ln"),
    }
    assert {entry.name: entry.site for entry in source.test} == {"te_c_p3_0": "x;y\u2028, or\tz", "tr_b_p1_0": "x"}


def test_a_row_twice_by_its_accents(root: Path) -> None:
    (root / "sites.csv").write_text("name;site\ntr_K\u00f6ln;x\ntr_Ko\u0308ln;y\n", encoding="utf-8")
    _refused(root, "has two rows: keep one", table="sites.csv")


def test_sites_bound_the_training_only(root: Path) -> None:
    source = _source(root, name_pattern=PATTERN, sites=("b",))
    assert [entry.name for entry in source.train] == ["tr_b_p1_0", "tr_b_p1_1"]
    assert [entry.site for entry in source.test] == ["c"]
    _refused(
        root, "Unknown training site 'bb'. Did you mean 'b'?", error=ConfigError, name_pattern=PATTERN, sites=("bb",)
    )
    # A site that has test images only.
    _refused(root, "site 'c'", "Known: a, b.", error=ConfigError, name_pattern=PATTERN, sites=("c",))


# Folders and files


def test_no_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"set data\.root to its absolute path"):
        FolderSource(CONFIG)
    missing = tmp_path / "missing"
    with pytest.raises(DataError) as caught:
        _source(missing)
    assert f"no folder {missing}" in str(caught.value)
    assert "SuperLink" not in str(caught.value)
    monkeypatch.chdir(tmp_path)
    _refused(Path("missing"), f"no folder {missing}", "in which the local SuperLink was started", "absolute path")


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_no_folder(root: Path, folder: str) -> None:
    (root / folder).rename(root / "elsewhere")
    _refused(root, f"{root.resolve()} has no folder '{folder}'")


def test_no_image(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    _refused(tmp_path, "holds no PNG, JPEG, TIFF or .npy image")


def test_partners(root: Path) -> None:
    (root / "masks" / "tr_b_p1_0.png").unlink()
    _refused(root, "tr_b_p1_0.png has no mask of the same name in", "masks: add it")
    (root / "images" / "tr_b_p1_0.png").unlink()
    _source(root)
    (root / "images" / "te_c_p3_0.png").unlink()
    _refused(root, "te_c_p3_0.png has no image of the same name in", "images: add it")


def test_the_first_problems_are_shown_and_all_counted(root: Path) -> None:
    for index in range(7):
        _write(root, f"x{index}")
        (root / "masks" / f"x{index}.png").unlink()
    _refused(
        root,
        f"7 problems in {root.resolve()}:\n- ",
        "x0.png",
        "x4.png",
        f"2 more; all of them: flower-dgan data check {root.resolve()}",
    )
    with pytest.raises(DataError) as caught:
        _source(root)
    assert "x5.png" not in str(caught.value)


def test_two_images_of_one_stem(root: Path) -> None:
    _write(root, "tr_b_p1_0", suffix=".jpg")
    _refused(root, "holds both tr_b_p1_0.jpg and tr_b_p1_0.png")


def test_sizes(root: Path) -> None:
    _source(root, image_size=4)
    _refused(root, "is 4 x 6 pixels, less than data.image_size=5", "data.image_size=4 or less", image_size=5)
    Image.new("L", (4, 6)).save(root / "masks" / "tr_b_p1_0.png")
    _refused(root, "tr_b_p1_0.png is 4 x 6 pixels (height x width)", "is 6 x 4")


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_no_image_file(root: Path, folder: str) -> None:
    path = root / folder / "tr_b_p1_0.png"
    path.write_bytes(b"not a picture")
    _refused(root, f"{path.name} cannot be read as PNG, JPEG or TIFF")


def test_truncated_files(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 2, (64, 64, 3)).astype(np.uint8) * 255
    for name in "ab":
        _write(tmp_path, name, size=(64, 64))
        Image.fromarray(noise).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(noise[:, :, 0]).save(tmp_path / "masks" / f"{name}.png")
    source = _source(tmp_path)
    for folder in ("images", "masks"):
        path = tmp_path / folder / "a.png"
        path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"images/a\.png cannot be read"):
        source.load(sorted((*source.train, *source.test), key=lambda entry: entry.name))
    # Masks are read when the folder is opened.
    _refused(tmp_path, str(Path("masks", "a.png")), "cannot be read")


def _rgb16(path: Path, height: int, width: int) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\x00" + b"\x12\x34" * 3 * width) * height
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def test_sixteen_bits_are_not_clipped(root: Path) -> None:
    path = root / "images" / "tr_b_p1_0.png"
    Image.fromarray(np.full((4, 6), 4000, dtype=np.uint16)).save(path)
    _refused(root, "tr_b_p1_0.png has 16 bits a channel", "8-bit grey or RGB")
    # Pillow opens this as plain RGB and drops the low bytes.
    _rgb16(path, 4, 6)
    with Image.open(path) as image:
        assert image.mode == "RGB"
    _refused(root, "tr_b_p1_0.png has 16 bits a channel")


def test_a_stack_is_refused(root: Path) -> None:
    (root / "images" / "tr_b_p1_0.png").unlink()
    frame = Image.new("L", (6, 4))
    frame.save(root / "images" / "tr_b_p1_0.tif", save_all=True, append_images=[frame])
    _refused(root, "tr_b_p1_0.tif holds more than one frame")


# Masks


def test_sixteen_bit_masks_may_hold_ids(tmp_path: Path) -> None:
    for name in "ab":
        _write(tmp_path, name)
        Image.fromarray(np.repeat([[0, 63]], 12).astype(np.uint16).reshape(4, 6)).save(
            tmp_path / "masks" / f"{name}.png"
        )
    assert _source(tmp_path).classes == 64
    Image.fromarray(np.full((4, 6), 64, dtype=np.uint16)).save(tmp_path / "masks" / "b.png")
    _refused(tmp_path, "b.png holds the values 64:", "class ids below 64")


def test_smoothed_mask(root: Path) -> None:
    mask = np.zeros((4, 6), dtype=np.uint8)
    mask.flat[:10] = (0, 3, 9, 20, 77, 100, 180, 220, 240, 255)
    Image.fromarray(mask).save(root / "masks" / "te_c_p3_0.png")
    _refused(
        root, "te_c_p3_0.png holds the values 0, 3, 9, 20, 77, 100, 180, 220, ... 255 (10 values)", "save masks as PNG"
    )


def test_jpeg_mask(root: Path) -> None:
    (root / "masks" / "te_c_p3_0.png").unlink()
    mask = np.tile(np.array([0, 255, 255, 0, 0, 255], dtype=np.uint8), (4, 1))
    Image.fromarray(mask).save(root / "masks" / "te_c_p3_0.jpg", quality=50)
    _refused(root, "te_c_p3_0.jpg holds the values", "JPEG")


def test_ids_and_0_255_do_not_mix(root: Path) -> None:
    _write(root, "te_c_p3_0", [1, 2])
    _refused(root, "te_c_p3_0.png holds the values 0, 1, 2, while ", "tr_a_p2_0.png has 0 and 255")


def test_colour_mask(root: Path) -> None:
    Image.new("RGB", (6, 4)).save(root / "masks" / "te_c_p3_0.png")
    _refused(root, "te_c_p3_0.png has mode RGB", "grey or palette PNG")


# Splits, patterns and tables


def test_name_that_does_not_match(root: Path) -> None:
    _write(root, "odd")
    _write(root, "other")
    _refused(root, "'odd' does not match", "Nor do other.", name_pattern=PATTERN)
    _remove(root, "other")
    _refused(
        root,
        "'odd'",
        "data.name_pattern to a template",
        "data.table to a CSV file",
        "data.name_pattern=null",
        name_pattern=PATTERN,
    )
    # The pattern is for the whole name.
    _refused(root, "'odd' does not match", name_pattern="(?P<site>od|te_c_p3_0|tr_.*)")
    # An optional group without a value is no value.
    _refused(root, "'odd' does not match", name_pattern="odd(?P<site>x)?|(?P<split>tr|te)_.*")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name_pattern": "(?P<site>"}, "is not a regular expression"),
        ({"name_pattern": "(?P<sites>.*)"}, "Did you mean 'site'"),
        ({"name_pattern": ".*"}, "says nothing of an image"),
        ({"name_pattern": PATTERN, "table": "sites.csv"}, "both given"),
        ({"name_pattern": PATTERN, "test_splits": ("te", "tr")}, "share tr"),
        ({"test_fraction": 1.5}, "data.test_fraction=1.5"),
    ],
)
def test_settings_that_contradict(root: Path, change: dict[str, object], words: str) -> None:
    _refused(root, words, error=ConfigError, **change)


def test_split_that_nobody_wants(root: Path) -> None:
    _refused(root, "Split te is in neither", "['tr']", name_pattern=PATTERN, test_splits=())
    _refused(root, "Split tr is in neither", name_pattern=PATTERN, train_splits=("train",))


def test_group_on_both_sides(root: Path) -> None:
    _write(root, "te_c_p1_0")
    _refused(root, "Group p1 has images both in training and in test", name_pattern=PATTERN)


def test_a_side_without_pairs(root: Path, tmp_path: Path) -> None:
    _refused(root, "No training pair among 4", name_pattern=PATTERN, train_splits=(), test_splits=("tr", "te"))
    _refused(root, "No test pair among 4", name_pattern=PATTERN, train_splits=("tr", "te"), test_splits=())
    _write(tmp_path / "one", "only")
    _refused(tmp_path / "one", "No training pair among 1 pairs", "at least two groups")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,site\ntr_b_p1_0,x\n", "no row for te_c_p3_0, tr_a_p2_0, tr_b_p1_1"),
        ("name,hospital\n", "Unknown column 'hospital'"),
        ("site\nx\n", "has the columns site: it needs 'name'"),
        ("name\ntr_b_p1_0\n", "has the columns name"),
        ("name,site,site\n", "each once"),
        ("", "has the columns (none)"),
        ("name,site\ntr_b_p1_0,x\ntr_b_p1_0,y\n", "'tr_b_p1_0' has two rows"),
        ("name,site\ntr_b_p1_0,\n", "the row 'tr_b_p1_0,' needs 2 filled cells"),
        ("name,site\ntr_b_p1_0,x,y\n", "the row 'tr_b_p1_0,x,y' needs 2"),
        ("name;sight\ntr_b_p1_0;x\n", "Unknown column 'sight'. Did you mean 'site'"),
        ('name,site\ntr_b_p1_0,"x\n', "cannot be read as a CSV file"),
    ],
)
def test_bad_table(root: Path, text: str, words: str) -> None:
    (root / "sites.csv").write_text(text)
    _refused(root, words, str(root.resolve() / "sites.csv"), table="sites.csv")


def test_unreadable_table(root: Path) -> None:
    _refused(root, "none.csv cannot be read", table="none.csv")
    (root / "latin.csv").write_bytes("name,site\ntr_b_p1_0,Köln\n".encode("latin-1"))
    _refused(root, "cannot be read as a CSV file in UTF-8", table="latin.csv")


@pytest.mark.skipif(not NUCLEI.is_dir(), reason="the nuclei images are not in the folder beside the repository")
def test_nuclei() -> None:
    source = _source(NUCLEI, name_pattern=PATTERN, image_size=256)
    assert (len(source.train), len(source.test), source.classes) == (120, 56, 2)
    sites = Counter(entry.site for entry in source.train)
    assert sites == {"breast": 24, "kidney": 24, "liver": 24, "prostate": 24, "bladder": 8, "colon": 8, "stomach": 8}
    pairs = source.load(source.train[:3])
    assert {image.shape for image in pairs.images} == {(256, 256, 3)}
    assert all(0.02 < label_map.mean() < 0.6 and label_map.max() == 1 for label_map in pairs.label_maps)
    held_out = _source(NUCLEI, name_pattern=re.sub(r"\(\?P<split>tr\|te\)", "t.", PATTERN), image_size=256)
    assert len(held_out.train) + len(held_out.test) == 176
    assert not {entry.group for entry in held_out.train} & {entry.group for entry in held_out.test}


def test_only_a_gan_without_condition_does_without_masks(root: Path) -> None:
    for path in (root / "masks").iterdir():
        path.unlink()
    (root / "masks").rmdir()
    _refused(root, "has no folder 'masks'", "Only data.condition=none does without masks")
    source = open_source(replace(CONFIG, root=str(root), name_pattern=PATTERN, condition="none"))
    assert len(source.train) == 3
    pairs = source.load(source.train)
    assert pairs.classes == 1
    assert not any(label_map.any() for label_map in pairs.label_maps)
