"""Of how many windows and images moments may be: those of a few would tell of single ones."""

import numpy as np
from numpy.typing import NDArray

from flower_dgan.errors import FederationError

FEWEST_WINDOWS, FEWEST_IMAGES = 50, 10
"""Of how many windows, and of how many images, moments may be at least.

The mean of one window's features is that window's features; with 50 windows none has more than a fiftieth of it. As
windows of one image are much alike, the images count too.
"""


def check_windows(ids: NDArray[np.int64]) -> None:
    """Raise FederationError if moments would be of so few windows or images that they tell of single ones.

    Parameters
    ----------
    ids : int64 array (windows,)
        The image of each window.
    """
    windows, images = len(ids), len(np.unique(ids))
    if windows < FEWEST_WINDOWS or images < FEWEST_IMAGES:
        raise FederationError(
            f"Moments of {windows} windows of {images} images would tell of single ones: no node gives those of fewer "
            f"than {FEWEST_WINDOWS} windows, or {FEWEST_IMAGES} images."
        )
