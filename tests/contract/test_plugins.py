"""The example of a plugin author in process: in simulation, and at nodes whose owners list its package or do not."""

import sys
from pathlib import Path

import pytest
from flwr.app import Context, RecordDict

from flower_dgan.client_app import app
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.generator_file import load_generator
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.wire.join_messages import JOIN
from flower_dgan.wire.question_message import EXCHANGE
from flower_dgan.wire.refusals import Refusal
from tests.unit.test_plugins import OVERRIDES, installed

from .conftest import TINY, Federation
from .test_bad_input import POLICY, next_round, resend

__all__ = ["installed"]  # a fixture


def test_the_example_runs(federation: Federation, installed: None) -> None:
    path = federation.run(OVERRIDES).path
    metrics = read_metrics(path)
    assert [join.site for join in metrics.joins] == ["large", "small"]
    assert len(metrics.rounds) == 20
    assert all(not each.rejected for each in metrics.rounds)
    assert type(load_generator(path / "generator.safetensors", ["own_networks"])[0]).__name__ == "Painter"


@pytest.mark.parametrize("message_type", [JOIN, EXCHANGE])
def test_a_node_imports_nothing_that_its_owner_did_not_list(
    federation: Federation, installed: None, message_type: str
) -> None:
    def deploy(content: RecordDict, context: Context) -> None:
        if message_type == EXCHANGE:
            next_round(content)
        context.node_config["data-path"] = "/own"
        del sys.modules["own_networks"], sys.modules["own_algorithm"]

    reply = resend(federation, deploy, message_type, OVERRIDES)
    assert reply.error.reason == Refusal.PLUGINS.sentence
    assert not reply.has_content()
    assert not {"own_networks", "own_algorithm"} & set(sys.modules)


def test_nodes_whose_owners_list_the_package_take_part(tmp_path: Path, installed: None) -> None:
    policy = POLICY.replace("clients: false", "clients: true")
    (tmp_path / "policy.yaml").write_text(f"{policy}plugins: [own_networks, own_algorithm]\n")
    overrides = f"{TINY} {OVERRIDES} exchange.rounds=2 exchange.min_nodes=2 output.directory='{tmp_path / 'run'}'"
    contexts = simulated_contexts(2, overrides)
    for name, context in zip("ab", contexts.values(), strict=True):
        context.node_config = {"data-path": "/data", "name": name, "policy": str(tmp_path / "policy.yaml")}
    metrics = read_metrics(run_job(InProcessGrid(app, contexts), resolve(overrides), 1).path)
    assert [join.site for join in metrics.joins] == ["a", "b"]
    assert [bool(each.rejected) for each in metrics.rounds] == [False, False]
