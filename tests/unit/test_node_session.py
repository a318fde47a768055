"""What a node has of a training in memory: held against its store, and used without opening a file."""

import ctypes
import os
import signal
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from flwr.app import Context, Message, RecordDict

from flower_dgan.client_app import app
from flower_dgan.config import TrainingConfig
from flower_dgan.data import Pairs
from flower_dgan.data.views import Views
from flower_dgan.errors import ForgottenError, PolicyError
from flower_dgan.flower.inprocess import InProcessGrid
from flower_dgan.gan.exchange import Question
from flower_dgan.gan.perceptual import pretrained_perceptual_loss
from flower_dgan.node import node_session, open_sessions
from flower_dgan.node.node_session import NodeSession
from flower_dgan.node.open_sessions import open_session
from flower_dgan.node.simulation import simulating
from flower_dgan.node.state import ClientState
from flower_dgan.resolve import resolve
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.description import describe_training, read_description
from flower_dgan.wire.formats import decode_images
from flower_dgan.wire.join_messages import LEAVE
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.question_message import EXCHANGE, Envelope, write_question

TRAINING = Training("a" * 16, 1)
TINY = "data.image_size=16 model.discriminator_width=4 exchange.exchanges=2 exchange.batch_size=3 threads=1"
POLICY = "label_maps: true\nlabel_maps_to_clients: true\nweights: false\npixel_losses: true\nqueries_per_image: null\n"


def settings(extra: str = "") -> TrainingConfig:
    return read_description(describe_training(resolve(f"{TINY} {extra}")))


CONFIG = settings()


@pytest.fixture(autouse=True)
def no_sessions() -> Iterator[None]:
    open_sessions._OPEN.clear()
    with simulating():
        yield
    open_sessions._OPEN.clear()


