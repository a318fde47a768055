"""Each named data set from tiny files in its own layout, and layouts that are wrong."""

import gzip
import json
import sys
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from PIL import Image

from flower_dgan import data
from flower_dgan.data.folder_source import FolderSource
from flower_dgan.data.prepare import Prepared, PrepareSettings, prepare
from flower_dgan.data.prepare.monuseg import draw_regions
from flower_dgan.data.prepare.ships import decode_runs
from flower_dgan.data.prepare.tumours import slices
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.resolve import resolve

BLACK = np.zeros((4, 6, 3), np.uint8)


def _save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _read(path: Path) -> list[list[int]]:
    with Image.open(path) as image:
        return np.asarray(image).tolist()


def _prepare(name: str, root: Path, **settings: object) -> Prepared:
    return prepare(name, root, root.with_name("out"), PrepareSettings(**settings))  # type: ignore[arg-type]


def _source(name: str, root: Path, *overrides: str) -> FolderSource:
    """Open what was prepared with the shipped settings."""
    chosen = " ".join(
        (f"data={name}", f"data.root='{root.with_name('out')}'", "data.image_size=4 model=small", *overrides)
    )
    return FolderSource(resolve(chosen).data)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


# MoNuSeg and Kumar


def _regions(*polygons: list[tuple[float, float]]) -> str:
    regions = "".join(
        "<Region><Vertices>" + "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in polygon) + "</Vertices></Region>"
        for polygon in polygons
    )
    return f'<Annotations MicronsPerPixel="0.25"><Annotation><Regions>{regions}</Regions></Annotation></Annotations>'


def _slide(root: Path, folders: tuple[str, str], barcode: str) -> None:
    _save(BLACK + np.uint8(7), root / folders[0] / f"{barcode}.tif")
    (root / folders[1]).mkdir(exist_ok=True)
    (root / folders[1] / f"{barcode}.xml").write_text(_regions([(0, 0), (2, 0), (2, 1), (0, 1)]))


def test_regions_cover_the_pixels_whose_centre_they_hold(tmp_path: Path) -> None:
    square, over_edge = [(1, 1), (3.4, 1), (3.4, 3), (1, 3)], [(2.6, 2), (9, 2), (9, 9), (2.6, 9)]
    triangle, line = [(4.0, 0.0), (6.0, 0.0), (6.0, 2.0)], [(0.0, 0.0), (6.0, 4.0)]
    (tmp_path / "a.xml").write_text(_regions(square, line, over_edge, triangle))
    # 4 x 6; the centre 2.5 is inside x < 3.4 and outside x > 2.6; of the triangle x - 4 > y holds (5.5, 0.5) and not
    # the diagonal (4.5, 0.5), (5.5, 1.5)
    drawn = draw_regions(tmp_path / "a.xml", 4, 6)
    assert drawn[:, :4].tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 3], [0, 0, 0, 3]]
    assert drawn[0, 5] == 4
    assert drawn[2:, 4:].tolist() == [[3, 3], [3, 3]]


def test_regions_are_those_of_loops_over_pixels(tmp_path: Path) -> None:
    """A ray to the right of a centre inside crosses the outline, which may cross itself, an odd number of times."""
    random = np.random.default_rng(0)
    for corners in (3, 4, 7, 15):
        polygon = [(float(x), float(y)) for x, y in random.uniform(-3, 15, (corners, 2))]
        (tmp_path / "a.xml").write_text(_regions(polygon))
        expected = np.zeros((9, 12), int)
        for row, column in np.ndindex(expected.shape):
            for (x, y), (u, v) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
                height = row + 0.5
                if (y > height) != (v > height) and x + (height - y) / (v - y) * (u - x) > column + 0.5:
                    expected[row, column] ^= 1
        assert expected.any()
        np.testing.assert_array_equal(draw_regions(tmp_path / "a.xml", 9, 12), expected)


def test_data_code_draws_no_figures() -> None:
    folder = Path(data.__file__).parent
    assert [path.name for path in folder.rglob("*.py") if "matplotlib" in path.read_text()] == []


