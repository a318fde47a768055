"""A distributed GAN that draws from class maps of crossing objects, and the rows of instance segmentation."""

from pathlib import Path

import numpy as np
import pytest

from flower_dgan.data.array_files import write_image
from flower_dgan.data.class_maps import class_map
from flower_dgan.data.coco_annotations import write_coco
from flower_dgan.data.object_masks import ObjectMasks, of_stack
from flower_dgan.federation import evaluation
from flower_dgan.report.run_metrics import read_metrics

from .conftest import Federation

ROWS = {"Real-All", "Real-east", "Real-west", "Untrained", "Syn-All", "DGAN", "FedGAN", "FedAvg"}
METRICS = ("ap", "ap50-overlapping", "dsb50", "objects-found")


def crossed(turn: int) -> ObjectMasks:
    """Return two bars that cross, and turn them by quarters."""
    masks = np.zeros((2, 32, 32), bool)
    masks[0, 8:12, 2:30] = masks[1, 2:30, 14:18] = True
    return of_stack(np.rot90(masks, turn, (1, 2)))


@pytest.fixture
def folder(tmp_path: Path) -> str:
    for number in range(12):
        split, site = ("te", "east") if number > 9 else ("tr", ("east", "west")[number % 2])
        name = f"{split}_{site}_well{number}_0"
        objects = crossed(number)
        pixels = np.random.default_rng(number).integers(180, 220, (32, 32, 1)) - 120 * (objects.depth() > 0)[..., None]
        write_image(pixels.astype(np.uint8), tmp_path / "data/images", name)
        write_image(class_map(objects), tmp_path / "data/masks", name)
        if split == "te":  # a node's own objects stay where they are: its class maps say enough
            (tmp_path / "data/instances").mkdir(exist_ok=True)
            write_coco(tmp_path / f"data/instances/{name}.json", {f"{name}.png": objects}, "bar")
    return (
        f"data=bbbc010 data.root='{tmp_path / 'data'}' algorithm=dgan partition=site data.image_size=32 "
        "model=small-all-sites model.generator_width=4 model.discriminator_width=4 downstream=instances "
        f"downstream.steps=2 downstream.batch_size=2 downstream.seeds=1 downstream.metrics=[{','.join(METRICS)}] "
        "downstream.rows=[Real-All,Real-k,Untrained,Syn-All,DGAN,FedGAN,FedAvg]"
    )


@pytest.mark.parametrize("skeleton", [True, False])
def test_all_rows_are_scored_on_whole_objects(
    folder: str, federation: Federation, monkeypatch: pytest.MonkeyPatch, skeleton: bool
) -> None:
    tested, rows = [], {}
    make = evaluation.train_on_synthetic_test_on_real

    def note(given: dict, test: object, *arguments: object, **settings: object) -> object:
        tested.append(test)
        rows.update(given)
        return make(given, test, *arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluation, "train_on_synthetic_test_on_real", note)
    directory = federation.run(f"{folder} downstream.skeleton={str(skeleton).lower()}")
    found = read_metrics(directory.path).tstr
    assert {result.row for result in found} == ROWS
    for result in found:
        assert tuple(result.values) == METRICS
        assert all(0 <= value <= 1 for value in result.values.values())
        assert "as the folder keeps them; images are scored whole" in result.remark
    # the server's test wells have every object whole; what is learned from is class maps
    (test,) = tested
    assert [each.overlapping().tolist() for each in test.objects] == [[True, True]] * 2
    assert [sum(region.area for region in each.regions) for each in test.objects] == [2 * 28 * 4] * 2
    assert all(pairs.objects is None and pairs.classes == 4 for pairs in rows.values())
    drawn = rows["DGAN"]
    assert {0, 1, 2, 3} == {value for label_map in drawn.label_maps for value in np.unique(label_map).tolist()}
