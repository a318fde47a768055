"""Models that are kept: their file, what they find in a folder of images, and both commands."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.data.array_files import write_image
from flower_dgan.data.class_maps import class_map
from flower_dgan.data.coco_annotations import CocoFile, write_coco
from flower_dgan.data.image_files import read_mask
from flower_dgan.data.object_masks import ObjectMasks, Region
from flower_dgan.errors import ConfigError, DataError, DeviceMemoryError
from flower_dgan.resolve import resolve
from flower_dgan.tasks import find_task
from flower_dgan.tasks.instances.dense import DenseModel
from flower_dgan.tasks.instances.threshold import choose_threshold
from flower_dgan.tasks.model_file import ModelKind, load_model, save_model
from flower_dgan.tasks.overlays import beside, show_classes, show_objects
from flower_dgan.tasks.segmentation import TASK as SEGMENTATION
from flower_dgan.tasks.segmentation.predict import whole_mask
from flower_dgan.tasks.write_predictions import write_predictions

INSTANCES = ModelKind(resolve("data=bbbc010 data.root=/data").downstream, 1, 4, 32)
MASKS = ModelKind(resolve("data=folder data.root=/data").downstream, 3, 2, 32, ("ground", "nucleus"))


def built(kind: ModelKind) -> nn.Module:
    torch.manual_seed(0)
    return find_task(kind.downstream.task).build(kind.downstream, channels=kind.channels, classes=kind.classes)


@pytest.mark.parametrize("kind", [INSTANCES, MASKS], ids=["instances", "segmentation"])
def test_a_model_comes_back_as_it_was(tmp_path: Path, kind: ModelKind) -> None:
    model = built(kind)
    if isinstance(model, DenseModel):
        model.measures.copy_(torch.tensor([61.5, 2.25]))
        model.threshold.copy_(torch.tensor(0.25))
    save_model(tmp_path / "m.safetensors", model, kind)
    again, told = load_model(tmp_path / "m.safetensors")
    assert told == kind
    assert not again.training
    images = torch.randn(2, kind.channels, 32, 32)
    assert torch.equal(again(images), model.eval()(images))
    if isinstance(again, DenseModel):
        assert (again.scale.length, float(again.threshold), again.used) == (61.5, 0.25, True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_model(tmp_path / "m.safetensors", built(INSTANCES), INSTANCES)
    return tmp_path / "m.safetensors"


def rewritten(file: Path, changes: dict[str, object], *, spoil: bool = False) -> Path:
    """Change what a file says of its model, as whoever made it might."""
    with safe_open(file, "pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        metadata = opened.metadata()
    model = json.loads(metadata["model"])
    for path, value in changes.items():
        place = model
        *above, last = path.split(".")
        for name in above:
            place = place[name]
        place[last] = value
    if spoil:
        tensors["measures"][0] += 1
    save_file(tensors, file, {**metadata, "model": json.dumps(model)})
    return file


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"downstream.task": "os:system"}, "Unknown downstream.task"),
        ({"downstream.task": "../../evil"}, "Unknown downstream.task"),
        ({"downstream.task": "segmentation"}, "encoder"),
        ({"downstream.skeleton": False}, "would have heads.weight of shape"),
        ({"downstream.more": 1}, "Unknown setting"),
        ({"channels": 3}, "would have stem"),
        ({"channels": 10**9}, "channels"),
        ({"classes": "4"}, "classes"),
        ({"image_size": 0}, "image_size"),
        ({"class_names": [["a"]]}, "class_names"),
    ],
)
def test_a_file_that_says_something_else_is_refused(file: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=f"is not a model that flower-dgan train-model wrote: .*{words}"):
        load_model(rewritten(file, changes))


def test_damaged_missing_and_other_files_are_refused(file: Path) -> None:
    with pytest.raises(DataError, match="the file is damaged"):
        load_model(rewritten(file, {}, spoil=True))
    with pytest.raises(DataError, match="There is no model at"):
        load_model(file.with_name("other"))
    file.write_bytes(b"not a model")
    with pytest.raises(DataError, match="is not a model"):
        load_model(file)
    save_file({"a": torch.zeros(1)}, file)
    with pytest.raises(DataError, match="is not a model"):
        load_model(file)


# What is found


class Bright(nn.Module):
    """Takes bright pixels for class 1, and counts at how many windows it looked."""

    def __init__(self) -> None:
        super().__init__()
        self.windows = 0

    def forward(self, images: Tensor) -> Tensor:
        self.windows += len(images)
        return torch.stack([torch.zeros_like(images[:, 0]), images[:, 0]], 1)


def test_masks_cover_all_of_an_image_with_its_margins() -> None:
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (70, 45, 1)).astype(np.uint8)
    model = Bright()
    assert (whole_mask(model, image, 32) == (image[..., 0] > 127)).all()
    assert model.windows == 3 * 2
    assert (SEGMENTATION.look_at(model, image[:32, :32], 32) == (image[:32, :32, 0] > 127)).all()
    with pytest.raises(DataError, match="it is 31 x 45 pixels, and the model looks at windows of 32"):
        whole_mask(model, image[:31], 32)


def test_masks_are_written_with_their_overlays(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    image = np.zeros((40, 40, 3), np.uint8)
    image[10:20, 10:20] = 255
    write_image(image, tmp_path / "in/images", "a")
    written = write_predictions(Bright(), MASKS, tmp_path / "in", tmp_path / "out")
    assert (written.images, written.objects) == (1, None)
    assert (read_mask(tmp_path / "out/masks/a.png") == image[..., 0]).all()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"masks", "overlays"}
    with pytest.raises(ConfigError, match=r"--um-per-pixel is for lengths of objects"):
        write_predictions(Bright(), MASKS, tmp_path / "in", tmp_path / "out", 1.5)
    write_image(image[:20], tmp_path / "in/images", "b")
    with pytest.raises(DataError, match=r"b\.png cannot be looked at: it is 20 x 40 pixels"):
        write_predictions(Bright(), MASKS, tmp_path / "in", tmp_path / "out")
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no PNG"):
        write_predictions(Bright(), MASKS, tmp_path / "none", tmp_path / "out")


class Straight(DenseModel):
    """Finds dark bars, with a line through their middle row."""

    def forward(self, images: Tensor) -> Tensor:
        dark = images < 0
        middle = dark & torch.roll(dark, 2, 2) & torch.roll(dark, -2, 2)
        maps = torch.stack([dark[:, 0], torch.zeros_like(dark[:, 0]), middle[:, 0]], 1)
        return 40 * maps.float() - 20


BARS = ObjectMasks(64, 64, (Region(10, 8, np.ones((5, 48), bool)), Region(40, 8, np.ones((5, 24), bool))))


def bars(threshold: float = 0.0) -> Straight:
    model = Straight(1, skeleton=True, used=True)
    model.measures.copy_(torch.tensor([48.0, 2.5]))
    model.threshold.copy_(torch.tensor(threshold))
    return model


def grey(objects: ObjectMasks) -> np.ndarray:
    return np.where(objects.depth() > 0, 40, 220).astype(np.uint8)[..., None]


def table(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_objects_are_written_with_counts_and_lengths(tmp_path: Path) -> None:
    write_image(grey(BARS), tmp_path / "in", "a,1")
    write_image(grey(ObjectMasks(64, 64, ())), tmp_path / "in", "b")
    written = write_predictions(bars(), INSTANCES, tmp_path / "in", tmp_path / "out", 2.0)
    assert (written.images, written.objects) == (2, 2)
    head, one, other = table(tmp_path / "out/counts.csv")
    assert head == ["image", "objects", "mean_length_um", "median_length_um"]
    assert other == ["b.png", "0", "", ""]
    assert one[:2] == ["a,1.png", "2"]
    assert float(one[2]) == pytest.approx(2 * (48 + 24) / 2, rel=0.06)
    _, long, short = table(tmp_path / "out/objects.csv")
    assert [float(each[3]) for each in (long, short)] == [pytest.approx(96, rel=0.06), pytest.approx(48, rel=0.06)]
    assert [float(each[4]) for each in (long, short)] == [5 * 48 * 4, 5 * 24 * 4]
    assert 0 < float(short[2]) < float(long[2]) <= 1  # of a length that is less usual
    file = CocoFile(tmp_path / "out/instances.json")
    assert (file.objects("a,1").stack() == BARS.stack()).all()
    assert len(json.loads((tmp_path / "out/results.json").read_text())) == 2
    shown = np.asarray(Image.open(tmp_path / "out/overlays/a,1.png"))
    assert shown.shape == (64, 64, 3)
    assert shown[12, 30].tolist() == [40] * 3  # inside of the outline
    assert len(set(shown[10, 30].tolist())) > 1
    # in pixels, and with the short one below the threshold
    write_predictions(bars(0.9), INSTANCES, tmp_path / "in", tmp_path / "more")
    assert table(tmp_path / "more/counts.csv")[0][2] == "mean_length_pixels"
    assert table(tmp_path / "more/counts.csv")[1][1] == "1"
    assert len(json.loads((tmp_path / "more/results.json").read_text())) == 2


def test_an_image_that_is_too_large_for_the_device_is_named(tmp_path: Path) -> None:
    class Full(Straight):
        def forward(self, images: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.")

    write_image(grey(BARS), tmp_path / "in", "a")
    with pytest.raises(
        DeviceMemoryError, match=r"a\.png of 64 x 64 pixels \(.* 20 GiB\.\)\. Lower .*: cut them into tiles"
    ):
        write_predictions(Full(1, skeleton=True, used=True), INSTANCES, tmp_path / "in", tmp_path / "out")


def test_images_of_another_scale_than_what_was_learned_are_told_of(tmp_path: Path) -> None:
    write_image(grey(BARS), tmp_path / "in", "a")
    said = write_predictions(bars(), INSTANCES, tmp_path / "in", tmp_path / "out").remark
    assert said == (
        "The model learned objects of about 48 pixels in length and 5 in width, and finds those of that size alone."
    )
    small = bars()
    small.measures.copy_(torch.tensor([48.0, 1.6]))  # and the bars are 5 wide
    said = write_predictions(small, INSTANCES, tmp_path / "in", tmp_path / "more").remark
    assert "What it found is 1.6 times as wide, so that counts and lengths are likely to be wrong" in said


@pytest.mark.parametrize("length", [float("nan"), float("inf"), 0.0, -1.0])
def test_micrometres_that_are_no_length_are_refused(tmp_path: Path, length: float) -> None:
    write_image(grey(BARS), tmp_path / "in", "a")
    with pytest.raises(ConfigError, match=r"--um-per-pixel .*: give the micrometres of a pixel"):
        write_predictions(bars(), INSTANCES, tmp_path / "in", tmp_path / "out", length)


def test_pictures_show_what_is_missed_in_red() -> None:
    shown = show_objects(grey(BARS), BARS, red=np.array([False, True]))
    assert shown[40, 8].tolist() == [255, 0, 0]
    assert shown[10, 8].tolist() == [230, 159, 0]
    assert show_classes(np.full((2, 2, 1), 100, np.uint8), np.eye(2, dtype=np.uint8))[0].tolist() == [
        [165, 129, 50],
        [100] * 3,
    ]
    assert beside([shown, shown]).shape == (64, 132, 3)


def test_the_threshold_is_where_fewest_are_wrong() -> None:
    false = Region(25, 0, np.ones((3, 3), bool))
    found = ObjectMasks(64, 64, (*BARS.regions, false, false), scores=(0.9, 0.6, 0.3, 0.5))
    chosen = choose_threshold([BARS], [found])
    assert 0.5 < chosen <= 0.6
    assert choose_threshold([BARS], [replace(found, scores=(0.3, 0.4, 0.1, 0.9))]) <= 0.3
    assert choose_threshold([BARS], [ObjectMasks(64, 64, ())]) == 0


# Commands


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, [*arguments])
    assert done.exit_code == 0, done.exception
    return done.output


def wells(root: Path, names: list[str]) -> Path:
    for name in names:
        write_image(grey(BARS), root / "images", name)
        write_image(class_map(BARS), root / "masks", name)
    write_coco(root / "instances.json", {f"{name}.png": BARS for name in names}, "worm")
    return root


TINY = "data=bbbc010 data.image_size=32 downstream.steps=1 downstream.batch_size=1"


def test_a_folder_becomes_a_model_and_images_become_objects(tmp_path: Path) -> None:
    names = [f"tr_a_w{number}_0" for number in range(5)] + ["te_a_w5_0"]
    data, model = wells(tmp_path / "data", names), tmp_path / "worms.safetensors"
    said = " ".join(run("train-model", str(data), str(model), "--overrides", TINY).split())
    # of five wells to train one is held out for the threshold; the test well is not looked at
    assert "Learning from 4 of 6 pairs" in said
    assert "chosen by 1 images held out" in said
    assert "objects of 6 images" in " ".join(run("predict", str(model), str(data), str(tmp_path / "out")).split())
    assert len(table(tmp_path / "out/counts.csv")) == 7
    done = CliRunner().invoke(app, ["train-model", str(data), str(model), "--overrides", TINY])
    assert isinstance(done.exception, ConfigError)
    assert "is there already" in str(done.exception)
    done = CliRunner().invoke(app, ["predict", str(model), str(data), str(tmp_path / "out")])
    assert "is not empty" in str(done.exception)


def test_synthetic_images_need_other_ones_for_the_threshold(tmp_path: Path) -> None:
    data = wells(tmp_path / "data", ["east_0", "east_1"])
    real = wells(tmp_path / "real", ["tr_a_w0_0"])
    (data / "instances.json").unlink()
    said = run("train-model", str(data), str(tmp_path / "a.safetensors"), "--overrides", TINY)
    assert "Learning from 2 of 2 pairs" in " ".join(said.split())
    assert "All objects that are found count" in " ".join(said.split())
    more = ("--overrides", TINY, "--validation", str(real))
    said = run("train-model", str(data), str(tmp_path / "b.safetensors"), *more)
    assert "chosen by 1 images" in " ".join(said.split())
    (real / "instances.json").unlink()
    done = CliRunner().invoke(app, ["train-model", str(data), str(tmp_path / "c.safetensors"), *more])
    assert "keeps no objects to choose a threshold by" in str(done.exception)
    assert not (tmp_path / "c.safetensors").exists()


def test_a_misnamed_image_does_not_let_test_images_be_learned(tmp_path: Path) -> None:
    data = wells(tmp_path / "data", ["tr_a_w0_0", "tr_a_w1_0", "te_a_w2_0", "extra"])
    done = CliRunner().invoke(app, ["train-model", str(data), str(tmp_path / "m.safetensors"), "--overrides", TINY])
    assert isinstance(done.exception, DataError)
    assert "The file name 'extra' does not match data.name_pattern" in str(done.exception)
    assert not (tmp_path / "m.safetensors").exists()
