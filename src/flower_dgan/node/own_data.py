"""What a deployed node's data are and where it computes: its owner says it in the node configuration, and no server."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import yaml

from flower_dgan.config import DataConfig, ImportPath, SourceName, TrainingConfig
from flower_dgan.config.import_path import is_import_path
from flower_dgan.config.places import conf_directory
from flower_dgan.data.channels import Channels, own_channels
from flower_dgan.device import AUTO
from flower_dgan.errors import ConfigError
from flower_dgan.node.simulation import NodeConfig

_LISTS = {"train-splits": "train_splits", "test-splits": "test_splits", "sites": "sites"}
_NONE = "none"


def without_paths(config: TrainingConfig) -> TrainingConfig:
    """Return the settings of a training without each path, pattern and choice of files that the server made."""
    data = replace(config.data, root=None, name_pattern=None, table=None, train_splits=(), test_splits=(), sites=())
    return replace(config, data=data, partition=replace(config.partition, file=None))


def on_own_device(config: TrainingConfig, node_config: NodeConfig) -> TrainingConfig:
    """Return the settings of a training with the device that the owner of a node names, ``auto`` if it names none."""
    device = node_config.get("device", AUTO)
    if not isinstance(device, str):
        raise ConfigError(f"""The node configuration has device={device}: write device="cuda:0", with the quotes.""")
    return replace(config, device=device)


def own_data(data: DataConfig, node_config: NodeConfig) -> tuple[DataConfig, Channels]:
    """Return the data settings of a deployed node, and which channels its files hold.

    Its owner may set, beside ``data-path``: ``table``, a CSV file; ``name-pattern``, or ``"none"`` for names that say
    nothing; ``train-splits``, ``test-splits`` and ``sites``, each with commas; ``channels``, such as ``"0,2"``. Without
    a table or a pattern it is the pattern of the documented layout, and without splits the documented ones, both from
    this node's own ``conf/``.

    Parameters
    ----------
    data : DataConfig
        Those of the training; what images are, and not where they lie, is taken from it.
    node_config : NodeConfig
        The owner's, with ``data-path``.

    Raises
    ------
    ConfigError
        If the owner sets both a table and a pattern, or channels that are not those of the training; if the path is
        empty, which would be whatever folder the node was started in.
    """
    if not str(node_config["data-path"]).strip():
        raise ConfigError("""The node configuration has an empty data-path: write data-path="<folder>".""")
    if "table" in node_config and "name-pattern" in node_config:
        raise ConfigError("The node configuration has a table and a name-pattern: leave one of them out.")
    channels = own_channels(data, str(node_config["channels"])) if "channels" in node_config else None
    # the embedded digits are everybody's; a node with a folder has images of its own
    source: SourceName | ImportPath = "folder" if data.source == "digits" else data.source
    of_names: dict[str, Any] = {"name_pattern": None, "train_splits": (), "test_splits": ()}
    if not is_import_path(source):
        of_names = {key: _shipped(source)[key] for key in of_names}
    if "table" in node_config:
        of_names["name_pattern"] = None
    if "name-pattern" in node_config:
        given = str(node_config["name-pattern"])
        of_names["name_pattern"] = None if given == _NONE else given
    for key, name in _LISTS.items():
        if key in node_config:
            of_names[name] = tuple(word.strip() for word in str(node_config[key]).split(",") if word.strip())
    own = replace(
        data,
        source=source,
        root=str(node_config["data-path"]),
        table=str(node_config["table"]) if "table" in node_config else None,
        channels=data.channels if channels is None else len(channels),
        sites=of_names.pop("sites", ()),
    )
    return replace(own, **of_names), channels


@cache
def _shipped(source: str) -> Mapping[str, Any]:
    """Return the settings of a source of data in this node's own ``conf/``."""
    values = yaml.safe_load((conf_directory() / "data" / f"{source}.yaml").read_text(encoding="utf-8"))
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
