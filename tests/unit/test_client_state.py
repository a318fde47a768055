import copy
import errno
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from flower_dgan.data import Pairs
from flower_dgan.errors import FederationError, ProtocolError, StorageError
from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.gan.exchange import Batch
from flower_dgan.networks.build import ImageShape
from flower_dgan.node.book import Book
from flower_dgan.node.counts import Counts
from flower_dgan.node.kept_pairs import hashes, keep_pairs
from flower_dgan.node.lock import StoreLock
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.node.progress import Progress
from flower_dgan.node.state import ClientState
from flower_dgan.resolve import resolve
from flower_dgan.wire.description import describe_training, read_description
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.question_message import Envelope
from flower_dgan.wiring import discriminator_half

NOTHING = np.zeros(0, np.int64)
TWICE = np.zeros(2, np.int64)
SHAPE = ImageShape(2, 1, 16, ())
ANY = ReleasePolicy(True, False, False, False, None)
CONFIG = read_description(describe_training(resolve("model.discriminator_width=4")))


def batches(count: int) -> list[tuple[Batch, Batch]]:
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(count):
        real, images = torch.rand(2, 2, 1, 16, 16, generator=generator) * 2 - 1
        label_maps = torch.zeros(2, 2, 16, 16)
        label_maps[:, 0, :8], label_maps[:, 1, 8:] = 1, 1
        found.append((Batch(real, label_maps), Batch(images, label_maps)))
    return found


def fresh() -> DiscriminatorHalf:
    return discriminator_half(CONFIG, SHAPE, "breast")


def some_pairs() -> Pairs:
    rng = np.random.default_rng(2)
    shapes = [(16, 20), (17, 16), (16, 16)]
    images = tuple(rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes)
    return Pairs(images, tuple(rng.integers(0, 4, shape, dtype=np.uint8) for shape in shapes), 4)


