"""A real SuperLink and real SuperNodes, each a process of its own, on loopback."""

from pathlib import Path

import pytest
import torch

from exactness import through_supernodes
from flower_dgan.exactness import TOLERANCE
from flower_dgan.generator_file import load_generator
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.wire.refusals import Refusal
from local_flower import deployed_flower, write_app
from tests.pairs import make_folder


@pytest.mark.slow
@pytest.mark.parametrize(("warm", "rounds"), [(True, 10), (False, 2)])
def test_two_supernodes_are_the_reference(warm: bool, rounds: int) -> None:
    assert through_supernodes(2, rounds, warm=warm) <= TOLERANCE


@pytest.mark.slow
def test_two_owners_with_folders_of_their_own(tmp_path: Path, own_home: Path) -> None:
    """The server has no data. The owners' images do not fit at first: the run stops, and each node's log says why.

    Which generator is best only one of them says, by the image that it holds out: the other's policy is the default,
    but for the approval.
    """
    configs = [f'data-path="{make_folder(tmp_path / name, sites=1)}" name="{name}"' for name in ("north", "south")]
    allows_scores = tmp_path / "policy.yaml"
    allows_scores.write_text(
        "label_maps: true\nlabel_maps_to_clients: false\nweights: false\npixel_losses: false\n"
        "queries_per_image: null\nscores: true\n"
    )
    (tmp_path / "standard.yaml").write_text("preset: standard\napproval: false\n")
    configs = [f'{configs[0]} policy="{allows_scores}"', f'{configs[1]} policy="{tmp_path / "standard.yaml"}"']
    overrides = (
        "data=folder downstream=images downstream.seeds=0 downstream.steps=2 selection=best selection.checks=2 "
        "exchange.min_nodes=2 exchange.rounds=3 exchange.exchanges=2 "
        "exchange.generator_steps=2 exchange.in_flight=2 output.synthetic_images=4"
    )
    with deployed_flower(configs) as flower:
        app = write_app(tmp_path / "app")
        refused = flower.run(app, f"{overrides} data.image_size=128 output.directory='{tmp_path / 'no'}'", timeout=200)
        logs = [flower.log.with_name(f"supernode-{number}.txt").read_text() for number in range(2)]
        flower.run(app, f"{overrides} output.directory='{tmp_path / 'run'}'", timeout=200)
    assert all("64 x 64 pixels, less than data.image_size=128" in log for log in logs)
    assert "64 x 64 pixels" not in refused
    assert refused.count("The node's data cannot be used for this training.") >= 2
    metrics = read_metrics(tmp_path / "run")
    assert [join.site for join in metrics.joins] == ["north", "south"]
    assert [set(each.clients) for each in metrics.rounds] == [{"north", "south"}] * 3
    assert [each.staleness for each in metrics.rounds] == [0, 8, 8]  # two generator steps in each of four passes
    assert [(each.round, set(each.clients)) for each in metrics.validations] == [(2, {"north"}), (3, {"north"})]
    assert {each.missing["south"] for each in metrics.validations} == {Refusal.SCORES.sentence}
    assert metrics.selection is not None
    taken = load_generator(tmp_path / "run/generator_best.safetensors")[0].state_dict()
    kept = tmp_path / f"run/candidates/{metrics.selection.taken:08d}.safetensors"
    torch.testing.assert_close(taken, load_generator(kept)[0].state_dict(), rtol=0, atol=0)
    assert len(list((tmp_path / "run/synthetic/images").iterdir())) == 4
    left = [path for path in (own_home / "state").rglob("*") if path.is_file()]
    # what the nodes' draws follow from stays with them, and what was done with their images
    assert {path.parent.name for path in left} == {"secrets", "ledger", "flower-dgan"}
    assert [path.name for path in left if path.parent.name == "flower-dgan"] == ["book.sqlite"]
