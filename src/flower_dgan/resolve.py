"""From Hydra overrides to a checked :class:`Config`; the only file that knows Hydra."""

import json
import re
import shlex
import typing
from dataclasses import asdict, fields, is_dataclass
from functools import lru_cache
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from flower_dgan.algorithms.find import read_config, shipped
from flower_dgan.config import AlgorithmSettings, Config
from flower_dgan.config.places import conf_directory
from flower_dgan.errors import ConfigError, RangeError, unknown_name
from flower_dgan.validation.checks import check_training

AS_THEY_ARE = (
    "algorithm.previous",
    "data.label_maps",
    "data.name_pattern",
    "data.root",
    "data.table",
    "output.directory",
    "partition.file",
    "resume",
)
"""Settings that are paths, or what files are called."""


@lru_cache(maxsize=8)
def resolve(overrides: str) -> Config:
    """Compose the configuration.

    Parameters
    ----------
    overrides : str
        Hydra overrides as on a command line, separated by blanks and quoted as in a shell:
        ``"data=folder data.root=/data seed=1"``. The value of a setting of :data:`AS_THEY_ARE` is the text
        itself, whatever is in it; it may also be quoted once more, as Hydra's grammar has it.

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
        texts = dict(found for part in parts if (found := _text_of(part)) is not None)
        try:
            composed = compose("config", overrides=[_without_text(part) for part in parts])
            values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
            assert isinstance(values, dict)
            for key, text in texts.items():
                _put(values, key, text)
        except (HydraException, OmegaConfBaseException) as error:
            reason = "".join(map(_say_whose, parts)) or f" {' '.join(str(error).partition('See https')[0].split())}"
            if "algorithm=base" in parts and "value: name" in reason:
                reason = " algorithm=base is for an algorithm of your own: set algorithm.name=<module>:<Class>."
            raise ConfigError(f"The overrides {overrides!r} cannot be applied:{reason}") from error
    try:
        config = read_config(Config, values)
    except RangeError:
        raise
    except ConfigError as error:
        if hint := "".join(map(_say_whose, parts)):
            raise ConfigError(f"{error}{hint}") from error
        raise
    check_training(config)
    return config


def _text_of(override: str) -> tuple[str, str] | None:
    """Return key and value of an override that sets a text as it is; None for others, and where Hydra is to read it.

    Such a text is no override: nothing in it is an operator, a list, an interpolation or a quote. Hydra reads ``null``,
    and what is quoted as a whole.
    """
    key, _, value = override.partition("=")
    key = key.lstrip("+")
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return (key, value) if key in AS_THEY_ARE and value and not quoted and value.lower() != "null" else None


def _without_text(override: str) -> str:
    """Return an override that Hydra reads, in which a text that is taken as it is is a word."""
    return override if _text_of(override) is None else f"{override.partition('=')[0]}=text"


def _put(values: dict[Any, Any], key: str, text: str) -> None:
    *groups, name = key.split(".")
    for group in groups:
        values = values[group]
    values[name] = text


def in_quotes(text: str) -> str:
    """Return a text as a quoted value of Hydra's grammar, which stands for it as it is."""
    whole = re.sub(r"(\\*)'", r"\1\1\\'", text)  # backslashes count before a quote alone
    whole = re.sub(r"(\\+)$", r"\1\1", whole)
    return "'" + re.sub(r"(\\*)\$\{", r"\1\1\\${", whole) + "'"


def to_yaml(config: Config) -> str:
    """Return the resolved configuration as YAML."""
    return str(yaml.safe_dump(json.loads(json.dumps(asdict(config))), sort_keys=False))


def _say_whose(override: str) -> str:
    """Return, for an override of a setting that only some algorithms have, which: a sentence after a blank."""
    key, _, value = override.lstrip("+~").partition("=")
    group, _, name = key.partition(".")
    if group != "algorithm" or not name or name in typing.get_type_hints(AlgorithmSettings):
        return ""
    if stands_for := [kind for kind, each in shipped().items() if f"{name}={value}" in each.formerly]:
        return f" In place of {override} set algorithm={stands_for[0]}."
    if any(f"{name}={value}" in each.formerly_off for each in shipped().values()):
        return f" Leave {override} out: only an algorithm that does it has such a setting."
    hints = {kind: typing.get_type_hints(each.Settings).get(name) for kind, each in sorted(shipped().items())}
    have = {kind: typing.get_args(hint) for kind, hint in hints.items() if hint is not None}
    fitting = [kind for kind, choices in have.items() if type(None) in choices or value in (choices or (value,))]
    if not have:
        return ""
    what = override if fitting and fitting != list(have) else key
    return f" {what} is a setting of {', '.join(f'algorithm={kind}' for kind in fitting or have)}."


def differences(before: Config, after: Config) -> list[str]:
    """Return, setting by setting, how two configurations differ, such as ``seed was 0 and is 1``."""
    earlier, later = _flat(asdict(before)), _flat(asdict(after))
    return [
        f"{key} was {earlier.get(key)} and is {later.get(key)}"
        for key in {**earlier, **later}
        if earlier.get(key) != later.get(key)
    ]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested dictionaries as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


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
    of_algorithms = {f"algorithm.{field.name}" for kind in shipped().values() for field in fields(kind.Settings)}
    known = sorted({*_keys(Config, ""), *of_algorithms, *groups})
    own = override.startswith("+algorithm.")  # a setting of an algorithm of the user's own
    formerly = {each.partition("=")[0] for kind in shipped().values() for each in kind.formerly + kind.formerly_off}
    if key not in known and not own and key.removeprefix("algorithm.") not in formerly:
        raise ConfigError(unknown_name("setting", key, known))


def _keys(kind: type, prefix: str) -> list[str]:
    hints = typing.get_type_hints(kind)
    keys = []
    for field in fields(kind):
        hint = hints[field.name]
        keys += _keys(hint, f"{prefix}{field.name}.") if is_dataclass(hint) else [f"{prefix}{field.name}"]  # type: ignore[arg-type]
    return keys
