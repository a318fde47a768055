"""Tasks are found by their folders; each says on which data it works. Classification, by numbers made by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flower_dgan import tasks
from flower_dgan.data import Pairs, open_source
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.resolve import resolve
from flower_dgan.tasks import find_task
from flower_dgan.tasks.classification import TASK
from flower_dgan.tasks.classification.fit import fit_classifier, labels_of
from flower_dgan.tasks.tstr import score

DIGITS = "data.condition=class downstream=classification"
COUNTING = '''
"""A third task: nothing is learned, and every image is of class 1."""

import numpy as np

from flower_dgan.errors import ConfigError
from flower_dgan.tasks.task import Task


class Model:
    model = None

    def run(self, steps):
        pass


class Ones(Task):
    compares = ("classes",)

    def check(self, config):
        if config.data.image_size != 32:
            raise ConfigError("ones are 32 pixels high")

    def check_model(self, config, image_size):
        pass

    def build(self, config, **how):
        return Model()

    def fit(self, pairs, config, **how):
        return Model()

    def predict(self, model, pairs, image_size, kinds):
        yield {"classes": (np.array([m[0, 0] for m in pairs.label_maps]), np.ones(len(pairs), int))}

    def check_truth(self, pairs, kinds):
        pass


TASK = Ones()
'''


def test_the_folder_is_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_task("segmentation").compares == ("masks", "objects")
    with pytest.raises(ConfigError, match=r"Unknown downstream\.task 'ones'\..* Known: .*segmentation"):
        find_task("ones")
    (tmp_path / "more/ones").mkdir(parents=True)
    (tmp_path / "more/ones/__init__.py").write_text(COUNTING)
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(tmp_path / "more")])
    assert resolve.__wrapped__("downstream.task=ones downstream.metrics=[accuracy]").downstream.task == "ones"
    with pytest.raises(ConfigError, match="ones are 32 pixels high"):
        resolve.__wrapped__("downstream.task=ones downstream.metrics=[accuracy] data.image_size=16")
    assert score(find_task("ones"), nn.Identity(), images_of(1, 1, 3), image_size=4, metrics=("accuracy",)) == {
        "accuracy": 2 / 3
    }


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("downstream=classification", "data.condition=label-map leaves synthetic images without a class to learn"),
        (
            "data.condition=none downstream=classification",
            "data.condition=none leaves synthetic images without",
        ),
        ("data.condition=class", "set downstream=none, or downstream=classification"),
        ("downstream.task=classificaton", "Did you mean 'classification'"),
        (
            "downstream.metrics=[accuracy]",
            "accuracy, which compares classes, and downstream.task=segmentation",
        ),
        (f"{DIGITS} downstream.metrics=[f1,aji]", "aji, which compares objects, .*choose among accuracy, f1"),
        ("downstream.metrics=[]", "downstream.metrics is empty: name one of aji, dice, hd95, iou, object-dice"),
        (
            "data.condition=class downstream.task=classification downstream.metrics=[f1]",
            "set downstream=classification",
        ),
        (f"{DIGITS} downstream.dist_fid=100", "downstream.task=classification has none: set downstream.dist_fid=0"),
    ],
)
def test_what_a_task_cannot_do_is_said_before_any_work(overrides: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(overrides)


def test_no_table_wants_no_task() -> None:
    assert resolve("data.condition=none downstream=none").downstream.seeds == 0
    assert resolve("").downstream.task == "segmentation"


def images_of(*labels: int) -> Pairs:
    """Return 4 x 4 images whose grey value is their class."""
    images = tuple(np.full((4, 4, 1), label, np.uint8) for label in labels)
    return Pairs(images, tuple(image[..., 0] for image in images), 4)


class GreyValue(nn.Module):
    """Takes an image for the class that its first pixel names."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.one_hot(((images[:, 0, 0, 0] + 1) * 127.5).round().long(), 4).float()


def test_accuracy_counts_all_windows() -> None:
    pairs = images_of(0, 1, 2)
    # of the four windows of the last image one is taken for another class
    larger = np.full((4, 4, 1), 3, np.uint8)
    larger[2:, 2:] = 0
    pairs = Pairs((*pairs.images, larger), (*pairs.label_maps, np.full((4, 4), 3, np.uint8)), 4)
    found = score(TASK, GreyValue(), pairs, image_size=2, metrics=("accuracy", "f1"))
    # 15 of 16 windows; class 0 has 4 hits of 4 true and 5 predicted, class 3 has 3 of 4 and 3
    assert found == pytest.approx({"accuracy": 15 / 16, "f1": (8 / 9 + 1 + 1 + 6 / 7) / 4})


def test_labels_are_those_of_whole_images() -> None:
    assert labels_of(images_of(3, 0, 2)).tolist() == [3, 0, 2]
    with pytest.raises(DataError, match="no image with a class"):
        labels_of(images_of())
    with pytest.raises(DataError, match="two classes or more, and there is 1"):
        labels_of(replace(images_of(0), classes=1))
    mixed = Pairs((np.zeros((2, 2, 1), np.uint8),), (np.array([[0, 1], [0, 0]], np.uint8),), 2)
    with pytest.raises(DataError, match="several classes"):
        TASK.check_truth(mixed, frozenset({"classes"}))


def test_a_classifier_of_the_digits_learns() -> None:
    config = resolve(f"{DIGITS} downstream.steps=120")
    source = open_source(config.data)
    train, test = source.load(source.train), source.load(source.test)

    def accuracy(pairs: Pairs, rate: float) -> float:
        chosen = replace(config.downstream, learning_rate=rate)
        training = fit_classifier(pairs, chosen, image_size=32, augmentation="none", seed=0)
        training.run(120)
        return score(TASK, training.model, test, image_size=32, metrics=("accuracy",))["accuracy"]

    learned = accuracy(train, 2e-3)
    assert learned > 0.85
    assert accuracy(train, 0.0) < 0.35
    shifted = tuple((label_map + 1) % 10 for label_map in train.label_maps)  # every label is the next one's
    assert accuracy(Pairs(train.images, shifted, 10), 2e-3) < 0.1


def test_training_is_fixed_by_its_seed_and_leaves_the_global_rng_alone() -> None:
    config = resolve(f"{DIGITS} downstream.steps=3").downstream
    before = torch.get_rng_state()

    def trained(seed: int) -> Tensor:
        training = fit_classifier(images_of(0, 1, 2, 3), config, image_size=4, augmentation="none", seed=seed)
        training.run(3)
        return nn.utils.parameters_to_vector(training.model.parameters())

    assert torch.equal(trained(1), trained(1))
    assert not torch.equal(trained(1), trained(2))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_training_without_steps_is_refused() -> None:
    config = replace(resolve(DIGITS).downstream, steps=0)
    with pytest.raises(ConfigError, match="at least 1"):
        TASK.check_model(config, 32)


def test_modules_share_a_name_only_where_tasks_do() -> None:
    root = Path(tasks.__file__).parents[1]
    stems = [path.stem for path in root.rglob("*.py")]
    ours = [path for folder in ("tasks", "metrics", "comparison", "report") for path in (root / folder).rglob("*.py")]
    shared = {path.stem for path in ours if stems.count(path.stem) > 1}
    assert shared == {"__init__", "columns", "fit", "predict"}
    packages = {path.parent.name for path in root.rglob("__init__.py")}
    assert not packages & {path.stem for path in ours}