def join(name: str = "breast", training: Training = TRAINING, config: TrainingConfig = CONFIG) -> ClientState:
    rng = np.random.default_rng(2)
    images = tuple(rng.integers(0, 256, (20, 18, 1), dtype=np.uint8) for _ in range(9))
    state = ClientState(training.identity, name)
    state.join(name, Pairs(images, tuple(image[..., 0] // 128 for image in images), 2), config, training.attempt)
    return state


def bundle(number: int, training: Training = TRAINING, ids: tuple[int, ...] = (0,) * 6, seed: int = 0) -> RecordDict:
    images = np.random.default_rng(seed + number).integers(0, 256, (6, 1, 16, 16), dtype=np.uint8)
    views = Views(np.array(ids), np.zeros((6, 4), np.int16))
    question = Question(decode_images(images), views)
    return write_question(Envelope(training, number, number - 1, ()), question, BundleShape.of(CONFIG, 2))


def ask(content: RecordDict, node_config: dict[str, str], message_type: str = EXCHANGE) -> Message:
    """Send a message to the real ClientApp."""
    context = Context(run_id=1, node_id=1, node_config=node_config, state=RecordDict(), run_config={})
    grid = InProcessGrid(app, {1: context})
    (reply,) = grid.send_and_receive([Message(content, dst_node_id=1, message_type=message_type, group_id="1")])
    return reply


def gradients(reply: Message) -> bytes:
    return reply.content.array_records["feedback"]["gradients"].numpy().tobytes()


OPENED: list[tuple[str, int]] | None = None


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and OPENED is not None:
        OPENED.append((str(arguments[0]), int(str(arguments[2]))))


sys.addaudithook(_hear)


class Watched:
    """What was opened and read inside: by Python, by anybody in some directories, and in bytes by system calls."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, int]] = []
        self.events: list[tuple[str, int]] = []
        self.bytes = 0


def bytes_read() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(lines[0].removeprefix("rchar: "))


ACCESS, MODIFY, OPEN = 1, 2, 32


@contextmanager
def watching(*directories: Path) -> Iterator[Watched]:
    """Watch by Python's audit events, and by Linux: inotify sees what code in Rust opens, unheard by Python."""
    global OPENED
    libc = ctypes.CDLL(None, use_errno=True)
    notify = libc.inotify_init1(os.O_NONBLOCK)
    names = {libc.inotify_add_watch(notify, os.fsencode(each), ACCESS | OPEN): each for each in directories}
    assert -1 not in names
    found = Watched()
    idle = bytes_read()
    idle = bytes_read() - idle
    before = bytes_read()
    OPENED = found.opened
    try:
        yield found
    finally:
        OPENED = None
        found.bytes = bytes_read() - before - idle
        data = b""
        while True:
            try:
                data += os.read(notify, 2**16)
            except BlockingIOError:
                break
        os.close(notify)
        while data:
            watch, mask, _, length = struct.unpack_from("iIII", data)
            file = data[16 : 16 + length].rstrip(b"\0").decode()
            found.events.append((str(names[watch] / file), mask))
            data = data[16 + length :]


linux = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="what is read is counted by Linux")


@linux
def test_the_counters_see_what_is_opened_and_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    with watching(tmp_path) as seen:
        (tmp_path / "file").read_bytes()
    assert [name for name, _ in seen.opened] == [str(tmp_path / "file")]
    assert {name for name, _ in seen.events} == {str(tmp_path / "file")}
    assert seen.bytes == 5


@linux
def test_a_session_in_memory_is_opened_without_opening_or_reading_a_file(tmp_path: Path) -> None:
    state = join()
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    node_config = {"name": "breast", "policy": str(policy)}
    for number in (1, 2):
        assert not ask(bundle(number), node_config).has_error()
    content = bundle(3)
    with watching(state.path, tmp_path) as seen, open_session(TRAINING, node_config) as node:
        envelope, _ = node.read(content)
    assert (seen.opened, seen.events, seen.bytes) == ([], [], 0)
    assert envelope.round_number == 3
    open_sessions._OPEN.clear()
    with watching(state.path, tmp_path) as seen, open_session(TRAINING, node_config):
        pass
    assert {Path(name).name for name, _ in seen.opened} >= {"node.json", "images.npy", "policy.yaml", "lock"}
    assert seen.bytes > 1000


@linux
def test_a_whole_answer_of_a_session_in_memory_reads_nothing(tmp_path: Path) -> None:
    """It writes its state; nothing else is opened, and no byte is read."""
    state = join()
    node_config = {"name": "breast"}
    assert not ask(bundle(1), node_config).has_error()
    content, before = bundle(2), {each.name for each in state.path.iterdir()}
    assert {"node.json", "lock", "images.npy", "round-00000001.safetensors"} <= before
    with (
        watching(state.path) as seen,
        open_session(TRAINING, node_config) as node,
        node.answering(*node.read(content)) as session,
    ):
        session.half.step(session.draw_real(2, 0), session.draw_real(2, 1))
    assert seen.bytes == 0
    assert all(flags & (os.O_WRONLY | os.O_CREAT) or Path(name) == state.path for name, flags in seen.opened)
    opened = {Path(name).name for name, mask in seen.events if mask & OPEN}
    assert "round-00000002.partial" in opened
    assert not opened & before
    assert not [name for name, mask in seen.events if mask & ACCESS]


def test_memory_changes_no_answer() -> None:
    """The same three bundles: from one session, from a new one each time, and by two processes in turn."""

    def answers(identity: str, before_each: Callable[[], None]) -> list[bytes]:
        training = Training(identity, 1)
        join(training=training)
        found = []
        for number in (1, 2, 3):
            before_each()
            found.append(gradients(ask(bundle(number, training), {"name": "breast"})))
        return found

    warm = answers("b" * 16, lambda: None)
    assert warm == answers("c" * 16, open_sessions._OPEN.clear)
    assert len(set(warm)) == 3


def test_another_process_that_answered_is_noticed() -> None:
    """Round 2 is answered by a child that was forked while the parent had a session in memory."""
    join()
    node_config = {"name": "breast"}
    first = gradients(ask(bundle(1), node_config))
    child = os.fork()
    if not child:
        os._exit(17 if not open_sessions._OPEN and not ask(bundle(2), node_config).has_error() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 17
    reply = ask(bundle(2, seed=5), node_config)
    assert "round 2 was answered already" in reply.error.reason
    third = gradients(ask(bundle(3), node_config))
    alone = Training("b" * 16, 1)
    join(training=alone)
    expected = [gradients(ask(bundle(number, alone), node_config)) for number in (1, 2, 3)]
    assert [first, third] == [expected[0], expected[2]]


def test_two_processes_answer_one_after_the_other() -> None:
    """A child waits for the lock as long as the parent's session is open, and no longer."""
    join()
    node_config = {"name": "breast"}
    ask(bundle(1), node_config)
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(60)
        os.read(ready[0], 1)
        ask(bundle(2), node_config)
        os.write(done[1], b"x")
        os._exit(0)
    os.set_blocking(done[0], False)
    with open_session(TRAINING, node_config) as node:
        os.write(ready[1], b"x")
        threading.Event().wait(1.0)  # long enough for an answer, were there no lock
        with pytest.raises(BlockingIOError):
            os.read(done[0], 1)
        with node.answering(*node.read(bundle(2, seed=9))):
            pass
    os.waitpid(child, 0)
    assert os.read(done[0], 1) == b"x"
    # the child was refused: the parent's bundle is the one that counts
    assert "round 2 was answered already" in ask(bundle(2), node_config).error.reason


def test_threads_answer_one_after_the_other() -> None:
    join()
    node_config = {"name": "breast"}
    ask(bundle(1), node_config)
    inside = threading.Event()

    def answer() -> None:
        with simulating(), open_session(TRAINING, node_config):
            inside.set()

    thread = threading.Thread(target=answer)
    with open_session(TRAINING, node_config):
        thread.start()
        assert not inside.wait(0.2)
    assert inside.wait(30)
    thread.join()


def test_an_owner_who_changes_the_policy_is_obeyed_at_once(tmp_path: Path) -> None:
    config = settings("allow_pixel_losses=true algorithm.l1_weight=1")
    join(config=config)
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    node_config = {"name": "breast", "policy": str(policy)}
    assert not ask(bundle(1), node_config).has_error()
    opened = open_sessions._OPEN[ClientState(TRAINING.identity, "breast").path]
    policy.write_text(POLICY.replace("pixel_losses: true", "pixel_losses: false"))
    for _ in range(2):
        with pytest.raises(PolicyError, match="pixel_losses"), open_session(TRAINING, node_config):
            pass
    policy.unlink()
    assert "cannot be read" in ask(bundle(2), node_config).error.reason
    policy.write_text(POLICY.replace("null", "6"))  # of which round 1 took 6
    assert "allows 6 queries" in ask(bundle(2), node_config).error.reason
    policy.write_text(POLICY)
    assert not ask(bundle(2), node_config).has_error()
    assert open_sessions._OPEN[ClientState(TRAINING.identity, "breast").path] is opened


def test_what_a_node_is_told_otherwise_makes_a_new_session(tmp_path: Path) -> None:
    join()
    with open_session(TRAINING, {"name": "breast"}) as first:
        pass
    with open_session(TRAINING, {"name": "breast"}) as again:
        assert again is first
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(32))
    secret.chmod(0o600)
    with open_session(TRAINING, {"name": "breast", "secret-file": str(secret)}) as other:
        assert other is not first
    secret.write_bytes(bytes(33))
    with open_session(TRAINING, {"name": "breast", "secret-file": str(secret)}) as replaced:
        assert replaced is not other


def test_a_new_attempt_and_leaving_end_a_session() -> None:
    state = join()
    node_config = {"name": "breast"}
    ask(bundle(1), node_config)
    later = replace(TRAINING, attempt=2)
    join(training=later)
    assert "message of attempt 1 at a node that has joined attempt 2" in ask(bundle(2), node_config).error.reason
    assert not ask(bundle(2, later), node_config).has_error()
    state.leave()  # by another process: what is in memory is of a directory that is gone
    with pytest.raises(ForgottenError, match="has not joined"), open_session(later, node_config):
        pass
    join(training=later)
    assert not ask(bundle(1, later), node_config).has_error()
    assert len(open_sessions._OPEN) == 1
    assert not ask(later.to_records("leave"), node_config, LEAVE).has_error()
    assert not open_sessions._OPEN


def test_few_sessions_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one training, the ones that were used last: at most two here, and at most two discriminators' bytes."""

    def opened(name: str, training: Training = TRAINING) -> NodeSession:
        with open_session(training, {"name": name}) as found:
            return found

    names = ["a", "b", "c"]
    for name in names:
        join(name)
    monkeypatch.setattr(open_sessions, "MOST_SESSIONS", 2)
    first, second = opened("a"), opened("b")
    assert opened("a") is first
    opened("c")
    assert opened("a") is first
    assert opened("b") is not second
    parameters = sum(each.numel() for each in first._session.half.network.parameters())
    assert first.bytes == 3 * 4 * parameters
    monkeypatch.setattr(open_sessions, "MOST_SESSIONS", 64)
    for limit, count in ((2 * first.bytes, 2), (first.bytes - 1, 1)):
        monkeypatch.setattr(open_sessions, "MOST_BYTES", limit)
        open_sessions._OPEN.clear()
        for name in names:
            opened(name)
        assert [path.name[0] for path in open_sessions._OPEN] == names[-count:]
    other = Training("b" * 16, 1)
    join("a", other)
    opened("a", other)
    assert [path.parent.name for path in open_sessions._OPEN] == [other.identity]


def test_the_perceptual_network_is_built_once_for_many_messages_and_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for VGG-16: its layers with 2 channels, and weights that are not downloaded."""
    built = []

    class Vgg(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            convolutions = [torch.nn.Conv2d(2 if index else 3, 2, 3, padding=1) for index in range(12)]
            self.features = torch.nn.Sequential(*[each for one in convolutions for each in (one, torch.nn.ReLU())])

    def vgg16(**_: object) -> Vgg:
        built.append(1)
        return Vgg()

    monkeypatch.setattr(torchvision.models, "vgg16", vgg16)
    pretrained_perceptual_loss.cache_clear()
    try:
        config = settings("allow_pixel_losses=true algorithm.perceptual_weight=1")
        for name in ("breast", "kidney"):
            join(name, config=config)
        for number in (1, 2, 3):
            for name in ("breast", "kidney"):
                assert not ask(bundle(number), {"name": name}).has_error()
        open_sessions._OPEN.clear()
        assert not ask(bundle(4), {"name": "breast"}).has_error()
    finally:
        pretrained_perceptual_loss.cache_clear()
    assert len(built) == 1


def test_a_node_that_builds_its_networks_does_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """But where it goes back: a message that comes again is answered from the state before it."""
    join()
    built = []
    original = node_session.discriminator_half

    def counted(*arguments: object) -> object:
        built.append(1)
        return original(*arguments)

    monkeypatch.setattr(node_session, "discriminator_half", counted)
    answers = [gradients(ask(bundle(number), {"name": "breast"})) for number in (1, 2, 3, 4)]
    assert len(built) == 1
    assert gradients(ask(bundle(3), {"name": "breast"})) == answers[2]
    assert len(built) == 2


def test_a_discriminator_is_compiled_once_its_process_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[object] = []
    monkeypatch.setattr(node_session, "compile_in_place", compiled.append)
    join(config=settings("compile=true"))
    config = {"name": "breast"}
    for number, expected in ((1, 0), (2, 1), (3, 1)):
        assert gradients(ask(bundle(number), config))
        assert len(compiled) == expected
    open_sessions._OPEN.clear()  # a process that died
    assert gradients(ask(bundle(4), config))
    assert len(compiled) == 1
    assert gradients(ask(bundle(5), config))
    assert len(set(map(id, compiled))) == 2
