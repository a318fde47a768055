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

from flower_dgan.algorithm.schedule import is_synchronous
from flower_dgan.algorithm.scores import merges_scores
from flower_dgan.config import Config, ImportPath
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
            _check_override(part)
        try:
            composed = compose("config", overrides=parts)
            values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(f"The overrides {overrides!r} cannot be applied: {error}") from error
    config = read_config(values)
    _check(config)
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
    shared = asdict(replace(config, data=replace(config.data, root=None)))
    for own in ("output", "downstream", "threads", "allow_pixel_losses", "resume"):
        del shared[own]
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()


def _check_override(override: str) -> None:
    """Find misspelt names before Hydra does, to name the nearest known one."""
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
        return tuple(_value(arguments[0], entry, path) for entry in value)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"{path}={value!r} is of type {type(value).__name__}, not {hint.__name__}.")
    return value


def _check(config: Config) -> None:
    """Find settings that contradict each other or are out of range."""
    exchange, algorithm, data, model = config.exchange, config.algorithm, config.data, config.model
    positive = {
        "exchange.rounds": exchange.rounds,
        "exchange.exchanges": exchange.exchanges,
        "exchange.generator_steps": exchange.generator_steps,
        "exchange.batch_size": exchange.batch_size,
        "exchange.min_nodes": exchange.min_nodes,
        "exchange.timeout": exchange.timeout,
        "exchange.join_timeout": exchange.join_timeout,
        "algorithm.discriminator_steps": algorithm.discriminator_steps,
        "algorithm.generator_learning_rate": algorithm.generator_learning_rate,
        "algorithm.discriminator_learning_rate": algorithm.discriminator_learning_rate,
        "algorithm.generator_weight": algorithm.generator_weight,
        "algorithm.discriminator_weight": algorithm.discriminator_weight,
        "model.generator_width": model.generator_width,
        "model.discriminator_width": model.discriminator_width,
        "data.image_size": data.image_size,
        "output.sample_interval": config.output.sample_interval,
        "output.synthetic_images": config.output.synthetic_images,
    }
    for name, number in positive.items():
        if number <= 0:
            raise ConfigError(f"{name}={number} must be positive.")
    if config.threads is not None and config.threads < 1:
        raise ConfigError(f"threads={config.threads} must be positive, or null for torch's own choice.")
    if exchange.exchanges % exchange.generator_steps:
        raise ConfigError(
            f"exchange.exchanges={exchange.exchanges} cannot be shared by "
            f"exchange.generator_steps={exchange.generator_steps}: choose a divisor of {exchange.exchanges}."
        )
    schedule = config.schedule
    if not 0 < schedule.quorum <= 1:
        raise ConfigError(f"schedule.quorum={schedule.quorum} must be in (0, 1]: it is a share of the clients.")
    if schedule.deadline is not None and schedule.deadline <= 0:
        raise ConfigError(f"schedule.deadline={schedule.deadline} must be positive, or null for none.")
    if schedule.max_staleness < 0:
        raise ConfigError(f"schedule.max_staleness={schedule.max_staleness} must not be negative.")
    if exchange.in_flight > 1 and not is_synchronous(schedule):
        raise ConfigError("exchange.in_flight=2 wants schedule=synchronous: the other one does not wait anyway.")
    if config.output.checkpoint_interval < 0:
        raise ConfigError(f"output.checkpoint_interval={config.output.checkpoint_interval} must not be negative.")
    if not 0 <= algorithm.average_decay < 1:
        raise ConfigError(f"algorithm.average_decay={algorithm.average_decay} must be in [0, 1).")
    if (algorithm.l1_weight or algorithm.perceptual_weight) and not config.allow_pixel_losses:
        raise ConfigError(
            "algorithm.l1_weight and algorithm.perceptual_weight let the server read real images. Set both to 0, or "
            "allow_pixel_losses=true for a simulation on data that are yours."
        )
    if config.downstream.seeds and data.condition != "label-map":
        raise ConfigError(
            f"data.condition={data.condition} leaves no masks to learn segmentation from: set downstream=none."
        )
    for key, network in (("generator", model.generator), ("discriminator", model.discriminator)):
        if network in ("mlp", "dcgan") and data.condition == "label-map":
            raise ConfigError(
                f"model.{key}={network} does not see label maps: set data.condition=class or none, and downstream=none."
            )
    if model.generator == "resnet9" and data.condition != "label-map":
        raise ConfigError(
            f"model.generator=resnet9 draws from label maps alone, and data.condition={data.condition} has constant "
            "ones: set model=mlp, dcgan or small."
        )
    _check_algorithm(config)
    rows = ("Real-All", "Real-k", "Untrained", "Local-k", "Syn-All", "DGAN", "FedGAN", "FedAvg")
    for row in config.downstream.rows:
        if row not in rows:
            raise ConfigError(unknown_name("row of downstream.rows", row, rows))


