"""The description that a node is sent: read field by field, and nothing in it looked up, opened or run."""

import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower_dgan.config import TrainingConfig
from flower_dgan.errors import ConfigError, DataError, DganError, ProtocolError
from flower_dgan.node.node import open_node, settings_at
from flower_dgan.node.own_data import own_data, without_paths
from flower_dgan.node.simulation import simulating
from flower_dgan.resolve import resolve
from flower_dgan.wire.description import MOST_BYTES, describe_training, read_description
from tests.pairs import make_folder

SHIPPED = (
    "",
    "data=folder data.root=/pairs algorithm=gman algorithm.sharpness=inf",
    "experiment=mdgan-mnist-cpu data.root=/mnist",
    "data=folder data.root=/pairs data.channels=3 data.missing_channels='[[a,[2]]]' model=small-all-sites",
)


@pytest.mark.parametrize("overrides", SHIPPED)
def test_what_a_node_reads_is_what_the_server_means(overrides: str) -> None:
    config = resolve(overrides)
    read = read_description(describe_training(config))
    assert type(read) is TrainingConfig
    assert all(getattr(read, name) == getattr(config, name) for name in TrainingConfig.__dataclass_fields__)


def test_the_servers_own_folders_are_not_told() -> None:
    config = resolve("data.label_maps=/server/maps algorithm=tdgan-small algorithm.previous=/server/run")
    told = describe_training(replace(config, resume="/server/resumed"))
    assert "/server" not in told
    read = read_description(told)
    assert (read.data.label_maps, read.algorithm.previous) == ("folder", None)


def changed(**values: Any) -> str:
    told = json.loads(describe_training(resolve("")))
    for key, value in values.items():
        *groups, name = key.split("__")
        place = told
        for group in groups:
            place = place[group]
        place[name] = value
    return json.dumps(told)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "null",
        "1e999",
        "{}",
        changed(surprise=1),
        changed(data__surprise=1),
        changed(data=None),
        changed(data=[1]),
        changed(seed="1"),
        changed(seed=True),
        changed(algorithm__loss="eval"),
        changed(algorithm__betas=[0.5]),
        changed(algorithm__betas=float("nan")),
        changed(algorithm__generator_learning_rate=float("nan")),
        changed(model__generator="os:system('x')"),
        "[" * 100_000,
        changed(data__root="x" * MOST_BYTES),
    ],
)
def test_what_is_no_description_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        read_description(text)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda each: st.lists(each), max_leaves=8))
def test_no_value_of_a_field_raises_anything_else(value: Any) -> None:
    for key in ("seed", "data__sites", "data__missing_channels", "partition__label_groups", "downstream", "model"):
        with suppress(DganError):
            read_description(changed(**{key: value}))


def test_settings_out_of_range_are_the_servers_to_mend() -> None:
    with pytest.raises(ConfigError, match=r"exchange.rounds=0 must be from 1 to"):
        read_description(changed(exchange__rounds=0))


def test_nothing_is_interpolated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that Hydra would resolve stays the text that it is."""
    monkeypatch.setenv("SECRET", "of the node")
    read = read_description(changed(data__root="${oc.env:SECRET}", data__table="${oc.env:SECRET}"))
    assert (read.data.root, read.data.table) == ("${oc.env:SECRET}", "${oc.env:SECRET}")


def test_a_deployed_node_takes_no_path_and_no_pattern(tmp_path: Path) -> None:
    """Whatever the server names, the node opens its owner's folder; a file of the node is not even looked at."""
    secret = tmp_path / "secret.txt"
    secret.write_text("root:x:0:0\n")
    told = read_description(
        describe_training(
            resolve(
                f"data=folder data.root='{tmp_path}' data.table='{secret}' data.name_pattern=null data.sites=[a] "
                f"data.train_splits=[te] data.test_splits=[tr] partition=csv partition.file='{secret}' "
                "exchange.batch_size=4"
            )
        )
    )
    node_config = {"data-path": str(make_folder(tmp_path / "clinic")), "name": "clinic"}
    settings = settings_at(told, node_config)
    assert str(tmp_path) not in str(settings)
    assert settings.data == replace(
        told.data, root=None, table=None, name_pattern=None, sites=(), train_splits=(), test_splits=()
    )
    node = open_node(told, node_config)
    assert (node.name, len(node.pairs)) == ("clinic", 10)  # by the documented names: those for the test stay out


def test_a_node_without_data_of_its_own_reads_none_that_a_server_names(tmp_path: Path) -> None:
    """Also where Flower's own examples start it with a partition id: that is no simulation."""
    config = resolve(f"data=folder data.root='{make_folder(tmp_path / 'pairs')}' exchange.batch_size=4")
    node_config = {"partition-id": 0, "num-partitions": 2}
    with pytest.raises(ConfigError, match="reads none that a server names"):
        open_node(settings_at(config, node_config), node_config)
    (tmp_path / "parts.csv").write_text("secret\n")
    config = resolve(f"partition=csv partition.file='{tmp_path / 'parts.csv'}'")
    with pytest.raises(ConfigError, match="reads none that a server names"):
        open_node(settings_at(config, node_config), node_config)
    assert (
        len(open_node(without_paths(resolve("partition=iid")), node_config).pairs) == 719
    )  # the digits are everybody's
    with simulating():
        config = resolve(f"data=folder data.root='{tmp_path / 'pairs'}' exchange.batch_size=4")
        assert settings_at(config, node_config) is config
        assert len(open_node(config, node_config).pairs) == 5


def test_an_owner_says_how_names_and_tables_are_read(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "clinic")
    config = without_paths(resolve("data=folder exchange.batch_size=2"))
    own = {"data-path": str(root), "name": "clinic"}
    assert len(open_node(config, own | {"sites": "site1"}).pairs) == 5
    assert len(open_node(config, own | {"train-splits": "te", "test-splits": "tr"}).pairs) == 4
    pattern = "(?P<split>tr|te)_site(?P<site>0)_.*|(?P<group>.*)"
    assert own_data(config.data, own | {"name-pattern": pattern})[0].name_pattern == pattern
    assert own_data(config.data, own | {"name-pattern": "none"})[0].name_pattern is None
    names = sorted(path.stem for path in (root / "images").iterdir())
    rows = [f"{name},{'tr' if number < 3 else 'te'},one,{number}" for number, name in enumerate(names)]
    (tmp_path / "table.csv").write_text("\n".join(["name,split,site,group", *rows]) + "\n")
    assert len(open_node(config, own | {"table": str(tmp_path / "table.csv")}).pairs) == 3
    with pytest.raises(ConfigError, match="has a table and a name-pattern: leave one"):
        open_node(config, own | {"table": "a", "name-pattern": "b"})
    with pytest.raises(DataError):
        open_node(config, own | {"table": os.devnull})
