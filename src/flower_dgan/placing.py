"""Networks on a device, such that they draw there what they would draw on the CPU."""

from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flower_dgan.device import PrecisionName, device_of, to_device
from flower_dgan.errors import ConfigError

_PRECISION, _COMPILED = "flower_dgan_precision", "flower_dgan_compiled"
"""Attributes of a network, which copies of it have, too."""

NetworkT = TypeVar("NetworkT", bound=nn.Module)


class DropoutDrawnOnCpu(nn.Dropout):
    """Dropout whose zeros are those of the CPU's generator, wherever the network is.

    What it draws is what :class:`torch.nn.Dropout` draws on the CPU, and the state of that generator, which is kept and
    put back with a training, is all that there is to keep.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the input with some of its entries 0, and the others larger as fewer are left."""
        if not self.training or not self.p:
            return input
        return input * to_device(F.dropout(torch.ones(input.shape, dtype=input.dtype), self.p), input.device)


def compile_in_place(network: nn.Module) -> None:
    """Let ``torch.compile`` compile what a network computes, at its next call; copies of it are not compiled.

    Names and values of its parameters stay as they are. The order of additions does not, so results differ by rounding.

    Raises
    ------
    ConfigError
        If nothing can be compiled for the network's device on this machine.
    """
    probe = nn.Sequential(nn.Linear(1, 1)).to(device_of(network))
    probe.compile()
    try:
        probe(torch.ones(1, 1, device=device_of(network)))
    except Exception as error:
        why = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"compile=true: torch.compile fails on this machine for {device_of(network)} ({why}). It wants a C++ "
            "compiler such as g++, and Triton for a GPU. Or set compile=false."
        ) from error
    network.compile()
    setattr(network, _COMPILED, True)


def as_written(network: nn.Module) -> AbstractContextManager[None]:
    """Let a network that was compiled compute as it is written inside: nothing compiled has second derivatives."""
    if not getattr(network, _COMPILED, False):
        return nullcontext()  # the compiler takes seconds to import
    stance: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return stance


def compute(network: nn.Module, *inputs: object) -> Tensor:
    """Return what a network makes of inputs on its device, as float32.

    Between them it computes in the precision that :func:`place` gave it: in bfloat16 by autocast, which leaves the
    weights and what wants more digits in float32. So losses, feedback, the optimizer and the moving average, which are
    outside, are float32 anyway.
    """
    if precision_of(network) == "float32":
        made: Tensor = network(*inputs)
        return made
    with torch.autocast(device_of(network).type, torch.bfloat16):
        rough: Tensor = network(*inputs)
    return rough.float()


def precision_of(network: nn.Module) -> PrecisionName:
    """Return the precision that a network computes in, a copy in that of the original."""
    found: PrecisionName = getattr(network, _PRECISION, "float32")
    return found


def place(network: NetworkT, device: torch.device, precision: PrecisionName = "float32") -> NetworkT:
    """Move a network to a device, in place, and return it.

    Its weights have been drawn on the CPU; so is its dropout from now on. On CUDA its images are channels last in
    memory, as convolutions on tensor cores want them. :func:`compute` computes in the precision.
    """
    setattr(network, _PRECISION, precision)
    if device.type == "cpu":
        return network.to(device)
    for parent in network.modules():
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, DropoutDrawnOnCpu(child.p).train(child.training))
    if device.type == "cuda":
        return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
    return network.to(device)
