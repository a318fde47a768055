"""The choice of a generator through the in-process grid, by validation images that stay at the nodes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import Context, Message
from PIL import Image
from safetensors.torch import load_file

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.algorithms.in_process import train
from flower_dgan.baselines.choice_here import train_on_drawn
from flower_dgan.baselines.rows import open_federation
from flower_dgan.node.node import open_partition
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.synthesis import synthesize
from flower_dgan.tasks import find_task
from flower_dgan.tasks.tstr import score
from flower_dgan.wire.score_messages import SCORE, ScoreAnswer
from flower_dgan.wiring import bundle_settings

from .conftest import TINY, Federation, Reply, TamperedApp
from .test_bad_input import POLICY

ASKED = (
    "data.condition=class downstream=classification downstream.steps=20 downstream.seeds=0 selection=best "
    "selection.checks=2 output.synthetic_images=40 data.image_size=16 exchange.image_format=float32 "
    "exchange.feedback_format=float32"
)


def test_scores_are_those_of_tstr_on_the_images_held_out(
    federation: Federation, tmp_path: Path, own_home: Path
) -> None:
    """A third client does not let scores leave: the others' are used, and the report says so."""
    (tmp_path / "policy.yaml").write_text(POLICY)

    def third_refuses(message: Message, context: Context, answer: Reply) -> Message:
        if message.metadata.message_type == SCORE and context.node_id == 3:
            context.node_config["policy"] = str(tmp_path / "policy.yaml")
        return answer(message, context)

    path = federation.run(ASKED, clients=3, client_app=TamperedApp(third_refuses)).path
    metrics = read_metrics(path)

    config = resolve(f"{TINY} {ASKED}")
    local = open_federation(config, 3)
    state, task, expected = local.state(config), find_task("classification"), {}

    def score_here(round_number: int) -> None:
        kept = load_file(path / "candidates" / f"{round_number:08d}.safetensors")
        torch.testing.assert_close(kept, dict(state.generator.average.state_dict()), rtol=1e-4, atol=1e-6)
        model = train_on_drawn(state.generator.average, local.labels, config)
        nodes = [open_partition(config, index, 3) for index in range(2)]
        held_out = {node.name: node.validation for node in nodes if node.validation}
        scores = {
            name: score(task, model, pairs, image_size=16, metrics=("accuracy",)) for name, pairs in held_out.items()
        }
        expected[round_number] = {name: values["accuracy"] for name, values in scores.items()}

    train(algorithm_of(config), state, local.sessions(config), after_round=score_here)

    assert [(each.round, each.metric, set(each.clients)) for each in metrics.validations] == [
        (1, "accuracy", {"part-0", "part-1"}),
        (2, "accuracy", {"part-0", "part-1"}),
    ]
    for each in metrics.validations:
        assert each.clients == pytest.approx(expected[each.round], abs=0.0051)
        assert each.clients == {name: round(value, 2) for name, value in each.clients.items()}
        assert min(each.clients.values()) > 0.05
        assert each.score == pytest.approx(sum(each.clients.values()) / 2, abs=0.001)  # 384 and 383 images
        assert "does not let scores on its validation images leave (scores)" in each.missing["part-2"]
    report = (path / "report.md").read_text()
    assert "| round | validation accuracy | part-0 | part-1 |" in report
    left = {(r.site, r.record, r.key): r.messages for r in metrics.records if r.direction == "from node"}
    assert left["part-0", "validation-score", "hundredths"] == 2
    assert not any(record == "validation-score" for site, record, _ in left if site == "part-2")
    # the owner's own record of what was done, and of what left, is all that stays
    left_behind = [file for file in (own_home / "state").rglob("*") if file.is_file()]
    assert {file.name if file.suffix == ".sqlite" else file.parent.name for file in left_behind} == {
        "book.sqlite",
        "ledger",
    }


@pytest.mark.parametrize(("take", "drawn_by"), [("best", 1), ("last", 2)])
def test_the_best_generator_is_kept_beside_the_last_and_draws_where_it_is_taken(
    federation: Federation, take: str, drawn_by: int
) -> None:
    def first_is_best(message: Message, context: Context, answer: Reply) -> Message:
        reply = answer(message, context)
        if message.metadata.message_type == SCORE:
            first = message.content.config_records["score"]["round"] == 1
            reply.content = ScoreAnswer(70 if first else 60).to_records()
        return reply

    table = "downstream.seeds=1 downstream.rows=[DGAN]"
    path = federation.run(f"{ASKED} {table} selection.take={take}", client_app=TamperedApp(first_is_best)).path
    metrics = read_metrics(path)
    assert [each.row for each in metrics.tstr] == ["DGAN"]
    assert "by accuracy on images that the clients hold out for validation" in (path / "report.md").read_text()
    assert (metrics.selection.best, metrics.selection.taken) == (1, drawn_by)
    assert [each.score for each in metrics.validations] == pytest.approx([0.7, 0.6])
    best, last = (load_file(path / name) for name in ("generator_best.safetensors", "generator.safetensors"))
    candidates = [load_file(path / "candidates" / f"0000000{number}.safetensors") for number in (1, 2)]
    torch.testing.assert_close([best, last], candidates, rtol=0, atol=0)
    assert any(not torch.equal(best[name], last[name]) for name in best)

    config = resolve(f"{TINY} {ASKED}")
    local = open_federation(config, 2)
    network = local.state(config).generator.average
    network.load_state_dict(candidates[drawn_by - 1])
    drawn, names = synthesize(network, local.labels, bundle_settings(config), 40)
    for name, image in zip(names, drawn.images, strict=True):
        written = np.asarray(Image.open(path / "synthetic" / "images" / f"{name}.png"))
        assert (written == image[..., 0]).all()


class PowerCutError(BaseException):
    """What no ClientApp and no grid turns into a reply."""


def test_a_run_that_ended_in_the_middle_of_the_choice_goes_on_with_it(federation: Federation) -> None:
    """Nothing is trained again: the generators that are scored are those of the first attempt."""

    def cut(message: Message, context: Context, answer: Reply) -> Message:
        if message.metadata.message_type == SCORE and message.content.config_records["score"]["round"] == 2:
            raise PowerCutError
        return answer(message, context)

    with pytest.raises(PowerCutError):
        federation.run(ASKED, client_app=TamperedApp(cut))
    (before,) = read_metrics(federation.directory).validations
    kept = [file.stat().st_mtime_ns for file in sorted((federation.directory / "candidates").iterdir())]

    metrics = read_metrics(federation.run(f"{ASKED} resume='{federation.directory}'").path)
    assert [file.stat().st_mtime_ns for file in sorted((federation.directory / "candidates").iterdir())] == kept
    assert [each.round for each in metrics.validations] == [1, 2]
    assert metrics.validations[0] == before
    assert not any(each.missing for each in metrics.validations)