def test_a_region_beyond_the_image_covers_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(_regions([(20, 1), (30, 1), (30, 5)], [(-9, -9), (-2, -9), (-2, -1)]))
    assert not draw_regions(tmp_path / "a.xml", 9, 12).any()


def test_monuseg(root: Path) -> None:
    _slide(root, ("Tissue Images", "Annotations"), "TCGA-A7-A13E-01Z-00-DX1")
    _slide(root, ("Tissue Images", "Annotations"), "TCGA-B0-5698-01Z-00-DX1")
    _slide(root, ("MoNuSegTestData", "MoNuSegTestData"), "TCGA-44-2665-01B-06-BS6")
    assert _prepare("monuseg", root).pairs == 3
    source = _source("monuseg", root)
    assert [(entry.site, entry.group) for entry in source.train] == [("breast", "A7-A13E"), ("kidney", "B0-5698")]
    assert [(entry.site, entry.group) for entry in source.test] == [("lung", "44-2665")]
    out = root.with_name("out")
    assert _read(out / "masks/te_lung_44-2665_0.png")[0] == [255, 255, 0, 0, 0, 0]
    assert _read(out / "instances/te_lung_44-2665_0.png")[0] == [1, 1, 0, 0, 0, 0]
    assert _read(out / "images/te_lung_44-2665_0.png")[0][0] == [7, 7, 7]


def test_kumar(root: Path) -> None:
    for barcode in ("TCGA-A7-A13E-01Z-00-DX1", "TCGA-B0-5698-01Z-00-DX1", "TCGA-KB-A93J-01A-01-TS1"):
        _slide(root, ("Tissue images", "Annotations"), barcode)
    _prepare("kumar", root)
    source = _source("kumar", root)
    assert [entry.site for entry in source.train] == ["breast"]
    assert [entry.site for entry in source.test] == ["kidney", "stomach"]


def test_wrong_slides(root: Path) -> None:
    with pytest.raises(DataError, match=r"no TCGA-\*.xml or no images. Expected is the folder of the download"):
        _prepare("monuseg", root)
    _slide(root, ("a", "b"), "TCGA-A7-A13E-01Z-00-DX1")
    annotation = root / "b/TCGA-A7-A13E-01Z-00-DX1.xml"
    annotation.write_text("<Annotations>")
    with pytest.raises(DataError, match=r"is no annotation of Aperio ImageScope"):
        _prepare("monuseg", root)
    annotation.write_text("<Annotations/>")
    with pytest.raises(DataError, match=r"has no region"):
        _prepare("monuseg", root)
    _save(BLACK, root / "a/TCGA-44-2665-01B-06-BS6.tif")
    with pytest.raises(DataError, match=r"No annotation of the same name for .*TCGA-44-2665"):
        _prepare("monuseg", root)
    _slide(root, ("a", "b"), "TCGA-44-2665-01B-06-BS6")
    with pytest.raises(DataError, match=r"TCGA-44-2665.* belong to no patient of this data set"):
        _prepare("kumar", root)


# Ships


def test_runs_go_down_the_columns() -> None:
    # 3 rows: pixels 2, 3 of the first column, 4 of the second, and 9 at the end of the third
    assert decode_runs(["2 3", "9 1"], 3, 3).tolist() == [[0, 1, 0], [1, 0, 0], [1, 0, 1]]
    for text, words in (("1", "no list"), ("a b", "no list"), ("8 3", "leaves an image"), ("0 1", "leaves an image")):
        with pytest.raises(DataError, match=words):
            decode_runs([text], 3, 3)


