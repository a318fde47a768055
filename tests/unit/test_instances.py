"""Instance segmentation: tracing by maps made by hand, the model's training, and the columns of the table."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flower_dgan.data import Pairs
from flower_dgan.data.class_maps import CLASSES, CROSSING, LINE, class_map
from flower_dgan.data.object_masks import ObjectMasks, of_stack
from flower_dgan.errors import ConfigError, DataError, NotFiniteError
from flower_dgan.metrics import Metric, find_metric
from flower_dgan.metrics.shared.average_precision import matched
from flower_dgan.resolve import resolve
from flower_dgan.tasks.by_patient import score_by_patient
from flower_dgan.tasks.instances import TASK
from flower_dgan.tasks.instances.dense import DenseModel
from flower_dgan.tasks.instances.fit import as_class_maps, fit_dense, loss_of
from flower_dgan.tasks.instances.predict import find_objects
from flower_dgan.tasks.instances.scale import Scale
from flower_dgan.tasks.instances.tracing import measure, trace
from flower_dgan.tasks.instances.truth import true_objects
from flower_dgan.tasks.tstr import score

SETTINGS = resolve("data=bbbc010 data.root=/data").downstream


def bar(start: tuple[float, float], end: tuple[float, float], side: int = 96, half_width: float = 2.5) -> np.ndarray:
    """Return the pixels that are near a straight line."""
    pixels = np.stack(np.mgrid[:side, :side], -1).astype(float)
    first, step = np.array(start), np.array(end) - start
    along = np.clip(((pixels - first) @ step) / (step @ step), 0, 1)
    return np.hypot(*np.moveaxis(pixels - first - along[..., None] * step, -1, 0)) <= half_width


def bars(*ends: tuple[tuple[float, float], tuple[float, float]], side: int = 96) -> ObjectMasks:
    return of_stack(np.stack([bar(*each, side=side) for each in ends]))


CROSSED = bars(((20, 15), (60, 75)), ((60, 15), (20, 75)), ((80, 10), (80, 82)))
THREE = Scale(72.0, 2.5)


def traced(objects: ObjectMasks, *, line: bool = True, enlarged: int = 1) -> ObjectMasks:
    drawn = class_map(objects)
    foreground, crossing, lines = ((drawn > 0), (drawn == CROSSING), (drawn == LINE))
    return trace(
        *(each.astype(np.float32) for each in (foreground, crossing)),
        lines.astype(np.float32) if line else None,
        THREE,
        enlarged,
    )


@pytest.mark.parametrize("line", [True, False])
def test_objects_that_cross_are_told_apart(line: bool) -> None:
    found = traced(CROSSED, line=line)
    assert len(found) == 3
    hit, false = matched(CROSSED, found, 0.75)
    assert (hit.tolist(), false) == ([True] * 3, 0)
    assert sorted(found.overlapping().tolist()) == [False, True, True]
    # each goes straight on: its ends lie on the far sides of the crossing
    for one in found.chosen(found.overlapping()).lines:
        assert abs(one[0] - one[-1]).min() > 30
    assert all(0.5 < each <= 1 for each in found.scores)


def test_lines_that_end_at_one_place_and_turn_sharply_stay_two() -> None:
    corner = bars(((20, 20), (70, 20)), ((76, 24), (76, 80)))
    assert len(traced(corner)) == 2


def test_nothing_is_found_where_nothing_is_and_what_is_too_short_is_left_out() -> None:
    empty = np.zeros((40, 40), np.float32)
    assert len(trace(empty, empty, empty, THREE)) == 0
    short = bars(((20, 20), (20, 40)))
    assert len(traced(short)) == 0
    drawn = class_map(short)
    maps = [(drawn > 0), (drawn == CROSSING), (drawn == LINE)]
    assert len(trace(*(each.astype(np.float32) for each in maps), Scale(20.0, 2.5))) == 1


def test_masks_may_be_larger_than_the_maps() -> None:
    found = traced(CROSSED, enlarged=2)
    assert (found.height, found.width) == (192, 192)
    whole = ObjectMasks(192, 192, of_stack(CROSSED.stack().repeat(2, 1).repeat(2, 2)).regions)
    hit, false = matched(whole, found, 0.7)
    assert (hit.tolist(), false) == ([True] * 3, 0)
    assert find_metric("objects-found", Metric).title == "objects found"


def test_objects_are_measured_by_those_that_are_whole(caplog: pytest.LogCaptureFixture) -> None:
    scale = measure([class_map(CROSSED)])
    assert scale is not None
    assert scale.length == pytest.approx(74, abs=4)  # of the third, and not of the arms of the others
    assert scale.half_width == pytest.approx(2.5, abs=0.6)
    assert measure([np.zeros((20, 20), np.uint8)]) is None
    assert caplog.messages == []
    parts = measure([class_map(CROSSED.chosen(np.array([True, True, False])))])
    assert parts is not None
    assert 25 < parts.length < 40
    (said,) = caplog.messages
    assert said.startswith("Every centre line of the class maps ends at a crossing")


def test_the_loss_knows_its_maps_and_leaves_lines_in_crossings_open() -> None:
    drawn = torch.tensor(class_map(CROSSED).astype(np.int64))[None]
    truth = nn.functional.one_hot(drawn, 4).permute(0, 3, 1, 2).float()
    sure = 40 * torch.stack([1 - truth[:, 0], truth[:, 2], truth[:, 3]], 1) - 20
    assert loss_of(sure, truth).item() == pytest.approx(0, abs=1e-4)
    in_crossings = sure.clone()
    in_crossings[:, 2] += 40 * truth[:, 2]
    assert loss_of(in_crossings, truth).item() == pytest.approx(loss_of(sure, truth).item(), abs=1e-6)
    beside = sure.clone()
    beside[:, 2] += 40 * truth[:, 1]
    assert loss_of(beside, truth).item() > 1
    # without the head the line is nobody's business
    assert loss_of(beside[:, :2], truth).item() == pytest.approx(0, abs=1e-4)


def test_masks_of_two_classes_become_class_maps() -> None:
    mask = bar((20, 15), (60, 75)).astype(np.uint8)
    (drawn,) = as_class_maps([mask], 2)
    assert ((drawn > 0) == (mask > 0)).all()
    assert set(np.unique(drawn)) == {0, 1, 3}
    given = class_map(CROSSED)
    assert as_class_maps([given], 4) == (given,)


def pairs_of(*images: ObjectMasks) -> Pairs:
    """Return dark objects on a bright ground, with their class maps."""
    drawn = tuple(class_map(each) for each in images)
    pixels = tuple((200 - 120 * (each > 0) - 40 * (each == CROSSING)).astype(np.uint8)[..., None] for each in drawn)
    return Pairs(pixels, drawn, len(CLASSES), objects=images)


PAIRS = pairs_of(CROSSED)
TINY = replace(SETTINGS, steps=2, batch_size=2)


def weights(pairs: Pairs, seed: int, config: object = TINY) -> Tensor:
    training = fit_dense(pairs, config, image_size=32, augmentation="flips", seed=seed)  # type: ignore[arg-type]
    training.run(2)
    return nn.utils.parameters_to_vector(training.model.parameters())


def test_training_is_fixed_by_its_seed_and_by_the_class_maps_alone() -> None:
    before = torch.get_rng_state()
    first = weights(PAIRS, 1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(weights(replace(PAIRS, objects=None), 1), first)
    assert not torch.equal(weights(PAIRS, 2), first)
    assert len(weights(PAIRS, 1, replace(TINY, skeleton=False))) == len(first) - 17  # a channel of the last layer


def test_one_image_is_learned_and_its_objects_found() -> None:
    config = replace(SETTINGS, steps=40, batch_size=2, learning_rate=1e-2)
    training = fit_dense(PAIRS, config, image_size=96, augmentation="none", seed=0)
    assert isinstance(training.model, DenseModel)
    assert training.model.scale.length == pytest.approx(74, abs=4)
    untrained = score(TASK, training.model.eval(), PAIRS, image_size=96, metrics=("ap50",))
    training.run(40)
    learned = score(TASK, training.model, PAIRS, image_size=96, metrics=("ap50", "dsb50", "objects-found"))
    assert untrained == {"ap50": 0}
    assert min(learned.values()) > 0.6
    found = find_objects(training.model, PAIRS.images[0])
    assert (found.height, found.width, found.threshold) == (96, 96, 0)


class Perfect(DenseModel):
    """Finds what is dark."""

    def forward(self, images: Tensor) -> Tensor:
        dark = (0.2 - images) * 100
        line = torch.full_like(dark, -20.0)
        line[:, :, 79:81, 10:83] = 20
        return torch.cat([dark, torch.full_like(dark, -20.0), line], 1)


def model(used: bool = True) -> Perfect:
    found = Perfect(1, skeleton=True, used=used)
    found.measures.copy_(torch.tensor([72.0, 2.5]))
    return found


def test_where_no_objects_are_kept_those_of_class_maps_are_traced() -> None:
    known = true_objects(PAIRS)[0]
    (drawn,) = true_objects(replace(PAIRS, objects=None))
    hit, false = matched(known, drawn, 0.75)
    assert (hit.tolist(), false, drawn.scores) == ([True] * 3, 0, ())
    binary = Pairs(PAIRS.images, ((CROSSED.depth() > 0).astype(np.uint8),), 2)
    assert len(true_objects(binary)[0]) == 2  # the crossed ones are one component
    for pairs, words in ((PAIRS, "as the folder"), (replace(PAIRS, objects=None), "traced"), (binary, "components")):
        assert words in TASK.remark(pairs, frozenset({"instances"}))


def test_patients_are_scored_by_their_whole_images() -> None:
    one, two = CROSSED.chosen(np.array([False, False, True])), CROSSED
    pairs = pairs_of(one, two, one)
    found = score_by_patient(TASK, model(), pairs, ("a", "b", "a"), image_size=32, metrics=("objects-found", "dsb50"))
    assert found["a"] == {"objects-found": 1, "dsb50": 1}
    assert found["b"] == {"objects-found": pytest.approx(1 / 3), "dsb50": pytest.approx(1 / 3)}


def test_a_head_that_is_not_used_changes_nothing() -> None:
    straight = pairs_of(CROSSED.chosen(np.array([False, False, True])))
    blind = model(used=False)
    blind.forward = lambda images: Perfect.forward(blind, images) * torch.tensor([1.0, 1, 0])[:, None, None]  # type: ignore[method-assign]
    assert score(TASK, blind, straight, image_size=32, metrics=("dsb50",)) == {"dsb50": 1}
    blind.used = True
    assert score(TASK, blind, straight, image_size=32, metrics=("dsb50",)) == {"dsb50": 0}


def test_what_cannot_be_scored_is_said() -> None:
    empty = pairs_of(ObjectMasks(32, 32, ()))
    with pytest.raises(DataError, match="hold no object"):
        TASK.check_truth(empty, frozenset({"instances"}))
    with pytest.raises(DataError, match="hold no object"):
        list(TASK.predict(model(), empty, 32, frozenset({"instances"})))
    spoiled = model()
    spoiled.forward = lambda images: torch.full((1, 3, *images.shape[2:]), float("nan"))  # type: ignore[method-assign]
    with pytest.raises(NotFiniteError, match="what the model makes of images"):
        find_objects(spoiled, PAIRS.images[0])
    with pytest.raises(DataError, match="neither a centre line nor the middle of a round object"):
        fit_dense(empty, TINY, image_size=32, augmentation="none", seed=0)
    with pytest.raises(DataError, match="label maps of 2 or 4 classes, not 3"):
        fit_dense(replace(PAIRS, classes=3), TINY, image_size=32, augmentation="none", seed=0)
    with pytest.raises(DataError, match="no pair to train"):
        fit_dense(Pairs((), (), 4), TINY, image_size=32, augmentation="none", seed=0)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("downstream.encoder=resnet18", "Instances have models of their own, and downstream.encoder=resnet18"),
        ("data.classes=3 data.class_names=[]", "data.classes=3: instances are learned from class maps of 4"),
        ("data.condition=none", "data.condition=none leaves no class maps"),
        (
            "downstream.skeleton=false downstream.skeleton_training_only=true",
            "wants a head for centre lines in training",
        ),
        ("downstream.metrics=[ap,dice]", "dice, which compares masks, .*choose among ap, ap50"),
    ],
)
def test_settings_that_make_no_model_are_refused_before_any_work(overrides: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(f"data=bbbc010 data.root=/data {overrides}")
    with pytest.raises(ConfigError, match=r"16 pixels a side or more, not data.image_size=8"):
        TASK.check_model(SETTINGS, 8)
