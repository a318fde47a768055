"""Every file in ``conf/`` runs for one step, alone and in the combinations that the files themselves choose."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from flower_dgan.config.places import conf_directory
from flower_dgan.data import open_source
from flower_dgan.data.prepare.original import name_pair
from flower_dgan.errors import DataError
from flower_dgan.gan.perceptual import PerceptualLoss
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from tests.contract.conftest import Federation, federation, undrawn_figures
from tests.idx import write_part
from tests.pairs import make_folder

__all__ = ["federation", "undrawn_figures"]  # fixtures

ONE_STEP = (
    "exchange.rounds=1 exchange.exchanges=1 exchange.generator_steps=1 exchange.batch_size=2 output.synthetic_images=4"
)
WITHOUT_LABEL_MAPS = {"model=mlp", "model=distributed-gan", "model=dcgan", "model=dcgan-small"}
SMALLER = "model.generator_width=4 model.discriminator_width=4"


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_directory() / group).glob("*.yaml"))


def write_clients(path: Path) -> Path:
    """Write a partition of the digits into a CSV file: two clients take turns."""
    rows = [f"{entry.name},{'ab'[i % 2]}\n" for i, entry in enumerate(open_source(resolve("").data).train)]
    path.write_text("name,client\n" + "".join(rows))
    return path


@pytest.fixture
def small_perceptual_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for VGG-16's downloaded weights: the same layout with 4 channels."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [
        nn.Conv2d(3 if index == 0 else 4, 4, 3, padding=1) if index % 2 == 0 else nn.ReLU() for index in range(24)
    ]
    monkeypatch.setattr("flower_dgan.wiring.pretrained_perceptual_loss", lambda: PerceptualLoss(nn.Sequential(*layers)))


def as_class_maps(root: Path) -> None:
    """Make a folder one of grey images, with stripes of the four classes of objects that lie over each other."""
    for mask in (root / "masks").iterdir():
        width, height = Image.open(mask).size
        Image.fromarray(np.tile((np.arange(width) % 4).astype(np.uint8), (height, 1))).save(mask)
        image = root / "images" / mask.name
        Image.open(image).convert("L").save(image)


NOT_USED = {
    "l1_weight": 0.0,
    "perceptual_weight": 0.0,
    "previous": None,
    "reminding_l1_weight": 0.0,
    "reminding_perceptual_weight": 0.0,
    "sharpness": 0.0,
    "shared_batches": 0,
    "separate_batches": False,
    "swap_interval": 0,
    "turns": "together",
    "upload": "none",
    "upload_share": 1.0,
    "upload_threshold": 0.0,
}
"""What settings were where an algorithm did without, when all algorithms had all of them."""

VALIDATION = {"selection.take": "last", "selection.checks": 0, "selection.validation_fraction": 0.0}
"""What was done before it could be set: nothing was held out, and the last generator was taken."""

STILL = {"algorithm.passes": 1, "algorithm.gradient_penalty": 0.0, "model.levels": "none", "model.published_noise": 1.0}
"""What was done before it could be set: images stood still at clients, sites were drawn in the same units,
and noise was as long in the published set as in training."""

MOVED = {
    "algorithm.replay": "moved",
    "algorithm.target_step": 0.1,
    "algorithm.passes": 4,
    "algorithm.gradient_penalty": 1.0,
    "exchange.exchanges": 16,
    "exchange.generator_steps": 16,
    "model.levels": "site",
    "model.published_noise": 2.0,
}
"""What is done for real images since clients can move them; a mixture of generators and TDGAN keep their targets."""

MOVE = {"algorithm=dgan-images", "experiment=asyndgan-brats-cpu", "experiment=asyndgan-nuclei-cpu"}

REPLACED = {
    ("merge", "average"): "dgan-average",
    ("merge", "softmax"): "gman",
    ("merge", "equal"): "dgan-selective",  # it adds no gradients up, and never asked
    ("turns", "one-by-one"): "dgan-sequential",
    ("separate_batches", True): "mdgan",
}
"""Settings that became an algorithm."""

JUDGING_TOGETHER = {"uagan", "gman", "dgan-average", "dgan-selective"}
BEFORE = json.loads((Path(__file__).parent / "resolved_before_one_file_each.json").read_text())
"""What presets and experiments were, setting by setting: the first one whole, the others where they differ from it."""


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


SINCE = {"base", "dpgan", "dpmerf", "one-class-a-client-cpu"}
"""Presets and experiments that have come since."""


def test_all_presets_and_experiments_are_held_against_what_they_were() -> None:
    kept = {part.partition("=")[2] for overrides in BEFORE for part in overrides.split()[:1]}
    assert kept == {*names("algorithm"), *names("experiment")} - SINCE


@pytest.mark.parametrize("overrides", BEFORE)
def test_each_resolves_to_what_it_was(overrides: str) -> None:
    before = BEFORE["algorithm=dgan"] | BEFORE[overrides]
    root = "" if before["data.root"] is None else " data.root=/data"
    now = flat(json.loads(json.dumps(asdict(resolve(f"{overrides}{root}")))))
    algorithm = now.pop("algorithm.name")
    assert now.pop("downstream.task") == "segmentation"  # the only one there was
    now.pop("exchange.graph_mb")  # every pass was repeated
    now.pop("data.masks")  # nothing said what masks are
    assert not now.pop("output.trackers")  # no other program was told of a run
    later = {f"downstream.{name}" for name in ("member_folds", "member_sizes", "synthetic_times")}
    assert not any(now.pop(name) for name in later)  # what is asked for, and was not there to ask
    now["downstream.rows"] = [row for row in now["downstream.rows"] if row != "Real-k+DGAN"]  # has come since
    if before["downstream.seeds"] == 3:  # the default, which is one now, without a row of a GAN of its own
        before |= {"downstream.seeds": 1, "downstream.rows": now["downstream.rows"]}
        assert set(before["downstream.rows"]) == {"Real-All", "Real-k", "Untrained", "DGAN"}
    if before["downstream.steps"] == 200:  # those of the digits, which learn as much from fewer
        before |= {"downstream.steps": 150}
    assert now.pop("device") == "auto"  # it was the CPU whatever there was
    assert now.pop("precision") == "float32"  # there was no other
    assert now.pop("compile") is False  # nothing was compiled
    assert not any(now.pop(f"downstream.{name}") for name in ("skeleton", "skeleton_training_only"))  # of another task
    assert {key: now.pop(key) for key in VALIDATION} == VALIDATION
    drawn_on_masks = now["data.source"] == "folder" and now["data.condition"] == "label-map"
    assert now.pop("data.foreground_windows") == 0.5 * drawn_on_masks  # windows lay anywhere
    before = before | STILL | (MOVED if overrides in MOVE else {})
    assert now.keys() <= before.keys()
    assert now == {key: before[key] for key in now}
    for key in before.keys() - now.keys():
        setting, value = key.removeprefix("algorithm."), before[key]
        is_one = setting == "shared_batches" and value == 1 and algorithm in JUDGING_TOGETHER
        assert is_one or REPLACED.get((setting, value)) == algorithm or value == NOT_USED.get(setting, "in use"), key


def test_groups_are_those_that_are_tested() -> None:
    groups = {path.name for path in conf_directory().iterdir() if path.is_dir()}
    others = {"algorithm", "data", "downstream", "exchange", "experiment", "model", "output", "partition", "schedule"}
    assert groups == others | {"selection", "privacy"}


@pytest.mark.parametrize("group", ["exchange", "model", "output", "partition", "privacy", "schedule", "selection"])
def test_each_choice_runs(group: str, federation: Federation, tmp_path: Path) -> None:
    for name in names(group):
        federation.directory = federation.directory.with_name(f"{group}-{name}")
        chosen = f"partition=label {group}={name}" if group != "partition" else f"partition={name}"
        if f"{group}={name}" in WITHOUT_LABEL_MAPS:
            chosen += " data.condition=class"
        elif chosen == "partition=site":
            chosen += " data.sites=[digit-0,digit-1]"
        elif chosen == "partition=csv":
            chosen += f" partition.file={write_clients(tmp_path / 'clients.csv')}"
        elif group == "privacy":
            chosen += " data.condition=class data.classes=10"
        elif group == "selection":
            chosen += " downstream=digits downstream.steps=1 downstream.seeds=0"
        path = federation.run(f"{chosen} {ONE_STEP} {SMALLER}").path
        assert len(read_metrics(path).rounds) == 1


@pytest.mark.parametrize("name", names("downstream"))
def test_each_model_of_a_task_runs(name: str, federation: Federation) -> None:
    chosen = f"downstream={name}" + (" data.condition=class" if name == "classification" else "")
    seeds = min(resolve(chosen).downstream.seeds, 1)
    extra = f"partition=label {chosen} downstream.steps=1 downstream.seeds={seeds} downstream.rows=[DGAN]"
    path = federation.run(f"{extra} {ONE_STEP}").path
    assert len(read_metrics(path).tstr) == seeds


@pytest.mark.parametrize("name", [each for each in names("algorithm") if each not in ("base", "dpgan", "dpmerf")])
def test_each_algorithm_runs(name: str, federation: Federation, small_perceptual_loss: None) -> None:
    extra = f"algorithm={name} partition=label {ONE_STEP} {SMALLER}"
    if name in ("asyndgan", "tdgan"):
        extra += " allow_pixel_losses=true"
    path = federation.run(extra).path
    # of one client, or for both
    one_batch = name in ("dgan-sequential", "dgan-selective", "dgan-average", "uagan", "gman")
    assert read_metrics(path).rounds[0].images == (2 if one_batch else 4)


PREPARED = {"brats", "city-osm", "kumar", "monuseg", "pets", "ships", "whu"}


@pytest.mark.parametrize("name", sorted(PREPARED))
def test_prepared_data_sets_are_folders_with_other_names(name: str) -> None:
    config, folder = resolve(f"data={name} data.root=/data"), resolve("data=folder data.root=/data")
    assert config.data.classes == len(config.data.class_names)
    own = {"name_pattern": folder.data.name_pattern, "image_size": folder.data.image_size, "channels": 3}
    own |= {"classes": None, "class_names": (), "class_colours": (), "masks": None}
    assert config.data.masks == ("classes" if config.data.classes != 2 else "binary")
    assert replace(config.data, **own) == folder.data
    assert replace(config, data=folder.data, partition=folder.partition) == folder
    assert config.data.name_pattern is not None
    split = "tr" if name in ("kumar", "monuseg", "pets", "whu") else None
    found = re.fullmatch(config.data.name_pattern, name_pair(split, "a city", "no. 1", "0") + "_256-0")
    assert found is not None
    expected = {"site": "a-city", "group": "no.-1"}
    assert found.groupdict() == ({"split": split} if split else {}) | expected


@pytest.mark.parametrize("name", sorted(set(names("data")) - PREPARED))
def test_each_data_set_runs_with_its_own_choices(name: str, federation: Federation, tmp_path: Path) -> None:
    root = tmp_path / "data"
    make_folder(root, size=128 if name == "bbbc010" else 64)
    if name == "bbbc010":
        as_class_maps(root)
    for folder in ("MNIST", "FashionMNIST"):
        write_part(root / folder / "raw", "train", list(range(10)) * 2, ".gz")
        write_part(root / folder / "raw", "t10k", list(range(10)), ".gz")
    chosen = "" if name == "digits" else f"data.root='{root}'"
    partition = resolve(f"data={name}").partition.name  # the tests' federation sets another
    path = federation.run(f"data={name} partition={partition} {chosen} {ONE_STEP} {SMALLER}").path
    assert len(read_metrics(path).rounds) == 1


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_classes_of_images_are_a_table(name: str, folder: str, federation: Federation, tmp_path: Path) -> None:
    write_part(tmp_path / folder / "raw", "train", list(range(10)) * 2, ".gz")
    write_part(tmp_path / folder / "raw", "t10k", list(range(10)), ".gz")
    table = "data.condition=class downstream=classification downstream.steps=1 downstream.seeds=1"
    path = federation.run(f"data={name} data.root='{tmp_path}' partition=label {table} {ONE_STEP} {SMALLER}").path
    found = {each.row: each.values["accuracy"] for each in read_metrics(path).tstr}
    alone = {f"Real-{labels}" for labels in ("labels 0-4", "labels 5-9")}
    assert set(found) == {"Real-All", *alone, *(f"{row}+DGAN" for row in alone), "Untrained", "DGAN"}
    assert {round(10 * accuracy, 9) % 1 for accuracy in found.values()} == {0}  # of ten images


@pytest.mark.parametrize("name", [each for each in names("experiment") if each.endswith("-cpu")])
def test_each_experiment_runs(name: str, federation: Federation, tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_part(root, "train", list(range(10)) * 4, "")
    write_part(root, "t10k", list(range(10)), "")
    make_folder(root)
    chosen = resolve(f"experiment={name} data.root={root}")
    if chosen.data.class_names[2:]:  # class ids in place of 0 and 255; the clients lack all but two
        for mask in (root / "masks").iterdir():
            Image.fromarray(np.asarray(Image.open(mask)) // 255).save(mask)
    # the tests' federation sets these others, and its folder has other sites
    extra = f"partition={chosen.partition.name} {ONE_STEP} {SMALLER}"
    if chosen.data.source != "digits":
        extra += f" data.root='{root}'"
    if name.startswith("mdgan"):
        extra += " algorithm.swap_interval=0"
    groups = list(map(list, chosen.partition.label_groups))
    extra += f" partition.label_groups={groups}".replace(" [", "[").replace(", ", ",") if groups else " data.sites=[]"
    path = federation.run(f"experiment={name} {extra}", clients=len(groups) or 2).path
    assert len(read_metrics(path).rounds) == 1


@pytest.mark.parametrize("name", [each for each in names("experiment") if not each.endswith("-cpu")])
def test_each_experiment_of_a_paper_has_one_for_a_cpu(name: str) -> None:
    paper, small = (resolve(f"experiment={each} data.root=/data") for each in (name, f"{name}-cpu"))
    assert paper.data.source == small.data.source
    assert paper.exchange.rounds * paper.exchange.exchanges > small.exchange.rounds
    assert small.model.generator in ("small", "mlp", "mlp-relu", "dcgan", "fusion-mixture")
    assert not small.allow_pixel_losses


def test_an_experiment_is_a_start_and_not_the_last_word() -> None:
    config = resolve("experiment=mdgan-mnist data.root=/data exchange.batch_size=20 partition=label")
    assert (config.exchange.batch_size, config.algorithm.swap_interval, config.partition.name) == (20, 600, "label")


def test_released_asyndgan_constants() -> None:
    config = resolve("algorithm=asyndgan allow_pixel_losses=true")
    algorithm = config.algorithm
    assert (algorithm.generator_weight, algorithm.discriminator_weight, algorithm.merge) == (0.1, 0.05, "equal")
    assert (algorithm.l1_weight, algorithm.perceptual_weight) == (100.0, 1.0)
    assert (algorithm.generator_learning_rate, algorithm.betas) == (2e-4, (0.5, 0.999))
    assert (config.model.generator, config.model.discriminator, config.exchange.exchanges) == ("resnet9", "patchgan", 1)


def test_perceptual_weights_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from flower_dgan.gan import perceptual

    def offline(**_: object) -> None:
        raise OSError("no route to host")

    perceptual.pretrained_perceptual_loss.cache_clear()
    monkeypatch.setattr("torchvision.models.vgg16", offline)
    with pytest.raises(DataError, match=r"no route to host.*perceptual_weight=0"):
        perceptual.pretrained_perceptual_loss()
