"""The generator on disk: safetensors with what is needed to build it again.

Such a file is handed on, and whoever made it chose what is in it. So it names a shipped network, or one of a package
that the reader allows; and what it says of the network is held against its tensors before memory is taken.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from flower_dgan.config import ModelConfig
from flower_dgan.config.import_path import is_import_path
from flower_dgan.config.read import read_settings
from flower_dgan.data.levels import Levels
from flower_dgan.device import to_cpu
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.networks.build import ImageShape, build_generator
from flower_dgan.plugins import package_of
from flower_dgan.whole_file import checksum, whole_file

Shapes = dict[str, tuple[int, ...]]


def save_generator(path: Path, network: nn.Module, model: ModelConfig, shape: ImageShape) -> None:
    """Write parameters and, as metadata, the settings of the network, wherever it is; raises StorageError."""
    tensors = {name: to_cpu(value).contiguous() for name, value in network.state_dict().items()}
    metadata = {
        "model": json.dumps(asdict(model)),
        "shape": json.dumps(asdict(shape)),
        "checksum": _checksum(tensors),
    }
    with whole_file(path) as partial:
        save_file(tensors, partial, metadata)


def load_generator(path: Path, packages: Collection[str] = ()) -> tuple[nn.Module, ModelConfig, ImageShape]:
    """Build the generator that a file holds, in evaluation mode, on the CPU.

    Parameters
    ----------
    path : Path
        The file.
    packages : collection of str
        Top-level packages whose networks the file may name; the shipped ones it may name always.

    Raises
    ------
    DataError
        If there is no such file, if it is not one that :func:`save_generator` wrote, or if its network has other
        parameters than it says.
    ConfigError
        If it names a network of a package that is not allowed or not there; nothing was imported then.
    """
    if not path.is_file():
        raise DataError(
            f"There is no generator at {path.resolve()}: give the generator.safetensors of a run directory."
        )
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            model, shape = _read_metadata(file.metadata() or {})
            if is_import_path(model.generator):
                _check_package(path, model.generator, packages)
            else:
                _check_parameters(model, shape, {name: tuple(each.get_shape()) for name, each in tensors.items()})
            network = build_generator(model, shape)
            values = {name: file.get_tensor(name) for name in tensors}
            # none in files of earlier versions
            if _checksum(values) != (file.metadata() or {}).get("checksum", _checksum(values)):
                raise ValueError("its numbers are not those that were written: the file is damaged")
            network.load_state_dict(values)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise DataError(f"{path} is not a generator that flower-dgan wrote: {error}") from error
    return network.eval().requires_grad_(False), model, shape


def _checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    return checksum({name: tensor.numpy(force=True) for name, tensor in tensors.items()})


def _read_metadata(metadata: Mapping[str, str]) -> tuple[ModelConfig, ImageShape]:
    """Read settings and shape, every name and type of them; raises KeyError, TypeError or ValueError."""
    values: dict[str, Any] = json.loads(metadata["shape"])
    sizes = (values["classes"], values["channels"], values["image_size"])
    if not all(type(each) is int and each > 0 for each in sizes):
        raise ValueError("classes, channels and image_size must be whole numbers of at least 1")
    if not isinstance(values["sites"], list) or not all(isinstance(each, str) for each in values["sites"]):
        raise TypeError("sites must be a list of names")
    try:
        model = read_settings(ModelConfig, json.loads(metadata["model"]))
    except ConfigError as error:
        raise ValueError(str(error)) from error
    written = values.get("levels", ())
    levels = tuple(Levels(tuple(each["mean"]), tuple(each["deviation"]), each["grey"]) for each in written)
    if levels and (len(levels) != len(values["sites"]) or any(len(each.mean) != sizes[1] for each in levels)):
        raise ValueError("there must be levels of each site and channel")
    return model, ImageShape(*sizes, tuple(values["sites"]), levels)


def _check_package(path: Path, generator: str, packages: Collection[str]) -> None:
    package = package_of(generator)
    if package not in packages:
        raise ConfigError(
            f"{path} wants code of the package {package} to be run ({generator}). Whoever made the file chose that, "
            f"and nothing was run. If you trust both: `flower-dgan synthesize --package {package}`, or, for the task "
            "before a training, a setting of the training that names the same package."
        )


def _check_parameters(model: ModelConfig, shape: ImageShape, found: Shapes) -> None:
    """Raise ValueError unless a shipped network of these settings has just these parameters; takes no memory for them.

    A file of a few bytes may speak of any number of neurons.
    """
    if model.fuses and len(shape.sites) > len(found):
        raise ValueError(f"it speaks of {len(shape.sites):,} sub-generators and holds {len(found):,} tensors")
    with torch.device("meta"):
        network = build_generator(model, shape)
    wanted: Shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    if wanted != found:
        name = next(each for each in (*wanted, *found) if wanted.get(each) != found.get(each))
        raise ValueError(
            f"its {model.generator} network would have {name} of shape {wanted.get(name)}, and it holds "
            f"{found.get(name)}"
        )
