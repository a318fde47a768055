"""A network and its optimizer as plain tensors, to be kept and put back."""

import torch
from torch import Tensor, nn

from flower_dgan.device import to_cpu


def take_snapshot(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the parameters of a network and the moments of its optimizer by name, on the CPU.

    They are not copied where they are there anyway.
    """
    tensors = {f"network:{name}": to_cpu(value) for name, value in network.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer:{index}.{name}": to_cpu(value) for name, value in moments.items()}
    return tensors


def restore_snapshot(tensors: dict[str, Tensor], network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put back what :func:`take_snapshot` returned, among other tensors or alone.

    Raises
    ------
    RuntimeError
        If the tensors are not those of such a network.
    """
    parameters: dict[str, Tensor] = {}
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        kind, _, name = key.partition(":")
        if kind == "network":
            parameters[name] = tensor
        elif kind == "optimizer":
            index, _, moment = name.partition(".")
            moments.setdefault(int(index), {})[moment] = tensor
    network.load_state_dict(parameters)
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
