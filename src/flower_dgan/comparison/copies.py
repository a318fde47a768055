"""Whether generated images are copies of real training images: their distance to the nearest one.

A generator that has learned what training images have in common draws images that are about as far from them as new
real ones are. One that has kept some of them draws images that are nearer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from scipy.stats import mannwhitneyu  # type: ignore[import-untyped]
from torch import Tensor

from flower_dgan.comparison.feature_networks import Features
from flower_dgan.comparison.image_sets import TEST, TRAIN, cut_windows
from flower_dgan.data.array_files import to_picture
from flower_dgan.data.pairs import Pixels, Source
from flower_dgan.errors import DataError
from flower_dgan.metrics.shared.finite import require_finite
from flower_dgan.whole_file import SOFTWARE, whole_file

COPIED = -3.0
"""By luck alone the statistic is below it once in 700 sets."""

_ROWS = 1000
_SHOWN = 8


@dataclass(frozen=True)
class Neighbours:
    """The nearest training image of each image of a set.

    Attributes
    ----------
    distances : float64 Tensor (images,)
        Euclidean, between features.
    indices : int64 Tensor (images,)
        Which one it is.
    """

    distances: Tensor
    indices: Tensor


def nearest(images: Tensor, training: Tensor) -> Neighbours:
    """Find the nearest of the training images' features (images, features) to each of other features.

    Raises
    ------
    DataError
        A set is empty, or a value is not finite.
    """
    if not len(images) or not len(training):
        raise DataError("Neighbours need images on both sides.")
    for features in (images, training):
        require_finite(features, "The features whose neighbours are looked for")
    first, second = images.double(), training.double()
    found = [
        torch.cdist(rows, second, compute_mode="donot_use_mm_for_euclid_dist").min(1)
        for rows in torch.split(first, _ROWS)
    ]
    return Neighbours(torch.cat([each.values for each in found]), torch.cat([each.indices for each in found]))


def copying(synthetic: Tensor, held_out: Tensor) -> float:
    """Return how much nearer to training images synthetic images are than held-out real ones.

    Parameters
    ----------
    synthetic, held_out : float Tensor (images,)
        Distances of both to their nearest training image.

    Returns
    -------
    float
        The z-scored statistic of the Mann-Whitney test, about normal where both are drawn alike: far below 0 the
        synthetic images are too near, far above 0 they are farther off than new real images are. Meehan 2020, "A
        non-parametric test to detect data-copying in generative models", section 3.1, over all images at once instead
        of cell by cell.
    """
    m, n = len(synthetic), len(held_out)
    above = float(mannwhitneyu(synthetic.numpy(), held_out.numpy()).statistic)
    return float((above - m * n / 2) / (m * n * (m + n + 1) / 12) ** 0.5)


def held_out_windows(source: Source, image_size: int) -> list[Pixels]:
    """Return windows of the test images of sites that training images are of; others are far from all of those anyway.

    Raises
    ------
    DataError
        There are none.
    """
    known = {entry.site for entry in source.train}
    entries = [entry for entry in source.test if entry.site in known]
    if not entries:
        raise DataError(
            "No test image is of a site of the training images, so that nothing tells how near is too near."
        )
    return cut_windows(TEST, source.load(entries).images, image_size)


def look_for_copies(
    path: Path, windows: Mapping[str, Sequence[Pixels]], held_out: Sequence[Pixels], look: Features
) -> dict[str, float]:
    """Return the statistic of :func:`copying` of each synthetic set, and draw what is nearest in the first one.

    Parameters
    ----------
    path : Path
        A PNG, as :func:`draw_nearest` makes it; its folder must exist.
    windows : Mapping[str, sequence of uint8 arrays (size, size, channels)]
        As :func:`~flower_dgan.comparison.image_sets.open_windows` returns them.
    held_out : sequence of uint8 arrays (size, size, channels)
        Those of :func:`held_out_windows`.
    look : Features
        The feature network.
    """
    training = look(windows[TRAIN])
    unseen = nearest(look(held_out), training).distances
    found = {name: nearest(look(images), training) for name, images in windows.items() if name not in (TRAIN, TEST)}
    first = next(iter(found))
    draw_nearest(path, windows[first], windows[TRAIN], found[first], unseen)
    return {name: copying(each.distances, unseen) for name, each in found.items()}


def draw_nearest(
    path: Path, synthetic: Sequence[Pixels], training: Sequence[Pixels], found: Neighbours, held_out: Tensor
) -> None:
    """Write a PNG with the synthetic images that are nearest to a training image, that one below each.

    Above each stands which share of the held-out real images is as near to a training image.

    Parameters
    ----------
    path : Path
        The file; its folder must exist.
    synthetic, training : sequence of uint8 arrays (height, width, channels)
        The images.
    found : Neighbours
        Of the synthetic images.
    held_out : float64 Tensor (images,)
        Distances of real images that nobody has learned from.
    """
    chosen = found.distances.argsort()[:_SHOWN].tolist()
    figure = Figure(figsize=(1.6 * len(chosen) + 0.4, 3.8), layout="constrained")
    rows = figure.subplots(2, len(chosen), squeeze=False)
    for column, index in enumerate(chosen):
        share = float((held_out <= found.distances[index]).double().mean())
        for axis, image in zip(rows[:, column], (synthetic[index], training[int(found.indices[index])]), strict=True):
            axis.imshow(to_picture(image), cmap="gray", vmin=0, vmax=255)
            axis.set_axis_off()
        rows[0, column].set_title(f"{share:.1%}", fontsize=8)
    figure.suptitle(
        "Synthetic images, the nearest training images, and how many new real images are as near", fontsize=8
    )
    with whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=150, metadata=SOFTWARE)
