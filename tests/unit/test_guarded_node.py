"""What a node with an owner holds against a server: messages to the real ClientApp, as no honest server sends them."""

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import Message

from flower_dgan.errors import ConfigError, PolicyError
from flower_dgan.gan.exchange import Batch
from flower_dgan.networks.build import ImageShape
from flower_dgan.node import open_sessions
from flower_dgan.node.book import Book
from flower_dgan.node.bounds import memory_mib, parameters_of
from flower_dgan.node.own_policy import own_policy, read_policy
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.node.presets import PRESETS
from flower_dgan.node.secret import derive_secret
from flower_dgan.node.state import ClientState
from flower_dgan.wire.formats import decode_images
from flower_dgan.wire.join_messages import LEAVE
from flower_dgan.wire.packing import pack_content
from flower_dgan.wire.parcels import PART, Parcel, Whole
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.refusals import Refusal
from flower_dgan.wiring import discriminator_half
from tests.clinic import BASE, FIRST, Clinic, settings
from tests.pairs import make_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("clinic"), sites=1, images=9, size=24)


@pytest.fixture(autouse=True)
def no_sessions() -> Iterator[None]:
    open_sessions._OPEN.clear()
    yield
    open_sessions._OPEN.clear()


@pytest.fixture
def clinic(folder: Path, tmp_path: Path) -> Clinic:
    return Clinic(folder, tmp_path)


def bytes_of(reply: Message) -> bytes:
    assert not reply.has_error(), reply.error.reason
    return pack_content(reply.content)


def test_a_bundle_that_was_answered_gets_the_stored_bytes_and_costs_nothing(clinic: Clinic) -> None:
    """To the byte, seconds included, in a new process too; and under a policy that would allow no more."""
    assert clinic.refusal(clinic.join()) is None
    first = bytes_of(clinic.ask(1))
    assert bytes_of(clinic.ask(1)) == first
    open_sessions._OPEN.clear()
    clinic.policy.write_text(f"{BASE}queries_per_image: 0\n")
    assert bytes_of(clinic.ask(1)) == first
    assert clinic.refusal(clinic.ask(2)) == Refusal.QUERIES_PER_IMAGE
    assert clinic.refusal(clinic.ask(1, grey=101)) == Refusal.PROTOCOL


def gradients(reply: Message) -> bytes:
    assert not reply.has_error(), reply.error.reason
    return reply.content.array_records["feedback"]["gradients"].data  # type: ignore[no-any-return]


def test_going_back_is_counted_limited_and_draws_anew(clinic: Clinic) -> None:
    """A server that begins attempt after attempt from the first round: other real images each time, twice at most."""
    clinic.policy.write_text(f"{BASE}returns: 2\n")
    clinic.join()
    answers = [gradients(clinic.ask(1, grey=90)), gradients(clinic.ask(2))]
    found = []
    for attempt in (2, 3, 4):
        training = Training(FIRST.identity, attempt)
        assert clinic.refusal(clinic.join(training=training)) is None
        reply = clinic.ask(1, grey=90 + attempt, training=training)
        found.append(clinic.refusal(reply))
        if found[-1] is None:
            answers.append(gradients(clinic.ask(2, training=training)))
    assert found == [None, None, Refusal.RETURNS]
    assert len(set(answers)) == len(answers)


@pytest.mark.parametrize("number", [-1, 0, 10**9])
def test_a_round_that_the_training_does_not_have_is_refused(clinic: Clinic, number: int) -> None:
    clinic.join()
    assert clinic.refusal(clinic.ask(number)) == Refusal.PROTOCOL


def test_rounds_are_kept_in_the_order_of_their_numbers(clinic: Clinic) -> None:
    """Files are sorted as text, where nine digits may come before eight: a new process knows the last round, too."""
    clinic.policy.write_text(f"{BASE}bounds: {{rounds: 300000000}}\n")
    assert clinic.refusal(clinic.join("exchange.rounds=200000000")) is None
    for number in (99_999_999, 100_000_000):
        assert clinic.refusal(clinic.ask(number)) is None
    open_sessions._OPEN.clear()
    assert clinic.refusal(clinic.ask(100_000_000, grey=101)) == Refusal.PROTOCOL


