"""Values that are not finite, or no numbers at all: refused by name and place, and never a black image."""

from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from PIL import Image

from flower_dgan.data.array_files import open_array
from flower_dgan.data.prepare import PrepareSettings, prepare
from flower_dgan.data.prepare.numbers import object_numbers, require_finite
from flower_dgan.errors import ConfigError, DataError


def _labels() -> np.ndarray:
    labels = np.zeros((6, 4, 3), np.float32)
    labels[:, :2, 1] = 1
    return labels


def _patient(root: Path, number: int, bad: float | None) -> None:
    folder = root / f"HGG/Brats18_CBICA_A{number}_1"
    folder.mkdir(parents=True)
    volume = np.full((6, 4, 3), 100, np.float32)
    volume[0, 0, 1] = 200
    if bad is not None:
        volume[5, 3, 2] = bad
    for kind, array in (("t2", volume), ("seg", _labels())):
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), folder / f"{folder.name}_{kind}.nii.gz")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("value_range", [None, (0.0, 200.0)])
def test_one_voxel_of_a_scan(tmp_path: Path, bad: float, value_range: tuple[float, float] | None) -> None:
    _patient(tmp_path / "in", 1, None)
    _patient(tmp_path / "in", 2, bad)
    words = r"A2_1_t2\.nii\.gz holds values that are not finite, 1 of (72|48), the first at \(5, 3, 2\)"
    with pytest.raises(DataError, match=words):
        prepare("brats", tmp_path / "in", tmp_path / "out", PrepareSettings(value_range=value_range))
    settings = PrepareSettings(skip_unreadable=True, value_range=value_range)
    found = prepare("brats", tmp_path / "in", tmp_path / "skipped", settings)
    assert (found.pairs, len(found.unreadable)) == (1, 1)
    (path,) = (tmp_path / "skipped/images").iterdir()
    # 100 of 200 is half of 255, rounded to even
    assert np.unique(np.asarray(Image.open(path))).tolist() == [128, 255]


@pytest.mark.parametrize("name", ["t2", "seg"])
def test_one_voxel_of_an_hdf5_volume(tmp_path: Path, name: str) -> None:
    arrays = {"t2": np.full((6, 4, 3), 100, np.float32), "seg": _labels()}
    arrays[name][1, 2, 0] = np.nan
    with h5py.File(tmp_path / "BraTS18.h5", "w") as file:
        for key, array in arrays.items():
            file[f"train/7/{key}"] = array
    with pytest.raises(DataError, match=rf"BraTS18\.h5: /train/7/{name} holds values that are not finite.*\(1, 2, 0"):
        prepare("asyndgan-hdf5", tmp_path, tmp_path / "out", PrepareSettings())


@pytest.mark.parametrize("number", [-1, 65_536, 0.5, np.nan])
def test_numbers_of_objects_do_not_wrap_around(tmp_path: Path, number: float) -> None:
    label = np.zeros((4, 6), np.float64)
    label[1, 2] = number
    with h5py.File(tmp_path / "train_liver.h5", "w") as file:
        file["images/0"], file["labels/0"] = np.zeros((4, 6, 3), np.uint8), label
    with pytest.raises(DataError, match=r"/labels/0 holds (numbers from .*can be kept|values that are not finite)"):
        prepare("asyndgan-hdf5", tmp_path, tmp_path / "out", PrepareSettings(instances=True))
    assert object_numbers(np.array([0.0, 65_535]), "x").tolist() == [0, 65_535]


@pytest.mark.parametrize("array", [np.array([b"text"]), np.array([1 + 2j])])
def test_what_is_no_real_number(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"x holds .*: save it as real numbers"):
        require_finite(array, "x")
    with h5py.File(tmp_path / "train_liver.h5", "w") as file:
        file["images/0"], file["labels/0"] = np.zeros((4, 6, 3), np.uint8), array
    with pytest.raises(DataError, match=r"/labels/0 holds .*: save it as real numbers"):
        prepare("asyndgan-hdf5", tmp_path, tmp_path / "out", PrepareSettings())


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize(("dtype", "bad"), [("float32", np.nan), ("float64", -np.inf), ("complex64", 1j)])
def test_one_pixel_of_a_tiff(tmp_path: Path, dtype: str, bad: complex) -> None:
    rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")
    for folder in ("images", "masks"):
        (tmp_path / "in" / folder).mkdir(parents=True)
    pixels = np.full((2, 4, 6), 0.5, dtype)
    pixels[1, 3, 2] = bad
    with rasterio.open(
        tmp_path / "in/images/a.tif", "w", driver="GTiff", count=2, height=4, width=6, dtype=dtype
    ) as file:
        file.write(pixels)
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "in/masks/a.png")
    words = r"images/a\.tif holds (values that are not finite, 1 of 48, the first at \(3, 2, 1\)|complex64)"
    with pytest.raises(DataError, match=words):
        prepare("folder", tmp_path / "in", tmp_path / "out", PrepareSettings(value_range=(0, 1)))


@pytest.mark.parametrize("value_range", [(0, np.inf), (-np.inf, 1), (np.nan, 1)])
def test_a_range_without_an_end_would_make_all_black(value_range: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match=r"--range .* both must be finite"):
        PrepareSettings(value_range=value_range)


def test_damaged_headers_of_arrays(tmp_path: Path) -> None:
    """Change each byte of the header: the array is read as it was, or refused, and never anything else."""
    path = tmp_path / "a.npy"
    image = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    np.save(path, image)
    whole = path.read_bytes()
    refused = 0
    for place in range(128):
        for byte in b"\x00('9\xff":
            path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
            try:
                assert open_array(path, 4).shape[2] == 4
            except DataError:
                refused += 1
    assert refused > 100
