"""The ledger counts every byte, but makes no row of what nodes are not asked for."""

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from flower_dgan.client_app import app
from flower_dgan.flower.inprocess import InProcessGrid
from flower_dgan.flower.ledger import FROM_NODE, REFUSED, TO_NODE, Ledger
from flower_dgan.wire.answers import known_answers


@pytest.fixture(autouse=True)
def identity() -> None:
    """Let messages be made outside a run."""
    InProcessGrid(app, {})


def message(content: RecordDict) -> Message:
    return Message(content, dst_node_id=1, message_type="train.exchange")


def test_twenty_thousand_records_make_one_row() -> None:
    ledger = Ledger(known_answers())
    content = RecordDict({f"record-{number}": ConfigRecord({"x": 7}) for number in range(20_000)})
    content["feedback"] = ArrayRecord(
        {"losses": Array(np.zeros(2, np.float32)), "more": Array(np.zeros(3, np.float32))}
    )
    content["metrics"] = MetricRecord({"busy-seconds": 1.5} | {f"metric-{number}": 1 for number in range(100)})
    for _ in range(2):
        ledger.add(1, FROM_NODE, message(content))
    rows = {(record, key): count for _, _, record, key, count in ledger.rows()}
    assert set(rows) == {REFUSED, ("feedback", "losses"), ("metrics", "busy-seconds")}
    refused = rows[REFUSED]
    # a digit of each record and metric, and three float32 with numpy's header of 128 bytes
    assert (refused.bytes, refused.messages, refused.dtype, refused.shape) == (
        2 * (20_000 + 100 + 128 + 12),
        2,
        "",
        "",
    )
    assert rows["feedback", "losses"].bytes == 2 * (128 + 8)


def test_what_the_server_sends_is_counted_as_it_is() -> None:
    ledger = Ledger(known_answers())
    ledger.add(1, TO_NODE, message(RecordDict({"bundle": ConfigRecord({"round": 12})})))
    assert [(record, key, count.bytes) for _, _, record, key, count in ledger.rows()] == [("bundle", "round", 2)]


def test_parameters_are_those_of_the_trainings_discriminator() -> None:
    ledger = Ledger(known_answers(["layers.0", "layers.1"]))
    arrays = {f"layers.{number}": Array(np.zeros(5, np.float32)) for number in range(9)}
    ledger.add(1, FROM_NODE, message(RecordDict({"discriminator": ArrayRecord(arrays)})))
    rows = [(record, key, count.bytes) for _, _, record, key, count in ledger.rows()]
    size = 128 + 20
    assert rows == [("discriminator", "layers.0", size), ("discriminator", "layers.1", size), (*REFUSED, 7 * size)]


def test_types_and_shapes_are_cut() -> None:
    ledger = Ledger(known_answers())
    array = Array(dtype="x" * 10**6, shape=(10**9,) * 10**5, stype="numpy.ndarray", data=b"")
    ledger.add(1, FROM_NODE, message(RecordDict({"feedback": ArrayRecord({"losses": array})})))
    ((*_, count),) = ledger.rows()
    assert (len(count.dtype), len(count.shape)) == (60, 60)