def test_ships(root: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        _save(BLACK, root / "train_v2" / name)
    table = root / "train_ship_segmentations_v2.csv"
    table.write_text("ImageId,EncodedPixels\na.jpg,1 2\nb.jpg,\na.jpg,24 1\n")
    assert _prepare("ships", root).pairs == 2
    out = root.with_name("out")
    assert _read(out / "masks/ships_a_0.png") == [[255] + [0] * 5, [255] + [0] * 5, [0] * 6, [0] * 5 + [255]]
    assert not np.any(_read(out / "masks/ships_b_0.png"))
    source = _source("ships", root)
    assert {entry.site for entry in (*source.train, *source.test)} == {"ships"}
    (root / "train_v2/._a.jpg").write_bytes(b"twin of macOS")
    table.write_text("ImageId;EncodedPixels\na.jpg;1 2\nb.jpg;\na.jpg;24 1\n", encoding="utf-16")
    prepare("ships", root, root.with_name("spreadsheet"), PrepareSettings())
    mask = "masks/ships_a_0.png"
    assert _read(root.with_name("spreadsheet") / mask) == _read(out / mask)
    table.write_text("ImageId,EncodedPixels\na.jpg,1 99\nc.jpg,\n")
    with pytest.raises(DataError, match=r"2 names are only in one of .*: b.jpg, c.jpg"):
        _prepare("ships", root)
    table.write_text("ImageId,EncodedPixels\na.jpg,1 99\nb.jpg,\n")
    with pytest.raises(DataError, match=r"segmentations_v2.csv, a.jpg: The run of 99 pixels from 1 leaves"):
        prepare("ships", root, root.with_name("other"), PrepareSettings())
    table.write_text("Image,Pixels\na.jpg,1 2\n")
    with pytest.raises(DataError, match=r"is no table with the columns ImageId and EncodedPixels"):
        _prepare("ships", root)
    table.unlink()
    with pytest.raises(DataError, match=r"has no train_ship_segmentations_v2.csv. Expected is the unpacked download"):
        _prepare("ships", root)


# From the air


def test_city_osm(root: Path) -> None:
    labels = np.full((4, 6, 3), 255, np.uint8)
    labels[0, :2] = ((255, 0, 0), (0, 0, 255))
    for number in range(2):
        for city in ("berlin", "paris"):
            _save(BLACK, root / city / f"{city}{number}_image.png")
            _save(labels, root / city / f"{city}{number}_labels.png")
    _prepare("city-osm", root)
    source = _source("city-osm", root)
    assert source.classes == 3
    assert {(entry.site, entry.group) for entry in (*source.train, *source.test)} == {
        ("berlin", "berlin0"),
        ("berlin", "berlin1"),
        ("paris", "paris0"),
        ("paris", "paris1"),
    }
    assert source.load(source.train[:1]).label_maps[0][0].tolist() == [1, 2, 0, 0, 0, 0]
    labels[3, 5] = (254, 254, 254)
    _save(labels, root / "paris/paris1_labels.png")
    with pytest.raises(DataError, match=r"paris1_labels.png has the colours #fefefe.*give --nearest-colour"):
        prepare("city-osm", root, root.with_name("other"), PrepareSettings())
    prepare("city-osm", root, root.with_name("nearest"), PrepareSettings(nearest_colour=True))
    (root / "paris/paris1_labels.png").unlink()
    with pytest.raises(DataError, match=r"No labels of the same name for .*paris1_image.png"):
        _prepare("city-osm", root)
    with pytest.raises(DataError, match=r"unpack berlin.zip, chicago.zip"):
        _prepare("city-osm", root / "paris")


def test_whu(root: Path) -> None:
    for split, value in (("train", 255), ("val", 0), ("test", 255)):
        _save(BLACK, root / split / "image/1.tif")
        _save(np.full((4, 6), value, np.uint8), root / split / "label/1.tif")
    _prepare("whu", root)
    source = _source("whu", root)
    assert ([entry.group for entry in source.train], [entry.group for entry in source.test]) == (
        ["train-1", "val-1"],
        ["test-1"],
    )
    assert [int(label_map[0, 0]) for label_map in source.load(source.train).label_maps] == [1, 0]
    _save(np.full((4, 6), 7, np.uint8), root / "val/label/1.tif")
    with pytest.raises(DataError, match=r"label/1.tif holds \[7\] besides 0 and 255"):
        prepare("whu", root, root.with_name("other"), PrepareSettings())
    (root / "val/label").rename(root / "val/labels")
    with pytest.raises(DataError, match=r"has no val/label. Expected is train/image"):
        _prepare("whu", root)


# Brains


def _volumes() -> tuple[np.ndarray, np.ndarray]:
    """Make 6 x 4 x 3 voxels: no tumour; 10 voxels of the three kinds; 9 voxels."""
    volume = np.zeros((6, 4, 3), np.float32)
    volume[..., 1] = 100
    volume[0, 0, 1] = 400
    labels = np.zeros((6, 4, 3), np.float32)
    labels[:5, 1, 1], labels[:3, 2, 1], labels[:2, 3, 1] = 1, 2, 4
    labels[:3, :3, 2] = 1
    return volume, labels


def _patient(folder: Path, kinds: tuple[str, ...] = ("t1", "t2", "seg")) -> None:
    folder.mkdir(parents=True)
    volume, labels = _volumes()
    for kind in kinds:
        array = labels if kind == "seg" else volume
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), folder / f"{folder.name}_{kind}.nii.gz")


