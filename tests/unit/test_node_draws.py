"""Which real images the discriminator sees is drawn by the node, and by nothing that a server says."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import Context, Message, RecordDict
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from flower_dgan.client_app import app
from flower_dgan.config import TrainingConfig
from flower_dgan.data import Pairs
from flower_dgan.data.views import Views
from flower_dgan.flower.inprocess import InProcessGrid
from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.gan.exchange import Batch, Feedback, Question
from flower_dgan.gan.session import Session
from flower_dgan.names import file_stem
from flower_dgan.networks.build import ImageShape
from flower_dgan.node.secret import derive_secret
from flower_dgan.node.state import ClientState
from flower_dgan.resolve import resolve
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.description import describe_training, read_description
from flower_dgan.wire.formats import decode_images
from flower_dgan.wire.join_messages import JOIN, JoinRequest
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.question_message import EXCHANGE, Envelope, write_question
from flower_dgan.wire.refusals import Refusal
from flower_dgan.wiring import bundle_settings, discriminator_half
from tests.pairs import make_folder

TINY = "data.image_size=16 model.discriminator_width=4 exchange.exchanges=2 exchange.batch_size=3 threads=1 seed=4"
IMAGES = 9
Seen = list[tuple[str, torch.Tensor | None]]


def settings(extra: str = "") -> TrainingConfig:
    return read_description(describe_training(resolve(f"{TINY} {extra}")))


def some_pairs() -> Pairs:
    rng = np.random.default_rng(2)
    images = tuple(rng.integers(0, 256, (20, 18, 1), dtype=np.uint8) for _ in range(IMAGES))
    return Pairs(images, tuple(image[..., 0] // 128 for image in images), 2)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """Return the real batches that discriminators are stepped on, and those that feedback is given with, in order."""
    found: Seen = []
    step, feedback = DiscriminatorHalf.step, DiscriminatorHalf.feedback

    def seen_step(half: DiscriminatorHalf, real: Batch, synthetic: Batch) -> float:
        found.append(("step", real.images))
        return step(half, real, synthetic)

    def seen_feedback(half: DiscriminatorHalf, synthetic: Batch, paired: torch.Tensor | None = None) -> Feedback:
        found.append(("feedback", paired))
        return feedback(half, synthetic, paired)

    monkeypatch.setattr(DiscriminatorHalf, "step", seen_step)
    monkeypatch.setattr(DiscriminatorHalf, "feedback", seen_feedback)
    return found


def stepped(seen: Seen) -> torch.Tensor:
    return torch.cat([images for kind, images in seen if kind == "step" and images is not None])


def answer(content: RecordDict, node_config: dict[str, str], message_type: str = EXCHANGE) -> Message:
    context = Context(run_id=1, node_id=1, node_config=node_config, state=RecordDict(), run_config={})
    grid = InProcessGrid(app, {1: context})
    (reply,) = grid.send_and_receive([Message(content, dst_node_id=1, message_type=message_type, group_id="1")])
    return reply


def secret_file(path: Path, content: bytes) -> dict[str, str]:
    path.write_bytes(content)
    path.chmod(0o600)
    return {"name": "breast", "secret-file": str(path)}


def session_of(secret: int, pairs: Pairs, config: TrainingConfig, name: str = "breast") -> Session:
    """Return one that draws; nothing asks its discriminator but where it is."""
    data = config.data
    shape = ImageShape(pairs.classes, pairs.images[0].shape[2], data.image_size, ())
    half = discriminator_half(config, shape, name)
    return Session(name, pairs, half, data.image_size, 3, data.geometry, 1, secret, data.placed_windows)


bundles = st.fixed_dictionaries(
    {
        "ids": st.lists(st.integers(0, IMAGES - 1), min_size=6, max_size=6),
        "tops": st.lists(st.integers(0, 2), min_size=6, max_size=6),
        "angle": st.integers(0, 3),
        "pixels": st.integers(0, 255),
        "returns": st.lists(st.integers(0, 5), max_size=2),
        "identity": st.integers(0, 2**64 - 1),
        "attempt": st.integers(1, 10**6),
        "label_maps": st.booleans(),
    }
)


@hypothesis_settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(said=bundles)
def test_nothing_that_a_server_says_chooses_the_real_images(
    said: dict[str, object], seen: Seen, tmp_path: Path
) -> None:
    """Whatever bundle of round 1 it sends, with its own label maps too: the batches are the node's own."""
    seen.clear()
    node_config = secret_file(tmp_path / "secret", bytes(range(40)))
    config = settings("algorithm=uagan algorithm.discriminator_steps=1" if said["label_maps"] else "")
    training = Training(f"{said['identity']:016x}", int(str(said["attempt"])))
    state = ClientState(training.identity, "breast")
    state.join("breast", some_pairs(), config, training.attempt)
    windows = np.zeros((6, 4), np.int16)
    windows[:, 0], windows[:, 3] = said["tops"], 90 * int(str(said["angle"]))
    question = Question(
        images=decode_images(np.full((6, 1, 16, 16), said["pixels"], np.uint8)),
        views=None if said["label_maps"] else Views(np.array(said["ids"]), windows),
        label_maps=np.full((6, 16, 16), int(str(said["pixels"])) % 2, np.uint8) if said["label_maps"] else None,
    )
    envelope = Envelope(training, 1, 0, tuple(said["returns"]))  # type: ignore[arg-type]
    content = write_question(envelope, question, BundleShape.of(config, 2))
    assert not answer(content, node_config).has_error()
    state.leave()
    own = session_of(derive_secret(bytes(range(40)), "breast", 4), some_pairs(), config)
    expected = torch.cat([own.draw_real(1, batch).images for batch in range(2)])
    torch.testing.assert_close(stepped(seen), expected, rtol=0, atol=0)


