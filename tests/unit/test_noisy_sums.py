"""A node with an owner releases with noise once, charges each patient for it, and says so in its ledger."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from PIL import Image

from flower_dgan.algorithms.dpmerf import DpMerf
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.data import Pairs
from flower_dgan.errors import ProtocolError
from flower_dgan.node import noisy_sums
from flower_dgan.node.book import Book
from flower_dgan.node.noisy_sums import layout_of, sum_of
from flower_dgan.node.plain_words import in_plain_words
from flower_dgan.node.presets import PRESETS
from flower_dgan.node.privacy_book import patients_of
from flower_dgan.node.state import ClientState
from flower_dgan.privacy.gaussian_mechanism import METHOD, sigma_of
from flower_dgan.privacy.noise import GRID
from flower_dgan.resolve import resolve
from flower_dgan.wire.join_messages import LEAVE
from flower_dgan.wire.noisy_sum_messages import ASKED, NOISY_SUM, NoisySumAnswer
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.refusals import Refusal
from tests.clinic import FIRST, Clinic, settings
from tests.pairs import make_folder

MOMENTS = (
    "privacy=moments data.condition=none downstream=none algorithm.frequencies=50 exchange.exchanges=2 "
    "exchange.generator_steps=2"
)
STRICT = "preset: strict\napproval: false\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("clinic"), sites=1, images=9, size=24)


@pytest.fixture
def clinic(folder: Path, tmp_path: Path) -> Clinic:
    found = Clinic(folder, tmp_path)
    found.policy.write_text(STRICT)
    return found


def ask(clinic: Clinic, training: Training = FIRST) -> Message:
    return clinic.send(training.to_records(ASKED), NOISY_SUM)


def steps(reply: Message) -> np.ndarray:
    assert not reply.has_error(), reply.error.reason
    return reply.content.array_records["noisy-sum"]["steps"].numpy()  # type: ignore[no-any-return]


def lines(home: Path) -> list[dict[str, object]]:
    (file,) = (home / "state/flower-dgan/ledger").iterdir()
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_under_strict_a_sum_with_noise_leaves_and_no_count_of_images(clinic: Clinic, own_home: Path) -> None:
    joined = clinic.join(MOMENTS)
    assert clinic.refusal(joined) is None
    assert list(joined.content) == ["node"]
    assert "images" not in joined.content["node"]
    assert steps(ask(clinic)).shape == (1, 101)
    told = lines(own_home)[-1]
    assert told["purpose"] == NOISY_SUM
    privacy = dict(told["privacy"])  # type: ignore[call-overload]
    assert len(privacy.pop("name")) == 64
    assert privacy == {
        "release": "epsilon 3 at delta 1e-05",
        "spent": "epsilon 3 at delta 1e-05",
        "unit": "patient, add or remove one",
        "accountant": METHOD,
        "noise": "Gaussian, 1.3906 times what a patient adds at most",
    }


def test_the_noise_is_as_large_as_was_paid_for(clinic: Clinic) -> None:
    """Of 401 numbers the deviation is within 15 % of sigma; a release without noise is none."""
    clinic.join(MOMENTS.replace("frequencies=50", "frequencies=200"))
    _, pairs, config = ClientState(FIRST.identity, "clinic").joined(lambda *_: None)
    algorithm = algorithm_of(config)
    assert isinstance(algorithm, DpMerf)
    patients = [(index,) for index in range(len(pairs))]
    exact = sum_of(algorithm, layout_of(algorithm, config), pairs, patients, config)
    noise = (steps(ask(clinic)) - exact) / GRID
    assert noise.std() == pytest.approx(sigma_of(3.0, 1e-5), rel=0.15)
    assert exact[0, -1] / GRID / 0.05**0.5 == pytest.approx(9, abs=0.01)


def test_the_same_release_has_the_same_bytes_whoever_asks_and_costs_once(clinic: Clinic, own_home: Path) -> None:
    """Again, in another attempt, after leaving, in another training, under another seed and a changed policy."""
    clinic.join(MOMENTS)
    first = steps(ask(clinic))
    assert (steps(ask(clinic)) == first).all()
    again = Training(FIRST.identity, 2)
    clinic.join(MOMENTS, again)
    assert (steps(ask(clinic, again)) == first).all()
    clinic.send(again.to_records("leave"), LEAVE)
    other = Training("b" * 16, 1)
    clinic.join(f"{MOMENTS} seed=5", other)
    assert (steps(ask(clinic, other)) == first).all()
    assert lines(own_home)[-1]["privacy"]["spent"] == "epsilon 3 at delta 1e-05"  # type: ignore[index]


def test_another_release_is_charged_and_refused_where_it_would_be_too_much(clinic: Clinic) -> None:
    """Two of epsilon 1.5 together are 2.21, by the sum of their mu^2; a third would make it 2.77."""
    clinic.policy.write_text(f"{STRICT}epsilon: 2.5\n")
    found = []
    for number, letter in enumerate("abc"):
        training = Training(letter * 16, 1)
        clinic.join(f"{MOMENTS} algorithm.epsilon=1.5 algorithm.bandwidth=0.{number + 3}", training)
        found.append(clinic.refusal(ask(clinic, training)))
    assert found == [None, None, Refusal.EPSILON]


def test_what_costs_too_much_by_itself_is_refused_when_it_joins(clinic: Clinic) -> None:
    assert clinic.refusal(clinic.join(f"{MOMENTS} algorithm.epsilon=3.1")) == Refusal.EPSILON
    clinic.policy.write_text(f"{STRICT}epsilon: 0\n")
    assert clinic.refusal(clinic.join(f"{MOMENTS} algorithm.epsilon=0.1")) == Refusal.EPSILON


def test_a_smaller_delta_of_the_server_is_no_way_around_the_owners(clinic: Clinic) -> None:
    """At its own delta of 0.1 an epsilon of 1 has little noise: at the owner's of 1e-5 it costs more than 3."""
    assert clinic.refusal(clinic.join(f"{MOMENTS} algorithm.epsilon=1 algorithm.delta=0.1")) == Refusal.EPSILON


