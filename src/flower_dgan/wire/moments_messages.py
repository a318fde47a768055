"""The messages of Dist-FID: a feature network to a node, the moments of its real images' features back."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from numpy.typing import NDArray

from flower_dgan.errors import ProtocolError
from flower_dgan.metrics.shared.feature_moments import Moments
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.records import check_names, read_array, read_value

MOMENTS = "query.moments"
NETWORK = "feature-network"

LARGEST = 1e6
"""Features beyond it are no trained network's; with them a distance could end beyond float64."""

_ROUNDING = 1e-9


@dataclass(frozen=True)
class MomentsRequest:
    """The server asks a node for the moments of features of its real images.

    Attributes
    ----------
    training : Training
        Which training the node has joined.
    windows : int
        Of how many windows, spread evenly over those that tile the node's images.
    network : float32 array (entries,)
        The encoder of the segmentation model of ``downstream``, as :func:`~flower_dgan.wire.parameters.flatten` makes
        it.
    """

    training: Training
    windows: int
    network: NDArray[np.float32]

    def digest(self) -> str:
        """Return a hash of what is asked: equal for a message that is sent again."""
        found = hashlib.sha256(str(self.windows).encode())
        found.update(self.network.tobytes())
        return found.hexdigest()

    def to_records(self) -> RecordDict:
        """Return the message's content."""
        values = ConfigRecord({**self.training.values(), "windows": self.windows})
        return RecordDict({"moments": values, NETWORK: ArrayRecord({"parameters": Array(self.network)})})

    @classmethod
    def from_records(cls, content: RecordDict, entries: int) -> "MomentsRequest":
        """Read the message, with a network of so many entries; raises ProtocolError."""
        training = Training.of(content, "moments")
        check_names(
            content,
            {"moments": (ConfigRecord, {*training.values(), "windows"}), NETWORK: (ArrayRecord, {"parameters"})},
        )
        windows = read_value(content.config_records["moments"], "windows", int)
        network = read_array(content.array_records[NETWORK]["parameters"], "float32", (entries,))
        return cls(training, windows, network.astype(np.float32))


@dataclass(frozen=True)
class MomentsAnswer:
    """A node's answer to :class:`MomentsRequest`.

    On the wire are the number of windows, and mean and unbiased covariance in float64.

    Attributes
    ----------
    moments : Moments
        Of two windows or more.
    """

    moments: Moments

    def to_records(self) -> RecordDict:
        """Return the message's content."""
        moments = self.moments
        arrays = {
            "mean": Array(moments.mean.numpy()),
            "covariance": Array((moments.scatter / (moments.count - 1)).numpy()),
        }
        return RecordDict({"moments": ArrayRecord(arrays), "count": MetricRecord({"windows": moments.count})})

    @classmethod
    def from_records(cls, content: RecordDict, windows: int, features: int) -> "MomentsAnswer":
        """Read the message, which is about so many windows and features.

        Raises
        ------
        ProtocolError
            Also if the covariance is none: not symmetric, or with a negative eigenvalue, up to rounding.
        """
        check_names(content, {"moments": (ArrayRecord, {"mean", "covariance"}), "count": (MetricRecord, {"windows"})})
        counted = read_value(content.metric_records["count"], "windows", int)
        if counted != windows:
            raise ProtocolError(f"moments of {counted} windows where {windows} were asked for")
        arrays = content.array_records["moments"]
        mean = read_array(arrays["mean"], "float64", (features,)).astype(np.float64)
        covariance = read_array(arrays["covariance"], "float64", (features, features)).astype(np.float64)
        _check(mean, covariance)
        return cls(Moments(windows, torch.from_numpy(mean), torch.from_numpy(covariance) * (windows - 1)))


def _check(mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> None:
    largest = float(np.abs(covariance).max())
    if np.abs(mean).max() > LARGEST or largest > LARGEST**2:
        raise ProtocolError(f"moments of features beyond {LARGEST:g}")
    if np.abs(covariance - covariance.T).max() > _ROUNDING * largest:
        raise ProtocolError("a covariance that is not symmetric")
    smallest = float(np.linalg.eigvalsh(covariance)[0])
    if smallest < -_ROUNDING * len(mean) * largest:
        raise ProtocolError(f"a covariance with the negative eigenvalue {smallest:g}")
