"""Average precision of masks as COCO has it, and the share of the bioimage papers, which are two different figures.

Lin et al. 2014, "Microsoft COCO: Common objects in context", and the evaluation of COCO's API: predicted masks of all
images are ranked by their scores, each is a hit if its intersection over union with a true one that none before has is
at least a threshold, and precision is averaged over 101 values of recall. Computed by faster-coco-eval.

Caicedo et al. 2019, "Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl": hits over hits,
false and missed ones, image by image, without scores.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

from flower_dgan.data.coco_annotations import to_segmentation
from flower_dgan.data.object_masks import Bits, ObjectMasks
from flower_dgan.data.prepare.requirements import require
from flower_dgan.errors import DataError
from flower_dgan.metrics import Ids

MOST = 1000
"""Predicted masks of an image that average precision looks at, those of highest score. COCO's own 100 would cut images
of cells, of which there are hundreds."""
THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


class AveragePrecision:
    """The tally; NaN where there is nothing to find.

    Parameters
    ----------
    thresholds : tuple of float
        Of the intersection over union; the mean over them is returned. Some of ``THRESHOLDS``.
    overlapping : bool
        Whether objects that share a pixel with another are to be found alone. The others are taken for crowds, so that
        whoever finds one of them is neither right nor wrong.
    """

    def __init__(self, thresholds: tuple[float, ...] = THRESHOLDS, *, overlapping: bool = False) -> None:
        self._api = require("faster_coco_eval", "instances", "Average precision")
        self._thresholds, self._overlapping = thresholds, overlapping
        self._images: list[dict[str, Any]] = []
        self._true: list[dict[str, Any]] = []
        self._predicted: list[dict[str, Any]] = []

    def add(self, true: Ids, predicted: Ids) -> None:
        """Count images, ObjectMasks (images,); raises DataError if one has more true objects than can be found."""
        for one, other in zip(true, predicted, strict=True):
            if len(one) > MOST:
                raise DataError(
                    f"An image holds {len(one):,} objects, and average precision looks at {MOST:,} predicted ones of "
                    "an image: cut it into tiles."
                )
            number = len(self._images) + 1
            self._images.append({"id": number, "height": one.height, "width": one.width})
            ignored = ~one.overlapping() if self._overlapping else one.in_crowds
            for region, crowd in zip(one.regions, ignored.tolist(), strict=True):
                entry = {"id": len(self._true) + 1, "image_id": number, "category_id": 1, "iscrowd": int(crowd)}
                self._true.append({**entry, **_described(region, one)})
            for region, score in zip(other.regions, other.scores, strict=True):
                entry = {"image_id": number, "category_id": 1, "score": score}
                self._predicted.append({**entry, **_described(region, other)})

    def value(self) -> float:
        """Return the mean over the thresholds."""
        if all(entry["iscrowd"] for entry in self._true):
            return float("nan")
        if not self._predicted:
            return 0.0
        quiet: dict[str, Any] = {"print_function": lambda *_: None}
        truth = self._api.COCO(
            {"images": self._images, "annotations": self._true, "categories": [{"id": 1, "name": "object"}]}, **quiet
        )
        run = self._api.COCOeval_faster(truth, truth.loadRes(self._predicted), "segm", **quiet)
        run.params.maxDets, run.params.iouThrs = [MOST], np.array(self._thresholds)
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
        precision: NDArray[np.float64] = np.asarray(run.eval["precision"])  # -1 where there is nothing to find
        return float(precision[precision > -1].mean())


class SharePerImage:
    """Hits over hits, false and missed ones at one threshold: the mean over images with an object, true or found."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._shares: list[float] = []

    def add(self, true: Ids, predicted: Ids) -> None:
        """Count images, ObjectMasks (images,)."""
        for one, other in zip(true, predicted, strict=True):
            hit, false = matched(one, other, self._threshold)
            if len(hit) or false:
                self._shares.append(float(hit.sum() / (len(hit) + false)))

    def value(self) -> float:
        """Return the mean; NaN where no image has an object."""
        return float(np.mean(self._shares)) if self._shares else float("nan")


class ShareFound:
    """True objects that are found, of those of all images together, at an intersection over union above 0.5."""

    def __init__(self, *, overlapping: bool = False) -> None:
        self._overlapping, self._found, self._all = overlapping, 0, 0

    def add(self, true: Ids, predicted: Ids) -> None:
        """Count images, ObjectMasks (images,)."""
        for one, other in zip(true, predicted, strict=True):
            hit, _ = matched(one, other, 0.5)
            wanted = one.overlapping()[~one.in_crowds] if self._overlapping else np.ones(len(hit), bool)
            self._found += int(hit[wanted].sum())
            self._all += int(wanted.sum())

    def value(self) -> float:
        """Return the share; NaN where there is nothing to find."""
        return self._found / self._all if self._all else float("nan")


def matched(true: ObjectMasks, predicted: ObjectMasks, threshold: float) -> tuple[Bits, int]:
    """Pair true and predicted objects of one image, one to one, so that most have a partner.

    Parameters
    ----------
    true, predicted : ObjectMasks
        Predicted ones below their threshold do not count.
    threshold : float
        Partners have an intersection over union above it.

    Returns
    -------
    hit : bool array (true objects that are no crowds,)
        Which have a partner.
    false : int
        Predicted objects without one, of which not more than half lies in a crowd.
    """
    crowds = true.in_crowds
    wanted, counted = true.without_crowds(), predicted.chosen(predicted.counted)
    hit = np.zeros(len(wanted), dtype=bool)
    alone = np.ones(len(counted), dtype=bool)
    if len(wanted) and len(counted):
        unions = _unions(wanted, counted)
        # the number of pairs first, then how well they fit
        rows, columns = linear_sum_assignment(-((unions > threshold) + unions / (2 * max(unions.shape))))
        good = unions[rows, columns] > threshold
        hit[rows[good]], alone[columns[good]] = True, False
    if crowds.any():
        area = true.chosen(crowds).depth() > 0
        outside = [2 * np.count_nonzero(each.pixels & area[each.window]) <= each.area for each in counted.regions]
        alone &= np.array(outside, dtype=bool)
    return hit, int(alone.sum())


def _unions(true: ObjectMasks, predicted: ObjectMasks) -> NDArray[np.float64]:
    """Return the intersection over union of each true (rows) with each predicted object."""
    found = np.zeros((len(true), len(predicted)))
    theirs = predicted.regions
    for row, region in enumerate(true.regions):
        alone = np.zeros((true.height, true.width), dtype=bool)
        alone[region.window] = region.pixels
        common = [np.count_nonzero(alone[other.window] & other.pixels) for other in theirs]
        areas = region.area + np.array([other.area for other in theirs])
        found[row] = np.array(common) / (areas - common)
    return found


def _described(region: Any, objects: ObjectMasks) -> dict[str, Any]:
    rows, columns = region.pixels.shape
    return {
        "segmentation": to_segmentation(region, objects.height, objects.width),
        "area": region.area,
        "bbox": [region.left, region.top, columns, rows],
    }
