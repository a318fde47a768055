"""Dist-FID in parts: its messages, what a node gives, and what the server makes of it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from flower_dgan.client_app import app
from flower_dgan.comparison.feature_networks import encoder_features, open_encoder
from flower_dgan.comparison.image_sets import POOLED, TEST
from flower_dgan.config import Config
from flower_dgan.data import Pairs
from flower_dgan.errors import ConfigError, DataError, FederationError, ProtocolError
from flower_dgan.federation.dist_fid import ask_for_moments, distances, require_windows, windows_of
from flower_dgan.federation.join import JoinedClient
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.metrics.shared.feature_moments import Moments, combine_moments, moments_of
from flower_dgan.networks.build import ImageShape
from flower_dgan.node.enough_windows import check_windows
from flower_dgan.node.moments import give_moments
from flower_dgan.node.simulation import simulating
from flower_dgan.node.state import ClientState
from flower_dgan.resolve import resolve
from flower_dgan.wire.description import describe_training, read_description
from flower_dgan.wire.moments_messages import MomentsAnswer, MomentsRequest
from flower_dgan.wire.parameters import flatten, unflatten
from flower_dgan.wire.protocol import Training
from flower_dgan.wiring import generator_half

TRAINING = Training("a" * 16, 1)
CONFIG = resolve("data.image_size=16 downstream.dist_fid=100 model.generator_width=4")


def some_pairs(images: int, *, side: int = 32, seed: int = 0) -> Pairs:
    """Return images of four windows each, whose windows differ in brightness."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (images, side // 16, 1, side // 16, 1, 1)) * np.ones((1, 1, 16, 1, 16, 1))
    made = pixels.reshape(images, side, side, 1).astype(np.uint8)
    return Pairs(tuple(made), tuple((image[..., 0] > 127).astype(np.uint8) for image in made), 2)


def joined(name: str, pairs: Pairs, site: int, config: Config = CONFIG) -> JoinedClient:
    return JoinedClient(site + 1, True, ClientLabels(name, pairs.label_maps, 2, site))


@pytest.fixture(scope="module")
def encoder() -> torch.nn.Module:
    torch.manual_seed(0)
    return open_encoder(CONFIG.downstream, 1)


def through_the_wire(features: NDArray[np.float64]) -> Moments:
    """Return the moments of one site as the server has them."""
    content = MomentsAnswer(moments_of(torch.from_numpy(features))).to_records()
    return MomentsAnswer.from_records(content, len(features), features.shape[1]).moments


def test_moments_of_two_sites_are_those_of_the_pooled_features() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(2, 3, (7, 4)), rng.normal(-1, 0.5, (12, 4))
    both = combine_moments([through_the_wire(first), through_the_wire(second)])
    pooled = np.concatenate([first, second])
    assert both.count == 19
    torch.testing.assert_close(both.mean, torch.from_numpy(pooled.mean(0)))
    torch.testing.assert_close(both.scatter / 18, torch.from_numpy(np.cov(pooled.T)))


def test_on_the_wire_are_count_mean_and_covariance() -> None:
    # Features (0, 1), (2, 1), (4, 4): means 2 and 2; deviations (-2, -1), (0, -1), (2, 2), divisor 2.
    content = MomentsAnswer(moments_of(torch.tensor([[0.0, 1.0], [2.0, 1.0], [4.0, 4.0]]))).to_records()
    assert set(content) == {"moments", "count"}
    assert dict(content.metric_records["count"]) == {"windows": 3}
    arrays = {name: array.numpy() for name, array in content.array_records["moments"].items()}
    assert {name: array.dtype for name, array in arrays.items()} == {"mean": np.float64, "covariance": np.float64}
    np.testing.assert_allclose(arrays["mean"], [2, 2], rtol=1e-12)
    np.testing.assert_allclose(arrays["covariance"], [[4, 3], [3, 3]], rtol=1e-12)


def with_array(name: str, values: object, dtype: str = "float64") -> Callable[[RecordDict], None]:
    def put(content: RecordDict) -> None:
        content.array_records["moments"][name] = Array(np.array(values, dtype))

    return put


def with_images(content: RecordDict) -> None:
    content["images"] = ArrayRecord({"real": Array(np.zeros(4, np.uint8))})


def with_count(content: RecordDict) -> None:
    content["count"] = MetricRecord({"windows": 59})