def some_bundle(training: Training, number: int, channels: int = 1) -> RecordDict:
    views = Views(np.arange(6) % 5, np.zeros((6, 4), np.int16))
    images = decode_images(np.full((6, channels, 16, 16), 7 * number, np.uint8))
    return write_question(
        Envelope(training, number, number - 1, ()), Question(images, views), BundleShape.of(settings(), 2)
    )


def test_two_secrets_and_two_rounds_draw_differently(seen: Seen, tmp_path: Path) -> None:
    drawn = []
    for secret in (b"a" * 32, b"b" * 32):
        training = Training(secret[:1].hex() * 8, 1)
        ClientState(training.identity, "breast").join("breast", some_pairs(), settings(), 1)
        for number in (1, 2):
            seen.clear()
            assert not answer(some_bundle(training, number), secret_file(tmp_path / "secret", secret)).has_error()
            drawn.append(stepped(seen))
    assert len({each.numpy().tobytes() for each in drawn}) == 4


@pytest.mark.parametrize(("augmentation", "geometry"), [("colour", "none"), ("all", "rotations"), ("flips", "flips")])
def test_discriminators_see_the_colours_that_images_have(seen: Seen, augmentation: str, geometry: str) -> None:
    """Changed on real images alone, they would be learned by the generator; its own views have none to change."""
    config, training = settings(f"data.augmentation={augmentation}"), Training("a" * 16, 1)
    ClientState(training.identity, "breast").join("breast", some_pairs(), config, 1)
    assert not answer(some_bundle(training, 1), {"name": "breast"}).has_error()
    own = session_of(4, some_pairs(), settings(f"data.augmentation={geometry}"))
    expected = torch.cat([own.draw_real(1, batch).images for batch in range(2)])
    torch.testing.assert_close(stepped(seen), expected, rtol=0, atol=0)
    assert bundle_settings(config).augmentation == geometry


def test_pixel_losses_alone_look_at_the_image_that_a_server_names(seen: Seen) -> None:
    """The discriminator is stepped on the node's own draws, and L1 compares with the views of the bundle."""
    config, pairs = settings("allow_pixel_losses=true algorithm.l1_weight=1 data.augmentation=flips"), some_pairs()
    training = Training("a" * 16, 1)
    ClientState(training.identity, "breast").join("breast", pairs, config, 1)
    reply = answer(some_bundle(training, 1), {"name": "breast"})
    assert not reply.has_error()
    own = session_of(4, pairs, config)  # simulated: its secret is the run's seed
    torch.testing.assert_close(
        stepped(seen), torch.cat([own.draw_real(1, 0).images, own.draw_real(1, 1).images]), rtol=0, atol=0
    )
    named = torch.stack([torch.from_numpy(pairs.images[index][:16, :16, 0]) for index in (0, 1, 2, 3, 4, 0)])
    compared = torch.cat([images for kind, images in seen if kind == "feedback" and images is not None])
    torch.testing.assert_close(compared[:, 0], named / 127.5 - 1)


def test_dropout_follows_from_the_secret_likewise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch draws while a node answers: by each secret otherwise, by one alike, and in simulation by the seed."""
    drawn: list[torch.Tensor] = []
    monkeypatch.setattr(
        DiscriminatorHalf, "step", lambda half, real, synthetic: drawn.append(torch.rand(3)) or torch.zeros(())
    )
    configs = [secret_file(tmp_path / "a", b"a" * 32), secret_file(tmp_path / "b", b"b" * 32), {"name": "breast"}]
    for number, node_config in enumerate([*configs, *configs]):
        training = Training(f"{number:016x}", 1)
        ClientState(training.identity, "breast").join("breast", some_pairs(), settings(), 1)
        assert not answer(some_bundle(training, 1), node_config).has_error()
    found = [each.numpy().tobytes() for each in drawn[::2]]
    assert found[:3] == found[3:]
    assert len(set(found)) == 3


def test_a_deployed_node_draws_by_the_secret_that_it_makes(seen: Seen, own_home: Path, tmp_path: Path) -> None:
    root = make_folder(tmp_path / "pairs", sites=1, images=8, size=24)
    node_config = {"data-path": str(root), "name": "clinic-a", "policy": "research"}
    training, config = Training("a" * 16, 1), resolve(f"{TINY} data=folder exchange.generator_steps=1")
    request = JoinRequest(training, config).to_records()
    assert not answer(request, node_config, JOIN).has_error()
    path = own_home / "state/flower-dgan/secrets" / file_stem("clinic-a")
    assert path.stat().st_mode & 0o777 == 0o600
    assert not answer(some_bundle(training, 1, channels=3), node_config).has_error()
    _, pairs, read = ClientState(training.identity, "clinic-a").joined(lambda *_: None)
    own = session_of(derive_secret(path.read_bytes(), "clinic-a", 4), pairs, read, "clinic-a")
    expected = torch.cat([own.draw_real(1, batch).images for batch in range(2 * read.algorithm.passes)])
    torch.testing.assert_close(stepped(seen), expected, rtol=0, atol=0)
    path.chmod(0o644)
    for content, message_type in ((some_bundle(training, 2, channels=3), EXCHANGE), (request, JOIN)):
        assert answer(content, node_config, message_type).error.reason == Refusal.SETTINGS.sentence
