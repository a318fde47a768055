"""What is wrong is said before any work is lost; what one client does wrong does not stop the others."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict

from flower_dgan.errors import ConfigError, DataError, DganError, DivergedError, FederationError, ProtocolError
from flower_dgan.generator_file import load_generator
from flower_dgan.networks.build import ImageShape
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.wire.join_messages import JOIN, LABEL_MAPS, LEAVE
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.question_message import EXCHANGE
from flower_dgan.wire.refusals import Refusal
from flower_dgan.wiring import generator_half
from tests.pairs import make_folder

from .conftest import Federation, Reply, TamperedApp

POLICY = """
label_maps: true
label_maps_to_clients: false
weights: false
pixel_losses: false
queries_per_image: null
"""


def folder_overrides(root: Path) -> str:
    return f"data=folder data.root='{root}' partition=site downstream=images downstream.steps=2 downstream.seeds=1"


def test_a_folder_of_ones_own_pairs_runs(federation: Federation, tmp_path: Path) -> None:
    path = federation.run(folder_overrides(make_folder(tmp_path / "data"))).path
    metrics = read_metrics(path)
    assert [join.site for join in metrics.joins] == ["site0", "site1"]
    members = {"Real-site0", "Real-site1", "Real-site0+DGAN", "Real-site1+DGAN"}
    assert {t.row for t in metrics.tstr} == {"Real-All", *members, "Untrained", "DGAN"}


def test_missing_folder(federation: Federation, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"no folder {tmp_path / 'nowhere'}"):
        federation.run(folder_overrides(tmp_path / "nowhere"))
    assert not federation.directory.exists()


def test_no_folder_named(federation: Federation) -> None:
    """A server with a table needs one at once; without one it may not, but simulated nodes do."""
    with pytest.raises(ConfigError, match=r"needs a folder: set data.root"):
        federation.run("data=folder downstream=images")
    with pytest.raises(FederationError, match=r"node 1: .*needs a folder: set data.root"):
        federation.run("data=folder downstream=none")


def test_image_without_mask(federation: Federation, tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    (root / "masks" / "tr_site1_tr3_0.png").unlink()
    with pytest.raises(DataError, match="tr_site1_tr3_0"):
        federation.run(folder_overrides(root))


def test_client_with_fewer_images_than_a_batch(federation: Federation, tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", images=3)
    with pytest.raises(FederationError, match="Client 'site0' has 3 training images, fewer than a batch of 4"):
        federation.run(folder_overrides(root))


def test_more_clients_than_sites_names_the_command(federation: Federation, tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    with pytest.raises(FederationError, match=r"flwr federation simulation-config @none/default local .*supernodes 2"):
        federation.run(folder_overrides(root), clients=3)


def test_directory_of_another_run(federation: Federation) -> None:
    federation.run()
    with pytest.raises(ConfigError, match="holds another run"):
        federation.run()


def test_no_node_within_the_timeout(federation: Federation) -> None:
    with pytest.raises(FederationError, match="0 of 1 nodes are connected after 0 s"):
        federation.run(clients=0)


@pytest.mark.parametrize(
    ("key", "value", "error", "reason"),
    [
        ("protocol-version", 1, FederationError, "node 1: .*protocol version 1 meets version 13"),
        ("name", "clinic", FederationError, "Two nodes have the same name"),
        ("classes", 3, ProtocolError, "part-0 has 3 classes, its label maps 2"),
        ("label-maps-hash", "0" * 64, FederationError, "node 1: .*do not have the hash that it announced"),
        ("label-maps-hash", "../../secret", FederationError, "node 1: .*announces the hash"),
    ],
)
def test_nodes_that_describe_themselves_wrongly(
    federation: Federation, key: str, value: int | str, error: type[DganError], reason: str
) -> None:
    """Another version; one name for two; classes and hash of other label maps; a hash that would leave the cache."""

    def lie(message: Message, context: Context, answer: Reply) -> Message:
        reply = answer(message, context)
        if message.metadata.message_type == JOIN:
            reply.content.config_records["node"][key] = value
        return reply

    with pytest.raises(error, match=reason):
        federation.run(client_app=TamperedApp(lie))


def test_label_maps_that_changed_in_the_cache(federation: Federation, own_home: Path) -> None:
    federation.run()
    for file in (own_home / "cache").rglob("*.npz"):
        with np.load(file) as arrays:
            np.savez(file, **{key: arrays[key] for key in ("shapes", "classes")}, data=arrays["data"] ^ 1)
    federation.directory = federation.directory.with_name("second")
    with pytest.raises(ProtocolError, match=r"npz do not have the hash in their name: delete the file"):
        federation.run()


def test_label_maps_that_the_training_lets_stay_do_not_leave(federation: Federation) -> None:
    content, _ = last_message(federation, JOIN, "data.condition=none")
    request = Training.of(content, "join").to_records("request")
    reply = send_again(federation, request, LABEL_MAPS)
    assert "let no label maps leave" in reply.error.reason


def raises(reply: Message) -> Message:
    raise RuntimeError("the disk is full")


def with_nan(reply: Message) -> Message:
    losses = np.full(8, np.nan, np.float32)
    reply.content.array_records["feedback"]["losses"] = Array(losses)
    return reply


def with_real_images(reply: Message) -> Message:
    reply.content["images"] = ArrayRecord({"real": Array(np.zeros(4, np.uint8))})
    return reply


@pytest.mark.parametrize(
    ("break_reply", "name", "reason"),
    [
        (raises, "part-1", "the disk is full"),
        (with_nan, "part-1", "not finite"),
        (with_real_images, "part-1", "'images'"),
    ],
)
def test_a_broken_client_is_left_out_by_name(
    federation: Federation, break_reply: Callable[[Message], Message], name: str, reason: str
) -> None:
    """In round 1 client 2 goes wrong; the round goes on with the other and says so, and round 2 has both again."""

    def tamper(message: Message, context: Context, answer: Reply) -> Message:
        reply = answer(message, context)
        first = message.metadata.message_type == EXCHANGE and message.metadata.group_id == "1"
        return break_reply(reply) if first and context.node_id == 2 else reply

    rounds = read_metrics(federation.run(client_app=TamperedApp(tamper)).path).rounds
    assert set(rounds[0].clients) == {"part-0"}
    assert rounds[0].images == 8
    assert reason in rounds[0].rejected[name]
    assert set(rounds[1].clients) == {"part-0", "part-1"}
    assert rounds[1].rejected == {}


def test_a_round_without_any_feedback_stops_the_run(federation: Federation) -> None:
    def tamper(message: Message, context: Context, answer: Reply) -> Message:
        if message.metadata.message_type == EXCHANGE:
            raise RuntimeError("out of memory")
        return answer(message, context)

    with pytest.raises(FederationError, match=r"Round 1 has no usable feedback. part-0: .*out of memory"):
        federation.run(client_app=TamperedApp(tamper))


def test_agreement_of_two_clients_stops_the_run(federation: Federation) -> None:
    with pytest.raises(FederationError, match="merge=agreement needs at least 3 clients, and there are 2"):
        federation.run("algorithm.merge=agreement")


def test_agreement_of_three_clients_runs(federation: Federation) -> None:
    assert len(read_metrics(federation.run("algorithm.merge=agreement", clients=3).path).rounds) == 2


def test_what_was_learned_before_is_kept(federation: Federation) -> None:
    def tamper(message: Message, context: Context, answer: Reply) -> Message:
        if message.metadata.group_id == "2":
            raise RuntimeError("power failure")
        return answer(message, context)

    with pytest.raises(FederationError, match="Round 2 has no usable feedback"):
        federation.run(client_app=TamperedApp(tamper))
    network, _, _ = load_generator(federation.directory / "generator.safetensors")
    untrained = generator_half(resolve(""), ImageShape(2, 1, 32, ("part-0", "part-1"))).network.state_dict()
    assert (network.state_dict()["leave.weight"] - untrained["leave.weight"]).abs().max() > 1e-5
    assert (federation.directory / "metrics.jsonl").read_text().count('"kind": "round"') == 1


class RecordingApp(TamperedApp):
    """Keeps the messages that nodes are sent; a training of four rounds breaks off after two, and no node leaves."""

    def __init__(self) -> None:
        self.messages: list[tuple[Message, Context]] = []
        self.training = True
        super().__init__(self._record)

    def record(self, federation: Federation, extra: str = "") -> list[tuple[Message, Context]]:
        """Run until the training breaks off, and return what was sent; after it, every message is answered."""
        with pytest.raises(FederationError, match="Round 3 has no usable feedback"):
            federation.run(f"exchange.rounds=4 {extra}", client_app=self)
        self.training = False
        return self.messages

    def _record(self, message: Message, context: Context, answer: Reply) -> Message:
        if self.training:
            if message.metadata.message_type == LEAVE or message.metadata.group_id == "3":
                raise RuntimeError("power failure")
            self.messages.append((message, context))
        return answer(message, context)


def last_message(federation: Federation, message_type: str, extra: str = "") -> tuple[RecordDict, Context]:
    """Run, and return what client 1 was sent in the last message of a type."""
    sent = RecordingApp().record(federation, extra)
    return [(m.content, c) for m, c in sent if m.metadata.message_type == message_type and c.node_id == 1][-1]


def send_again(federation: Federation, content: RecordDict, message_type: str) -> Message:
    """Send client 1 one more message after the run."""
    (reply,) = federation.grid.send_and_receive(
        [Message(content, dst_node_id=1, message_type=message_type, group_id="again")]
    )
    return reply


def resend(
    federation: Federation,
    change: Callable[[RecordDict, Context], None],
    message_type: str = EXCHANGE,
    extra: str = "",
) -> Message:
    """Run, then send client 1 its last message of a type once more, changed."""
    content, context = last_message(federation, message_type, extra)
    change(content, context)
    return send_again(federation, content, message_type)


def next_round(content: RecordDict) -> None:
    content.config_records["bundle"]["round"] = 3


def ask_otherwise(content: RecordDict, context: Context) -> None:
    content.array_records["views"]["ids"] = Array(np.zeros(8, np.int64))


def speak_for_an_earlier_attempt(content: RecordDict, context: Context) -> None:
    next_round(content)
    content.config_records["bundle"]["attempt"] = 0


def speak_for_another_training(content: RecordDict, context: Context) -> None:
    next_round(content)
    content.config_records["bundle"]["training"] = "0" * 16


def leave_the_directory(content: RecordDict, context: Context) -> None:
    content.config_records["bundle"]["training"] = "../../../../x"


def go_back_to_the_beginning(content: RecordDict, context: Context) -> None:
    content.config_records["bundle"]["round"] = 1
    ask_otherwise(content, context)


def send_an_image_that_is_none(content: RecordDict, context: Context) -> None:
    next_round(content)
    content.array_records["synthetic"]["images"] = Array(np.zeros((8, 1, 32, 32), np.float32))


def ask_for_an_unknown_pair(content: RecordDict, context: Context) -> None:
    next_round(content)
    content.array_records["views"]["ids"] = Array(np.full(8, 10**6))


def leave_the_image(content: RecordDict, context: Context) -> None:
    next_round(content)
    content.array_records["views"]["windows"] = Array(np.full((8, 4), 1, np.int16))


def bleach_the_image(content: RecordDict, context: Context) -> None:
    next_round(content)
    content.array_records["views"]["colours"] = Array(np.full((8, 4), 100, np.int8))


def ask_for_more(content: RecordDict, context: Context) -> None:
    next_round(content)
    content["weights"] = ConfigRecord({"send": True})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (ask_otherwise, "round 2 was answered already"),
        (go_back_to_the_beginning, "round 1 was answered already, or a later one"),
        (speak_for_an_earlier_attempt, "a message of attempt 0"),
        (speak_for_another_training, "has not joined the training"),
        (leave_the_directory, "a training named"),
        (send_an_image_that_is_none, "bytes where uint8"),
        (ask_for_an_unknown_pair, "name pairs"),
        (leave_the_image, "the highest are"),
        (bleach_the_image, "colours"),
        (ask_for_more, "weights"),
    ],
)
def test_a_node_refuses_what_it_should_not_answer(
    federation: Federation, change: Callable[[RecordDict, Context], None], reason: str
) -> None:
    reply = resend(federation, change)
    assert reply.has_error()
    assert not reply.has_content()
    assert reason in reply.error.reason


def test_a_message_that_comes_again_is_answered_as_before(federation: Federation) -> None:
    answers = []

    def keep(message: Message, context: Context, answer: Reply) -> Message:
        reply = answer(message, context)
        if message.metadata.message_type == EXCHANGE:
            again = answer(message, context)
            answers.append((reply.content.array_records["feedback"], again.content.array_records["feedback"]))
        return reply

    federation.run(client_app=TamperedApp(keep))
    assert len(answers) == 4
    for first, again in answers:
        for key in ("losses", "gradients", "scales"):
            np.testing.assert_array_equal(first[key].numpy(), again[key].numpy())


@pytest.mark.parametrize("message_type", [JOIN, LABEL_MAPS, EXCHANGE])
def test_an_owners_policy_holds_for_every_message(federation: Federation, tmp_path: Path, message_type: str) -> None:
    path = tmp_path / "policy.yaml"
    content, context = last_message(federation, message_type)
    context.node_config["policy"] = str(path)
    if message_type == EXCHANGE:
        next_round(content)

    def refusal(policy: str) -> str:
        path.write_text(policy)
        return str(send_again(federation, content, message_type).error.reason)

    strict = POLICY.replace("label_maps: true", "label_maps: false")
    assert "policy does not let label maps leave (label_maps)" in refusal(strict)
    assert "Did you mean 'label_maps'" in refusal("label_map: true\n")
    assert "lacks label_maps_to_clients, weights, pixel_losses, queries_per_image" in refusal("label_maps: true\n")
    assert "is no list of settings" in refusal("yes\n")
    assert "cannot be read" in refusal("a: [\n")


def test_an_owner_limits_the_queries_on_one_image(federation: Federation, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY.replace("null", "9"))

    def ask_about_one(content: RecordDict, context: Context) -> None:
        next_round(content)
        ask_otherwise(content, context)
        context.node_config["policy"] = str(tmp_path / "policy.yaml")

    def ask_again(content: RecordDict, context: Context) -> None:
        ask_about_one(content, context)
        content.config_records["bundle"]["round"] = 4

    sent = RecordingApp().record(federation)
    message, context = next((m, c) for m, c in sent if m.metadata.message_type == EXCHANGE)
    refused = []
    for change in (ask_about_one, ask_again):
        change(message.content, context)
        message = Message(message.content, dst_node_id=context.node_id, message_type=EXCHANGE, group_id="again")
        (reply,) = federation.grid.send_and_receive([message])
        refused.append(reply.error.reason if reply.has_error() else "")
    assert refused[0] == ""
    assert "allows 9 queries on one image in all trainings (queries_per_image); image 0 would have" in refused[1]


@pytest.mark.parametrize("message_type", [JOIN, EXCHANGE])
def test_a_nodes_owner_decides_on_pixel_losses(federation: Federation, message_type: str) -> None:
    """In simulation the run may allow them; the same messages to a deployed node are refused, the first one too."""

    def deploy(content: RecordDict, context: Context) -> None:
        if message_type == EXCHANGE:
            next_round(content)
        context.node_config["data-path"] = "/own"

    reply = resend(federation, deploy, message_type, "allow_pixel_losses=true algorithm.l1_weight=1")
    assert reply.error.reason == Refusal.PIXEL_LOSSES.sentence


def test_a_nodes_owner_decides_whether_its_label_maps_reach_the_other_clients(federation: Federation) -> None:
    def deploy(content: RecordDict, context: Context) -> None:
        context.node_config["data-path"] = "/own"

    reply = resend(federation, deploy, JOIN, "algorithm=uagan")
    assert reply.error.reason == Refusal.LABEL_MAPS_TO_CLIENTS.sentence


@pytest.mark.parametrize("message_type", [JOIN, EXCHANGE])
@pytest.mark.parametrize(
    ("algorithm", "refusal"),
    [
        ("mdgan algorithm.swap_interval=1", "let its discriminator leave (weights), as algorithm=mdgan does"),
        ("dgan-selective", "let changes of its discriminator leave (weights), as algorithm=dgan-selective does"),
    ],
)
def test_a_nodes_owner_decides_whether_its_discriminator_leaves(
    federation: Federation, tmp_path: Path, algorithm: str, refusal: str, message_type: str
) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY.replace("clients: false", "clients: true"))

    def deploy(content: RecordDict, context: Context) -> None:
        if message_type == EXCHANGE:
            next_round(content)
        context.node_config["policy"] = str(tmp_path / "policy.yaml")

    reply = resend(federation, deploy, message_type, f"algorithm={algorithm}")
    assert refusal in reply.error.reason
    assert not reply.has_content()


def test_where_changes_are_uploaded_no_feedback_and_no_whole_discriminator_is(federation: Federation) -> None:
    def ask(content: RecordDict, context: Context) -> None:
        next_round(content)
        content.config_records["bundle"]["return-weights"] = True

    answer = resend(federation, ask, extra="algorithm=dgan-selective").content
    assert set(answer) == {"feedback", "metrics", "change"}
    assert all(not np.prod(array.shape) for array in answer.array_records["feedback"].values())

    def forget(content: RecordDict, context: Context) -> None:
        next_round(content)
        del content["discriminator"]

    federation.directory = federation.directory.with_name("second")
    refused = resend(federation, forget, extra="algorithm=dgan-selective")
    assert "without the discriminator whose change" in refused.error.reason


def test_a_discriminator_crosses_only_in_a_training_that_swaps(federation: Federation) -> None:
    def bring(content: RecordDict, context: Context) -> None:
        next_round(content)
        content["discriminator"] = ArrayRecord({"layers.0.weight": Array(np.zeros((1,), np.float32))})

    assert "discriminator" in resend(federation, bring).error.reason

    def ask(content: RecordDict, context: Context) -> None:
        next_round(content)
        content.config_records["bundle"]["return-weights"] = True

    federation.directory = federation.directory.with_name("second")
    assert set(resend(federation, ask).content) == {"feedback", "metrics"}


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ("algorithm.merge=odds", "algorithm.merge=odds is a setting of algorithm=uagan"),
        ("algorithm.merge=softmax", "In place of algorithm.merge=softmax set algorithm=gman"),
        ("algorithm.merge=average", "In place of algorithm.merge=average set algorithm=dgan-average"),
        ("algorithm.turns=one-by-one", "In place of algorithm.turns=one-by-one set algorithm=dgan-sequential"),
        ("algorithm.turns=together", "Leave algorithm.turns=together out"),
        ("algorithm.upload=none", "Leave algorithm.upload=none out"),
        ("algorithm.separate_batches=false", "Leave algorithm.separate_batches=false out"),
        ("algorithm.separate_batches=true", "In place of algorithm.separate_batches=true set algorithm=mdgan"),
        ("algorithm=base", "algorithm=base is for an algorithm of your own: set algorithm.name="),
        ("algorithm.swap_interval=1", "algorithm.swap_interval is a setting of algorithm=mdgan"),
        ("algorithm.upload=largest", "algorithm.upload is a setting of algorithm=dgan-selective"),
        ("algorithm=uagan algorithm.shared_batches=2", "algorithm.shared_batches is a setting of algorithm=mdgan"),
        ("algorithm=mdgan algorithm.shared_batches=0", "shared_batches=0 must be from 1 to 65,536: it is k"),
        ("algorithm=gman algorithm.sharpness=-1", "0 makes a mean"),
        ("algorithm=mdgan algorithm.l1_weight=1 allow_pixel_losses=true", "l1_weight is a setting of .*asyndgan"),
        ("algorithm=dgan-sequential exchange.in_flight=2", "set exchange.in_flight=1"),
        ("algorithm=mdgan algorithm.swap_interval=1 exchange.in_flight=2", "set exchange.in_flight=1"),
        ("algorithm=mdgan algorithm.swap_interval=-1", "0 is never"),
        ("algorithm=mdgan algorithm.swap_interval=2 schedule=asynchronous", "mdgan wants schedule=synchronous"),
        ("algorithm=dgan-selective algorithm.merge=agreement", "algorithm.merge=agreement is a setting of .*asyndgan"),
        ("algorithm=dgan-selective exchange.in_flight=2", "set exchange.in_flight=1"),
        ("algorithm=dgan-selective algorithm.upload_share=0", r"upload_share=0 must be in \(0, 1\]"),
        ("algorithm=dgan-selective algorithm.upload_share=1.1", r"upload_share=1.1 must be"),
        (
            "algorithm=dgan-selective algorithm.upload_threshold=-1",
            r"upload_threshold=-1 must be in .*1,000,000,000\]\.$",
        ),
        ("algorithm=dgan-selective schedule=asynchronous", "dgan-selective wants schedule=synchronous"),
        ("algorithm=uagan schedule=asynchronous", "wants schedule=synchronous"),
        ("algorithm=dgan-sequential schedule=asynchronous", "wants schedule=synchronous"),
        ("data.label_maps=/maps algorithm.l1_weight=1 allow_pixel_losses=true", "a real image for each synthetic"),
        ("data.label_maps=/maps algorithm=uagan algorithm.merge=odds-by-class", "set algorithm.merge=odds"),
        ("data.label_maps=/maps data.condition=none downstream=none", "draws from no label map: set data.condition="),
    ],
)
def test_parts_of_an_algorithm_that_do_not_fit(overrides: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        resolve(overrides)


def test_a_node_without_data_says_how_to_give_it_some(federation: Federation) -> None:
    def forget(content: RecordDict, context: Context) -> None:
        context.node_config.clear()

    assert "--node-config" in resend(federation, forget, JOIN).error.reason


def test_errors_of_the_product_share_a_base() -> None:
    for kind in (ConfigError, DataError, FederationError, ProtocolError):
        assert issubclass(kind, DganError)


def test_contradictory_run_config_stops_before_anything_is_written(federation: Federation) -> None:
    with pytest.raises(ConfigError, match="choose a divisor of 2"):
        federation.run("exchange.generator_steps=3")
    assert not federation.directory.exists()


@pytest.mark.parametrize("shape", [(1, 1), (31, 40), (40_000, 64)])
def test_label_maps_in_which_no_window_fits_are_refused_when_their_node_joins(
    federation: Federation, shape: tuple[int, int]
) -> None:
    def lie(message: Message, context: Context, answer: Reply) -> Message:
        reply = answer(message, context)
        if message.metadata.message_type == JOIN and context.node_id == 2:
            images = reply.content.config_records["node"]["images"]
            sizes = np.tile(np.array(shape, np.int32), (images, 1))
            reply.content["images"] = ArrayRecord({"sizes": Array(sizes)})
        return reply

    with pytest.raises(ProtocolError, match="client part-1: 719 of 719 label maps have sides beyond 32"):
        federation.run("data.condition=none algorithm=dgan-images model=small", client_app=TamperedApp(lie))


def test_a_training_whose_weights_are_not_finite_fails(federation: Federation) -> None:
    """And its report says so; the pixels of images of NaN would all be 0, and look well."""
    with pytest.raises(DivergedError, match=r"Lower algorithm\.generator_learning_rate"):
        federation.run("algorithm.generator_learning_rate=1000.0 exchange.rounds=4")
    end = read_metrics(federation.directory).end
    assert end is not None
    assert end.how == "failed"
    assert "not finite" in end.why
    assert "The run failed: The generator" in (federation.directory / "report.md").read_text()
    assert not (federation.directory / "generator.safetensors").exists()
