"""A node asks its owner before a training begins, and obeys when the owner ends it."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flower_dgan import client_app
from flower_dgan.config import TrainingConfig
from flower_dgan.errors import PolicyError
from flower_dgan.node import approvals, open_sessions
from flower_dgan.node.approvals import Approvals, settings_hash
from flower_dgan.node.own_data import without_paths
from flower_dgan.node.presets import PRESETS
from flower_dgan.node.state import ClientState
from flower_dgan.wire.description import describe_training, read_description
from flower_dgan.wire.join_messages import LABEL_MAPS, LEAVE
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.refusals import Refusal
from tests.clinic import FIRST, Clinic, settings
from tests.pairs import make_folder

OTHER = Training("b" * 16, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("clinic"), sites=1, images=9, size=24)


@pytest.fixture
def clinic(folder: Path, tmp_path: Path) -> Iterator[Clinic]:
    open_sessions._OPEN.clear()
    found = Clinic(folder, tmp_path)
    found.node_config["policy"] = "standard"
    yield found
    open_sessions._OPEN.clear()


def as_read(extra: str = "") -> TrainingConfig:
    return without_paths(read_description(describe_training(settings(extra))))


def test_a_training_waits_until_its_owner_approves_it(clinic: Clinic) -> None:
    """Nothing of the data is read before: the folder is not even there."""
    own = clinic.node_config["data-path"]
    clinic.node_config["data-path"] = "/nowhere"
    reply = clinic.join()
    assert clinic.refusal(reply) == Refusal.APPROVAL
    assert "has not approved this training yet: it waits" in reply.error.reason
    clinic.node_config["data-path"] = own
    (asked,) = Approvals().all()
    assert (asked.settings, asked.state) == (settings_hash(as_read()), "waiting")
    assert json.loads(asked.description)["data"]["image_size"] == 16
    Approvals().approve(asked.settings)
    assert clinic.refusal(clinic.join()) is None
    assert clinic.refusal(clinic.ask(1)) is None


def test_an_approval_is_for_one_training(clinic: Clinic) -> None:
    """Another of the same settings waits anew, also under the first one's name once that was left."""
    clinic.join()
    Approvals().approve(settings_hash(as_read()))
    assert clinic.refusal(clinic.join()) is None
    assert clinic.refusal(clinic.join(training=OTHER)) == Refusal.APPROVAL
    assert clinic.refusal(clinic.join()) is None  # the one that waits takes nothing from it
    assert clinic.refusal(clinic.ask(1)) is None
    clinic.send(FIRST.to_records("leave"), LEAVE)
    assert clinic.refusal(clinic.join()) == Refusal.APPROVAL


def test_a_start_that_failed_leaves_its_approval_to_the_next(clinic: Clinic) -> None:
    """The owner is not asked twice as another node was not ready: nothing was answered under the first."""
    clinic.join()
    Approvals().approve(settings_hash(as_read()))
    clinic.join()
    clinic.send(FIRST.to_records("leave"), LEAVE)
    assert clinic.refusal(clinic.join(training=OTHER)) is None


def test_of_two_trainings_that_wait_one_is_approved(clinic: Clinic) -> None:
    """The newest; a server that asks under several names is approved once."""
    for training in (FIRST, OTHER):
        clinic.join(training=training)
    Approvals().approve(settings_hash(as_read()))
    assert clinic.refusal(clinic.join()) == Refusal.APPROVAL
    assert clinic.refusal(clinic.join(training=OTHER)) is None


def test_label_maps_that_left_use_an_approval_up(clinic: Clinic) -> None:
    clinic.join()
    Approvals().approve(settings_hash(as_read()))
    clinic.join()
    assert clinic.refusal(clinic.send(FIRST.to_records("request"), LABEL_MAPS)) is None
    clinic.send(FIRST.to_records("leave"), LEAVE)
    assert clinic.refusal(clinic.join(training=OTHER)) == Refusal.APPROVAL


def test_the_device_of_a_node_is_no_part_of_what_is_approved(clinic: Clinic) -> None:
    clinic.node_config["device"] = "cpu"
    Approvals().approve(settings_hash(as_read()), as_read())
    assert clinic.refusal(clinic.join()) is None


def test_a_training_may_be_approved_before_it_asks(clinic: Clinic) -> None:
    """By a file with its settings; not what differs in one of them."""
    Approvals().approve(settings_hash(as_read()), as_read())
    assert clinic.refusal(clinic.join("exchange.rounds=99")) == Refusal.APPROVAL
    assert clinic.refusal(clinic.join()) is None


