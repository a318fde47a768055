"""Weights of a network as they travel, where the policy of a node allows it: float32, refused if not finite."""

from collections.abc import Mapping

import numpy as np
import torch
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray
from torch import Tensor, nn

from flower_dgan.device import to_cpu
from flower_dgan.errors import ProtocolError
from flower_dgan.gan.exchange import Parameters
from flower_dgan.wire.records import read_array, read_packed

ParameterShapes = Mapping[str, tuple[int, ...]]

DISCRIMINATOR = "discriminator"
"""Record of the weights of a discriminator."""


def flatten(network: nn.Module) -> NDArray[np.float32]:
    """Return all that a network has learned, running statistics too, as float32 (entries,).

    Counters of batches, which nothing reads in evaluation mode, are left out.
    """
    return np.concatenate([to_cpu(value).numpy().reshape(-1) for value in _learned(network).values()])


def unflatten(network: nn.Module, entries: NDArray[np.float32]) -> None:
    """Put what :func:`flatten` returned into a network of the same form."""
    learned = _learned(network)
    parts = torch.split(torch.from_numpy(entries), [value.numel() for value in learned.values()])
    for value, part in zip(learned.values(), parts, strict=True):
        value.copy_(part.view_as(value))


def _learned(network: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in network.state_dict().items() if value.is_floating_point()}


def write_parameters(parameters: Parameters) -> ArrayRecord:
    """Return the parameters of a network as they travel: float32."""
    return ArrayRecord({name: Array(value) for name, value in parameters.items()})


def read_parameters(record: ArrayRecord, shapes: ParameterShapes) -> Parameters:
    """Read what :func:`write_parameters` wrote, of a network of such shapes; raises ProtocolError."""
    return {name: read_array(record[name], "float32", shape).astype(np.float32) for name, shape in shapes.items()}


def read_change(array: Array, entries: int) -> NDArray[np.float32]:
    """Read a deflated change of so many weights; raises ProtocolError."""
    values = read_packed(array, "uint8", (4 * entries,)).view(np.float32)
    if not np.isfinite(values).all():
        raise ProtocolError("a change with values that are not finite")
    return values
