"""Generated images against real ones: windows of both, their features, and the metrics of the features."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from flower_dgan.comparison.feature_networks import Features
from flower_dgan.comparison.named_metric import NamedMetric
from flower_dgan.data.augmentation import grid_views
from flower_dgan.data.image_files import IMAGE_SUFFIXES, read_image, sound_files
from flower_dgan.data.pairs import Pixels, Source
from flower_dgan.data.views import sizes_of
from flower_dgan.errors import DataError
from flower_dgan.metrics.shared.feature_moments import Moments, combine_moments, frechet_of_moments, moments_of
from flower_dgan.metrics.shared.finite import require_finite

logger = logging.getLogger(__name__)

_ROUNDING = 1e-6

TEST = "real test split"
TRAIN = "real training split"
POOLED = "all, from the moments of the sites"

Networks = Mapping[tuple[str, int], Features]
"""Feature networks by name and number of features."""


def read_images(folder: Path, channels: int) -> tuple[Pixels, ...]:
    """Read ``images/`` of a folder; raises DataError if there is none, or a file cannot be read."""
    if not (folder / "images").is_dir():
        raise DataError(f"There is no folder {(folder / 'images').absolute()}: name a folder of synthetic pairs.")
    paths = list(sound_files(folder / "images", IMAGE_SUFFIXES).values())
    if not paths:
        raise DataError(f"{folder / 'images'} holds no PNG, JPEG, TIFF or .npy image.")
    return tuple(read_image(path, channels) for path in paths)


def cut_windows(name: str, images: Sequence[Pixels], image_size: int) -> list[Pixels]:
    """Return the windows that tile every image of a named set from its top left.

    Raises
    ------
    DataError
        An image is smaller than a window.
    """
    sizes = sizes_of(images)
    if len(sizes) and sizes.min() < image_size:
        raise DataError(
            f"An image of '{name}' has {sizes.min()} pixels, less than a window: set data.image_size={sizes.min()} "
            f"or less in place of {image_size}."
        )
    views = grid_views(sizes, image_size)
    places = zip(views.ids.tolist(), views.windows.tolist(), strict=True)
    return [images[index][top : top + image_size, left : left + image_size] for index, (top, left, _, _) in places]


def spread(windows: int, samples: int) -> list[int]:
    """Return the indices of so many samples, spread evenly over windows, of which there are as many or more."""
    return [round(place) for place in np.linspace(0, windows - 1, samples)]


def open_windows(
    source: Source, sets: Mapping[str, Sequence[Pixels]], image_size: int, metrics: Sequence[NamedMetric]
) -> dict[str, list[Pixels]]:
    """Cut the windows of all sets and check that there are enough; for before any work.

    Parameters
    ----------
    source : Source
        The real data.
    sets : Mapping[str, sequence of uint8 arrays (height, width, channels)]
        Generated images, by name.
    image_size : int
        Height and width of a window in pixels.
    metrics : sequence of NamedMetric
        What is to be measured. Those that mean little by so few samples are logged.

    Returns
    -------
    dict of str to list of uint8 arrays (image_size, image_size, channels)
        Those of ``TRAIN``, ``TEST`` and the sets.

    Raises
    ------
    DataError
        A set other than ``TEST`` has fewer windows than a metric takes, or images smaller than a window.
    """
    real = {name: source.load(entries).images for name, entries in ((TRAIN, source.train), (TEST, source.test))}
    windows = {name: cut_windows(name, images, image_size) for name, images in {**real, **sets}.items()}
    fewest = min((name for name in windows if name != TEST), key=lambda name: len(windows[name]))
    for metric in metrics:
        if metric.samples > len(windows[fewest]):
            raise DataError(
                f"{metric} takes {metric.samples:,} windows of {image_size} x {image_size} pixels, and '{fewest}' has "
                f"{len(windows[fewest]):,}: end the name in n{len(windows[fewest])} or less, or give more images."
            )
        if metric.samples < metric.wanted:
            logger.warning("%s means little: take %d samples or more.", metric, metric.wanted)
    return windows


def compare(
    windows: Mapping[str, Sequence[Pixels]],
    metrics: Sequence[NamedMetric],
    networks: Networks,
    on_remark: Callable[[str], None] = lambda _: None,
) -> dict[str, list[float | None]]:
    """Compare every other set with ``TRAIN``, which the generator was to learn.

    Where a set has more windows than a metric takes, they are spread evenly over it.

    Parameters
    ----------
    windows : Mapping[str, sequence of uint8 arrays]
        As :func:`open_windows` returns them.
    metrics : sequence of NamedMetric
        What to measure.
    networks : Mapping[tuple[str, int], Features]
        Those of the metrics.
    on_remark : callable
        Called with a sentence on each set whose features are all alike, so that figures of it say little.

    Returns
    -------
    dict of str to list of float or None
        The metrics of each set, in order. Those of ``TEST`` say what real images score that nobody has learned from;
        None where it has fewer windows than the metric takes.

    Raises
    ------
    DataError
        The features of a set are not finite.
    """
    found: dict[str, list[float | None]] = {name: [None] * len(metrics) for name in windows if name != TRAIN}
    for network, features, samples in dict.fromkeys((m.network, m.features, m.samples) for m in metrics):
        look = networks[network, features]
        real = _features(look, _take(windows[TRAIN], samples), TRAIN)
        if all_alike(real):
            on_remark(f"{network}-{features} sees no difference between the images of the {TRAIN}: it tells nothing.")
        for name, values in found.items():
            if name == TEST and len(windows[TEST]) < samples:
                continue
            synthetic = _features(look, _take(windows[name], samples), name)
            if all_alike(synthetic) and not all_alike(real):
                on_remark(f"{network}-{features} sees no difference between the images of '{name}'.")
            for index, metric in enumerate(metrics):
                if (metric.network, metric.features, metric.samples) == (network, features, samples):
                    values[index] = metric(real, synthetic)
    return found


def frechet_by_site(
    source: Source, sets: Mapping[str, Sequence[Pixels]], image_size: int, look: Features
) -> dict[str, tuple[int, list[float]]]:
    """Return the Fréchet distance of each set to the training images of each site, and to those of all sites.

    The last, ``POOLED``, comes from the sites' moments alone, as Dist-FID does (Chang 2023): whoever computes it need
    not see their images.

    Parameters
    ----------
    source : Source
        The real data.
    sets : Mapping[str, sequence of uint8 arrays]
        Windows of other images, by name.
    image_size : int
        Height and width of a window in pixels.
    look : Features
        The feature network.

    Returns
    -------
    dict of str to tuple of int and list of float
        By site: its number of windows, and the distance of each set in order, between all windows of both.

    Raises
    ------
    DataError
        A site or a set has fewer than two windows, or features that are not finite.
    """
    moments: dict[str, Moments] = {}
    for site in sorted({entry.site for entry in source.train}):
        images = source.load([entry for entry in source.train if entry.site == site]).images
        moments[site] = moments_of(_features(look, cut_windows(site, images, image_size), site))
    moments[POOLED] = combine_moments(moments.values())
    theirs = [moments_of(_features(look, windows, name)) for name, windows in sets.items()]
    return {site: (each.count, [frechet_of_moments(each, other) for other in theirs]) for site, each in moments.items()}


def all_alike(features: Tensor) -> bool:
    """Return whether features (samples, features) of two or more samples are the same but for rounding."""
    spread_out = (features - features[0]).abs().max()
    return len(features) > 1 and bool(spread_out <= _ROUNDING * features.abs().max())


def _take(windows: Sequence[Pixels], samples: int) -> list[Pixels]:
    return [windows[index] for index in spread(len(windows), samples)]


def _features(look: Features, windows: Sequence[Pixels], name: str) -> Tensor:
    features = look(windows)
    require_finite(features, f"The features of '{name}'")
    return features