class Node(ClientState):
    """A node that answers in one process, or each time in a new one."""

    def __init__(self, training: str, node: str, *, lives_on: bool) -> None:
        super().__init__(training, node)
        self.lives_on = lives_on
        self._memory: tuple[StoreLock, Progress] | None = None

    @contextmanager
    def answering(
        self,
        envelope: Envelope,
        policy: ReleasePolicy = ANY,
        asked: NDArray[np.int64] = TWICE,
        drawn: NDArray[np.int64] = NOTHING,
    ) -> Iterator[DiscriminatorHalf]:
        self.returns: list[int] = []

        def use(returns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
            self.returns.append(returns)
            return asked, drawn

        if self._memory is not None and self.lives_on:
            lock, progress = self._memory
            with lock.held():
                if lock.in_place():
                    with progress.answering(envelope, policy, use) as half:
                        yield half
                    return
        with self.locked() as lock:
            self._memory = lock, Progress(self, lock, fresh, 3, Counts(Book(), hashes(some_pairs()), self.token()))
            with self._memory[1].answering(envelope, policy, use) as half:
                yield half


@pytest.fixture(params=[True, False], ids=["one process", "a process each"])
def state(request: pytest.FixtureRequest) -> Node:
    state = Node("a" * 16, "breast", lives_on=request.param)
    state.join("breast", some_pairs(), CONFIG, 1)
    return state


def asked(
    round_number: int, answered: int = 0, *, attempt: int = 1, returns: tuple[int, ...] = (), content: int = 0
) -> Envelope:
    return Envelope(Training("a" * 16, attempt), round_number, answered, returns, digest=f"{content:064x}")


def step(state: Node, bundle: Envelope) -> float:
    real, batch = batches(bundle.round_number)[-1]
    with state.answering(bundle) as half:
        return half.step(real, batch)


def kept(state: Node, round_number: int, attempt: int = 1) -> dict[str, Tensor]:
    """Return the network that a round would start from."""
    found = {}

    def look_and_die() -> None:
        with state.answering(asked(round_number, attempt=attempt, content=255)) as half:
            found.update(copy.deepcopy(half.network.state_dict()))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        look_and_die()
    return found


def rounds_kept(state: Node) -> list[int]:
    return sorted(int(file.stem.split("-")[1]) for file in state.path.glob("round-*"))


def test_keeping_it_between_messages_changes_nothing(state: Node) -> None:
    """Weights and Adam's moments survive: four steps in one go, or one in each message."""
    at_once = fresh()
    for round_number, (real, batch) in enumerate(batches(4), start=1):
        assert step(state, asked(round_number)) == at_once.step(real, batch)
    torch.testing.assert_close(kept(state, 5), at_once.network.state_dict(), rtol=0, atol=0)


def test_a_process_that_dies_leaves_the_round_before(state: Node) -> None:
    step(state, asked(1))
    before = kept(state, 2)

    def die_after_a_step() -> None:
        real, batch = batches(2)[-1]
        with state.answering(asked(2, 1)) as half:
            half.step(real, batch)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        die_after_a_step()
    torch.testing.assert_close(kept(state, 2), before, rtol=0, atol=0)


def test_pairs_come_back_from_disk_as_they_were(state: Node) -> None:
    (name, pairs, config), original = state.joined(lambda *_: None), some_pairs()
    assert (name, pairs.classes, config) == ("breast", 4, CONFIG)
    for ours, theirs in zip(pairs.images + pairs.label_maps, original.images + original.label_maps, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert not ours.flags.writeable


def test_only_the_owner_can_read_what_is_kept(state: Node) -> None:
    assert state.path.stat().st_mode & 0o777 == 0o700


def test_runs_and_nodes_do_not_mix(state: Node) -> None:
    step(state, asked(1))
    for other in (Node("a" * 16, "kidney", lives_on=True), Node("b" * 16, "breast", lives_on=True)):
        with pytest.raises(FederationError, match="has not joined"):
            other.joined(lambda *_: None)
        other.join("kidney", some_pairs(), CONFIG, 1)
        torch.testing.assert_close(kept(other, 1), fresh().network.state_dict(), rtol=0, atol=0)
        other.leave()
    assert state.joined(lambda *_: None)[0] == "breast"
    assert (kept(state, 2)["layers.0.weight"] - fresh().network.state_dict()["layers.0.weight"]).abs().max() > 1e-5


def test_leaving_forgets_what_was(state: Node) -> None:
    step(state, asked(1))
    state.leave()
    assert not state.path.parent.exists()
    state.leave()
    state.join("breast", some_pairs(), CONFIG, 1)
    torch.testing.assert_close(kept(state, 1), fresh().network.state_dict(), rtol=0, atol=0)


def test_the_same_bundle_is_answered_again_as_it_was(state: Node) -> None:
    """A message that comes twice, even late, gets the same answer and teaches nothing."""
    step(state, asked(1))
    second = step(state, asked(2, 1))
    third = step(state, asked(3, 2))
    fourth = step(state, asked(4, 3))
    after = kept(state, 5)
    assert step(state, asked(4, 3)) == fourth
    assert step(state, asked(3, 2)) == third  # of two that are under way the first one may be lost
    torch.testing.assert_close(kept(state, 5), after, rtol=0, atol=0)
    with pytest.raises(ProtocolError, match="round 2 was answered too long ago"):
        step(state, asked(2, 1))
    state.join("breast", some_pairs(), CONFIG, 2)
    assert step(state, asked(4, 3, attempt=2)) == fourth
    assert second != third


def test_another_bundle_for_an_answered_round_is_refused(state: Node) -> None:
    step(state, asked(2))
    step(state, asked(3))
    for round_number in (1, 2, 3):
        with pytest.raises(ProtocolError, match=f"round {round_number} was answered already, or a later one"):
            step(state, asked(round_number, content=1))
    assert rounds_kept(state) == [2, 3]


def test_a_server_that_starts_again_takes_the_node_back(state: Node) -> None:
    for round_number in range(1, 6):
        step(state, asked(round_number, returns=(1, 3)))
    assert rounds_kept(state) == [1, 3, 4, 5]
    with pytest.raises(ProtocolError, match="attempt 2 at a node that has joined attempt 1"):
        step(state, asked(4, 3, attempt=2))
    before = kept(state, 6)
    state.join("breast", some_pairs(), CONFIG, 2)
    with pytest.raises(ProtocolError, match="attempt 1 at a node that has joined attempt 2"):
        step(state, asked(6, 5))
    step(state, asked(4, 3, attempt=2, content=1))
    assert rounds_kept(state) == [1, 3, 4]
    step(state, asked(5, 4, attempt=2, content=1))
    torch.testing.assert_close(kept(state, 6, attempt=2), before, rtol=0, atol=0)


def test_going_back_further_than_the_server_said_is_refused(state: Node) -> None:
    for round_number in range(1, 6):
        step(state, asked(round_number, returns=(3,)))
    state.join("breast", some_pairs(), CONFIG, 2)
    with pytest.raises(FederationError, match=r"answer to round 2, but .* knows of round 0"):
        step(state, asked(3, 2, attempt=2, content=1))


def test_joining_again_wants_the_same_data_and_no_earlier_attempt(state: Node) -> None:
    step(state, asked(1))
    before = kept(state, 2)
    state.join("breast", some_pairs(), CONFIG, 1)
    torch.testing.assert_close(kept(state, 2), before, rtol=0, atol=0)
    other = some_pairs()
    other.images[0][0, 0, 0] ^= 1
    with pytest.raises(FederationError, match="data of breast are not those that this training began with"):
        state.join("breast", other, CONFIG, 2)
    state.join("breast", some_pairs(), CONFIG, 3)
    with pytest.raises(ProtocolError, match="attempt 2 of a training whose attempt 3 has begun"):
        state.join("breast", some_pairs(), CONFIG, 2)


def test_a_lost_memory_is_no_fresh_start(state: Node) -> None:
    with pytest.raises(FederationError, match=r"answer to round 4, but .* knows of round 0"):
        step(state, asked(5, 4))


def test_initial_weights_depend_on_client_and_seed_only() -> None:
    torch.manual_seed(5)
    first = fresh().network.state_dict()
    torch.manual_seed(6)
    torch.testing.assert_close(fresh().network.state_dict(), first, rtol=0, atol=0)
    other = discriminator_half(CONFIG, SHAPE, "kidney").network.state_dict()
    assert (other["layers.0.weight"] - first["layers.0.weight"]).abs().max() > 1e-3


def test_random_state_goes_on_where_it_was_and_leaves_the_process_alone(state: Node) -> None:
    torch.manual_seed(9)
    undisturbed = torch.rand(2)
    torch.manual_seed(9)
    drawn = []
    for round_number in (1, 2):
        with state.answering(asked(round_number)):
            drawn.append(torch.rand(2))
    expected = torch.rand(4, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(torch.cat(drawn), expected, rtol=0, atol=0)
    torch.testing.assert_close(torch.rand(2), undisturbed, rtol=0, atol=0)


def test_what_is_kept_does_not_depend_on_earlier_files(state: Node) -> None:
    step(state, asked(1))
    first = copy.deepcopy(kept(state, 2))
    state.leave()
    state.join("breast", some_pairs(), CONFIG, 1)
    step(state, asked(1))
    torch.testing.assert_close(kept(state, 2), first, rtol=0, atol=0)


def test_one_image_is_asked_about_as_often_as_the_owner_allows(state: Node) -> None:
    """A bundle asks twice about image 0. An answer given again does not count; one that dies on its way does."""
    policy = replace(ANY, queries_per_image=5)

    def ask(bundle: Envelope) -> None:
        with state.answering(bundle, policy):
            pass

    for bundle in (asked(1), asked(1), asked(2)):
        ask(bundle)
    for _ in range(2):
        with pytest.raises(FederationError, match=r"allows 5 queries on one image.*image 0 would have 6"):
            ask(asked(3))
    assert rounds_kept(state) == [1, 2]
    with state.answering(asked(2), replace(ANY, queries_per_image=1)):  # nothing leaves that has not left before
        pass


def test_one_image_is_drawn_as_often_as_the_owner_allows(state: Node) -> None:
    """Where label maps travel nothing is asked about the node's own: its own draws count, of image 2 two a bundle."""
    policy, drawn = replace(ANY, queries_per_image=5), np.array([1, 2, 2])

    def ask(bundle: Envelope) -> None:
        with state.answering(bundle, policy, NOTHING, drawn):
            pass

    for bundle in (asked(1), asked(1), asked(2)):
        ask(bundle)
    with pytest.raises(FederationError, match=r"allows 5 queries on one image.*image 2 would have 6"):
        ask(asked(3))
    with state.answering(asked(3), policy):  # about image 0, and drawing none
        pass
    with Book().counting(hashes(some_pairs()), np.arange(3), np.zeros(0, np.int64)) as counts:
        assert counts.tolist() == [[3, 1, 1], [0, 2, 4]]


def test_an_answer_that_cannot_be_stored_is_forgotten(state: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full after the discriminator has learned: it goes on as if it had not, in memory as in the store."""
    step(state, asked(1))
    before = kept(state, 2)

    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("flower_dgan.node.kept_rounds.save_file", fill)
    with pytest.raises(StorageError, match=r"round-00000002\.safetensors cannot be written: full\. Free space"):
        step(state, asked(2, 1))
    monkeypatch.undo()
    torch.testing.assert_close(kept(state, 2), before, rtol=0, atol=0)
    undisturbed = Node("b" * 16, "breast", lives_on=False)
    undisturbed.join("breast", some_pairs(), CONFIG, 1)
    losses = [step(undisturbed, replace(asked(n, n - 1), training=Training("b" * 16, 1))) for n in (1, 2)]
    assert step(state, asked(2, 1)) == losses[1]


def test_a_process_whose_store_went_on_catches_up(state: Node) -> None:
    """Rounds 1 and 4 are answered by one process, 2 and 3 by another, which dies amid a second answer to 4."""
    other = Node("a" * 16, "breast", lives_on=True)
    at_once = fresh()
    expected = [at_once.step(real, batch) for real, batch in batches(4)]
    found = [step(node, asked(number)) for number, node in enumerate((state, other, other), start=1)]

    def die_after_a_step() -> None:
        with other.answering(asked(4, 3)) as half:
            half.step(*batches(1)[0])
            raise InterruptedError

    with pytest.raises(InterruptedError):
        die_after_a_step()
    assert [*found, step(state, asked(4, 3))] == expected
    torch.testing.assert_close(kept(other, 5), at_once.network.state_dict(), rtol=0, atol=0)


def test_what_a_person_does_to_the_store_is_seen(state: Node) -> None:
    """The newest file is put back from a copy, as from a backup, and then deleted: no process goes on from memory."""
    step(state, asked(1))
    file = next(state.path.glob("round-*"))
    copied = file.read_bytes()
    step(state, asked(2, 1))
    after = kept(state, 3)
    (newest,) = state.path.glob("round-00000002*")
    newest.unlink()
    with pytest.raises(FederationError, match=r"answer to round 2, but .* knows of round 1"):
        step(state, asked(3, 2))
    file.write_bytes(copied)
    step(state, asked(2, 1))
    torch.testing.assert_close(kept(state, 3), after, rtol=0, atol=0)


def test_nothing_is_left_of_a_join_that_failed(monkeypatch: pytest.MonkeyPatch, own_home: Path) -> None:
    """A disk that is full amid the label maps, after the images were written."""

    def fill(directory: Path, pairs: Pairs) -> None:
        keep_pairs(directory, pairs)
        (directory / "label_maps.npy").write_bytes(b"")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("flower_dgan.node.state.keep_pairs", fill)
    state = ClientState("c" * 16, "breast")
    with pytest.raises(StorageError, match=r"No space left on device\. Free space there") as caught:
        state.join("breast", some_pairs(), CONFIG, 1)
    assert str(state.path) in str(caught.value)
    assert not any(path.is_file() for path in (own_home / "state").rglob("*"))


def test_a_directory_that_cannot_be_made_is_no_race_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who leaves deletes it too, and then it is made once more: a file system may say the same each time."""
    leaves = 0

    def gone(path: Path) -> None:
        nonlocal leaves
        leaves += 1
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr("flower_dgan.node.training_directory.private_directory", gone)
    with pytest.raises(StorageError, match=r"No such file or directory\. Let its user write there, .*XDG_STATE_HOME"):
        ClientState("c" * 16, "breast").join("breast", some_pairs(), CONFIG, 1)
    assert leaves == 101


def test_a_join_again_that_fails_keeps_what_the_training_left(state: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    step(state, asked(1))
    monkeypatch.setattr(Path, "write_text", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(StorageError, match="full"):
        state.join("breast", some_pairs(), CONFIG, 2)
    monkeypatch.undo()
    assert rounds_kept(state) == [1]


def test_pairs_on_a_full_disk_are_an_error_and_no_signal(tmp_path: Path) -> None:
    """On a real disk of 300 kB: a file that is mapped into memory ends the process with SIGBUS there."""
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from flower_dgan.node.kept_pairs import keep_pairs\n"
        "from flower_dgan.data import Pairs\n"
        "images = tuple(np.ones((100, 100, 3), np.uint8) for _ in range(40))\n"
        "try: keep_pairs(Path(sys.argv[1]), Pairs(images, tuple(image[..., 0] for image in images), 2))\n"
        "except OSError as error: print(error.strerror)"
    )
    mount = f"mount -t tmpfs -o size=300k none {tmp_path} && exec {sys.executable} -c '{code}' {tmp_path}"
    own = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*own, f"mount -t tmpfs none {tmp_path}"]).returncode:
        pytest.skip("no file system of one's own can be mounted here")
    done = subprocess.run([*own, mount], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "No space left on device\n", "")


@pytest.mark.parametrize("damage", [b"", bytes(30), b"{}", b"[", b"\xff"])
@pytest.mark.parametrize("name", ["node.json", "shapes.npy", "images.npy"])
def test_a_damaged_file_of_a_node_is_named(name: str, damage: bytes, own_home: Path) -> None:
    state = Node("a" * 16, "breast", lives_on=False)
    state.join("breast", some_pairs(), CONFIG, 1)
    step(state, asked(1))
    (state.path / name).write_bytes(damage)
    with pytest.raises(StorageError, match=rf"in {state.path} cannot be read: .*: delete {state.path}, and begin"):
        state.joined(lambda *_: None)


def test_pairs_that_are_cut_off_are_named() -> None:
    state = Node("a" * 16, "breast", lives_on=False)
    state.join("breast", some_pairs(), CONFIG, 1)
    file = state.path / "label_maps.npy"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(StorageError, match="The pairs of this node"):
        state.joined(lambda *_: None)


@pytest.mark.parametrize("left", [0, 100])
def test_of_a_torn_round_the_one_before_is_used(left: int, caplog: pytest.LogCaptureFixture) -> None:
    state = Node("a" * 16, "breast", lives_on=False)
    state.join("breast", some_pairs(), CONFIG, 1)
    step(state, asked(1))
    second = step(state, asked(2, 1))
    file = state.path / "round-00000002.safetensors"
    file.write_bytes(file.read_bytes()[:left])
    assert step(state, asked(2, 1)) == second
    assert f"{file} is damaged, and not used" in caplog.text


def test_a_round_whose_numbers_are_others_is_not_gone_on_from() -> None:
    """As where a power cut left zeros in a file of the right size."""
    state = Node("a" * 16, "breast", lives_on=False)
    state.join("breast", some_pairs(), CONFIG, 1)
    step(state, asked(1))
    file = state.path / "round-00000001.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-64] + bytes(64))
    assert content[-64:] != bytes(64)
    with pytest.raises(StorageError, match=r"round-00000001\.safetensors does not hold what was written"):
        step(state, asked(2, 1))


def test_joining_and_leaving_have_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    state, seen = Node("a" * 16, "breast", lives_on=False), []

    def locked_out() -> None:
        with (state.path / "lock").open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        seen.append(sorted(each.name for each in state.path.iterdir()))

    def keep(directory: Path, pairs: Pairs) -> None:
        locked_out()
        keep_pairs(directory, pairs)

    def delete(path: Path) -> None:
        locked_out()
        rmtree(path)

    rmtree = shutil.rmtree
    monkeypatch.setattr("flower_dgan.node.state.keep_pairs", keep)
    monkeypatch.setattr("flower_dgan.node.training_directory.shutil.rmtree", delete)
    state.join("breast", some_pairs(), CONFIG, 1)
    state.leave()
    assert seen == [["lock"], ["lock"]]
    assert not state.path.exists()
