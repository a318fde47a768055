"""Images with any number of channels: read, refused, written, shown, and learned from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.comparison.image_sets import read_images
from flower_dgan.comparison.named_metric import parse_metric, require_pictures
from flower_dgan.data import Pairs, open_source
from flower_dgan.data.check import check_data
from flower_dgan.data.image_files import read_image
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.gan.bundle import BundleSettings, ClientLabels, draw_bundle
from flower_dgan.networks.small import SmallGenerator
from flower_dgan.resolve import resolve
from flower_dgan.synthesis import sample_grid, to_pixels, write_pairs
from flower_dgan.tasks.segmentation.deeplab import build_deeplab

NAMES = ("tr_a_p1_0", "tr_b_p2_0", "te_a_p3_0")
CONFIG = resolve("data=folder data.image_size=16 data.channels=4 downstream=none").data


def _image(number: int, channels: int = 4) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (16, 20, channels), dtype=np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    masks = tuple((_image(number, 1)[..., 0] > 127).astype(np.uint8) for number in range(3))
    write_pairs(tmp_path / "data", Pairs(tuple(map(_image, range(3))), masks, 2), NAMES)
    return tmp_path / "data"


def test_what_was_written_is_read(root: Path) -> None:
    assert sorted(path.name for path in (root / "images").iterdir()) == sorted(f"{name}.npy" for name in NAMES)
    source = open_source(replace(CONFIG, root=str(root)))
    pairs = source.load(source.train)
    np.testing.assert_array_equal(np.stack(pairs.images), np.stack([_image(0), _image(1)]))
    np.testing.assert_array_equal(pairs.label_maps[1], _image(1, 1)[..., 0] > 127)
    np.testing.assert_array_equal(read_images(root, 4)[0], _image(2))  # in alphabetical order


def test_grey_and_rgb_stay_png(tmp_path: Path) -> None:
    for channels in (1, 3):
        write_pairs(tmp_path / str(channels), Pairs((_image(0, channels),), (np.zeros((16, 20), np.uint8),), 2), ["x"])
        np.testing.assert_array_equal(read_images(tmp_path / str(channels), channels)[0], _image(0, channels))
        assert (tmp_path / str(channels) / "images/x.png").is_file()


def test_every_wrong_array_is_named(root: Path) -> None:
    wrong = {
        "dtype": (
            _image(0).astype(np.float32),
            "dtype.npy holds float32 of shape (16, 20, 4): save it as uint8 (height",
        ),
        "rank": (
            _image(0)[..., 0],
            "rank.npy holds uint8 of shape (16, 20): save it as uint8 (height, width, channels)",
        ),
        "three": (_image(0, 3), "three.npy has 3 channels, and data.channels=4: make them equal"),
        "objects": (np.array([None]), "objects.npy cannot be read as .npy"),
        "small": (_image(0)[:15], "small.npy is 15 x 20 pixels, less than data.image_size=16"),
    }
    for name, (array, _) in wrong.items():
        np.save(root / f"images/{name}.npy", array)
        Image.new("L", (20, 15 if name == "small" else 16)).save(root / f"masks/{name}.png")
    whole = (root / "images/tr_a_p1_0.npy").read_bytes()
    (root / "images/tr_a_p1_0.npy").write_bytes(whole[:-1])
    Image.new("RGB", (20, 16)).save(root / "images/rgb.png")
    Image.new("L", (20, 16)).save(root / "masks/rgb.png")
    Image.new("RGB", (20, 16)).save(root / "images/te_a_p3_0.png")
    config = replace(CONFIG, root=str(root), name_pattern=None)
    problems = "\n".join(check_data(config).problems)
    for words in (
        *(words for _, words in wrong.values()),
        "tr_a_p1_0.npy cannot be read as .npy",
        "rgb.png holds grey or RGB, and data.channels=4: save it as .npy, uint8 (height, width, 4), or set",
        "holds both te_a_p3_0.npy and te_a_p3_0.png",
    ):
        assert words in problems
    assert len(problems.splitlines()) == len(wrong) + 3
    with pytest.raises(DataError, match="8 problems"):
        open_source(config)


def test_changed_bytes_of_a_header_are_a_data_error_of_one_line(tmp_path: Path) -> None:
    """numpy parses the header of .npy as Python, and believes what it says of sizes; Pillow believes TIFF's too."""
    random = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", _image(0))
    Image.fromarray(_image(0, 3)).save(tmp_path / "a.tif")
    refused: dict[str, list[str]] = {".npy": [], ".tif": []}
    for suffix, channels in ((".npy", 4), (".tif", 3)):
        path = tmp_path / f"a{suffix}"
        content = path.read_bytes()
        for _ in range(300):
            spoiled = bytearray(content)
            for place in random.integers(0, 128, 2):
                spoiled[place] = random.integers(0, 256)
            path.write_bytes(spoiled)
            try:
                assert read_image(path, channels).shape[2] == channels
            except DataError as error:
                refused[suffix].append(str(error))
        assert all(str(path) in each and "\n" not in each for each in refused[suffix])
    assert len(refused[".npy"]) > 200
    assert len(refused[".tif"]) > 20


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (99999, 99999, 4), }",  # 40 GB
        "{'descr': '|u1', 'fortran_order': False, 'shape': (16, 20, 4",  # numpy: TokenError
        "{'descr': '|O', 'fortran_order': False, 'shape': (16, 20, 4), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-16, -20, 4), }",
        "{'descr': '|u1', 'shape': (16, 20, 4), }",
        "'\\x00'",
    ],
)
def test_headers_that_say_what_is_not_there(tmp_path: Path, header: str) -> None:
    text = header.ljust(117).encode() + b"\n"
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(16 * 20 * 4))
    with pytest.raises(DataError, match=r"a\.npy (cannot be read as \.npy|holds object)") as caught:
        read_image(path, 4)
    assert "\n" not in str(caught.value)


