"""From Hydra overrides to a checked :class:`Config`; the only file that knows Hydra."""

import json
import shlex
import typing
from dataclasses import asdict, fields, is_dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from flower_dgan.config import Config
from flower_dgan.config.checks import check_config
from flower_dgan.config.places import conf_directory
from flower_dgan.config.read import read_config
from flower_dgan.errors import ConfigError, unknown_name
from flower_dgan.tasks import check_downstream


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
    check_downstream(config)
    return config


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
