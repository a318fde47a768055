"""From Hydra overrides to a checked :class:`Config`; the only file that knows Hydra."""

import hashlib
import json
import shlex
import types
import typing
from dataclasses import MISSING, asdict, fields, is_dataclass, replace
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from flower_dgan.config import Config, ImportPath
from flower_dgan.config.checks import check_config
from flower_dgan.errors import ConfigError, unknown_name
from flower_dgan.plugins import check_import_path, is_import_path

ConfigT = TypeVar("ConfigT")


def conf_directory() -> Path:
    """Return the directory of the shipped configuration: in the installed package, or ``conf/`` of a source tree."""
    package = Path(__file__).parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


@lru_cache(maxsize=8)
def resolve(overrides: str) -> Config:
    """Compose the configuration.

    Parameters
    ----------
    overrides : str
        Hydra overrides as on a command line, separated by blanks and quoted as in a shell:
        ``"data=folder data.root=/data seed=1"``.

    Raises
    ------
    ConfigError
        If a name or value is unknown, with the nearest known one, or if settings contradict each other.
    """
    try:
        parts = shlex.split(overrides)
    except ValueError as error:
        raise ConfigError(f"The overrides {overrides!r} cannot be split: {error}.") from error
    with initialize_config_dir(str(conf_directory()), version_base="1.3"):
        for part in parts:
            check_override(part)
        try:
            composed = compose("config", overrides=parts)
            values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(f"The overrides {overrides!r} cannot be applied: {error}") from error
    config = read_config(values)
    check_config(config)
    return config


def read_config(values: Any) -> Config:
    """Build the configuration from nested dictionaries, such as :func:`dataclasses.asdict` makes of it.

    Raises
    ------
    ConfigError
        If a name or value is unknown or missing.
    """
    return _read(Config, values, "")


def read_settings(kind: type[ConfigT], values: Any) -> ConfigT:
    """Build a dataclass of settings from a mapping of its names, all that have no default; raises ConfigError."""
    if not isinstance(values, dict):
        raise ConfigError(f"{str(values)[:80]!r} is no list of settings.")
    return _read(kind, values, "")


def to_yaml(config: Config) -> str:
    """Return the resolved configuration as YAML."""
    return str(yaml.safe_dump(json.loads(json.dumps(asdict(config))), sort_keys=False))


def differences(before: Config, after: Config) -> list[str]:
    """Return, setting by setting, how two configurations differ, such as ``seed was 0 and is 1``."""
    return [
        f"{key} was {_at(before, key)} and is {_at(after, key)}"
        for key in _keys(Config, "")
        if _at(before, key) != _at(after, key)
    ]


def _at(config: Config, key: str) -> Any:
    return attrgetter(key)(config)


def configuration_hash(config: Config) -> str:
    """Return a hash of what server and nodes must agree on: all but paths, outputs and the segmentation model."""
    label_maps = "folder" if config.data.foreign_label_maps else config.data.label_maps
    shared = asdict(replace(config, data=replace(config.data, root=None, label_maps=label_maps)))
    for own in ("output", "downstream", "threads", "allow_pixel_losses", "resume"):
        del shared[own]
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()


def check_override(override: str) -> None:
    """Find a misspelt name before Hydra does: raises ConfigError with the nearest known one."""
    key, separator, value = override.lstrip("+~").partition("=")
    if not separator:
        raise ConfigError(f"The override '{override}' has no '='; write name=value.")
    groups = [path.name for path in conf_directory().iterdir() if path.is_dir()]
    if key in groups:
        choices = [path.stem for path in (conf_directory() / key).glob("*.yaml")]
        if value not in choices:
            raise ConfigError(unknown_name(f"choice of {key}", value, choices))
        return
    known = [*_keys(Config, ""), *groups]
    if key not in known:
        raise ConfigError(unknown_name("setting", key, known))


def _keys(kind: type, prefix: str) -> list[str]:
    hints = typing.get_type_hints(kind)
    keys = []
    for field in fields(kind):
        hint = hints[field.name]
        keys += _keys(hint, f"{prefix}{field.name}.") if is_dataclass(hint) else [f"{prefix}{field.name}"]  # type: ignore[arg-type]
    return keys


def _read(kind: type[ConfigT], values: Any, path: str) -> ConfigT:
    """Build a configuration dataclass, checking every name and type."""
    hints = typing.get_type_hints(kind)
    for name in values:
        if name not in hints:
            raise ConfigError(unknown_name("setting", f"{path}{name}", [f"{path}{known}" for known in hints]))
    missing = [f"{path}{field.name}" for field in fields(kind) if field.name not in values and field.default is MISSING]  # type: ignore[arg-type]
    if missing:
        raise ConfigError(f"The configuration lacks {', '.join(missing)}.")
    return kind(**{name: _value(hints[name], value, f"{path}{name}") for name, value in values.items()})


def _value(hint: Any, value: Any, path: str) -> Any:
    if is_dataclass(hint):
        return _read(hint, value, f"{path}.")  # type: ignore[arg-type]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(unknown_name(path, str(value), arguments))
        return value
    if ImportPath in arguments and isinstance(value, str) and is_import_path(value):
        check_import_path(value, path)
        return value
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _value(arguments[0], value, path)
    if origin is tuple:
        if not isinstance(value, list) or (arguments[-1] is not Ellipsis and len(value) != len(arguments)):
            raise ConfigError(f"{path}={value!r} is no list of the right length.")
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(_value(kind, entry, path) for kind, entry in zip(kinds, value, strict=True))
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"{path}={value!r} is of type {type(value).__name__}, not {hint.__name__}.")
    return value
