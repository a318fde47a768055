"""The description of a training that a node is sent when it joins: JSON of dataclasses, and nothing to be looked up.

A deployed node takes no path and no pattern from it: see ``flower_dgan.node.own_data``.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, fields, replace

from flower_dgan.algorithms.find import algorithm_of, read_config
from flower_dgan.config import TrainingConfig
from flower_dgan.errors import ConfigError, ProtocolError, RangeError
from flower_dgan.validation.checks import check_training

MOST_BYTES = 1_000_000
"""Of a description; that of the shipped settings has 3,000."""


def describe_training(config: TrainingConfig) -> str:
    """Return what the nodes of a run are told of it, as JSON.

    The server's own folders, of label maps and of earlier runs, are not in it.
    """
    told = TrainingConfig(**{field.name: getattr(config, field.name) for field in fields(TrainingConfig)})
    label_maps = "folder" if config.data.foreign_label_maps else config.data.label_maps
    told = replace(
        told,
        data=replace(told.data, label_maps=label_maps),
        algorithm=algorithm_of(config).settings_for_clients,
    )
    return json.dumps(asdict(told))


def read_description(text: str, allow_code: Callable[[str, str], None] = lambda *_: None) -> TrainingConfig:
    """Read what :func:`describe_training` wrote, field by field.

    Parameters
    ----------
    text : str
        From a server.
    allow_code : callable
        See :func:`~flower_dgan.algorithms.find.read_config`.

    Raises
    ------
    ProtocolError
        If it is too long, no JSON, or has other fields or types.
    ConfigError
        If settings are out of range or contradict each other.
    """
    if len(text.encode(errors="replace")) > MOST_BYTES:
        raise ProtocolError(f"a description of more than {MOST_BYTES:,} bytes")
    try:
        config = read_config(TrainingConfig, json.loads(text), allow_code)
    except (ValueError, RecursionError, TypeError) as error:
        raise ProtocolError(f"a description that cannot be read: {error}") from error
    except RangeError:
        raise
    except ConfigError as error:
        raise ProtocolError(f"a description with other fields than this version's: {error}") from error
    check_training(config)
    return config