def test_brats(root: Path) -> None:
    _patient(root / "HGG/Brats18_CBICA_AAB_1")
    _patient(root / "LGG/Brats18_TCIA09_141_1")
    assert _prepare("brats", root).pairs == 2
    source = _source("brats", root)
    entries = sorted((*source.train, *source.test), key=lambda entry: entry.site)
    assert [(entry.site, entry.group) for entry in entries] == [
        ("CBICA", "Brats18-CBICA-AAB-1"),
        ("TCIA09", "Brats18-TCIA09-141-1"),
    ]
    assert source.classes == 4
    pairs = source.load(entries[:1])
    assert pairs.label_maps[0].tolist() == [
        [0, 1, 2, 3],
        [0, 1, 2, 3],
        [0, 1, 2, 0],
        [0, 1, 0, 0],
        [0, 1, 0, 0],
        [0] * 4,
    ]
    # each slice by its own maximum: 100 / 400 * 255 = 63.75
    assert pairs.images[0][:, :, 0].tolist() == [[255, 64, 64, 64], *[[64] * 4] * 5]
    prepare("brats", root, root.with_name("window"), PrepareSettings(value_range=(0, 200)))
    image = _read(root.with_name("window") / "images/CBICA_Brats18-CBICA-AAB-1_t2_001.png")
    assert image[0] == [255, 128, 128, 128]


def test_volumes_that_are_not_packed(root: Path) -> None:
    for name in ("Brats18_CBICA_AAB_1", "Brats18_TCIA09_141_1"):
        _patient(root / "HGG" / name)
    _prepare("brats", root)
    for path in (root / "HGG/Brats18_CBICA_AAB_1").iterdir():
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert prepare("brats", root, root.with_name("plain"), PrepareSettings()).pairs == 2
    first, second = root.with_name("out"), root.with_name("plain")
    for path in sorted(second.glob("*/*.png")):
        assert _read(path) == _read(first / path.relative_to(second))
    volume = root / "HGG/Brats18_CBICA_AAB_1/Brats18_CBICA_AAB_1_t2.nii"
    volume.write_bytes(volume.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"Brats18_CBICA_AAB_1_t2\.nii cannot be read"):
        prepare("brats", root, root.with_name("cut"), PrepareSettings())