def test_a_training_does_not_wait_for_ever(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """72 hours by default; approved after that, it may begin if it still asks."""
    clinic.join()
    now = time.time()
    monkeypatch.setattr(approvals.time, "time", lambda: now + 71 * 3600)
    assert clinic.refusal(clinic.join()) == Refusal.APPROVAL
    monkeypatch.setattr(approvals.time, "time", lambda: now + 73 * 3600)
    assert clinic.refusal(clinic.join()) == Refusal.APPROVAL_HOURS
    Approvals().approve(settings_hash(as_read()))
    assert clinic.refusal(clinic.join()) is None


@pytest.mark.parametrize("policy", ["standard", "research"])
def test_an_owner_ends_a_training_at_once(clinic: Clinic, policy: str) -> None:
    """Also one that needed no approval; what was answered before is not answered again, and nobody begins anew."""
    clinic.node_config["policy"] = policy
    settings = settings_hash(as_read())
    if policy == "standard":
        clinic.join()
        Approvals().approve(settings)
    clinic.join()
    assert clinic.refusal(clinic.ask(1)) is None
    Approvals().revoke(settings)
    assert [clinic.refusal(reply) for reply in (clinic.ask(1), clinic.ask(2))] == [Refusal.REVOKED] * 2
    assert clinic.refusal(clinic.join()) == Refusal.REVOKED
    assert clinic.refusal(clinic.join(training=OTHER)) == Refusal.REVOKED
    assert clinic.refusal(clinic.send(FIRST.to_records("leave"), LEAVE)) is None
    assert not ClientState(FIRST.identity, "clinic").path.exists()  # what was kept can still be forgotten
    Approvals().approve(settings)
    asks_anew = Refusal.APPROVAL if policy == "standard" else None
    assert clinic.refusal(clinic.join(training=OTHER)) == asks_anew


def test_an_answer_on_its_way_is_held_back(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner ends the training while the discriminator learns."""
    clinic.node_config["policy"] = "research"
    clinic.join()
    write = client_app.write_answer

    def revoke_meanwhile(*arguments: object) -> object:
        Approvals().revoke(settings_hash(as_read()))
        return write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(client_app, "write_answer", revoke_meanwhile)
    assert clinic.refusal(clinic.ask(1)) == Refusal.REVOKED


def test_a_server_that_asks_about_any_number_of_trainings_fills_no_book() -> None:
    config = as_read()
    for number in range(105):
        with pytest.raises(PolicyError):
            Approvals().require(PRESETS["standard"], f"{number:016x}", replace(config, seed=number))
    seeds = {json.loads(each.description)["seed"] for each in Approvals().all()}
    assert seeds == set(range(5, 105))  # the oldest are forgotten


def test_revoking_opens_no_training_that_had_ended(clinic: Clinic) -> None:
    """The one that was under way goes on once that is taken back; the one that was left asks anew."""
    clinic.node_config["policy"] = "research"
    for training in (FIRST, OTHER):
        clinic.join(training=training)
        clinic.ask(1, training=training)
    clinic.send(FIRST.to_records("leave"), LEAVE)
    settings = settings_hash(as_read())
    Approvals().revoke(settings)
    assert clinic.refusal(clinic.ask(2, training=OTHER)) == Refusal.REVOKED
    Approvals().approve(settings)
    clinic.node_config["policy"] = "standard"
    assert clinic.refusal(clinic.ask(2, training=OTHER)) is None
    assert clinic.refusal(clinic.join()) == Refusal.APPROVAL


def test_a_training_that_began_unasked_waits_where_its_owner_wants_to_be_asked(clinic: Clinic) -> None:
    clinic.node_config["policy"] = "research"
    clinic.join()
    clinic.node_config["policy"] = "standard"
    assert clinic.refusal(clinic.ask(1)) == Refusal.APPROVAL
    assert clinic.refusal(clinic.join()) == Refusal.APPROVAL
    Approvals().approve(settings_hash(as_read()))
    assert clinic.refusal(clinic.ask(1)) is None


def test_another_attempt_ends_nothing(clinic: Clinic) -> None:
    clinic.node_config["policy"] = "research"
    clinic.join(training=Training(FIRST.identity, 2))
    for attempt in (1, 99):
        reply = clinic.send(Training(FIRST.identity, attempt).to_records("leave"), LEAVE)
        assert clinic.refusal(reply) == Refusal.PROTOCOL
    assert ClientState(FIRST.identity, "clinic").has_joined()


def test_a_training_that_is_refused_is_not_noted_where_nobody_is_asked(clinic: Clinic) -> None:
    """Its settings are as long as the server likes."""
    clinic.node_config |= {"policy": "research", "data-path": "/nowhere"}
    assert clinic.refusal(clinic.join()) is not None
    assert Approvals().all() == []


def test_what_waits_is_listed_although_the_clock_went_back(monkeypatch: pytest.MonkeyPatch) -> None:
    config, now = as_read(), time.time()
    for number, ahead in ((101, 1e8), (1, 0)):
        monkeypatch.setattr(approvals.time, "time", lambda ahead=ahead: now + ahead)
        for each in range(number):
            with pytest.raises(PolicyError):
                Approvals().require(PRESETS["standard"], f"{number:08x}{each:08x}", replace(config, seed=number + each))
    assert Approvals().all()[-1].settings == settings_hash(replace(config, seed=1))
