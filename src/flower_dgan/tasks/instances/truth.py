"""The true objects of pairs, where they are known, and otherwise what their label maps say of them."""

import numpy as np
from scipy.ndimage import label  # type: ignore[import-untyped]

from flower_dgan.data.class_maps import CLASSES
from flower_dgan.data.object_masks import ObjectMasks, of_numbers
from flower_dgan.data.pairs import Pairs
from flower_dgan.tasks.instances.tracing import traced_truth

_TOUCHING = np.ones((3, 3), dtype=bool)


def true_objects(pairs: Pairs) -> tuple[ObjectMasks, ...]:
    """Return the true objects of pairs: those that are known, otherwise what their label maps say of them.

    Those of class maps are traced, those of two classes are connected components.
    """
    if pairs.objects is not None:
        return pairs.objects
    if pairs.classes == len(CLASSES):
        return tuple(traced_truth(pairs.label_maps))
    return tuple(of_numbers(label(label_map > 0, _TOUCHING)[0]) for label_map in pairs.label_maps)
