"""A node refuses by a code and a fixed sentence: no text of any exception leaves it."""

from collections.abc import Callable

import pytest
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from flower_dgan import client_app
from flower_dgan.errors import (
    ConfigError,
    DataError,
    FederationError,
    ForgottenError,
    PolicyError,
    ProtocolError,
    VersionError,
)
from flower_dgan.flower.flower_internals import take_identity
from flower_dgan.node.simulation import simulating
from flower_dgan.wire.refusals import LONGEST_REASON, Refusal, reason_of, refuse

SECRET = "/home/dr-mabuse/patients/anna_k_1971.png"

RAISED: list[tuple[Callable[[str], Exception], Refusal]] = [
    (RuntimeError, Refusal.FAILED),
    (KeyError, Refusal.FAILED),
    (lambda text: UnicodeDecodeError("utf-8", text.encode(), 0, 1, text), Refusal.FAILED),
    (MemoryError, Refusal.FAILED),
    (OSError, Refusal.STORAGE),
    (lambda text: FileNotFoundError(2, "No such file", text), Refusal.STORAGE),
    (ConfigError, Refusal.SETTINGS),
    (DataError, Refusal.DATA),
    (FederationError, Refusal.OTHER),
    (ForgottenError, Refusal.FORGOTTEN),
    (ProtocolError, Refusal.PROTOCOL),
    (VersionError, Refusal.VERSION),
    (lambda text: PolicyError("moments", text), Refusal.MOMENTS),
]


def message() -> Message:
    take_identity()
    return Message(RecordDict({"x": ConfigRecord({"y": 1})}), dst_node_id=1, message_type="query.join")


def answer(error: Exception, node_config: dict[str, str | int]) -> Message:
    def handle(*_: object) -> RecordDict:
        raise error

    context = Context(run_id=1, node_id=1, node_config=node_config, state=RecordDict(), run_config={})
    return client_app._answer(message(), context, handle)


@pytest.mark.parametrize(("make", "refusal"), RAISED)
def test_details_stay_in_the_nodes_log(
    make: Callable[[str], Exception], refusal: Refusal, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("ERROR", logger="flwr"):
        reply = answer(make(SECRET), {"data-path": "/data", "name": "clinic"})
    assert (reply.error.code, reply.error.reason) == (refusal, refusal.sentence)
    assert "mabuse" not in str(reply.error)
    assert "mabuse" in caplog.text


@pytest.mark.parametrize(("make", "refusal"), RAISED)
def test_in_simulation_the_owner_of_both_ends_reads_them(make: Callable[[str], Exception], refusal: Refusal) -> None:
    with simulating():
        reply = answer(make(SECRET), {"partition-id": 0})
        own_data = answer(make(SECRET), {"partition-id": 0, "data-path": "/data"})
    assert reply.error.code == refusal
    assert "mabuse" in reply.error.reason
    assert own_data.error.reason == refusal.sentence


@given(st.text(min_size=4), st.sampled_from(RAISED))
def test_the_same_leaves_whatever_the_text_is(text: str, raised: tuple[Callable[[str], Exception], Refusal]) -> None:
    make, refusal = raised
    error = refuse(make(text), details=False)
    assert (error.code, error.reason) == (refusal, refusal.sentence)


def test_each_code_has_a_sentence_of_its_own() -> None:
    assert len({each.sentence for each in Refusal}) == len(Refusal)
    assert all(each >= 1000 for each in Refusal)  # Flower's own are below


def test_what_a_peer_sends_for_a_reason_is_cut_and_has_no_control_characters() -> None:
    shown = reason_of(Error(code=7, reason="\x1b[2Jred\nline" + "x" * 5_000_000))
    assert "\x1b" not in shown
    assert "\n" not in shown
    assert len(shown) <= LONGEST_REASON + 20
    assert reason_of(Error(code=7, reason=None)) == "error 7"
