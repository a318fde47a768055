"""Which policy a node has: its owner's, in the node configuration; nothing that a server sends can change it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from flower_dgan.config import TrainingConfig
from flower_dgan.config.read import read_settings
from flower_dgan.data.plain_values import Once, read_yaml
from flower_dgan.errors import ConfigError, unknown_name
from flower_dgan.node.peers import Anybody
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.node.presets import PRESETS, RESEARCH, STANDARD
from flower_dgan.node.simulation import NodeConfig, in_simulation
from flower_dgan.node.stamp import Stamp, stamp
from flower_dgan.plugins import import_paths, package_of
from flower_dgan.wire.join_messages import NO_OWNER, OWN_RULES

ANY = "any"
"""What a policy's file says where a rule allows any number."""

# Of a node that holds the embedded digits, of which everybody has a copy: what would fill it is bounded all the same.
_OF_DIGITS = ReleasePolicy(
    True, False, False, False, None, kept_trainings=RESEARCH.kept_trainings, bounds=RESEARCH.bounds
)


class _Strict(Once):
    """Reads no line that says nothing, which would lift a limit without a word."""


def _only_null(_: Once, node: yaml.ScalarNode) -> None:
    if not node.value:
        where = f"line {node.start_mark.line + 1}"
        raise ConfigError(f"{where} has a name and no value: write {ANY} for any number, or leave the line out.")


_Strict.add_constructor("tag:yaml.org,2002:null", _only_null)


def check_code(node_config: NodeConfig, setting: str, path: str) -> None:
    """Raise PolicyError if a training may not name this import path at a node; before its settings are read."""
    if "policy" in node_config or not in_simulation(node_config):
        own_policy(node_config).check_code(setting, path)


def release_policy(config: TrainingConfig, node_config: NodeConfig) -> ReleasePolicy:
    """Return the policy of a node.

    A deployed node has the one that its owner names, ``--node-config 'policy="/etc/policy.yaml" ...'``: a preset of
    :mod:`flower_dgan.node.presets`, or a file, which may build on one by ``preset: standard``. Without a word it is
    ``standard``; a node that holds nothing but the embedded digits, of which everybody has a copy, needs no approval. A
    simulated node belongs to whoever configured the run.

    Raises
    ------
    ConfigError
        If the file cannot be read, or does not say exactly what a policy says.
    """
    if "policy" in node_config or not in_simulation(node_config):
        return own_policy(node_config)
    plugins = tuple(package_of(path) for path in import_paths(config).values())
    pixels = config.allow_pixel_losses
    return ReleasePolicy(
        True,
        True,
        True,
        pixels,
        None,
        plugins,
        moments=True,
        scores=True,
        epsilon=None,
        peers=Anybody(),
        publish_label_maps=True,
    )


def is_guarded(node_config: NodeConfig) -> bool:
    """Return whether a node has an owner who counts what is done with its images: it has some, or a policy."""
    return "data-path" in node_config or "policy" in node_config


def own_policy(node_config: NodeConfig) -> ReleasePolicy:
    """Return the policy of a deployed node, whatever the training; raises as :func:`release_policy`."""
    if "policy" not in node_config:
        return STANDARD if is_guarded(node_config) else _OF_DIGITS
    path = _policy_path(node_config)
    return PRESETS[str(node_config["policy"])] if path is None else read_policy(path)


def policy_word(node_config: NodeConfig) -> str:
    """Return what a node says of its policy: the preset's name, or that it has rules of its owner's or no owner."""
    if not is_guarded(node_config):
        return NO_OWNER
    if _policy_path(node_config) is not None:
        return OWN_RULES
    return str(node_config.get("policy", "standard"))


def read_policy(path: Path) -> ReleasePolicy:
    """Read a policy's file.

    Raises
    ------
    ConfigError
        If it cannot be read, or does not say exactly what a policy says.
    """
    try:
        values = read_yaml(path, _Strict)
        if isinstance(values, dict):
            values = {name: None if value == ANY else value for name, value in values.items()}
        return read_settings(ReleasePolicy, _on_preset(values))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"This node's policy {path} cannot be read: {error}.") from error
    except ConfigError as error:
        raise ConfigError(f"This node's policy {path}: {error}") from error


def _on_preset(values: Any) -> Any:
    """Return what a file says, with the lines of the preset that it builds on for those that it lacks."""
    if not isinstance(values, dict) or "preset" not in values:
        return values
    if (name := values["preset"]) not in PRESETS:
        raise ConfigError(unknown_name("preset", str(name), PRESETS))
    base, said = asdict(PRESETS[name]), {key: value for key, value in values.items() if key != "preset"}
    bounds = said.get("bounds", {})
    return base | said | ({"bounds": base["bounds"] | bounds} if isinstance(bounds, dict) else {})


def stamp_of_policy(node_config: NodeConfig) -> Stamp:
    """Return what tells whether the owner has changed the policy's file since; opens no file."""
    path = _policy_path(node_config)
    return None if path is None else stamp(path)


def _policy_path(node_config: NodeConfig) -> Path | None:
    if "policy" not in node_config or node_config["policy"] in PRESETS:
        return None
    return Path(str(node_config["policy"])).expanduser()