def test_no_fresh_start_amid_a_training(clinic: Clinic) -> None:
    """Rounds 1 to 5 are answered, and the server never said that it may go back: round 2 would begin afresh."""
    clinic.join()
    for number in range(1, 6):
        bytes_of(clinic.ask(number))
    again = Training(FIRST.identity, 2)
    clinic.join(training=again)
    assert clinic.refusal(clinic.ask(2, grey=7, training=again)) == Refusal.PROTOCOL
    assert clinic.refusal(clinic.ask(4, grey=7, training=again)) is None


def test_the_start_of_a_discriminator_is_the_nodes_secret(clinic: Clinic, own_home: Path) -> None:
    """With a learning rate of nothing the answer is the start's: the server's seed gives another, the secret this."""
    clinic.join("algorithm=dgan model=small-all-sites algorithm.discriminator_learning_rate=1e-30")
    sent = clinic.ask(1, grey=60).content.array_records["feedback"]["losses"].numpy()
    (file,) = (own_home / "state/flower-dgan/secrets").iterdir()
    _, pairs, config = ClientState(FIRST.identity, "clinic").joined(lambda *_: None)
    shape = ImageShape(pairs.classes, 3, 16, ())
    images = decode_images(np.full((8, 3, 16, 16), 60, np.uint8))
    label_map = torch.nn.functional.one_hot(torch.from_numpy(pairs.label_maps[0][:16, :16].astype(np.int64)), 2)
    label_maps = label_map.permute(2, 0, 1).float().expand(8, -1, -1, -1)

    def losses(secret: int | None) -> np.ndarray:
        half = discriminator_half(config, shape, "clinic", secret)
        return half.feedback(Batch(images, label_maps)).losses.numpy()

    own = derive_secret(file.read_bytes(), "clinic", config.seed)
    np.testing.assert_allclose(sent, losses(own), rtol=1e-4)
    assert np.abs(sent - losses(None)).max() > 1e-3


def test_a_training_begun_again_under_its_seed_meets_other_images_and_another_start(clinic: Clinic) -> None:
    found = []
    for identity in ("a", "b", "b"):
        training = Training(identity * 16, 1)
        assert clinic.refusal(clinic.join(training=training)) is None
        found.append(gradients(clinic.ask(1, training=training)))
        clinic.send(training.to_records("leave"), LEAVE)  # also: leaving and joining anew is no way back
    assert len(set(found)) == 3


def test_trainings_are_limited_whatever_they_are_called(clinic: Clinic, tmp_path: Path, folder: Path) -> None:
    clinic.policy.write_text(f"{BASE}trainings: 2\n")
    found = []
    for identity in ("a", "b", "c"):
        training = Training(identity * 16, 1)
        found.append(clinic.refusal(clinic.join(training=training)))
        if identity != "c":
            assert clinic.refusal(clinic.ask(1, training=training)) is None
        clinic.send(Training(identity * 16, 1).to_records("leave"), LEAVE)
    assert found == [None, None, Refusal.TRAININGS]
    copied = make_folder(tmp_path / "copy", sites=1, images=9, size=24)  # the same pixels in another place
    for file in sorted(copied.glob("*/*"), reverse=True):
        file.rename(file.with_name(f"tr_site0_x{file.name.split('_', 2)[2]}"))
    clinic.node_config |= {"data-path": str(copied), "name": "other", "name-pattern": "none"}
    assert clinic.refusal(clinic.join(training=Training("d" * 16, 1))) == Refusal.TRAININGS


def test_a_server_cannot_fill_a_node_with_trainings(clinic: Clinic) -> None:
    clinic.policy.write_text(f"{BASE}kept_trainings: 2\n")
    found = [clinic.refusal(clinic.join(training=Training(identity * 16, 1))) for identity in ("a", "b", "a", "c")]
    assert found == [None, None, None, Refusal.KEPT_TRAININGS]
    clinic.send(Training("a" * 16, 1).to_records("leave"), LEAVE)
    assert clinic.refusal(clinic.join(training=Training("c" * 16, 1))) is None


