"""Whose label maps the published set is made of: of clients whose owners allow it, or drawn ones that are nobody's.

The server has the label maps of all clients and trains on them. A piece of one in the published set is another matter:
whoever gets the set can tell the image, and the patient, that it is of. So a client whose owner does not allow it
(``publish_label_maps`` of the node's policy) has its share of the set drawn on the others' label maps; where nobody
allows it, all is drawn on label maps that have nothing of anybody's but how much of them each class covers.

Drawn ones are blobs: the level sets of smooth noise. They are no use for what depends on the shapes of masks.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

from flower_dgan.config import Config
from flower_dgan.data import Pixels
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.randomness import derive_seed

logger = logging.getLogger("flwr")

_DRAWN = 256
"""Label maps that are drawn; each is seen in other windows, and none is anybody's."""
_SMOOTH = 1 / 16
"""Standard deviation of what smooths the noise, in sides of the image."""


def publishable(labels: Sequence[ClientLabels], config: Config) -> tuple[ClientLabels, ...]:
    """Return what the server knows of clients with label maps in their places that may be published.

    Parameters
    ----------
    labels : sequence of ClientLabels
        Of all clients; those of an earlier task, too.
    config : Config
        Of the run. Where no label maps of the clients' are drawn on, or these are classes of whole images, all may be.
    """
    if config.data.condition != "label-map" or all(each.publish or each.foreign for each in labels):
        return tuple(labels)
    allowed = tuple(label_map for each in labels if each.publish and not each.foreign for label_map in each.label_maps)
    kept = [each.name for each in labels if not each.publish and not each.foreign]
    if allowed:
        logger.info("The published set has no masks of %s: their owners allow none.", ", ".join(kept))
    else:
        logger.warning(
            "No owner lets masks be published (publish_label_maps), so those of the published set are drawn from "
            "smooth noise, and look like nobody's. data.label_maps=<folder> has others."
        )
        share = class_shares([label_map for each in labels for label_map in each.label_maps], labels[0].classes)
        allowed = draw_label_maps(share, config.data.image_size, _DRAWN, derive_seed(config.seed, "drawn masks"))
    return tuple(each if each.publish or each.foreign else replace(each, foreign=allowed) for each in labels)


def class_shares(label_maps: Sequence[Pixels], classes: int) -> NDArray[np.float64]:
    """Return how much of label maps each class covers, in whole percent, a class that is there in 1 at least."""
    counts = np.sum([np.bincount(each.ravel(), minlength=classes) for each in label_maps], axis=0)
    percent = np.where(counts, np.maximum(1, np.rint(100 * counts / counts.sum())), 0)
    found: NDArray[np.float64] = percent / percent.sum()
    return found


def draw_label_maps(shares: NDArray[np.float64], size: int, count: int, seed: int) -> tuple[Pixels, ...]:
    """Draw label maps of smooth blobs, of which each class covers its share.

    Parameters
    ----------
    shares : array (classes,)
        At least 0, with the sum 1.
    size : int
        Height and width.
    count, seed : int
        How many, and what they follow from.
    """
    generator = np.random.default_rng(seed)
    # The largest class lies lowest: it is what the others lie in.
    order = np.argsort(-shares, kind="stable")
    ends = np.cumsum(shares[order])[:-1]
    drawn = []
    for _ in range(count):
        noise = ndimage.gaussian_filter(generator.standard_normal((size, size)), _SMOOTH * size, mode="wrap")
        heights = noise.ravel().argsort().argsort().reshape(size, size) / noise.size
        drawn.append(order[np.searchsorted(ends, heights, side="right")].astype(np.uint8))
    return tuple(drawn)
