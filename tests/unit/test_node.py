import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.data import DigitsSource, Entry, Pairs, open_source
from flower_dgan.data.array_files import write_image
from flower_dgan.data.check import check_data
from flower_dgan.errors import ConfigError, DataError, FederationError
from flower_dgan.node.node import hashes_at, node_key, open_node, open_partition
from flower_dgan.node.own_data import own_data
from flower_dgan.node.own_policy import release_policy
from flower_dgan.node.peers import Anybody
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.node.presets import PRESETS
from flower_dgan.node.simulation import simulating
from flower_dgan.resolve import resolve
from tests.pairs import make_folder


def test_a_deployed_node_holds_all_of_its_own_folder(tmp_path: Path) -> None:
    config = resolve("data=folder data.root=/elsewhere exchange.batch_size=4")
    root = make_folder(tmp_path / "clinic", sites=2, images=5)
    node = open_node(config, {"data-path": str(root), "name": "clinic-a"})
    assert (node.name, len(node.pairs), node.pairs.classes) == ("clinic-a", 10, 2)


@pytest.mark.parametrize("by_table", [False, True])
def test_a_deployed_node_needs_no_test_split(tmp_path: Path, by_table: bool) -> None:
    """Others test. Its owner's ``data check`` is of the same mind, and a server is not."""
    root = make_folder(tmp_path / "clinic", sites=1, images=5)
    for path in (*root.glob("*/te_*"),):
        path.unlink()
    owner: dict[str, str] = {"data-path": str(root), "name": "clinic-a"}
    if by_table:
        rows = "".join(f"{path.stem},tr\n" for path in (root / "images").iterdir())
        (root / "table.csv").write_text(f"name,split\n{rows}")
        owner["table"] = "table.csv"
    config = resolve("data=folder data.root=/elsewhere exchange.batch_size=4")
    node = open_node(config, owner)
    assert (len(node.pairs), node.validation) == (5, None)
    assert list(map(len, hashes_at(config, owner))) == [5, 0]
    assert own_problems(owner) == 0
    settings = own_data(config.data, owner)[0]
    checked = check_data(settings, tested=False)
    assert (checked.problems, len(checked.train), checked.test) == ((), 5, ())
    (problem,) = check_data(settings).problems
    assert problem.startswith("No test pair among 5 pairs.")
    with pytest.raises(DataError, match="No test pair among 5 pairs"):
        open_source(settings)
    for path in root.glob("images/*"):
        path.rename(path.with_name(path.name.replace("tr_", "te_", 1)))
    for path in root.glob("masks/*"):
        path.rename(path.with_name(path.name.replace("tr_", "te_", 1)))
    if not by_table:
        with pytest.raises(DataError, match="No training pair among 5 pairs"):
            open_node(replace(config, seed=1, data=replace(config.data, augmentation=())), owner)


def own_problems(owner: dict[str, str]) -> int:
    words = " ".join(f'{key}="{value}"' for key, value in owner.items())
    result = CliRunner().invoke(app, ["data", "check", "--node-config", words, "--json"], catch_exceptions=False)
    return len(json.loads(result.output)["problems"])


def test_a_deployed_node_needs_a_name() -> None:
    with pytest.raises(ConfigError, match="no name"):
        open_node(resolve(""), {"data-path": "/data"})


def test_a_simulated_node_takes_its_share() -> None:
    first, second = (open_partition(resolve(""), k, 2) for k in (0, 1))
    assert (first.name, second.name) == ("labels 0-4", "labels 5-9")
    assert len(first.pairs) + len(second.pairs) == 1438


@pytest.mark.parametrize("client", [-1, 4])
def test_no_such_client(client: int) -> None:
    with pytest.raises(FederationError, match=rf"no partition {client} of 4: partition ids are 0 \.\. 3"):
        open_partition(resolve("partition=iid"), client, 4)


def test_a_partition_read_from_masks_is_computed_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    load = DigitsSource.load

    def counted(source: DigitsSource, entries: Sequence[Entry]) -> Pairs:
        reads.append(len(entries))
        return load(source, entries)

    monkeypatch.setattr(DigitsSource, "load", counted)
    config = resolve("partition=foreground seed=41")
    nodes = [open_partition(config, k, 3) for k in range(3)]
    assert reads == [1] * 1438 + [480, 479, 479]
    means = [np.mean([label_map.mean() for label_map in node.pairs.label_maps]) for node in nodes]
    assert means == sorted(means)
    assert [node.name for node in nodes] == ["foreground-0", "foreground-1", "foreground-2"]


