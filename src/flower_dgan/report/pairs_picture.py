"""A picture of real pairs for the eye: each image above its label map, and both laid on each other."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from flower_dgan.data.array_files import to_picture
from flower_dgan.data.colours import paint
from flower_dgan.data.pairs import Pairs
from flower_dgan.whole_file import SOFTWARE, whole_file

_MOST_PIXELS = 1024


def draw_pairs(pairs: Pairs, path: Path, colours: Sequence[str] = ()) -> None:
    """Write a PNG with a column a pair: image, label map, and the label map on the image, so that a turned one is seen.

    What is not background is tinted there and has its outlines drawn. Of an image that is neither grey nor RGB the
    channels stand side by side, in grey, each with the label map. Of large images some rows and columns are shown.

    Parameters
    ----------
    pairs : Pairs
        At least one.
    path : Path
        The file; its folder must exist.
    colours : sequence of str
        The colours of the classes, ``#rrggbb``; none for a scale from dark to light.
    """
    figure = Figure(figsize=(3 * len(pairs), 9), layout="constrained")
    axes = figure.subplots(3, len(pairs), squeeze=False)
    for column, image, label_map in zip(axes.T, pairs.images, pairs.label_maps, strict=True):
        step = 1 + max(label_map.shape) // _MOST_PIXELS
        image, label_map = image[::step, ::step], label_map[::step, ::step]
        shown = to_picture(image)
        column[0].imshow(shown, cmap="gray", vmin=0, vmax=255)
        seen = paint(label_map, colours) if len(colours) == pairs.classes else label_map
        column[1].imshow(seen, cmap="viridis", vmin=0, vmax=pairs.classes - 1, interpolation="nearest")
        column[2].imshow(shown, cmap="gray", vmin=0, vmax=255)
        if label_map.min() < label_map.max():
            outlined = np.tile(label_map, shown.shape[1] // label_map.shape[1])
            column[2].imshow(np.ma.masked_equal(outlined, 0), cmap="autumn", alpha=0.3, interpolation="nearest")
            column[2].contour(outlined, levels=np.arange(pairs.classes - 1) + 0.5, colors="lime", linewidths=0.6)
        for axis in column:
            axis.set_axis_off()
    with whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=100, metadata=SOFTWARE)