def test_modalities_of_brats_are_channels(root: Path) -> None:
    folder = root / "HGG/Brats18_CBICA_AAB_1"
    _patient(folder, ("flair", "t1", "t1ce", "t2", "seg"))
    volume, _ = _volumes()
    nibabel.save(nibabel.Nifti1Image(volume / 2 + 100, np.eye(4)), folder / f"{folder.name}_flair.nii.gz")
    settings = PrepareSettings(modalities=("t1", "t1ce", "t2", "flair"))
    assert prepare("brats", root, root.with_name("four"), settings).pairs == 1
    image = np.load(root.with_name("four") / "images/CBICA_Brats18-CBICA-AAB-1_t1-t1ce-t2-flair_001.npy")
    # each modality by its own maximum: 100 of 400, and 150 of 300
    assert (image.shape, image[0, 0].tolist(), image[5, 3].tolist()) == ((6, 4, 4), [255] * 4, [64, 64, 64, 128])
    with pytest.raises(ConfigError, match=r"Unknown --modality 't1c'. Did you mean 't1ce'"):
        prepare("brats", root, root.with_name("five"), PrepareSettings(modalities=("t1c",)))
    with pytest.raises(ConfigError, match="--modality is for brats, not for whu"):
        prepare("whu", root, root.with_name("six"), settings)


@pytest.mark.parametrize("axes", ["LPS", "RAI", "SRA", "PIL"])
def test_volumes_of_a_patient_that_are_stored_differently(root: Path, axes: str) -> None:
    """The labels are on the same voxels of the patient, whichever way the file has its axes."""
    folder = root / "HGG/Brats18_CBICA_AAB_1"
    _patient(folder)
    assert _prepare("brats", root).pairs == 1
    path = folder / f"{folder.name}_seg.nii.gz"
    turn = nibabel.orientations.axcodes2ornt(axes)
    stored = nibabel.load(path)
    own = nibabel.orientations.io_orientation(stored.affine)
    turned = stored.as_reoriented(nibabel.orientations.ornt_transform(own, turn))
    assert nibabel.aff2axcodes(turned.affine) == tuple(axes)
    turned = nibabel.Nifti1Image(turned.get_fdata(dtype=np.float32), turned.affine)
    path.unlink()
    nibabel.save(turned, path)
    prepare("brats", root, root.with_name("turned"), PrepareSettings())
    name = "CBICA_Brats18-CBICA-AAB-1_t2_001.png"
    for kind in ("images", "masks"):
        assert _read(root.with_name("turned") / kind / name) == _read(root.with_name("out") / kind / name)


@pytest.mark.parametrize("place", [(0, 3), (1, 1)])
def test_volumes_of_a_patient_that_lie_elsewhere(root: Path, place: tuple[int, int]) -> None:
    folder = root / "HGG/Brats18_CBICA_AAB_1"
    _patient(folder)
    affine = np.eye(4)
    affine[place] += 0.5
    nibabel.save(nibabel.Nifti1Image(_volumes()[1], affine), folder / f"{folder.name}_seg.nii.gz")
    with pytest.raises(DataError, match=r"_seg\.nii\.gz lies elsewhere than Brats18_CBICA_AAB_1_t2\.nii\.gz, by"):
        _prepare("brats", root)


def test_wrong_brains(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"no patient with \*_seg.nii.gz. Expected is the unpacked training data"):
        _prepare("brats", root)
    _patient(root / "HGG/Brats18_CBICA_AAB_1", ("t1", "seg"))
    with pytest.raises(DataError, match=r"is no Brats18_<institution>_<number>_1 with its _t2.nii.gz"):
        _prepare("brats", root)
    (root / "HGG/Brats18_CBICA_AAB_1/Brats18_CBICA_AAB_1_t2.nii.gz").write_bytes(b"cut off")
    with pytest.raises(DataError, match=r"_t2.nii.gz cannot be read"):
        _prepare("brats", root)
    volume, labels = _volumes()
    for wrong in ((volume[1:], labels), (volume, labels + 3), (volume - 1, labels)):
        with pytest.raises(DataError, match=r"x: "):
            list(slices(wrong[:1], wrong[1], True, "x"))
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(
        ConfigError, match=r"needs nibabel, which is not installed: pip install 'flower-dgan\[medical\]'"
    ):
        _prepare("brats", root)


# AsynDGAN's files


