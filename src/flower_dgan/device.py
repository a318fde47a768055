"""Where networks compute, and how tensors get there.

One rule: networks are on a device; data, random draws and messages stay on the CPU. Who calls a network moves inputs to
:func:`device_of` it with :func:`to_device`, and results back with :func:`to_cpu`. Weights are initialised on the CPU
before a network is moved, and everything random is drawn by the CPU's generators, so that a run on a GPU begins with,
and draws, what a run on the CPU does.

Nothing here is called by a process that forks others later: asking CUDA makes a context that a fork breaks.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain
from pathlib import Path
from typing import Literal

from flower_dgan.errors import ConfigError, DeviceMemoryError
from flower_dgan.lazily import torch

AUTO = "auto"
PrecisionName = Literal["float32", "bfloat16"]
"""Of the forward passes of networks."""
ENVIRONMENT = "FLOWER_DGAN_DEVICE"
"""What ``auto`` means on a machine, where its owner says it; else a CUDA device if there is one, else the CPU."""

_CHOSEN: ContextVar[torch.device | None] = ContextVar("device", default=None)


def resolve_device(name: str) -> torch.device:
    """Return the device of a name.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda", "cuda:<number>", "mps"}
        ``auto`` never takes ``mps``, on which nothing here was tried.

    Returns
    -------
    torch.device
        With its number, where devices of its kind have one.

    Raises
    ------
    ConfigError
        If the name is none, or this process has no such device.
    """
    said = os.environ.get(ENVIRONMENT, AUTO) if name == AUTO else name
    whose = f"{ENVIRONMENT}={said}" if said != name else f"device={said}"
    if said == AUTO:
        said = "cuda" if _count("cuda") else "cpu"
    kind, _, number = said.partition(":")
    if kind not in _COUNTS or not re.fullmatch(r"[a-z]+(:\d{1,4})?", said) or (number and kind == "mps"):
        raise ConfigError(f"{whose} is no device: write auto, cpu, cuda, cuda:<number> or mps.")
    if kind == "cpu":
        return torch.device("cpu")
    there = _count(kind)
    if int(number or 0) >= there:
        have = f"there are {there}, from {kind}:0 on" if there else why_no_gpu() or f"it sees no {kind} device"
        raise ConfigError(f"{whose} is not there for this process: {have}. Set device=cpu, or make it visible.")
    return torch.device(kind, int(number)) if number else torch.device(kind, _current(kind))


def device_of(network: torch.nn.Module) -> torch.device:
    """Return where a network is: its first parameter or buffer, the CPU where it has none."""
    first = next(chain(network.parameters(), network.buffers()), None)
    return torch.device("cpu") if first is None else first.device


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor on a device, the same one if it is there.

    Towards CUDA it goes through pinned memory and nobody waits for it: what is queued after it sees it whole.
    """
    if tensor.device == device:
        return tensor
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def to_cpu(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor on the CPU when it is whole, the same one if it is there."""
    return tensor.cpu()


@contextmanager
def computing_on(device: torch.device) -> Iterator[None]:
    """Let what builds networks inside put them on a device."""
    token = _CHOSEN.set(device)
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def chosen_device() -> torch.device:
    """Return the device of :func:`computing_on`, the CPU outside of it."""
    return _CHOSEN.get() or torch.device("cpu")


@contextmanager
def enough_memory_for(what: str, lower: str) -> Iterator[None]:
    """Say of a device, the CPU too, whose memory does not do for the body, for what, and what to lower.

    Parameters
    ----------
    what : str
        The sizes that the body works with, in words.
    lower : str
        The settings that make them smaller.

    Raises
    ------
    DeviceMemoryError
        In place of torch's error.
    """
    try:
        yield
    except RuntimeError as error:
        # Of the CPU's memory torch has no kind of error of its own.
        if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator" not in str(error):
            raise
        taken = " ".join(str(error).partition("If reserved")[0].split())
        raise DeviceMemoryError(f"The device has not enough memory for {what} ({taken}). Lower {lower}.") from error


def why_no_gpu() -> str | None:
    """Return why this process sees no CUDA device though the machine has an NVIDIA card; None where neither is so."""
    if not _nvidia_cards() or _count("cuda"):
        return None
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return (
            "the machine has a GPU, and CUDA_VISIBLE_DEVICES hides it from this process, as Ray does from a simulated "
            "client with a share of 0: give client-resources-num-gpus, see docs/gpu.md"
        )
    if torch.version.cuda is None:
        return "the machine has a GPU, and this torch was built without CUDA: install one with it"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.is_available()
    reason = " ".join(str(said[0].message).split()) if said else "its driver is missing, or older than this torch wants"
    return f"the machine has a GPU, and torch {torch.__version__} cannot use it: {reason}"


def describe(device: torch.device, precision: PrecisionName = "float32") -> str:
    """Return in one line what computes: device, its memory, the precision of the networks, and TF32 where there is any.

    Parameters
    ----------
    device : torch.device
        Which.
    precision : {"float32", "bfloat16"}
        Of the forward passes.
    """
    if device.type != "cuda":
        threads = f" ({torch.get_num_threads()} threads)" if device.type == "cpu" else ""
        return f"{device}{threads}, {precision}"
    found = torch.cuda.get_device_properties(device)
    tf32 = [
        name
        for name, on in (
            ("convolutions", torch.backends.cudnn.allow_tf32),
            ("matrix products", torch.backends.cuda.matmul.allow_tf32),
        )
        if on
    ]
    shown = f"TF32 in {' and '.join(tf32)}" if tf32 else "no TF32"
    return f"{device} ({found.name}, {found.total_memory / 2**30:.0f} GiB), {precision}, {shown}"


def _cuda_devices() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an old driver; why_no_gpu says it
        return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0


_COUNTS: Mapping[str, Callable[[], int]] = {
    "cpu": lambda: 1,
    "cuda": _cuda_devices,
    "mps": lambda: int(torch.backends.mps.is_available()),
}
"""How many devices of each kind this process sees."""


def _count(kind: str) -> int:
    return _COUNTS[kind]()


def _current(kind: str) -> int:
    return int(torch.cuda.current_device()) if kind == "cuda" else 0


def _nvidia_cards() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*"))
