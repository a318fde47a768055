"""From which score on an object counts: chosen by validation images, never by those that a model is tested on."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from flower_dgan.data.object_masks import ObjectMasks
from flower_dgan.data.pairs import Pairs
from flower_dgan.metrics.shared.average_precision import matched
from flower_dgan.tasks.instances.predict import find_objects
from flower_dgan.tasks.instances.truth import true_objects

_CANDIDATES = 20


def calibrate(model: nn.Module, pairs: Pairs) -> str:
    """Set the threshold of a model by validation pairs, and return a sentence on it."""
    chosen = choose_threshold(true_objects(pairs), [find_objects(model, image) for image in pairs.images])
    model.get_buffer("threshold").copy_(torch.tensor(chosen))
    return f"Objects count from a score of {chosen:.3f} on, chosen by {len(pairs):,} images held out for it"


def choose_threshold(true: Sequence[ObjectMasks], predicted: Sequence[ObjectMasks]) -> float:
    """Return the score at which most hits stand against fewest false and missed objects, of all images together.

    Parameters
    ----------
    true, predicted : sequences of ObjectMasks
        Of the same images; a pair is a hit at an intersection over union above 0.5.

    Returns
    -------
    float
        Among the quantiles of the predicted scores, the lowest of equally good ones; 0 where nothing is predicted.
    """
    scores = [score for objects in predicted for score in objects.scores]
    if not scores:
        return 0.0
    candidates = [0.0, *np.quantile(scores, np.linspace(0, 1, _CANDIDATES, endpoint=False)[1:]).tolist()]
    best: float = max(candidates, key=lambda each: (_share(true, predicted, each), -each))
    return best


def _share(true: Sequence[ObjectMasks], predicted: Sequence[ObjectMasks], threshold: float) -> float:
    hits = wanted = false = 0
    for one, other in zip(true, predicted, strict=True):
        hit, alone = matched(one, other.chosen(np.array(other.scores) >= threshold), 0.5)
        hits, wanted, false = hits + int(hit.sum()), wanted + len(hit), false + alone
    return hits / max(wanted + false, 1)