def test_check_shows_channels_side_by_side(root: Path, tmp_path: Path) -> None:
    arguments = ["data", "check", str(root), "data.image_size=16 data.channels=4", "--picture", str(tmp_path / "x.png")]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "Problems: 0" in result.output
    assert (tmp_path / "x.png").is_file()


def test_samples_show_channels_side_by_side(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SmallGenerator(2, 2, 8, 16, 2)
    labels = ClientLabels("a", (_image(0, 1)[..., 0] // 128,), 2, 0)
    _, inputs = draw_bundle(labels, BundleSettings(1, 3, 16, "none", 2, seed=0), 1)
    sample_grid(network, [inputs], None, tmp_path / "grid.png")
    grid = np.asarray(Image.open(tmp_path / "grid.png"))[::2, ::2]
    assert grid.shape == (3 * 16, 3 * 16)
    drawn = to_pixels(network(inputs).detach())
    np.testing.assert_array_equal(grid[16:32, :16], inputs.label_maps[1, 1].numpy() * 255)
    np.testing.assert_array_equal(grid[16:32, 16:32], drawn[1, ..., 0])
    np.testing.assert_array_equal(grid[16:32, 32:], drawn[1, ..., 1])


def test_segmentation_model_sees_all_channels() -> None:
    model = build_deeplab(resolve("").downstream, channels=5, classes=3).eval()
    assert model(torch.zeros(1, 5, 32, 32)).shape == (1, 3, 32, 32)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ("data.channels=0", "data.channels=0 must be from 1 to 255"),
        ("data.channels=256", "data.channels=256 must be from 1 to 255"),
        ("data.channels=4 data.augmentation=colour", "set data.augmentation=rotations"),
        (
            "data.channels=4 algorithm=dgan algorithm.perceptual_weight=1 allow_pixel_losses=true",
            "algorithm.perceptual_weight compares .* data.channels=4: set algorithm.perceptual_weight=0",
        ),
        (
            "data.channels=2 algorithm=tdgan-small algorithm.reminding_perceptual_weight=1",
            "algorithm.reminding_perceptual_weight compares .* data.channels=2",
        ),
    ],
)
def test_settings_that_contradict(overrides: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        resolve(f"data=folder {overrides}")


def test_inception_sees_grey_and_rgb(root: Path) -> None:
    metrics = [parse_metric("fid-segmenter-256-n10"), parse_metric("kid-inception-2048-n1000")]
    for channels in (1, 3):
        require_pictures(metrics, channels)
    require_pictures(metrics[:1], 4)
    arguments = ["compare", str(root), str(root), "--metric", str(metrics[1]), "--overrides", "data.channels=4"]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, ConfigError)
    assert "kid-inception-2048-n1000: Inception sees grey or RGB images, and data.channels=4" in str(result.exception)
