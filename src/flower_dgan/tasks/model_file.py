"""A trained model of a task on disk: safetensors with what is needed to build it again, and nothing that names code.

Whoever made the file chose what is in it. So a task is one of those that are shipped, its settings are read by name and
type, and what they say of the model is held against its tensors before memory is taken.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Interval
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from flower_dgan.config import DownstreamConfig
from flower_dgan.config.data_settings import MOST_CHANNELS
from flower_dgan.config.ranges import Side, Text
from flower_dgan.config.read import read_settings
from flower_dgan.device import to_cpu
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.tasks import find_task
from flower_dgan.whole_file import checksum, whole_file


@dataclass(frozen=True)
class ModelKind:
    """What a model was trained for.

    Attributes
    ----------
    downstream : DownstreamConfig
        Task and model; what else is in it tells how it was trained.
    channels : int
        Of the images.
    classes : int
        Of the label maps that it learned from, background included.
    image_size : int
        Height and width in pixels of a window.
    class_names : tuple of str
        One a class, or none.
    """

    downstream: DownstreamConfig
    channels: Annotated[int, Interval(ge=1, le=MOST_CHANNELS)]
    classes: Annotated[int, Interval(ge=2, le=256)]
    image_size: Side
    class_names: tuple[Text, ...] = ()


def save_model(path: Path, model: nn.Module, kind: ModelKind) -> None:
    """Write a model's parameters and buffers, and what it is; raises StorageError."""
    tensors = {name: to_cpu(value).contiguous() for name, value in model.state_dict().items()}
    with whole_file(path) as partial:
        save_file(tensors, partial, {"model": json.dumps(asdict(kind)), "checksum": _checksum(tensors)})


def load_model(path: Path) -> tuple[nn.Module, ModelKind]:
    """Build the model that a file holds, in evaluation mode.

    Raises
    ------
    DataError
        There is no such file, or it is not one that :func:`save_model` wrote, or its model has other parameters than it
        says.
    """
    if not path.is_file():
        raise DataError(f"There is no model at {path.absolute()}: give a file of flower-dgan train-model.")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            kind = _kind(metadata["model"])
            with torch.device("meta"):
                _require_shapes(_build(kind), shapes)
            model = _build(kind)
            tensors = {name: file.get_tensor(name) for name in shapes}
        if _checksum(tensors) != metadata["checksum"]:
            raise ValueError("its numbers are not those that were written: the file is damaged")
        model.load_state_dict(tensors)
    except (SafetensorError, ConfigError, KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise DataError(f"{path} is not a model that flower-dgan train-model wrote: {error}") from error
    return model.eval().requires_grad_(False), kind


def _build(kind: ModelKind) -> nn.Module:
    task = find_task(kind.downstream.task)
    return task.build(kind.downstream, channels=kind.channels, classes=kind.classes)


def _kind(text: str) -> ModelKind:
    """Read settings, name by name and type by type; those that a later version may add are unknown names."""
    found: Any = json.loads(text)
    return read_settings(ModelKind, found)


def _require_shapes(model: nn.Module, found: Mapping[str, tuple[int, ...]]) -> None:
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    if wanted != found:
        name = next(each for each in (*wanted, *found) if wanted.get(each) != found.get(each))
        raise ValueError(f"its model would have {name} of shape {wanted.get(name)}, and it holds {found.get(name)}")


def _checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    return checksum({name: tensor.numpy(force=True) for name, tensor in tensors.items()})