def test_asyndgan_nuclei(root: Path) -> None:
    label = np.zeros((4, 6, 3), np.uint8)
    label[1, 2] = 255
    for organ in ("breast", "liver"):
        with h5py.File(root / f"train_{organ}.h5", "w") as file:
            parent = file.create_group("train") if organ == "liver" else file
            for key in ("0", "1"):
                parent[f"images/{key}"] = BLACK + np.uint8(5)
                parent[f"labels/{key}"] = label
                parent[f"weight_maps/{key}"] = label[..., 0]
    assert _prepare("asyndgan-hdf5", root).pairs == 4
    out = root.with_name("out")
    assert sorted(path.stem for path in (out / "images").iterdir())[1:3] == [
        "tr_breast_breast-1_0",
        "tr_liver_liver-0_0",
    ]
    assert _read(out / "masks/tr_breast_breast-1_0.png")[1] == [0, 0, 255, 0, 0, 0]
    assert json.loads((out / "prepared.json").read_text())["classes"] == ["background", "nucleus"]
    with h5py.File(root / "train_liver.h5", "a") as file:
        file["train/labels/1"][0, 0] = 9
    with pytest.raises(DataError, match=r"values up to 255, not 0 and 1 or 0 and 255: give --instances"):
        prepare("asyndgan-hdf5", root, root.with_name("other"), PrepareSettings())
    prepare("asyndgan-hdf5", root, root.with_name("numbered"), PrepareSettings(instances=True))
    assert _read(root.with_name("numbered") / "instances/tr_liver_liver-1_0.png")[0][0] == 9
    (root / "train_liver.h5").rename(root / "train_all.h5")
    with pytest.raises(DataError, match=r"train_all.h5 repeats the pairs of the other files"):
        _prepare("asyndgan-hdf5", root)


def test_asyndgan_brains(root: Path) -> None:
    volume, labels = _volumes()
    with h5py.File(root / "BraTS18_tumor_size_3.h5", "w") as file:
        for split, number in (("train", 40), ("test", 0)):
            file[f"{split}/{number}/t2"] = volume
            file[f"{split}/{number}/seg"] = labels
            file[f"{split}/{number}/seg"].attrs["id"] = f"Brats18_X_{number}_1"
    assert _prepare("asyndgan-hdf5", root / "BraTS18_tumor_size_3.h5").pairs == 2
    source = _source("folder", root / "x", "data.channels=1")
    assert [entry.name for entry in (*source.train, *source.test)] == [
        "tr_tumor-size-3_Brats18-X-40-1_t2_001",
        "te_tumor-size-3_Brats18-X-0-1_t2_001",
    ]
    with h5py.File(root / "train_breast.h5", "w") as file:
        file["images/0"], file["labels/0"] = BLACK, BLACK
    with pytest.raises(DataError, match=r"nuclei beside brains. Expected are files"):
        _prepare("asyndgan-hdf5", root)


def test_wrong_hdf5(root: Path) -> None:
    with pytest.raises(DataError, match=r"has no pairs, or nuclei beside brains"):
        _prepare("asyndgan-hdf5", root)
    (root / "train_a.h5").write_bytes(b"none")
    with pytest.raises(DataError, match=r"train_a.h5 cannot be read as HDF5"):
        _prepare("asyndgan-hdf5", root)
    with h5py.File(root / "train_a.h5", "w") as file:
        file["images/0"], file["labels/1"] = BLACK, BLACK
    with pytest.raises(DataError, match=r"images and labels have different keys"):
        _prepare("asyndgan-hdf5", root)
    with h5py.File(root / "train_a.h5", "w") as file:
        file["0/flair"] = BLACK
    with pytest.raises(DataError, match=r"/0 has no t2 and seg"):
        _prepare("asyndgan-hdf5", root)


# Pets


