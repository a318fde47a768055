"""Synthetic images from a folder of label maps at the server: no client's label maps leave it."""

from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message
from PIL import Image

from flower_dgan.baselines.rows import open_federation, train_here
from flower_dgan.data import Pixels
from flower_dgan.errors import ConfigError, DataError, FederationError
from flower_dgan.exactness import exactness_overrides
from flower_dgan.federation.previous_task import LABEL_MAPS, read_label_maps_of_run
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.wire.join_messages import JOIN
from tests.reference.runs import TOLERANCE, train_product, train_reference

from .conftest import Federation, Reply, TamperedApp
from .test_asynchronous import run as run_asynchronously
from .test_bad_input import POLICY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of label maps that no digit has: stripes of one to eight rows."""
    (tmp_path / "stripes").mkdir()
    for height in range(1, 9):
        rows = np.arange(32)[:, None] // height % 2 * np.ones((32, 32))
        Image.fromarray(rows.astype(np.uint8) * 255).save(tmp_path / "stripes" / f"{height}.png")
    return tmp_path / "stripes"


def is_striped(label_map: Pixels) -> bool:
    return bool((label_map == label_map[:, :1]).all()) and bool(label_map.any())


@pytest.mark.parametrize(
    "algorithm",
    [
        "",
        "algorithm=uagan",
        "algorithm=mdgan",
        "algorithm=dgan-selective",
        "model.site_condition=true",
    ],
)
def test_it_is_the_loop(algorithm: str, folder: Path, tmp_path: Path) -> None:
    overrides = exactness_overrides(5, tmp_path / "run", f"{algorithm} data.label_maps='{folder}'")
    ours, loop = train_product(overrides, 3, tmp_path / "run"), train_reference(resolve(overrides), 3)
    assert ours.difference(loop) <= TOLERANCE


@pytest.mark.parametrize("algorithm", ["dgan", "uagan"])
def test_owners_who_keep_their_label_maps_take_part(
    algorithm: str, federation: Federation, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY.replace("label_maps: true", "label_maps: false"))

    def with_policy(message: Message, context: Context, answer: Reply) -> Message:
        context.node_config["policy"] = str(tmp_path / "policy.yaml")
        return answer(message, context)

    path = federation.run(f"data.label_maps='{folder}' algorithm={algorithm}", client_app=TamperedApp(with_policy)).path
    left = {(r.record, r.key) for r in read_metrics(path).records if r.direction == "from node"}
    assert {key for record, key in left if record == "node"} == {
        "protocol-version",
        "name",
        "images",
        "channels",
        "classes",
        "queue",
        "token",
        "levels",
        "policy",
        "publish",
    }
    assert {record for record, _ in left} == {"node", "images", "feedback", "metrics"}
    assert {key for record, key in left if record == "images"} == {"sizes"}
    masks = [np.asarray(Image.open(mask)) for mask in (path / "synthetic/masks").iterdir()]
    assert len(masks) == 6
    assert all(map(is_striped, masks))
    (seen,) = read_label_maps_of_run(path / LABEL_MAPS)
    assert (seen.name, len(seen.label_maps)) == ("data.label_maps", 8)


def test_the_next_task_is_reminded_of_the_folder(federation: Federation, folder: Path, tmp_path: Path) -> None:
    first = federation.run(f"algorithm=tdgan-small data.label_maps='{folder}'").path
    federation.directory = tmp_path / "second"
    second = federation.run(f"algorithm=tdgan-small algorithm.previous='{first}'").path
    labels = read_label_maps_of_run(second / LABEL_MAPS)
    assert [each.name for each in labels] == ["data.label_maps", "part-0", "part-1"]
    assert all(map(is_striped, labels[0].label_maps))
    assert not any(map(is_striped, labels[1].label_maps))


def test_label_maps_that_nobody_asked_for_are_refused(federation: Federation, folder: Path) -> None:
    def eager(message: Message, context: Context, answer: Reply) -> Message:
        reply = answer(message, context)
        if message.metadata.message_type == JOIN:
            reply.content["label-maps"] = ArrayRecord({"data": Array(np.zeros(3, np.uint8))})
        return reply

    with pytest.raises(FederationError, match="label-maps"):
        federation.run(f"data.label_maps='{folder}'", client_app=TamperedApp(eager))


def test_who_comes_later_draws_from_the_folder_too(folder: Path, tmp_path: Path) -> None:
    metrics = run_asynchronously(
        tmp_path / "run",
        f"data.label_maps='{folder}' output.synthetic_images=6",
        present=lambda number: [1, 2] if number < 3 else [1, 2, 3],
    )
    assert [join.site for join in metrics.joins] == ["part-0", "part-1", "part-2"]
    assert all(not each.rejected for each in metrics.rounds)
    assert "label-maps" not in {r.record for r in metrics.records if r.direction == "from node"}
    masks = list((tmp_path / "run/synthetic/masks").glob("part-2_*.png"))
    assert masks
    assert all(is_striped(np.asarray(Image.open(mask))) for mask in masks)


def test_the_gan_on_pooled_data_draws_from_the_folder_too(folder: Path) -> None:
    config = resolve(
        f"data.label_maps='{folder}' exchange.rounds=1 exchange.exchanges=2 exchange.generator_steps=1 "
        "exchange.batch_size=2 output.synthetic_images=3"
    )
    federation = open_federation(config, 2)
    assert not any(map(is_striped, federation.real[0].label_maps))
    assert all(map(is_striped, train_here(config, federation, "Syn-All").label_maps))


def test_a_folder_that_cannot_be_drawn_from(federation: Federation, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"There is no folder {tmp_path}/client:"):
        federation.run(f"data.label_maps='{tmp_path}/client'")
    Image.fromarray(np.zeros((16, 40), np.uint8)).save(folder / "small.png")
    with pytest.raises(DataError, match=r"small\.png is 16 x 40 pixels, less than 32"):
        federation.run(f"data.label_maps='{folder}'")
    assert not federation.directory.exists()
    for number, file in enumerate(folder.iterdir()):
        Image.fromarray(np.full((32, 32), number % 4, np.uint8)).save(file)
    with pytest.raises(FederationError, match=f"The label maps of {folder} have 4 classes, and the clients have 2"):
        federation.run(f"data.label_maps='{folder}'")


def test_a_training_goes_on_with_the_label_maps_that_it_began_with(federation: Federation, folder: Path) -> None:
    overrides = f"data.label_maps='{folder}'"
    path = federation.run(overrides).path
    federation.run(f"{overrides} resume='{path}'")
    (folder / "8.png").unlink()
    with pytest.raises(ConfigError, match=r"data.label_maps does not hold what .*run was started with"):
        federation.run(f"{overrides} resume='{path}'")