BEYOND = [
    ("data.image_size=8", Refusal.IMAGE_SIZE),
    ("exchange.batch_size=2", Refusal.DISTINCT_IMAGES),
    ("exchange.batch_size=300", Refusal.BATCH_SIZE),
    ("algorithm.discriminator_weight=1e-12", Refusal.LOSS_WEIGHTS),
    ("algorithm.generator_weight=1e8", Refusal.LOSS_WEIGHTS),
    ("algorithm.discriminator_learning_rate=1e8", Refusal.LEARNING_RATE),
    ("algorithm.betas=[0.5,0.0]", Refusal.SECOND_DECAY),
    ("algorithm.gradient_penalty=1e6", Refusal.GRADIENT_PENALTY),
    ("exchange.rounds=1000000", Refusal.ROUNDS),
    ("algorithm.discriminator_steps=1000000000", Refusal.STEPS_A_MESSAGE),
    ("model.discriminator_width=4096", Refusal.MEMORY_MIB),
    ("allow_pixel_losses=true algorithm=dgan algorithm.l1_weight=1", Refusal.PIXEL_LOSSES),
    ("algorithm=uagan", Refusal.LABEL_MAPS_TO_CLIENTS),
]


@pytest.mark.parametrize(("extra", "refusal"), BEYOND)
def test_standard_refuses_what_is_beyond_its_bounds(clinic: Clinic, extra: str, refusal: Refusal) -> None:
    assert clinic.refusal(clinic.join(extra)) == refusal


@pytest.mark.parametrize("preset", list(PRESETS))
def test_no_preset_lets_a_message_hang_a_node_or_fill_it(clinic: Clinic, preset: str) -> None:
    """By the rule's name; under ``strict`` the rule that nothing leaves without differential privacy comes first."""
    clinic.node_config["policy"] = preset
    for extra, refusal in (
        ("algorithm.discriminator_steps=1000000000", Refusal.STEPS_A_MESSAGE),
        (
            "algorithm=dgan model=mlp data.condition=none downstream=none model.discriminator_width=12000",
            Refusal.DISCRIMINATORS if preset == "standard" else Refusal.MEMORY_MIB,
        ),
    ):
        assert clinic.refusal(clinic.join(extra)) == (Refusal.FEEDBACK if preset == "strict" else refusal)


def test_masks_that_stay_are_no_target_either(clinic: Clinic) -> None:
    """A generator that learns to draw label maps gets feedback about them: no way out of ``label_maps: false``."""
    clinic.policy.write_text(f"{BASE}label_maps: false\n")
    drawn = "data.target=label-maps data.condition=none data.channels=1 model=dcgan-small algorithm=dgan"
    assert clinic.refusal(clinic.join(f"{drawn} downstream=none data.image_size=32")) == Refusal.LABEL_MAPS
    assert clinic.refusal(clinic.join()) == Refusal.LABEL_MAPS


def test_few_different_images_are_refused_however_many_files_there_are(clinic: Clinic, tmp_path: Path) -> None:
    copied = make_folder(tmp_path / "copy", sites=1, images=9, size=24)
    first, *others = sorted((copied / "images").iterdir())
    for file in others:
        file.write_bytes(first.read_bytes())
    clinic.node_config["data-path"] = str(copied)
    assert clinic.refusal(clinic.join()) == Refusal.DISTINCT_IMAGES


def test_files_of_a_node_are_its_owners_alone_whatever_the_umask(clinic: Clinic, own_home: Path) -> None:
    before = os.umask(0)
    try:
        clinic.join()
        bytes_of(clinic.ask(1))
        clinic.send(Parcel(FIRST.identity, 30_000, 0, Whole("0" * 64, 1000, 2)).records(bytes(500)), PART)
    finally:
        os.umask(before)
    kept = [own_home / "state/flower-dgan", *(own_home / "state/flower-dgan").rglob("*")]
    modes = {str(each): stat.S_IMODE(each.stat().st_mode) for each in kept}
    assert modes == {str(each): 0o700 if each.is_dir() else 0o600 for each in kept}
    assert len(kept) > 8


def test_a_policys_file_builds_on_a_preset(tmp_path: Path) -> None:
    standard: ReleasePolicy = PRESETS["standard"]
    file = tmp_path / "policy.yaml"
    file.write_text("preset: standard\nscores: true\nbounds: {image_size: [32, 64]}\n")
    bounds = replace(standard.bounds, image_size=(32, 64))
    assert read_policy(file) == replace(standard, scores=True, bounds=bounds)


