"""Validation and the choice of a generator in parts: which rounds, which score, what a node gives."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import Message, MetricRecord, RecordDict
from torch import Tensor, nn

from flower_dgan.baselines.rows import open_federation
from flower_dgan.client_app import app
from flower_dgan.data import Entry, Pairs
from flower_dgan.data.splits import held_out_groups, validation_groups
from flower_dgan.errors import ConfigError, DataError, FederationError, ProtocolError
from flower_dgan.federation.join import JoinedClient
from flower_dgan.federation.selection import ask_for_scores, weights_of
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.node.node import open_partition
from flower_dgan.node.score import give_score
from flower_dgan.node.simulation import simulating
from flower_dgan.node.state import ClientState
from flower_dgan.resolve import resolve
from flower_dgan.tasks import find_task
from flower_dgan.tasks.choice import Check, choose
from flower_dgan.wire.description import describe_training, read_description
from flower_dgan.wire.parameters import flatten
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.score_messages import ScoreAnswer, ScoreRequest
from tests.pairs import make_folder

TRAINING = Training("a" * 16, 1)
CONFIG = resolve("data.image_size=16 exchange.rounds=6 selection=best selection.checks=2")  # of rounds 3 and 6


def entries(*groups: str) -> list[Entry]:
    return [Entry(f"{index}", "site", group, -1, 16, 16) for index, group in enumerate(groups)]


def some_pairs(images: int, seed: int = 0) -> Pairs:
    """Return images of noise with masks of their brighter pixels."""
    made = np.random.default_rng(seed).integers(0, 256, (images, 16, 16, 1)).astype(np.uint8)
    return Pairs(tuple(made), tuple((image[..., 0] > 127).astype(np.uint8) for image in made), 2)


@pytest.mark.parametrize(
    ("rounds", "checks", "expected"),
    [(12, 4, (3, 6, 9, 12)), (10, 4, (3, 5, 8, 10)), (2, 4, (1, 2)), (7, 1, (7,)), (12, 0, ())],
)
def test_checks_divide_a_training_evenly_and_end_with_it(rounds: int, checks: int, expected: tuple[int, ...]) -> None:
    assert replace(CONFIG.selection, checks=checks).rounds(rounds) == expected


def test_each_client_holds_out_its_share_of_groups() -> None:
    """Whole groups, of each client that has two or more; a group that two clients have is held out at both."""
    first, second, third = entries(*"aabbccdd"), entries(*"ddee"), entries("f", "f")
    found = validation_groups([first, second, third], 0.25)
    assert found == held_out_groups("abcd", 0.25) | held_out_groups("de", 0.25)
    assert len(held_out_groups("abcd", 0.25)) == len(held_out_groups("de", 0.25)) == 1
    assert validation_groups([first, second, third], 0.0) == frozenset()
    assert validation_groups([first], 0.99) < set("abcd")


def test_a_simulation_has_what_its_clients_hold_out() -> None:
    config = resolve("partition=iid selection.validation_fraction=0.2")
    nodes = [open_partition(config, k, 2) for k in range(2)]
    found = open_federation(config, 2)
    assert found.validation is not None
    held_out = [image for node in nodes if node.validation for image in node.validation.images]
    assert [image.tobytes() for image in found.validation.images] == [image.tobytes() for image in held_out]
    assert len(found.pooled()) + len(held_out) == 1438
    assert open_federation(resolve("partition=iid"), 2).validation is None


def test_clients_of_one_patient_each_have_nothing_to_hold_out(tmp_path: Path) -> None:
    make_folder(tmp_path)
    pattern = "'data.name_pattern=\"(?P<split>tr|te)_(?P<site>[^_]+)_(?P<group>tr|te).*\"'"
    config = resolve(
        f"data=folder data.root={tmp_path} {pattern} data.test_splits=[te] selection.validation_fraction=0.2 "
        "exchange.batch_size=2"
    )
    with pytest.raises(DataError, match="the images of each client are of a single group"):
        open_federation(config, 2)


WEIGHTS = {"a": 0.75, "b": 0.25}


def test_the_mean_is_weighted_over_those_that_scored() -> None:
    check = Check(1, {"a": 0.4, "b": 0.8})
    assert check.mean(WEIGHTS) == pytest.approx(0.75 * 0.4 + 0.25 * 0.8)
    assert check.mean(WEIGHTS, ["b"]) == pytest.approx(0.8)
    assert Check(1, {"b": 0.8}).mean(WEIGHTS) == pytest.approx(0.8)
    assert Check(1, {}).mean(WEIGHTS) is None
    assert check.mean(WEIGHTS, ["c"]) is None


@pytest.mark.parametrize(
    ("scores", "best", "expected"),
    [
        ([{"a": 0.4, "b": 0.8}, {"a": 0.6, "b": 0.3}, {"a": 0.5, "b": 0.5}], "highest", 2),  # 0.5, 0.525, 0.5
        ([{"a": 0.4, "b": 0.8}, {"a": 0.6, "b": 0.3}, {"a": 0.5, "b": 0.5}], "lowest", 3),  # of two with 0.5 the later
        ([{"a": 0.4, "b": 0.8}, {"b": 0.7}], "highest", 1),  # without a the second would be ahead of 0.5
        ([{"b": 0.7}, {"a": 0.4, "b": 0.8}], "highest", 2),
        ([{"b": 0.9}, {"a": 0.4}], "highest", 2),  # nobody scored both
        ([{}, {"a": 0.1}, {}], "highest", 2),
        ([{}, {}], "highest", None),
    ],
)
def test_the_best_check_is_chosen(scores: list[dict[str, float]], best: str, expected: int | None) -> None:
    checks = [Check(number, each) for number, each in enumerate(scores, start=1)]
    chosen = choose(checks, WEIGHTS, best)  # type: ignore[arg-type]
    assert (chosen and chosen.round) == expected


def test_a_score_leaves_a_node_in_hundredths() -> None:
    content = ScoreAnswer.of(0.6549).to_records()
    assert {name: dict(record) for name, record in content.items()} == {"validation-score": {"hundredths": 65}}
    assert ScoreAnswer.from_records(content).value == 0.65
    assert ScoreAnswer.of(0.6551).hundredths == 66
    for value in (float("nan"), float("inf"), 1e8):
        with pytest.raises(DataError, match="cannot leave this node"):
            ScoreAnswer.of(value)


def as_float(content: RecordDict) -> None:
    content["validation-score"] = MetricRecord({"hundredths": 65.49})


def with_more(content: RecordDict) -> None:
    content["validation-score"] = MetricRecord({"hundredths": 65, "images": [1.0, 2.0]})


def too_large(content: RecordDict) -> None:
    content["validation-score"] = MetricRecord({"hundredths": 10**9 + 1})


@pytest.mark.parametrize(
    ("break_answer", "reason"), [(as_float, "65.49"), (with_more, "keys"), (too_large, "1000000001 hundredths")]
)
def test_an_answer_that_is_no_score_is_refused(break_answer: Callable[[RecordDict], None], reason: str) -> None:
    content = ScoreAnswer(65).to_records()
    break_answer(content)
    with pytest.raises(ProtocolError, match=reason):
        ScoreAnswer.from_records(content)


@pytest.fixture(autouse=True)
def simulated() -> Iterator[None]:
    """Let nodes without data of their own be simulated ones."""
    with simulating():
        yield


@pytest.fixture
def state() -> ClientState:
    state = ClientState(TRAINING.identity, "breast")
    config = read_description(describe_training(CONFIG))
    state.join("breast", some_pairs(15), config, 1, some_pairs(5, seed=1))
    return state


@pytest.fixture(scope="module")
def model() -> nn.Module:
    """Return a network that nobody trained, which takes half of the pixels that are held out for foreground."""
    torch.manual_seed(0)
    model = find_task("segmentation").build(CONFIG.downstream, channels=1, classes=2)
    with torch.no_grad():
        background, foreground = model(as_tensor(some_pairs(5, seed=1))).unbind(1)
        model.get_submodule("segmentation_head.0").bias[1] += (background - foreground).median()
    return model


def as_tensor(pairs: Pairs) -> Tensor:
    return torch.from_numpy(np.stack(pairs.images)).permute(0, 3, 1, 2) / 127.5 - 1


def ask(state: ClientState, network: nn.Module, round_number: int = 3, policy: Path | None = None) -> float:
    request = ScoreRequest(TRAINING, round_number, flatten(network))
    node_config = {"partition-id": 0} if policy is None else {"data-path": "/data", "policy": str(policy)}
    return ScoreAnswer.from_records(give_score(request.to_records(), state, node_config)).value


def test_a_node_scores_a_network_on_the_images_that_it_holds_out(state: ClientState, model: nn.Module) -> None:
    """Dice of the foreground: twice the common pixels of its five validation images over the true and predicted."""
    held_out = some_pairs(5, seed=1)
    with torch.no_grad():
        predicted = model(as_tensor(held_out)).argmax(1).numpy() > 0
    true = np.stack(held_out.label_maps) > 0
    expected = 2 * (true & predicted).sum() / (true.sum() + predicted.sum())
    assert 0.05 < expected < 0.95
    assert ask(state, model) == pytest.approx(expected, abs=0.005)
    assert ask(state, model) == ask(state, model, 6)


def test_a_node_scores_one_network_a_check_and_no_other(state: ClientState, model: nn.Module) -> None:
    """With any number of networks a server could read the images out of their scores."""
    ask(state, model)
    torch.manual_seed(1)
    other = find_task("segmentation").build(CONFIG.downstream, channels=1, classes=2)
    with pytest.raises(FederationError, match="gives scores of round 3 once a training"):
        ask(state, other)
    for round_number in (0, 4, 12):
        with pytest.raises(ProtocolError, match=f"a score of round {round_number}, which has no check"):
            ask(state, model, round_number)
    later = ScoreRequest(replace(TRAINING, attempt=2), 6, flatten(model))
    with pytest.raises(ProtocolError, match="attempt 2 at a node that has joined attempt 1"):
        give_score(later.to_records(), state, {"partition-id": 0})


def test_a_network_of_another_form_is_refused(state: ClientState) -> None:
    request = ScoreRequest(TRAINING, 3, np.zeros(3, np.float32))
    with pytest.raises(ProtocolError, match=r"where float32 \(\d+,\) is due"):
        give_score(request.to_records(), state, {"partition-id": 0})


def test_a_node_without_validation_images_says_so(model: nn.Module) -> None:
    state = ClientState("b" * 16, "breast")
    state.join("breast", some_pairs(15), read_description(describe_training(CONFIG)), 1)
    request = ScoreRequest(Training("b" * 16, 1), 3, flatten(model))
    with pytest.raises(DataError, match="breast holds no image out for validation"):
        give_score(request.to_records(), state, {"partition-id": 0})


def test_an_owner_decides_whether_scores_leave(state: ClientState, model: nn.Module, tmp_path: Path) -> None:
    rules = "label_maps: true\nlabel_maps_to_clients: false\nweights: false\npixel_losses: false\n"
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"{rules}queries_per_image: null\n")
    with pytest.raises(FederationError, match=r"does not let scores on its validation images leave \(scores\)"):
        ask(state, model, policy=policy)
    policy.write_text(f"{rules}queries_per_image: null\nscores: true\n")
    assert 0 <= ask(state, model, policy=policy) <= 1


def test_a_node_that_joins_again_must_hold_out_the_same_images(state: ClientState) -> None:
    config = read_description(describe_training(CONFIG))
    state.join("breast", some_pairs(15), config, 2, some_pairs(5, seed=1))
    for other in (some_pairs(5, seed=2), None):
        with pytest.raises(FederationError, match="are not those that this training began with"):
            state.join("breast", some_pairs(15), config, 3, other)
    kept = state.validation()
    assert kept is not None
    assert [image.tobytes() for image in kept.images] == [image.tobytes() for image in some_pairs(5, seed=1).images]


def joined(name: str, images: int, node_id: int) -> JoinedClient:
    return JoinedClient(node_id, True, ClientLabels(name, some_pairs(images).label_maps, 2, node_id - 1))


def test_clients_weigh_by_their_training_images_up_to_the_largest_share() -> None:
    two = [joined("a", 3, 1), joined("b", 1, 2)]
    assert weights_of(two, CONFIG) == pytest.approx({"a": 0.75, "b": 0.25})
    # Of three none has more than a half: 3/5 becomes 1/2, and the others share the rest as before.
    assert weights_of([*two, joined("c", 1, 3)], CONFIG) == pytest.approx({"a": 0.5, "b": 0.25, "c": 0.25})


class LastWordGrid(InProcessGrid):
    """Gives one node's reply as that of a node that nobody knows, and no other."""

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        (reply, *_) = super().send_and_receive(messages, timeout=timeout)
        reply.metadata.__dict__["_src_node_id"] = 99
        return [reply]


