"""Mask R-CNN with a line head: its contract, on a detector that is small enough for a CPU."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL.Image import Resampling
from torch import Tensor, nn

from flower_dgan.data import Pairs
from flower_dgan.data.centre_lines import lines_of
from flower_dgan.data.class_maps import CLASSES, class_map
from flower_dgan.data.object_masks import Bits, ObjectMasks, of_stack
from flower_dgan.data.windows import cut_window
from flower_dgan.errors import ConfigError, DataError, NotFiniteError
from flower_dgan.metrics.shared.average_precision import matched
from flower_dgan.resolve import resolve
from flower_dgan.tasks.instances import TASK
from flower_dgan.tasks.instances.learned_scale import scale_remark
from flower_dgan.tasks.instances.mask_rcnn import LineHead, MaskRcnn, line_loss
from flower_dgan.tasks.instances.predict import find_objects
from flower_dgan.tasks.instances.regions import fit_mask_rcnn, line_in_view, targets_of
from flower_dgan.tasks.instances.threshold import calibrate
from tests.small_detector import small_detector

SIDE = 48
SETTINGS = resolve("data=bbbc010 data.root=/data downstream.encoder=mask-rcnn").downstream


def objects() -> ObjectMasks:
    """Return two bars that cross, and one apart."""
    masks = np.zeros((3, SIDE, SIDE), bool)
    masks[0, 12:16, 4:32] = masks[1, 4:32, 16:20] = masks[2, 38:42, 6:42] = True
    return of_stack(masks)


TRUE = objects()
PIXELS = (200 - 120 * (TRUE.depth() > 0) - 40 * (TRUE.depth() > 1)).astype(np.uint8)[..., None]
PAIRS = Pairs((PIXELS,), (class_map(TRUE),), len(CLASSES), objects=(TRUE,))
IMAGES = torch.from_numpy(PIXELS.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
TARGET = targets_of(TRUE, lines_of(TRUE, 64), (0, 0, 0, 0), SIDE)


def losses(model: MaskRcnn, target: dict[str, Tensor] = TARGET) -> dict[str, Tensor]:
    torch.manual_seed(5)
    return model.train().losses(IMAGES, [target])


def model(*, skeleton: bool, used: bool = False) -> MaskRcnn:
    torch.manual_seed(0)
    return MaskRcnn(1, skeleton=skeleton, used=used, detector=small_detector())


def test_a_line_costs_by_hand() -> None:
    """A box of 10 x 20 at (0, 0): points that are a tenth of a side beside cost 0.1 - 0.05 / 2 each way, twice that."""
    true = torch.stack([torch.linspace(0, 10, 16), torch.linspace(0, 20, 16)], 1)[None]
    boxes = torch.tensor([[0.0, 0, 10, 20]])
    exact = true / torch.tensor([10.0, 20])
    assert line_loss(exact, boxes, true).item() == 0
    assert line_loss(exact + 0.1, boxes, true).item() == pytest.approx(0.075)
    half = exact + torch.tensor([0.1, 0.0])
    assert line_loss(half, boxes, true).item() == pytest.approx(0.0375)
    assert line_loss(torch.zeros(0, 16, 2), boxes[:0], true[:0]).item() == 0


def test_a_reversed_line_costs_the_same_and_another_line_more() -> None:
    with_head = model(skeleton=True)
    before = losses(with_head)
    turned = losses(with_head, {**TARGET, "lines": TARGET["lines"].flip(1)})
    assert turned["loss_line"].item() == pytest.approx(before["loss_line"].item(), rel=1e-6)
    some = TARGET["lines"].clone()
    some[1] = some[1].flip(0)
    assert losses(with_head, {**TARGET, "lines": some})["loss_line"].item() == pytest.approx(
        before["loss_line"].item(), rel=1e-6
    )
    other = losses(with_head, {**TARGET, "lines": TARGET["lines"] + 20})
    assert other["loss_line"].item() > 1.5 * before["loss_line"].item()
    for name in set(before) - {"loss_line"}:
        assert torch.equal(other[name], before[name]), name


def test_without_the_head_it_is_torchvisions_bit_by_bit() -> None:
    ours = model(skeleton=False)
    torch.manual_seed(0)
    theirs = small_detector()
    theirs.transform.min_size, theirs.transform.max_size = (2 * SIDE,), 2 * SIDE
    torch.manual_seed(5)
    expected = theirs.train()(list(IMAGES), [{k: v for k, v in TARGET.items() if k != "lines"}])
    found = losses(ours)
    with_head = losses(model(skeleton=True))
    assert set(found) == set(expected) == set(with_head) - {"loss_line"}
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
        assert torch.equal(with_head[name], value), name  # the head changes nothing that torchvision computes
    with torch.no_grad():
        (one,), (other,) = ours.eval()(IMAGES), theirs.eval()(list(IMAGES))
    assert set(one) == set(other)
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_lines_are_in_pixels_of_the_image_and_within_reach_of_their_boxes() -> None:
    with_head = model(skeleton=True, used=True).eval()
    last = with_head.detector.roi_heads.line_head.points[-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)  # every point in the middle of its box
    with torch.no_grad():
        (found,) = with_head(IMAGES)
    assert len(found["boxes"])
    middles = (found["boxes"][:, :2] + found["boxes"][:, 2:]) / 2
    torch.testing.assert_close(found["lines"], middles[:, None].expand(-1, 16, -1), rtol=0, atol=1e-3)
    assert LineHead(8)(torch.zeros(3, 8, 14, 14)).shape == (3, 16, 2)


@pytest.mark.parametrize(
    "place", [(0, 0, 0, 0), (5, 3, 1, 0), (2, 7, 0, 90), (0, 4, 1, 270), (3, 3, 0, 180), (4, 4, 1, 33)]
)
def test_targets_are_cut_mirrored_and_turned_as_images_are(place: tuple[int, int, int, int]) -> None:
    side = 40
    found = targets_of(TRUE, lines_of(TRUE, 64), place, side)
    seen = cut_window(PIXELS[..., 0], place, side, Resampling.NEAREST) < 150
    covered = found["masks"].numpy().any(0)
    assert (covered != seen).mean() < (0.002 if place[3] % 90 == 0 else 0.03)
    for mask, box, line in zip(found["masks"].numpy(), found["boxes"].tolist(), found["lines"].numpy(), strict=True):
        rows, columns = np.nonzero(mask)
        assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        at = np.clip(np.floor(line[:, ::-1]).astype(int), 0, side - 1)
        assert mask[tuple(at.T)].mean() > 0.8
        assert np.ptp(line, axis=0).max() > 0.7 * max(np.ptp(rows), np.ptp(columns))


def test_what_a_window_does_not_show_is_no_target() -> None:
    line = np.array([[5.0, 0], [5, 100]])
    fine = np.stack([np.full(64, 5.0), np.linspace(0, 100, 64)], 1)
    assert line_in_view(fine, (0, 200, 0, 0), 20) is None
    assert line_in_view(line, (0, 0, 0, 0), 20) is None  # one point
    seen = line_in_view(fine, (0, 40, 0, 0), 20)
    assert seen is not None
    assert seen.shape == (16, 2)
    assert seen[0, 1] == pytest.approx(0, abs=1.6)
    assert seen[-1, 1] == pytest.approx(19, abs=1.6)
    nothing = targets_of(TRUE, lines_of(TRUE, 64), (0, 0, 0, 0), 3)
    assert {name: tuple(value.shape) for name, value in nothing.items()} == {
        "boxes": (0, 4), "labels": (0,), "masks": (0, 3, 3), "lines": (0, 16, 2),
    }  # fmt: skip
    assert all(torch.isfinite(value) for value in losses_of_nothing().values())


def losses_of_nothing() -> dict[str, Tensor]:
    return losses(model(skeleton=True), targets_of(ObjectMasks(SIDE, SIDE, ()), [], (0, 0, 0, 0), SIDE))


@pytest.fixture(scope="module")
def learned() -> MaskRcnn:
    config = replace(SETTINGS, steps=120, batch_size=1, learning_rate=4e-3)
    training = fit_mask_rcnn(PAIRS, config, image_size=SIDE, augmentation="none", seed=0, detector=small_detector)
    training.run(120)
    assert isinstance(training.model, MaskRcnn)
    return training.model


def test_one_well_is_overfitted_with_its_lines(learned: MaskRcnn) -> None:
    found = find_objects(learned, PIXELS)
    hit, _ = matched(TRUE, found, 0.5)
    assert hit.tolist() == [True] * 3
    assert found.overlapping()[: len(TRUE)].any()
    for region, line in zip(found.regions[:3], found.lines[:3], strict=True):
        whole = of_whole(found, region)
        assert whole[tuple(np.rint(line).astype(int).T)].mean() > 0.8
        assert np.ptp(line, axis=0).max() > 15
    assert list(found.scores) == sorted(found.scores, reverse=True)
    large = find_objects(learned, PIXELS, 2)
    assert (large.height, large.width) == (2 * SIDE, 2 * SIDE)
    assert large.regions[0].area == pytest.approx(4 * found.regions[0].area, rel=0.2)
    np.testing.assert_allclose(large.lines[0], 2 * found.lines[0] + 0.5)
    assert scale_remark(learned, [found]) == ""


def of_whole(found: ObjectMasks, region: object) -> Bits:
    whole = np.zeros((found.height, found.width), bool)
    whole[region.window] = region.pixels  # type: ignore[attr-defined]
    return whole


def test_lines_that_are_not_used_rank_nothing(learned: MaskRcnn) -> None:
    used = find_objects(learned, PIXELS)
    learned.used = False
    alone = find_objects(learned, PIXELS)
    learned.used = True
    assert alone.lines == ()
    assert max(alone.scores) > max(used.scores)  # a probability below one is in the other
    said = calibrate(learned, PAIRS)
    assert "Objects count from a score of" in said
    assert find_objects(learned, PIXELS).threshold == float(learned.threshold)
    learned.threshold.zero_()


def test_objects_are_traced_in_class_maps_where_none_are_kept_and_the_seed_fixes_all() -> None:
    def weights(pairs: Pairs, seed: int) -> Tensor:
        config = replace(SETTINGS, steps=1, batch_size=1)
        training = fit_mask_rcnn(pairs, config, image_size=32, augmentation="flips", seed=seed, detector=small_detector)
        training.run(1)
        return nn.utils.parameters_to_vector(training.model.parameters())

    first = weights(replace(PAIRS, objects=None), 1)
    assert torch.equal(weights(replace(PAIRS, objects=None), 1), first)
    assert not torch.equal(weights(replace(PAIRS, objects=None), 2), first)


def test_what_makes_no_model_is_said() -> None:
    with pytest.raises(DataError, match="hold no object"):
        fit_mask_rcnn(
            replace(PAIRS, objects=(ObjectMasks(SIDE, SIDE, ()),)),
            SETTINGS, image_size=32, augmentation="none", seed=0, detector=small_detector,
        )  # fmt: skip
    with pytest.raises(DataError, match="no pair to train"):
        fit_mask_rcnn(Pairs((), (), 4), SETTINGS, image_size=32, augmentation="none", seed=0, detector=small_detector)
    with pytest.raises(ConfigError, match="take 16 pixels a side or more"):
        fit_mask_rcnn(PAIRS, SETTINGS, image_size=8, augmentation="none", seed=0, detector=small_detector)
    spoiled = model(skeleton=False)
    spoiled.forward = lambda images: [  # type: ignore[method-assign]
        {"masks": torch.zeros(1, 1, SIDE, SIDE), "scores": torch.tensor([float("nan")]), "boxes": torch.zeros(1, 4)}
    ]
    with pytest.raises(NotFiniteError, match="what the model makes of images"):
        find_objects(spoiled, PIXELS)
    with pytest.raises(TypeError, match="a Linear is no model of instances"):
        find_objects(nn.Linear(1, 1), PIXELS)


def test_the_task_builds_it_on_a_resnet_with_and_without_the_head() -> None:
    with torch.device("meta"):
        made = TASK.build(SETTINGS, channels=1, classes=4)
        bare = TASK.build(replace(SETTINGS, skeleton=False), channels=3, classes=4)
    assert isinstance(made, MaskRcnn)
    assert made.used
    of_head = {name for name in made.state_dict() if ".line_head." in name}
    assert set(made.state_dict()) - of_head == set(bare.state_dict())
    assert made.state_dict()["detector.backbone.body.conv1.weight"].shape == (64, 1, 7, 7)
    assert bare.state_dict()["detector.backbone.body.conv1.weight"].shape == (64, 3, 7, 7)