@pytest.mark.parametrize(
    ("break_answer", "reason"),
    [
        (with_array("mean", [np.nan, 0]), "not finite"),
        (with_array("covariance", [[np.inf, 0], [0, 1]]), "not finite"),
        (with_array("covariance", [[1, 2], [2, 1]]), "negative eigenvalue -1"),
        (with_array("covariance", [[1, 0.5], [0, 1]]), "not symmetric"),
        (with_array("covariance", [1, 1]), r"where float64 \(2, 2\) is due"),
        (with_array("mean", [0, 0], "float32"), r"where float64 \(2,\) is due"),
        (with_array("mean", [0, 1e7]), r"beyond 1e\+06"),
        (with_array("covariance", [[1e13, 0], [0, 1]]), r"beyond 1e\+06"),
        (with_array("third", [0, 0]), "keys"),
        (with_images, "images"),
        (with_count, "moments of 59 windows where 60 were asked for"),
    ],
)
def test_an_answer_that_is_no_moments_is_refused(break_answer: Callable[[RecordDict], None], reason: str) -> None:
    content = MomentsAnswer(Moments(60, torch.zeros(2).double(), torch.eye(2).double())).to_records()
    MomentsAnswer.from_records(content, 60, 2)
    break_answer(content)
    with pytest.raises(ProtocolError, match=reason):
        MomentsAnswer.from_records(content, 60, 2)


def test_a_covariance_of_fewer_windows_than_features_passes() -> None:
    """Its smallest eigenvalues are 0 up to rounding, and so some are below."""
    features = np.random.default_rng(0).normal(size=(50, 3)) @ np.random.default_rng(1).normal(size=(3, 200)) * 1000
    moments = through_the_wire(features)
    torch.testing.assert_close(moments.scatter / 49, torch.from_numpy(np.cov(features.T)))


def test_a_network_travels_as_one_array() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
    network(torch.rand(4, 1, 2, 2))
    entries = flatten(network)
    assert (entries.dtype, len(entries)) == (np.float32, 2 + 2 + 4 * 2)
    other = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
    unflatten(other, entries)
    images = torch.rand(3, 1, 2, 2)
    torch.testing.assert_close(other.eval()(images), network.eval()(images), rtol=0, atol=0)


def ask(state: ClientState, encoder: torch.nn.Module, windows: int, policy: Path | None = None) -> RecordDict:
    request = MomentsRequest(TRAINING, windows, flatten(encoder))
    node_config = {"partition-id": 0} if policy is None else {"data-path": "/data", "policy": str(policy)}
    return give_moments(request.to_records(), state, node_config)


@pytest.fixture
def state() -> ClientState:
    state = ClientState(TRAINING.identity, "breast")
    state.join("breast", some_pairs(15), read_description(describe_training(CONFIG)), 1)
    return state


@pytest.fixture(autouse=True)
def simulated() -> Iterator[None]:
    """Let nodes without data of their own be simulated ones."""
    with simulating():
        yield


