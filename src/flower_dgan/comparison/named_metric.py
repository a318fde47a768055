"""Distances between real and generated images by name; the name fixes the whole protocol.

``<kind>-<network>-<features>-n<samples>``, such as ``fid-inception-2048-n10000``: what is compared, the network whose
features are compared, how many it has, and how many images of each side are taken.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor

from flower_dgan.config.data_settings import PICTURED
from flower_dgan.errors import ConfigError, unknown_name
from flower_dgan.metrics import ImageMetric, find_metric
from flower_dgan.metrics import figure as written
from flower_dgan.metrics.shared.neighbours import NEIGHBOURS

NETWORKS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"inception": (64, 192, 768, 2048), "cnn": (32,), "segmenter": (256,)}
)
"""Numbers of features that the networks offer."""

_FORM = re.compile(r"(?P<kind>[a-z]+)-(?P<network>[a-z]+)-(?P<features>[1-9]\d*)-n(?P<samples>[1-9]\d*)")


@dataclass(frozen=True)
class NamedMetric:
    """A distance between real and generated images.

    Attributes
    ----------
    kind : str
        An :class:`~flower_dgan.metrics.ImageMetric` of :mod:`flower_dgan.metrics`, such as ``fid``.
    network : str
        ``inception``; or, trained on the real training split, ``cnn``, a classifier, or ``segmenter``, a segmentation
        model.
    features : int
        Features of an image.
    samples : int
        Images of each side.
    """

    kind: str
    network: str
    features: int
    samples: int

    def __str__(self) -> str:
        """Return the name."""
        return f"{self.kind}-{self.network}-{self.features}-n{self.samples}"

    @property
    def wanted(self) -> int:
        """Return the number of samples below which the figure means little."""
        return self._metric.wanted(self.features)

    def __call__(self, real: Tensor, synthetic: Tensor) -> float:
        """Compare two sets of features (samples, features)."""
        return self._metric.distance(real, synthetic)

    def shown(self, figure: float) -> str:
        """Write a figure as the metric wants it."""
        return written(figure, self._metric.form)

    @property
    def _metric(self) -> ImageMetric:
        return find_metric(self.kind, ImageMetric)


def require_pictures(metrics: Sequence[NamedMetric], channels: int) -> None:
    """Raise ConfigError if a metric looks with Inception at images that are neither grey nor RGB."""
    for metric in metrics:
        if metric.network == "inception" and channels not in PICTURED:
            raise ConfigError(
                f"{metric}: Inception sees grey or RGB images, and data.channels={channels}: take segmenter or cnn."
            )


def parse_metric(name: str) -> NamedMetric:
    """Read the name of a metric.

    Raises
    ------
    ConfigError
        It has another form, or a part of it is unknown.
    """
    match = _FORM.fullmatch(name)
    if match is None:
        raise ConfigError(
            f"'{name}' is no metric: write <kind>-<network>-<features>-n<samples>, such as fid-inception-2048-n10000."
        )
    metric = NamedMetric(match["kind"], match["network"], int(match["features"]), int(match["samples"]))
    find_metric(metric.kind, ImageMetric)
    if metric.network not in NETWORKS:
        raise ConfigError(unknown_name("feature network", metric.network, NETWORKS))
    if metric.samples <= NEIGHBOURS:
        raise ConfigError(f"'{name}': take more samples than {NEIGHBOURS}.")
    if metric.features not in (offered := NETWORKS[metric.network]):
        raise ConfigError(f"'{name}': {metric.network} has {' or '.join(map(str, offered))} features.")
    return metric