def test_nodes_that_are_gone_or_silent_are_named() -> None:
    clients = [joined(name, 4, node_id) for node_id, name in enumerate("abc", start=1)]
    grid = LastWordGrid(app, simulated_contexts(2, ""))
    scores, missing = ask_for_scores(grid, CONFIG, clients, ScoreRequest(TRAINING, 3, np.zeros(3, np.float32)))
    assert scores == {}
    assert missing == {
        "a": "it did not answer",
        "b": "it did not answer",
        "c": "it is not connected",
        "node 99": "a reply that nobody asked for",
    }


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ("selection.take=best", "selection.checks=0 makes none: set selection=best"),
        ("selection.checks=3", "selection.validation_fraction=0 holds none out"),
        ("selection=best downstream=none", "set downstream=images, and downstream.seeds=0 for no table"),
        ("selection.validation_fraction=0.2 downstream=none", "nothing asks for them: set it to 0"),
        ("selection=best downstream.metrics=[]", "downstream.metrics is empty"),
        ("selection=best downstream.seeds=0 downstream.metrics=[accuracy]", "compares classes"),
        ("selection=best selection.checks=21", "must be from 0 to 20"),
        ("selection=best selection.validation_fraction=1", r"must be in \[0, 1\)"),
        ("selection=first", "Unknown choice of selection 'first'"),
        ("selection.take=first", "Unknown selection.take 'first'"),
        (
            "selection=best partition=iid data=folder data.missing_channels=[[part-0,[2]]] model.levels=none "
            "model.site_condition=false",
            "selection.checks=0, as the model that is scored looks at whole images",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(overrides: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        resolve(overrides)


def test_a_server_without_images_can_choose() -> None:
    """It makes no table, so it needs no test images."""
    assert resolve("selection=best downstream.seeds=0").selection.take == "best"
    assert resolve("").selection.checks == 0