def test_starts_that_failed_use_up_no_trainings(clinic: Clinic) -> None:
    """A server that begins and leaves takes nothing; two that began together are counted as each is answered."""
    clinic.policy.write_text(f"{BASE}trainings: 1\n")
    for _ in range(3):
        assert clinic.refusal(clinic.join()) is None
        clinic.send(FIRST.to_records("leave"), LEAVE)
    other = Training("b" * 16, 1)
    for training in (FIRST, other):
        assert clinic.refusal(clinic.join(training=training)) is None
    assert clinic.refusal(clinic.ask(1)) is None
    assert clinic.refusal(clinic.ask(2)) is None
    assert clinic.refusal(clinic.ask(1, training=other)) == Refusal.TRAININGS


MASKS = (
    "data.target=label-maps data.condition=none data.channels=1 model=dcgan-small algorithm=dgan downstream=none "
    "data.image_size=16"
)


@pytest.mark.parametrize("extra", ["data.channels=1", MASKS])
def test_no_setting_makes_other_images_of_the_same_files(clinic: Clinic, extra: str) -> None:
    for identity, chosen in (("a", ""), ("b", extra)):
        training = Training(identity * 16, 1)
        assert clinic.refusal(clinic.join(chosen, training)) is None
    kept = [ClientState(identity * 16, "clinic").images().tolist() for identity in "ab"]
    assert kept[0] == kept[1]
    assert len(kept[0]) == 9


def test_a_directory_that_was_put_back_is_no_way_back(clinic: Clinic, tmp_path: Path) -> None:
    """Other images are drawn for another bundle of a round that the book knows of, and it is counted and limited."""
    clinic.policy.write_text(f"{BASE}returns: 1\n")
    clinic.join()
    bytes_of(clinic.ask(1))
    path = ClientState(FIRST.identity, "clinic").path
    shutil.copytree(path, tmp_path / "backup")
    bytes_of(clinic.ask(2, grey=50))

    def put_back() -> None:
        shutil.rmtree(path)
        shutil.copytree(tmp_path / "backup", path)
        open_sessions._OPEN.clear()

    put_back()
    bytes_of(clinic.ask(2, grey=51))
    assert (path / "returns.txt").read_text() == "1"
    put_back()
    assert clinic.refusal(clinic.ask(2, grey=52)) == Refusal.RETURNS


def test_each_step_on_an_image_is_a_use_of_it(clinic: Clinic) -> None:
    """Two exchanges of four passes, batches of four, seven steps each: 224 uses of nine images."""
    clinic.join("algorithm.discriminator_steps=7")
    bytes_of(clinic.ask(1))
    with Book().changing() as rows:
        assert rows.execute("SELECT SUM(drawn) FROM images").fetchone() == (224,)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("trainings:\n", "write any for any number"),
        ("bounds: {rounds: }\n", "write any for any number"),
        ("trainings: 3\ntrainings: 50\n", "it says 'trainings' twice"),
        ("bounds: {rounds: 3, rounds: 5}\n", "it says 'rounds' twice"),
    ],
)
def test_no_slip_of_the_pen_lifts_a_limit(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(f"preset: standard\n{line}")
    with pytest.raises(ConfigError, match=says):
        read_policy(file)


def test_any_number_is_said_by_a_word(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    for word in ("any", "null"):
        file.write_text(f"preset: standard\ntrainings: {word}\n")
        assert read_policy(file) == replace(PRESETS["standard"], trainings=None)


def test_scores_leave_only_with_the_label_maps_that_they_tell_of() -> None:
    """The Dice of a network that finds something everywhere is the area of the masks."""
    with pytest.raises(PolicyError, match="tells how large the masks are"):
        replace(PRESETS["standard"], label_maps=False, scores=True).check_scores()
    replace(PRESETS["standard"], scores=True).check_scores()


def test_memory_counts_the_label_maps_of_all_classes() -> None:
    """Two exchanges of four windows of 16 x 16: 2048 pixels, whose label maps have 4 bytes a class."""
    few, many = (settings(f"data.classes={classes}") for classes in (2, 60))
    more = 16 * (parameters_of(many) - parameters_of(few)) + 58 * 4 * 2048
    assert memory_mib(many) - memory_mib(few) == pytest.approx(more / 2**20)


def test_a_node_of_digits_is_not_filled_either() -> None:
    policy = own_policy({"partition-id": 0, "num-partitions": 2})
    assert (policy.bounds, policy.kept_trainings) == (PRESETS["research"].bounds, 20)
