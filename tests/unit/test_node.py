from pathlib import Path

import pytest

from flower_dgan.errors import ConfigError
from flower_dgan.node import open_node, policy_allows_pixel_losses
from flower_dgan.resolve import resolve
from tests.contract.test_bad_input import make_folder


def test_a_deployed_node_holds_all_of_its_own_folder(tmp_path: Path) -> None:
    config = resolve("data=folder data.root=/elsewhere exchange.batch_size=4")
    root = make_folder(tmp_path / "clinic", sites=2, images=5)
    node = open_node(config, {"data-path": str(root), "name": "clinic-a"})
    assert (node.name, len(node.pairs), node.pairs.classes) == ("clinic-a", 10, 2)


def test_a_deployed_node_needs_a_name() -> None:
    with pytest.raises(ConfigError, match="no name"):
        open_node(resolve(""), {"data-path": "/data"})


def test_a_simulated_node_takes_its_share() -> None:
    first, second = (open_node(resolve(""), {"partition-id": k, "num-partitions": 2}) for k in (0, 1))
    assert (first.name, second.name) == ("labels 0-4", "labels 5-9")
    assert len(first.pairs) + len(second.pairs) == 1438


def test_pixel_losses_are_the_owners_choice() -> None:
    config = resolve("allow_pixel_losses=true")
    assert policy_allows_pixel_losses(config, {"partition-id": 0})
    assert not policy_allows_pixel_losses(resolve(""), {"partition-id": 0})
    assert not policy_allows_pixel_losses(config, {"data-path": "/data", "name": "clinic"})
    assert policy_allows_pixel_losses(config, {"data-path": "/data", "name": "clinic", "allow-pixel-losses": True})