def test_a_policy_is_the_owners(tmp_path: Path) -> None:
    """In simulation the run decides; a deployed node is strict unless its own file says otherwise."""
    config = resolve("allow_pixel_losses=true")
    with simulating():
        whole = ReleasePolicy(True, True, True, True, None, moments=True, scores=True, epsilon=None, peers=Anybody())
        whole = replace(whole, publish_label_maps=True)
        assert release_policy(config, {"partition-id": 0}) == whole
        assert release_policy(resolve(""), {"partition-id": 0}) == replace(whole, pixel_losses=False)
    digits = ReleasePolicy(True, False, False, False, None, kept_trainings=20, bounds=PRESETS["research"].bounds)
    assert release_policy(config, {"partition-id": 0}) == digits
    deployed = {"data-path": "/data", "name": "clinic"}
    assert release_policy(config, deployed) == PRESETS["standard"]
    for name, preset in PRESETS.items():
        assert release_policy(config, deployed | {"policy": name}) == preset
    values = {"label_maps": "true", "label_maps_to_clients": "false", "weights": "false", "pixel_losses": "true"}
    lines = [f"{name}: {value}\n" for name, value in (values | {"queries_per_image": "40"}).items()]
    (tmp_path / "policy.yaml").write_text("".join(lines))
    own = deployed | {"policy": str(tmp_path / "policy.yaml")}
    assert release_policy(resolve(""), own) == ReleasePolicy(True, False, False, True, 40)
    (tmp_path / "policy.yaml").write_text("".join([*lines, "moments: true\n"]))
    assert release_policy(resolve(""), own) == ReleasePolicy(True, False, False, True, 40, moments=True)
    (tmp_path / "policy.yaml").write_text("".join([*lines, "scores: true\n"]))
    assert release_policy(resolve(""), own) == ReleasePolicy(True, False, False, True, 40, scores=True)
    with pytest.raises(ConfigError, match=r"policy .*/none.yaml cannot be read"):
        release_policy(config, deployed | {"policy": str(tmp_path / "none.yaml")})


def write_patients(root: Path, patients: int, images: int) -> None:
    """Write the images of each patient, which are as bright as its number times 25."""
    for patient in range(patients):
        for image in range(images):
            pixels = np.full((16, 16, 3), 25 * patient, np.uint8)
            write_image(pixels, root / "images", f"patient{patient}-{image}")
            write_image(pixels[..., :1] * 0 + np.uint8(255), root / "masks", f"patient{patient}-{image}")


def test_a_deployed_node_holds_out_whole_patients(tmp_path: Path) -> None:
    """Of ten patients two, with all their images, whatever the order of the files; the test patients are others."""
    root = tmp_path / "clinic"
    write_patients(root, patients=10, images=3)
    config = resolve(
        "data=folder exchange.batch_size=4 data.image_size=16 data.test_fraction=0.2 selection=best "
        "selection.validation_fraction=0.25 downstream=images"
    )
    own = {"data-path": str(root), "name": "clinic", "name-pattern": "(?P<group>patient[0-9])-[0-9]"}
    node, whole = open_node(config, own), open_node(replace(config, selection=resolve("").selection), own)
    assert node.validation is not None
    assert whole.validation is None
    assert (len(whole.pairs), len(node.pairs), len(node.validation)) == (24, 18, 6)
    of_patients = [{int(image[0, 0, 0]) // 25 for image in each.images} for each in (node.pairs, node.validation)]
    assert [len(each) for each in of_patients] == [6, 2]
    assert of_patients[0] | of_patients[1] == {int(image[0, 0, 0]) // 25 for image in whole.pairs.images}


def test_simulated_nodes_hold_out_of_what_they_had() -> None:
    """No image is lost or in two places; each client loses a fifth of its own, which are groups of one image."""
    whole = [open_partition(resolve("partition=iid"), k, 4) for k in range(4)]
    nodes = [open_partition(resolve("partition=iid selection.validation_fraction=0.2"), k, 4) for k in range(4)]
    for before, node in zip(whole, nodes, strict=True):
        assert node.validation is not None
        assert len(node.validation) == round(0.2 * len(before.pairs))
        kept = [image.tobytes() for image in (*node.pairs.images, *node.validation.images)]
        assert sorted(kept) == sorted(image.tobytes() for image in before.pairs.images)


def test_too_few_images_beside_those_held_out_are_named() -> None:
    config = resolve("partition=iid exchange.batch_size=300 selection.validation_fraction=0.2")
    with pytest.raises(DataError, match="has 288 training images beside 72 held out by selection"):
        open_partition(config, 0, 4)


def test_a_node_is_called_the_same_in_every_message() -> None:
    keys = {
        node_key({"data-path": "/data", "name": "clinic"}),
        node_key({"partition-id": 0, "num-partitions": 2}),
        node_key({"partition-id": 1, "num-partitions": 2}),
    }
    assert keys == {"clinic", "0 of 2", "1 of 2"}
