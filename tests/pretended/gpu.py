"""A pretended accelerator ``gpu:0``, on a machine without one: it computes on the CPU, bit for bit, and is strict.

A tensor on it wraps one of the CPU and says that it is on PrivateUse1's device, for which torch takes hooks from
Python, so that the engine of autograd runs a backward pass for it. A dispatch mode sees every operation. As on CUDA,

- tensors of both devices in one operation raise, but for copies, and for scalars and indices of the CPU;
- ``numpy()`` raises, and so does a draw with a generator of the CPU; memory is never shared with the CPU.

What makes the CPU wait for a real device is counted in :data:`WAITS`. What torch composes of several operations on a
device that is not one of its own, such as the backward pass of SiLU, rounds otherwise than the CPU. Not seen are races
of copies that nobody waits for, memory, TF32, autocast, and what CUDA adds up in another order each time. The device is
registered for the whole process and the mode is a thread's own: use it in a process that does nothing else, and with
one thread.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_iter
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "gpu"
WAITS: Counter[str] = Counter()
"""How often the CPU would have waited for the device, by operation."""

aten = torch.ops.aten
CPU = torch.device("cpu")
_COPIES = {aten.copy_, aten._to_copy, aten._copy_from, aten.lift_fresh, aten.set_}
_BY_INDEX = {aten.index, aten.index_put_, aten.index_put, aten._index_put_impl_}
_WITHOUT_SCALARS = {aten.cat, aten.stack, aten._fused_adam_}  # CUDA takes none of the CPU among these
_WAITING = {aten._local_scalar_dense, aten.nonzero, aten.equal, aten._unique2, aten.masked_select}

_setup_privateuseone_for_python_backend(NAME)


class OnGpu(torch.Tensor):
    """A tensor of the device."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "OnGpu":
        form = {"dtype": inner.dtype, "strides": inner.stride(), "storage_offset": inner.storage_offset()}
        made: OnGpu = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, device=torch.device(NAME, 0), requires_grad=inner.requires_grad, **form
        )
        made.inner = inner
        return made

    def __repr__(self) -> str:
        return f"OnGpu{tuple(self.shape)}"

    def tolist(self) -> Any:
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


@contextmanager
def pretended_gpu() -> Iterator[None]:
    """Let ``gpu`` be a device of this thread, as CUDA is of one with CUDA.

    Backward passes run in the caller's thread: the engine's own numbers the graph of a gradient's gradient apart, and
    adds up what comes to a parameter from several sides in another order than on the CPU.
    """
    swap, lift = torch.__future__.get_swap_module_params_on_conversion(), torch._C._only_lift_cpu_tensors()
    torch.__future__.set_swap_module_params_on_conversion(True)  # Module.to keeps the identity of parameters
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device="gpu") comes through the mode
    torch.autograd.grad = _strict_grad
    try:
        with _Mode(), torch.autograd.set_multithreading_enabled(False):
            yield
    finally:
        torch.autograd.grad = _GRAD
        torch.__future__.set_swap_module_params_on_conversion(swap)
        torch._C._set_only_lift_cpu_tensors(lift)


_GRAD = torch.autograd.grad


def _strict_grad(outputs: Any, inputs: Any, grad_outputs: Any = None, **named: Any) -> Any:
    """Raise where gradients are given on another device, as for CUDA; for this device the engine ends the process."""
    for output, gradient in zip(tree_iter(outputs), tree_iter(grad_outputs), strict=False):
        if isinstance(gradient, torch.Tensor) and gradient.device != output.device:
            raise RuntimeError(f"expected a gradient on {output.device}, found one on {gradient.device}")
    return _GRAD(outputs, inputs, grad_outputs, **named)


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    packet = func.overloadpacket
    tensors = [*_tensors_in(args), *_tensors_in(tuple(kwargs.values()))]
    ours = [each for each in tensors if isinstance(each, OnGpu)]
    to_gpu = _is_made_on_gpu(packet, args, kwargs, bool(ours))
    if ours and packet not in _COPIES:
        _require_one_device(func, args, tensors)
    generator = kwargs.get("generator")
    if to_gpu and generator is not None and generator.device == CPU:
        raise RuntimeError(f"{func}: expected a generator of {NAME}:0, found one of the cpu")
    given, named = _inner(args), {name: _inner(value) for name, value in kwargs.items()}
    if to_gpu and kwargs.get("device") is not None:
        named["device"] = CPU
    moved = packet is aten._to_copy and bool(ours) != to_gpu
    crossing = moved or (packet is aten.copy_ and 0 < len(ours) < len(tensors))
    if (crossing and not to_gpu) or (ours and packet in _WAITING):
        WAITS[str(packet)] += 1
    # a copy, where the CPU would have given the same memory
    out = given[0].clone() if moved and named.get("dtype") in (None, given[0].dtype) else func(*given, **named)
    if not to_gpu:
        return out
    out = _outer(out)
    aliased = ours and kwargs.get("device") is None and _aliases(func)
    return return_and_correct_aliasing(func, args, kwargs, out) if aliased else out


# Written out, as torch's own walk through nested values takes longer than most of the operations.
def _tensors_in(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors_in(each)


def _inner(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)([_inner(each) for each in value])
    return value.inner if isinstance(value, OnGpu) else value


def _outer(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)([_outer(each) for each in value])
    return OnGpu(value) if isinstance(value, torch.Tensor) and not isinstance(value, OnGpu) else value


def _is_made_on_gpu(packet: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], any_ours: bool) -> bool:
    if packet in (aten.copy_, aten.set_):
        return isinstance(args[0], OnGpu)
    asked = kwargs.get("device")
    return any_ours if asked is None else torch.device(asked).type == NAME


def _require_one_device(func: Any, args: tuple[Any, ...], tensors: list[torch.Tensor]) -> None:
    packet = func.overloadpacket
    checked = [each for each in (args[0], *args[2:3]) if isinstance(each, torch.Tensor)]
    strays = [
        tuple(each.shape)
        for each in (checked if packet in _BY_INDEX else tensors)
        if not isinstance(each, OnGpu) and (each.dim() or packet in _WITHOUT_SCALARS)
    ]
    if strays:
        raise RuntimeError(f"{func}: expected all tensors on {NAME}:0, found on the cpu: {strays}")


@cache
def _aliases(func: Any) -> bool:
    return any(each.alias_info is not None for each in func._schema.returns)