def test_a_node_gives_the_moments_of_windows_spread_over_its_images(
    state: ClientState, encoder: torch.nn.Module
) -> None:
    pairs = some_pairs(15)
    windows = [image[top : top + 16, left : left + 16] for image in pairs.images for top in (0, 16) for left in (0, 16)]
    expected = moments_of(encoder_features(encoder)(windows))
    given = MomentsAnswer.from_records(ask(state, encoder, 60), 60, 64).moments
    torch.testing.assert_close(given.mean, expected.mean, rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(given.scatter, expected.scatter, rtol=1e-5, atol=1e-8)
    again = MomentsAnswer.from_records(ask(state, encoder, 60), 60, 64).moments
    torch.testing.assert_close(again, given, rtol=0, atol=0)


def test_a_node_gives_moments_once_a_training(state: ClientState, encoder: torch.nn.Module) -> None:
    """The difference of those of 60 and of 59 windows would be a window."""
    ask(state, encoder, 60)
    with pytest.raises(FederationError, match="once a training, and those of another network or of other windows"):
        ask(state, encoder, 59)
    torch.manual_seed(1)
    other = open_encoder(CONFIG.downstream, 1)
    with pytest.raises(FederationError, match="once a training"):
        ask(state, other, 60)
    with pytest.raises(ProtocolError, match="attempt 2 at a node that has joined attempt 1"):
        give_moments(MomentsRequest(replace(TRAINING, attempt=2), 60, flatten(encoder)).to_records(), state, {})


def test_a_node_gives_no_moments_that_tell_of_single_images(state: ClientState, encoder: torch.nn.Module) -> None:
    for windows, reason in ((61, "that has 60"), (-1, "that has 60"), (49, "Moments of 49 windows of 15 images would")):
        with pytest.raises((ProtocolError, FederationError), match=reason):
            ask(state, encoder, windows)
    check_windows(np.repeat(np.arange(10), 5))
    with pytest.raises(FederationError, match="of 81 windows of 9 images would tell of single ones"):
        check_windows(np.repeat(np.arange(9), 9))


def test_an_owner_decides_whether_moments_leave(state: ClientState, encoder: torch.nn.Module, tmp_path: Path) -> None:
    rules = "label_maps: true\nlabel_maps_to_clients: false\nweights: false\npixel_losses: false\n"
    (tmp_path / "policy.yaml").write_text(f"{rules}queries_per_image: null\n")
    with pytest.raises(FederationError, match=r"does not let moments of its real images' features leave \(moments\)"):
        ask(state, encoder, 60, tmp_path / "policy.yaml")
    (tmp_path / "policy.yaml").write_text(f"{rules}queries_per_image: null\nmoments: true\n")
    assert set(ask(state, encoder, 60, tmp_path / "policy.yaml")) == {"moments", "count"}


def test_a_network_of_another_form_is_refused(state: ClientState) -> None:
    request = MomentsRequest(TRAINING, 60, np.zeros(3, np.float32))
    with pytest.raises(ProtocolError, match=r"where float32 \(\d+,\) is due"):
        give_moments(request.to_records(), state, {})


def test_windows_are_shared_by_how_many_each_client_has(caplog: pytest.LogCaptureFixture) -> None:
    clients = [joined("a", some_pairs(50), 0), joined("b", some_pairs(25), 1)]  # 200 and 100 windows
    assert windows_of(clients, CONFIG) == {"a": 67, "b": 33}
    assert "Too few windows for Dist-FID at b (33)" in caplog.text
    whole = replace(CONFIG, downstream=replace(CONFIG.downstream, dist_fid=300))
    assert windows_of(clients, whole) == {"a": 200, "b": 100}
    more = replace(CONFIG, downstream=replace(CONFIG.downstream, dist_fid=301))
    with pytest.raises(FederationError, match="the clients together have 300: set it to that or less"):
        windows_of(clients, more)
    less = replace(CONFIG, downstream=replace(CONFIG.downstream, dist_fid=60))
    with pytest.raises(FederationError, match="asks no client for 50 windows or more"):
        windows_of(clients, less)


class LastWordGrid(InProcessGrid):
    """Gives one node's reply as that of a node that nobody knows, and no other."""

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        (reply, *_) = super().send_and_receive(messages, timeout=timeout)
        reply.metadata.__dict__["_src_node_id"] = 99
        return [reply]


def test_nodes_that_are_gone_or_silent_are_named(encoder: torch.nn.Module) -> None:
    clients = [joined(name, some_pairs(25), site) for site, name in enumerate("abc")]
    config = replace(CONFIG, downstream=replace(CONFIG.downstream, dist_fid=180))
    answers = ask_for_moments(LastWordGrid(app, simulated_contexts(2, "")), config, clients, TRAINING, encoder)
    assert answers.moments == {}
    assert answers.missing == {
        "a": "it did not answer",
        "b": "it did not answer",
        "c": "it is not connected",
        "node 99": "a reply that nobody asked for",
    }


@pytest.mark.parametrize("knows_sites", [False, True])
def test_a_site_is_compared_with_its_own_images_where_the_generator_knows_it(
    encoder: torch.nn.Module, knows_sites: bool, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(CONFIG, model=replace(CONFIG.model, site_condition=knows_sites))
    pairs = {name: some_pairs(15, seed=seed) for seed, name in enumerate(("a", "b"))}
    clients = [joined(name, pairs[name], site) for site, name in enumerate(pairs)]
    network = generator_half(config, ImageShape(2, 1, 16, ("a", "b"))).network
    look = encoder_features(encoder)
    moments = {name: moments_of(look([image[:16, :16] for image in pairs[name].images] * 4)) for name in pairs}
    found = distances(config, clients, network, encoder, moments, some_pairs(4, seed=9))
    own = 60 if knows_sites else 120
    assert [(each.site, each.windows, each.compared, each.images) for each in found] == [
        (POOLED, 120, "synthetic", 120),
        (POOLED, 120, TEST, 16),
        ("a", 60, "synthetic", own),
        ("b", 60, "synthetic", own),
    ]
    assert {(each.metric, each.wanted) for each in found} == {("dist-fid-segmenter-64-n100", 65)}
    assert [each.means_little for each in found] == [False, True, True, True]
    assert f"of {POOLED} means little by 16 images: take 65" in caplog.text
    assert all(each.distance > 0 for each in found)


def test_test_images_of_one_window_are_too_few() -> None:
    require_windows(some_pairs(1), CONFIG)
    with pytest.raises(DataError, match="two windows or more of real test images"):
        require_windows(some_pairs(1, side=16), CONFIG)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ("downstream=none downstream.dist_fid=100", "set another downstream than none"),
        ("downstream.seeds=0 downstream.dist_fid=100", "downstream.seeds=1 or more"),
        ("downstream.rows=[Real-All] downstream.dist_fid=100", "the row DGAN in downstream.rows"),
        ("downstream.dist_fid=-1", "must be from 0 to"),
    ],
)
def test_settings_that_dist_fid_cannot_work_with(overrides: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        resolve(overrides)