def test_nothing_else_of_such_a_training_leaves(clinic: Clinic) -> None:
    """Under no policy: neither feedback, nor the discriminator's loss, nor label maps."""
    clinic.policy.write_text("preset: research\n")
    clinic.join(MOMENTS)
    assert clinic.refusal(clinic.ask(1)) == Refusal.PROTOCOL
    assert clinic.refusal(clinic.send(FIRST.to_records("request"), "query.label_maps")) is not None


def test_no_other_training_is_asked_for_a_sum(clinic: Clinic) -> None:
    clinic.policy.write_text("preset: standard\napproval: false\n")
    clinic.join()
    assert clinic.refusal(ask(clinic)) == Refusal.PROTOCOL


def test_what_was_not_kept_does_not_leave(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.join(MOMENTS)

    def fail(*_: object) -> np.ndarray:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(noisy_sums, "noisy", fail)
        assert clinic.refusal(ask(clinic)) == Refusal.STORAGE
    with Book().changing() as rows:
        assert rows.execute("SELECT COUNT(*) FROM released").fetchone() == (0,)
    steps(ask(clinic))


@pytest.mark.parametrize(
    "steps",
    [
        np.zeros((2, 4), np.int64),
        np.zeros((2, 3), np.float64),
        np.full((2, 3), 2**50 + 1),
        np.full((2, 3), -(2**63), np.int64),
    ],
)
def test_a_sum_that_no_node_sends_is_refused(steps: np.ndarray) -> None:
    whole = NoisySumAnswer(np.full((2, 3), -(2**50), np.int64))
    assert (NoisySumAnswer.from_records(whole.to_records(), (2, 3)).steps == whole.steps).all()
    with pytest.raises(ProtocolError):
        NoisySumAnswer.from_records(NoisySumAnswer(steps).to_records(), (2, 3))


def test_an_image_that_does_not_fit_adds_nothing() -> None:
    """Too small, of too many channels, of a class that is none: no error tells of it."""
    config = resolve("privacy=moments data.condition=class data.classes=2 downstream=none data.image_size=16")
    algorithm = algorithm_of(config)
    assert isinstance(algorithm, DpMerf)
    fits, small, coloured = ((16, 24, 1), (8, 16, 1), (16, 16, 3))
    shapes, classes = [fits, small, coloured, fits, fits], [1, 1, 1, 7, 0]
    images = tuple(np.zeros(shape, np.uint8) for shape in shapes)
    maps = tuple(np.full(shape[:2], of, np.uint8) for shape, of in zip(shapes, classes, strict=True))
    patients = [(0, 1), (2,), (3, 4)]
    layout = layout_of(algorithm, config)
    total = sum_of(algorithm, layout, Pairs(images, maps, 8), patients, config)
    assert layout.counts(total / GRID) == pytest.approx([1, 1], abs=1e-3)


CLASSES = resolve("privacy=moments data.condition=class data.classes=3 downstream=none data.image_size=4")


@settings_of_hypothesis(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(2, 9), st.sampled_from([1, 3]), st.integers(0, 5)), min_size=1, max_size=3),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 2**32 - 1),
)
def test_folders_that_differ_in_a_patient_have_sums_that_differ_by_one_at_most(
    folder: list[list[tuple[int, int, int]]], seed: int
) -> None:
    """Whatever the sizes, channels and classes of the images of any of them."""
    algorithm = algorithm_of(CLASSES)
    assert isinstance(algorithm, DpMerf)
    generator, layout = np.random.default_rng(seed), layout_of(algorithm, CLASSES)
    every = [image for patient in folder for image in patient]
    images = tuple(generator.integers(0, 256, (side, side, channels), np.uint8) for side, channels, _ in every)
    maps = tuple(np.full((side, side), of, np.uint8) for side, _, of in every)
    starts = np.cumsum([0, *map(len, folder)]).tolist()
    patients = [tuple(range(a, b)) for a, b in pairwise(starts)]
    pairs = Pairs(images, maps, 6)
    whole = sum_of(algorithm, layout, pairs, patients, CLASSES)
    without = sum_of(algorithm, layout, pairs, patients[1:], CLASSES)
    assert int(np.square((whole - without).astype(object)).sum()) <= GRID**2


