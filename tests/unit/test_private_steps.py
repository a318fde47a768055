"""A node with an owner whose discriminator is private: what leaves, what is charged, and when it stops."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.data import Pairs
from flower_dgan.gan.exchange import Question
from flower_dgan.node import private_steps
from flower_dgan.node.book import Book
from flower_dgan.node.plain_words import in_plain_words
from flower_dgan.node.presets import PRESETS
from flower_dgan.node.privacy_book import charge, release, require_room, spent, spent_in_steps
from flower_dgan.node.private_steps import patients_that_fit
from flower_dgan.privacy.accountant import METHOD, Release, epsilon_of_all
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.formats import decode_images
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.question_message import EXCHANGE, Envelope, write_question
from flower_dgan.wire.refusals import Refusal
from tests.clinic import FIRST, Clinic, settings
from tests.pairs import make_folder

STEPS = (
    "privacy=dp-sgd data.condition=none downstream=none exchange.rounds=4 exchange.exchanges=1 exchange.batch_size=4 "
    "algorithm.discriminator_steps=2 algorithm.share=0.5 model.discriminator_width=4 data.image_size=16"
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


def ask(clinic: Clinic, number: int, grey: int = 100, training: Training = FIRST, answered: int = 0) -> Message:
    images = decode_images(np.full((4, 3, 16, 16), grey, np.uint8))
    question = Question(images, label_maps=np.zeros((4, 16, 16), np.uint8))
    shape = replace(BundleShape.of(clinic.config, 1), channels=3)
    return clinic.send(write_question(Envelope(training, number, answered, ()), question, shape), EXCHANGE)


def said(reply: Message) -> tuple[bytes, dict[str, float]]:
    assert not reply.has_error(), reply.error.reason
    gradients = reply.content.array_records["feedback"]["gradients"].data
    return gradients, dict(reply.content.metric_records["metrics"])


def last_line(home: Path) -> dict[str, object]:
    (file,) = (home / "state/flower-dgan/ledger").iterdir()
    return dict(json.loads(file.read_text().splitlines()[-1]))


def test_under_strict_feedback_leaves_is_charged_once_and_says_nothing_of_its_cost(
    clinic: Clinic, own_home: Path
) -> None:
    """Limits by image are 0 under strict and do not count; seconds and memory are the same for any node."""
    joined = clinic.join(STEPS)
    assert clinic.refusal(joined) is None
    assert list(joined.content) == ["node"]
    assert "images" not in joined.content["node"]
    first = said(ask(clinic, 1))
    assert {first[1][key] for key in ("busy-seconds", "compute-seconds", "peak-memory-mib")} == {0.0625}
    assert [each.steps for each in spent_in_steps(Book())] == [2]
    assert said(ask(clinic, 1)) == first
    assert [each.steps for each in spent_in_steps(Book())] == [2]
    privacy = last_line(own_home)["privacy"]
    assert isinstance(privacy, dict)
    assert (privacy["steps"], privacy["charged steps"]) == (2, 2)
    assert privacy["accountant"] == METHOD
    assert float(privacy["spent"].split()[1]) < 3
    said(ask(clinic, 2, answered=1))
    assert [each.steps for each in spent_in_steps(Book())] == [4]
    assert spent(Book()) == pytest.approx(1 / 20)  # the number of patients, once


def test_the_whole_training_fits_into_the_budget_and_no_step_more_does(clinic: Clinic) -> None:
    """Epsilon 3 of strict: four rounds as planned; another training is refused before it does anything."""
    clinic.join(STEPS)
    for number in range(1, 5):
        said(ask(clinic, number, answered=number - 1))
    charged = spent_in_steps(Book())
    assert 2.9 < epsilon_of_all(spent(Book()), charged, 1e-5) <= 3.0
    other = Training("b" * 16, 1)
    assert clinic.refusal(clinic.join(STEPS, other)) is None
    assert clinic.refusal(ask(clinic, 1, training=other)) == Refusal.EPSILON
    assert spent_in_steps(Book()) == charged


def test_another_bundle_is_charged_anew(clinic: Clinic) -> None:
    """Where the policy lets a node go back at all, which strict does not."""
    clinic.join(STEPS)
    said(ask(clinic, 1))
    again = Training(FIRST.identity, 2)
    clinic.join(STEPS, again)
    assert clinic.refusal(ask(clinic, 1, grey=7, training=again)) == Refusal.RETURNS
    clinic.policy.write_text("preset: standard\napproval: false\n")
    first = said(ask(clinic, 1, grey=7, training=again))
    assert [each.steps for each in spent_in_steps(Book())] == [4]
    assert said(ask(clinic, 1, grey=7, training=again)) == first


def test_what_could_not_be_charged_does_not_leave_and_is_not_learned(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.join(STEPS)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(private_steps, "charge", fail)
        assert clinic.refusal(ask(clinic, 1)) == Refusal.STORAGE
    assert spent_in_steps(Book()) == ()
    said(ask(clinic, 1))
    assert [each.steps for each in spent_in_steps(Book())] == [2]


def test_what_costs_too_much_by_itself_is_refused_when_it_joins(clinic: Clinic) -> None:
    """Also where the server's delta makes it look cheap."""
    assert clinic.refusal(clinic.join(f"{STEPS} algorithm.epsilon=3.1")) == Refusal.EPSILON
    assert clinic.refusal(clinic.join(f"{STEPS} algorithm.epsilon=1 algorithm.delta=0.1")) == Refusal.EPSILON
    clinic.policy.write_text(f"{STRICT}epsilon: 0\n")
    assert clinic.refusal(clinic.join(STEPS)) == Refusal.EPSILON