def test_pets(root: Path) -> None:
    base = root / "oxford-iiit-pet"
    for name in ("Abyssinian_1", "beagle_2"):
        _save(BLACK, base / f"images/{name}.jpg")
        _save(np.array([[1, 2, 3, 2]] * 4, np.uint8), base / f"annotations/trimaps/{name}.png")
    (base / "annotations/trainval.txt").write_text("Abyssinian_1 1 1 1\n")
    (base / "annotations/test.txt").write_text("beagle_2 5 2 2\n")
    with pytest.raises(DataError, match=r"pixels \(height x width\), but its mask 4 x 4"):
        _prepare("pets", root)
    for name in ("Abyssinian_1", "beagle_2"):
        _save(BLACK[:, :4], base / f"images/{name}.jpg")
    _prepare("pets", root)
    source = _source("pets", root)
    assert [entry.name for entry in (*source.train, *source.test)] == ["tr_cat_Abyssinian-1_0", "te_dog_beagle-2_0"]
    assert source.load(source.train).label_maps[0][0].tolist() == [1, 0, 2, 0]
    _save(np.zeros((4, 4), np.uint8), base / "annotations/trimaps/beagle_2.png")
    with pytest.raises(DataError, match=r"beagle_2.png holds other values than 1, 2 and 3"):
        prepare("pets", root, root.with_name("other"), PrepareSettings())
    (base / "annotations/test.txt").write_text("beagle_2\n")
    with pytest.raises(DataError, match=r"'beagle_2' is no image, class, species and breed"):
        _prepare("pets", root)
    (base / "annotations/test.txt").unlink()
    with pytest.raises(DataError, match=r"test.txt cannot be read"):
        _prepare("pets", root)
    with pytest.raises(DataError, match=r"has no annotations, images. Expected is images"):
        _prepare("pets", base / "images")


# Faces


def test_celeba_has_no_masks(root: Path) -> None:
    base = root / "celeba"
    for number in range(3):
        _save(np.zeros((8, 6, 3), np.uint8), base / f"img_align_celeba/00000{number}.jpg")
    (base / "list_eval_partition.txt").write_text("000000.jpg 0\n000001.jpg 1\n000002.jpg 2\n")
    (base / "identity_CelebA.txt").write_text("000000.jpg 7\n000001.jpg 7\n000002.jpg 12\n")
    assert _prepare("celeba", root, size=4).pairs == 3
    assert prepare("celeba", root, root.with_name("out"), PrepareSettings(size=4)).made == 0
    assert not (root.with_name("out") / "masks").exists()
    source = _source("celeba", root)
    assert [(entry.name, entry.group, entry.height) for entry in source.train] == [
        ("tr_faces_7_000000", "7", 4),
        ("tr_faces_7_000001", "7", 4),
    ]
    assert [entry.group for entry in source.test] == ["12"]
    assert source.load(source.test).images[0].shape == (4, 4, 3)
    # as a shell of Windows writes them with >
    for name in ("list_eval_partition.txt", "identity_CelebA.txt"):
        (base / name).write_text((base / name).read_text(), encoding="utf-16")
    (base / "img_align_celeba/._000000.jpg").write_bytes(b"twin of macOS")
    assert prepare("celeba", root, root.with_name("utf-16"), PrepareSettings(size=4)).pairs == 3
    with pytest.raises(ConfigError, match=r"celeba has no masks: leave --only-labelled out"):
        _prepare("celeba", root, only_labelled=True)
    (base / "identity_CelebA.txt").write_text("000000.jpg 7\n000001.jpg 7\n")
    with pytest.raises(DataError, match=r"000002.jpg are only in some of"):
        _prepare("celeba", root)
    (base / "identity_CelebA.txt").write_text("000000.jpg\n")
    with pytest.raises(DataError, match=r"is no list of images with one number each"):
        _prepare("celeba", root)
    (base / "identity_CelebA.txt").write_bytes("000000.jpg Köln".encode("latin-1"))
    with pytest.raises(DataError, match=r"identity_CelebA.txt cannot be read as text in UTF-8 or UTF-16"):
        _prepare("celeba", root)
    (base / "identity_CelebA.txt").unlink()
    with pytest.raises(DataError, match=r"has no identity_CelebA.txt. Expected is img_align_celeba"):
        _prepare("celeba", root)
