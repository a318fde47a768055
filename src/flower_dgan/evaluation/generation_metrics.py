"""Distances between real and generated images by name; the name fixes the whole protocol.

``<kind>-<network>-<features>-n<samples>``, such as ``fid-inception-2048-n10000``: what is compared, the network whose
features are compared, how many it has, and how many images of each side are taken.
"""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torchmetrics.image.kid import KernelInceptionDistance

from flower_dgan.config.data_settings import PICTURED
from flower_dgan.errors import ConfigError, unknown_name
from flower_dgan.evaluation.moments import frechet_distance
from flower_dgan.evaluation.neighbours import NEIGHBOURS, precision, recall

NETWORKS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"inception": (64, 192, 768, 2048), "cnn": (32,), "segmenter": (256,)}
)
"""Numbers of features that the networks offer."""

_FORM = re.compile(r"(?P<kind>[a-z]+)-(?P<network>[a-z]+)-(?P<features>[1-9]\d*)-n(?P<samples>[1-9]\d*)")
_FEW_SAMPLES = 100
_KID_SUBSET, _KID_SUBSETS = 1000, 100


@dataclass(frozen=True)
class GenerationMetric:
    """A distance between real and generated images.

    Attributes
    ----------
    kind : str
        ``fid`` (Fréchet distance, Heusel 2017), ``kid`` (kernel distance, Binkowski 2018), ``precision`` or ``recall``
        (Kynkäänniemi 2019).
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
        """Return the number of samples below which the figure means little.

        With no more samples than features a covariance is singular; with 100 samples a share has a standard error of
        up to 0.05.
        """
        return self.features + 1 if self.kind == "fid" else _FEW_SAMPLES

    def __call__(self, real: Tensor, synthetic: Tensor) -> float:
        """Compare two sets of features (samples, features)."""
        return KINDS[self.kind](real, synthetic)


def require_pictures(metrics: Sequence[GenerationMetric], channels: int) -> None:
    """Raise ConfigError if a metric looks with Inception at images that are neither grey nor RGB."""
    for metric in metrics:
        if metric.network == "inception" and channels not in PICTURED:
            raise ConfigError(
                f"{metric}: Inception sees grey or RGB images, and data.channels={channels}: take segmenter or cnn."
            )


def parse_metric(name: str) -> GenerationMetric:
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
    metric = GenerationMetric(match["kind"], match["network"], int(match["features"]), int(match["samples"]))
    if metric.kind not in KINDS:
        raise ConfigError(unknown_name("kind of metric", metric.kind, KINDS))
    if metric.network not in NETWORKS:
        raise ConfigError(unknown_name("feature network", metric.network, NETWORKS))
    if metric.samples <= NEIGHBOURS:
        raise ConfigError(f"'{name}': take more samples than {NEIGHBOURS}.")
    if metric.features not in (offered := NETWORKS[metric.network]):
        raise ConfigError(f"'{name}': {metric.network} has {' or '.join(map(str, offered))} features.")
    return metric


def kernel_distance(real: Tensor, synthetic: Tensor) -> float:
    """Return the kernel distance: the unbiased squared MMD with the kernel (x . y / features + 1)^3, in float64.

    It is the mean over 100 subsets of 1,000 samples of each side, always the same ones, or over all samples where there
    are 1,000 or fewer. As it is unbiased, it is around 0, also below, for alike sets of any size.

    Binkowski 2018, "Demystifying MMD GANs", section 4.

    Parameters
    ----------
    real, synthetic : Tensor (samples, features)
        As many of both, at least two.
    """
    few = len(real) <= _KID_SUBSET
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance` will save all")
        torch.default_generator.manual_seed(0)
        metric = KernelInceptionDistance(
            nn.Identity(), subsets=1 if few else _KID_SUBSETS, subset_size=min(len(real), _KID_SUBSET)
        )
        metric.update(real.double(), real=True)
        metric.update(synthetic.double(), real=False)
        return float(metric.compute()[0])


KINDS: Mapping[str, Callable[[Tensor, Tensor], float]] = MappingProxyType(
    {"fid": frechet_distance, "kid": kernel_distance, "precision": precision, "recall": recall}
)
