"""The generator on disk: safetensors with what is needed to build it again."""

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from flower_dgan.config import ModelConfig
from flower_dgan.errors import DataError
from flower_dgan.models.build import ImageShape, build_generator


def save_generator(path: Path, network: nn.Module, model: ModelConfig, shape: ImageShape) -> None:
    """Write parameters and, as metadata, the settings of the network."""
    metadata = {"model": json.dumps(asdict(model)), "shape": json.dumps(asdict(shape))}
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path, metadata)


def load_generator(path: Path) -> tuple[nn.Module, ModelConfig, ImageShape]:
    """Build the generator that a file holds, in evaluation mode.

    Raises
    ------
    DataError
        If there is no such file, or it is not one that :func:`save_generator` wrote.
    """
    if not path.is_file():
        raise DataError(
            f"There is no generator at {path.resolve()}: give the generator.safetensors of a run directory."
        )
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            model = ModelConfig(**json.loads(metadata["model"]))
            values = json.loads(metadata["shape"])
            shape = ImageShape(values["classes"], values["channels"], values["image_size"], tuple(values["sites"]))
            network = build_generator(model, shape)
            network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{path} is not a generator that flower-dgan wrote: {error}") from error
    return network.eval().requires_grad_(False), model, shape