def test_patients_are_those_of_the_data(tmp_path: Path) -> None:
    """Three with two images each: what counts is a patient."""
    root = make_folder(tmp_path / "data", sites=1, images=3, size=16)
    for part in ("images", "masks"):
        for file in list((root / part).glob("tr_*_0.png")):
            picture = np.asarray(Image.open(file))
            Image.fromarray(np.roll(picture, 3, axis=0)).save(file.with_name(file.name.replace("_0.png", "_1.png")))
    clinic = Clinic(root, tmp_path)
    clinic.policy.write_text(STRICT)
    assert clinic.refusal(clinic.join(MOMENTS)) is None
    found = steps(ask(clinic))[0, -1] / GRID / 0.05**0.5
    state = ClientState(FIRST.identity, "clinic")
    assert sorted(state.groups(6)) == sorted(2 * list(set(state.groups(6))))
    assert [len(each) for each in patients_of(state.groups(6))] == [2, 2, 2]
    assert abs(found - 3) < 5 * 1.3906 / 0.05**0.5


@pytest.mark.parametrize("images", [3, 8, 9])
def test_whoever_is_there_a_node_joins_and_answers_alike(images: int, folder: Path, tmp_path: Path) -> None:
    """With a batch of 8 and a limit of trainings: a refusal would tell how many images there are, or which."""
    root = make_folder(tmp_path / "data", sites=1, images=images, size=24)
    clinic = Clinic(root, tmp_path)
    clinic.policy.write_text(f"{STRICT}trainings: 1\ndistinct_images: 5\n")
    for letter in "ab":
        training = Training(letter * 16, 1)
        assert clinic.refusal(clinic.join(f"{MOMENTS} exchange.batch_size=8", training)) is None
        assert steps(ask(clinic, training)).shape == (1, 101)


def test_a_sum_is_sent_again_though_a_patient_came(clinic: Clinic, folder: Path, tmp_path: Path) -> None:
    """Other bytes, or a refusal, would tell that somebody did."""
    root = make_folder(tmp_path / "data", sites=1, images=4, size=24)
    clinic = Clinic(root, tmp_path)
    clinic.policy.write_text(STRICT)
    clinic.join(MOMENTS)
    first = steps(ask(clinic))
    for part in ("images", "masks"):
        some = next((root / part).glob("tr_*.png"))
        (root / part / "tr_site0_newcomer_0.png").write_bytes(some.read_bytes())
    for again in (Training(FIRST.identity, 2), Training("b" * 16, 1)):
        assert clinic.refusal(clinic.join(MOMENTS, again)) is None
        assert (steps(ask(clinic, again)) == first).all()


def test_without_splits_of_the_owner_no_patient_is_left_out(tmp_path: Path) -> None:
    """A share that was held out would be another one with a patient more, who would move others in or out."""
    root = make_folder(tmp_path / "data", sites=1, images=6, size=24)
    clinic = Clinic(root, tmp_path)
    clinic.policy.write_text(STRICT)
    clinic.node_config["name-pattern"] = "{site}_{group}_{*}_{*}"
    assert clinic.refusal(clinic.join(MOMENTS)) is None
    _, pairs, _ = ClientState(FIRST.identity, "clinic").joined(lambda *_: None)
    assert len(pairs) == len(list((root / "images").iterdir()))


def test_an_older_book_is_seen_though_a_release_is_all_that_it_lacks(clinic: Clinic, own_home: Path) -> None:
    clinic.join(MOMENTS)
    book = own_home / "state/flower-dgan/book.sqlite"
    before = book.read_bytes()
    steps(ask(clinic))
    book.write_bytes(before)
    assert clinic.refusal(ask(clinic)) == Refusal.STORAGE


def test_plain_words_name_cost_and_worth() -> None:
    words = in_plain_words(PRESETS["strict"], settings(MOMENTS))
    assert "fixed features and a count for each class, with noise of 1.3906 times" in words
    assert "no more than epsilon 3, delta 1e-05 allows" in words
    assert "is differentially private by patient" in words
    assert "REFUSED" not in words
    assert "No figure bounds" not in words
    assert "No figure bounds" in in_plain_words(PRESETS["standard"], settings())