@pytest.mark.parametrize("images", [3, 9])
def test_whoever_is_there_a_node_joins_and_answers_alike(images: int, tmp_path: Path) -> None:
    """With fewer images than a batch, and a limit of trainings and of distinct images."""
    clinic = Clinic(make_folder(tmp_path / "data", sites=1, images=images, size=24), tmp_path)
    clinic.policy.write_text(f"{STRICT}trainings: 1\ndistinct_images: 5\n")
    assert clinic.refusal(clinic.join(STEPS)) is None
    gradients, figures = said(ask(clinic, 1))
    assert set(figures) == {"discriminator-loss", "busy-seconds", "compute-seconds", "peak-memory-mib"}
    assert len(gradients) > 0


def test_an_older_book_is_seen_though_steps_are_all_that_it_lacks(clinic: Clinic, own_home: Path) -> None:
    clinic.join(STEPS)
    said(ask(clinic, 1))
    book = own_home / "state/flower-dgan/book.sqlite"
    before = book.read_bytes()
    said(ask(clinic, 2, answered=1))
    book.write_bytes(before)
    assert clinic.refusal(ask(clinic, 3, answered=2)) == Refusal.STORAGE


def test_sums_and_steps_are_one_account_that_only_grows() -> None:
    """A sum of sigma 1.3906 and 1,500 steps of 512 of 1,438 at sigma 8: 9.929 by RDP, whichever came first."""
    seen: list[float] = []

    def check(mu: float, *drawn: Release) -> None:
        seen.append(epsilon_of_all(mu, drawn, 1e-5))

    charge(Book(), Release(8.0, 512 / 1438, 700), check)
    release(Book(), b"sum", 1 / 1.3906, check, lambda: b"!")
    require_room(Book(), Release(8.0, 512 / 1438, 800), check)
    assert [each.steps for each in spent_in_steps(Book())] == [700]
    charge(Book(), Release(8.0, 512 / 1438, 800), check)
    assert seen[2:] == [pytest.approx(9.929, abs=6e-4)] * 2
    assert seen[:3] == sorted(seen[:3])
    charge(Book(), Release(9.0, 0.5, 1), check)
    assert spent_in_steps(Book()) == (Release(8.0, 512 / 1438, 1500), Release(9.0, 0.5, 1))

    def refuse(mu: float, *drawn: Release) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        charge(Book(), Release(9.0, 0.5, 1), refuse)
    assert spent_in_steps(Book())[1].steps == 1


def test_an_image_that_does_not_fit_never_comes() -> None:
    config = settings(STEPS.replace("condition=none", "condition=class data.classes=2"))
    shapes, classes = [(16, 24, 3), (8, 16, 3), (16, 16, 1), (16, 16, 3)], [1, 1, 1, 7]
    images = tuple(np.zeros(shape, np.uint8) for shape in shapes)
    maps = tuple(np.full(shape[:2], of, np.uint8) for shape, of in zip(shapes, classes, strict=True))
    assert patients_that_fit([(0, 1), (2,), (3,)], Pairs(images, maps, 2), config) == ((0,),)


def test_plain_words_name_cost_and_noise() -> None:
    config = settings(STEPS)
    (steps,) = algorithm_of(config).drawn_releases(config)
    words = in_plain_words(PRESETS["strict"], config)
    assert f"8 noisy steps in all; to each step a patient comes with probability {steps.share:g}" in words
    assert f"noise of {steps.sigma:.4f} times" in words
    assert "is differentially private by patient" in words
    assert "REFUSED" not in words
    assert "No figure bounds" not in words
