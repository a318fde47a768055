"""Windows that show what is to be found: foreground may be a few percent of an image, and most windows would have none.

The field's segmentation tools place some of the training windows on the foreground for that reason (nnU-Net; Isensee
2021, a third of them). Here the windows of synthetic and of real images are placed alike, so that a discriminator
sees no difference in it.
"""

from collections.abc import Sequence

import numpy as np

from flower_dgan.data.pairs import Pixels
from flower_dgan.data.views import Views
from flower_dgan.lazily import torch

PIXELS = 256
"""Of a label map that are looked at for one of the foreground.

Not all of them, as that would read the whole map of a large image for each window. Where 1 % is foreground, one is
found in 92 % of the cases.
"""


def on_foreground(
    views: Views, label_maps: Sequence[Pixels], share: float, image_size: int, generator: "torch.Generator"
) -> Views:
    """Move some windows so that each holds a random pixel of the foreground, at a random place in it.

    Parameters
    ----------
    views : Views
        Of windows that lie anywhere.
    label_maps : sequence of uint8 arrays (height, width)
        Of the pairs that the views are of; 0 is the background.
    share : float
        Of the views that are moved, in [0, 1]: each by chance. One in whose label map no foreground is found stays
        where it was.
    image_size : int
        Side of a window in pixels.
    generator : torch.Generator
        On the CPU; the only source of randomness. Not used if ``share`` is 0.

    Returns
    -------
    Views
        The same pairs, turned as before.
    """
    if not share:
        return views
    chosen = torch.rand(len(views.ids), generator=generator).numpy() < share
    windows = views.windows.copy()
    for place in np.flatnonzero(chosen).tolist():
        label_map = label_maps[int(views.ids[place])]
        height, width = label_map.shape
        pixels = torch.randint(height * width, (PIXELS,), generator=generator).numpy()
        within = torch.randint(image_size, (2,), generator=generator).numpy()
        found = pixels[label_map[pixels // width, pixels % width] > 0]
        if len(found):
            corner = np.array(divmod(int(found[0]), width)) - within
            windows[place, :2] = corner.clip(0, (height - image_size, width - image_size))
    return Views(views.ids, windows, views.colours)