def _check_algorithm(config: Config) -> None:
    """Find parts of an algorithm that do not fit each other."""
    algorithm, exchange = config.algorithm, config.exchange
    of_scores = merges_scores(algorithm.merge)
    if algorithm.shared_batches < 0:
        raise ConfigError(f"algorithm.shared_batches={algorithm.shared_batches} must not be negative.")
    if algorithm.sharpness < 0:
        raise ConfigError(f"algorithm.sharpness={algorithm.sharpness} must not be negative: 0 makes a mean.")
    if of_scores and (algorithm.shared_batches != 1 or algorithm.separate_batches):
        raise ConfigError(
            f"algorithm.merge={algorithm.merge} is about images that all clients judge: "
            "set algorithm.shared_batches=1 algorithm.separate_batches=false."
        )
    if algorithm.separate_batches and not algorithm.shared_batches:
        raise ConfigError("algorithm.separate_batches=true wants shared batches: set algorithm.shared_batches.")
    if algorithm.shared_batches and (algorithm.l1_weight or algorithm.perceptual_weight):
        raise ConfigError("Pixel losses want a real image for each synthetic one: set algorithm.shared_batches=0.")
    if algorithm.swap_interval < 0:
        raise ConfigError(f"algorithm.swap_interval={algorithm.swap_interval} must not be negative: 0 is never.")
    if algorithm.swap_interval and not (algorithm.shared_batches and exchange.in_flight == 1):
        raise ConfigError("algorithm.swap_interval wants algorithm.shared_batches, and exchange.in_flight=1.")
    if algorithm.upload != "none":
        _check_upload(config)
    reminding = (algorithm.reminding_l1_weight, algorithm.reminding_perceptual_weight)
    if min(reminding) < 0:
        raise ConfigError(f"The weights of algorithm.reminding_... are {reminding}: they must not be negative.")
    if algorithm.previous is not None and config.model.sites_fixed_by:
        raise ConfigError(
            "algorithm.previous wants model.site_condition=false and a model.generator that is no fusion: the sites of "
            "the next task are not those of this one."
        )
    if algorithm.merge == "agreement" and config.model.fuses:
        raise ConfigError(
            "algorithm.merge=agreement compares the clients' gradients, and with "
            f"model.generator={config.model.generator} those are about sub-generators of their own: set "
            "algorithm.merge=samples or equal."
        )
    if algorithm.turns == "one-by-one" and (exchange.in_flight > 1 or algorithm.shared_batches):
        raise ConfigError("algorithm.turns=one-by-one wants exchange.in_flight=1 algorithm.shared_batches=0.")
    waits = {
        f"algorithm.merge={algorithm.merge}": of_scores,
        "algorithm.turns=one-by-one": algorithm.turns == "one-by-one",
        "algorithm.swap_interval": algorithm.swap_interval > 0,
        f"algorithm.upload={algorithm.upload}": algorithm.upload != "none",
    }
    for what, does in waits.items():
        if does and not is_synchronous(config.schedule):
            raise ConfigError(f"{what} wants schedule=synchronous, where a round waits for all that it asked.")


def _check_upload(config: Config) -> None:
    """Find what does not fit Distributed-GAN's approach 1, in which clients upload changes instead of feedback."""
    algorithm, what = config.algorithm, f"algorithm.upload={config.algorithm.upload}"
    if algorithm.shared_batches != 1 or algorithm.separate_batches:
        raise ConfigError(
            f"{what} trains all clients on the same images: set algorithm.shared_batches=1 "
            "algorithm.separate_batches=false."
        )
    if algorithm.merge not in ("equal", "samples"):
        raise ConfigError(f"{what} has no feedback for algorithm.merge={algorithm.merge} to merge: set equal.")
    if algorithm.swap_interval:
        raise ConfigError(f"{what} trains the server's discriminator, which nobody swaps: algorithm.swap_interval=0.")
    if config.exchange.in_flight != 1:
        raise ConfigError(f"{what} sends the discriminator that the last round made: set exchange.in_flight=1.")
    if not 0 < algorithm.upload_share <= 1:
        raise ConfigError(f"algorithm.upload_share={algorithm.upload_share} must be in (0, 1].")
    if algorithm.upload_threshold < 0:
        raise ConfigError(f"algorithm.upload_threshold={algorithm.upload_threshold} must not be negative.")
