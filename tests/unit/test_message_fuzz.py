"""Messages with anything wrong in them are read whole or refused with a ProtocolError; nothing else happens."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flower_dgan.data.label_maps import content_hash, pack, unpack
from flower_dgan.data.views import Views
from flower_dgan.errors import ProtocolError
from flower_dgan.gan.exchange import Answer, Feedback, Question
from flower_dgan.metrics.shared.feature_moments import Moments
from flower_dgan.resolve import resolve
from flower_dgan.wire.answer_message import Effort, read_answer, write_answer
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.join_messages import (
    JoinRequest,
    NodeDescription,
    label_maps_from_records,
    label_maps_to_records,
)
from flower_dgan.wire.masked_sum_messages import MaskedSumAnswer, MaskedSumRequest, Offer
from flower_dgan.wire.moments_messages import MomentsAnswer, MomentsRequest
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.question_message import Envelope, read_question, write_question
from flower_dgan.wire.score_messages import ScoreAnswer, ScoreRequest

SHAPE = BundleShape(samples=2, channels=1, image_size=4, image_format="uint8", feedback_format="float16")
UPLOAD = replace(SHAPE, feedback=False)
SHARED = replace(SHAPE, bundles=2, classes=2)
TRAINING = Training("0123456789abcdef", 1)
OFFER = Offer(b"i" * 32, b"k" * 32, b"s" * 64)
VIEWS = Views(np.zeros(2, np.int64), np.zeros((2, 4), np.int16))
ENVELOPE = Envelope(TRAINING, 3, 2, (1, 2))
EFFORT = Effort(1.0, 1.0, 9.0)
FEEDBACK = Feedback(torch.zeros(2), torch.zeros(SHAPE.images))
WEIGHTS = {"a": np.zeros(2, np.float32)}

PACKED = pack((np.zeros((3, 5), np.uint8), np.ones((4, 4), np.uint8)), 2)


KINDS: dict[str, tuple[Callable[[], RecordDict], Callable[[RecordDict], Any]]] = {
    "join": (lambda: JoinRequest(TRAINING, resolve("")).to_records(), JoinRequest.from_records),
    "description": (
        lambda: NodeDescription("breast", 2, (0, 1, 2), 2, True, "0" * 32, content_hash(PACKED)).to_records(),
        NodeDescription.from_records,
    ),
    "label maps request": (lambda: TRAINING.to_records("request"), partial(Training.from_records, name="request")),
    "label maps": (lambda: label_maps_to_records(PACKED), lambda content: unpack(label_maps_from_records(content))),
    "description without label maps": (
        lambda: NodeDescription(
            "breast", 2, (0, 1, 2), 2, True, "0" * 32, None, np.array([[3, 5], [4, 4]], np.int32)
        ).to_records(),
        partial(NodeDescription.from_records, label_maps_leave=False),
    ),
    "leave": (lambda: TRAINING.to_records("leave"), partial(Training.from_records, name="leave")),
    "bundle": (
        lambda: write_question(ENVELOPE, Question(torch.zeros(SHAPE.images), VIEWS), SHAPE),
        lambda content: read_question(content, SHAPE),
    ),
    "bundle with a discriminator": (
        lambda: write_question(
            ENVELOPE, Question(torch.zeros(SHAPE.images), VIEWS, weights=WEIGHTS, return_weights=True), SHAPE
        ),
        lambda content: read_question(content, SHAPE, {"a": (2,)}),
    ),
    "shared bundle": (
        lambda: write_question(
            ENVELOPE, Question(torch.zeros(SHARED.images), label_maps=np.zeros((4, 4, 4), "u1")), SHARED
        ),
        lambda content: read_question(content, SHARED),
    ),
    "change of weights": (
        lambda: write_answer(
            Answer(Feedback(torch.zeros(0), torch.zeros(UPLOAD.gradients)), 0.5, change=torch.arange(5.0)),
            EFFORT,
            "float16",
        ),
        lambda content: read_answer(content, UPLOAD, entries=5),
    ),
    "moments request": (
        lambda: MomentsRequest(TRAINING, 60, np.zeros(30, np.float32)).to_records(),
        lambda content: MomentsRequest.from_records(content, 30),
    ),
    "moments": (
        lambda: MomentsAnswer(Moments(60, torch.zeros(2).double(), torch.eye(2).double())).to_records(),
        lambda content: MomentsAnswer.from_records(content, 60, 2),
    ),
    "score request": (
        lambda: ScoreRequest(TRAINING, 3, np.zeros(30, np.float32)).to_records(),
        lambda content: ScoreRequest.from_records(content, 30),
    ),
    "sum key": (lambda: OFFER.to_records(), Offer.from_records),
    "masked sum request": (
        lambda: MaskedSumRequest(TRAINING, (OFFER,)).to_records(),
        MaskedSumRequest.from_records,
    ),
    "masked sum": (
        lambda: MaskedSumAnswer(np.zeros((2, 4), np.uint64)).to_records(),
        lambda content: MaskedSumAnswer.from_records(content, (2, 4)),
    ),
    "score": (lambda: ScoreAnswer(65).to_records(), ScoreAnswer.from_records),
    "feedback": (
        lambda: write_answer(Answer(FEEDBACK, 0.5), EFFORT, "float16"),
        lambda content: read_answer(content, SHAPE),
    ),
    "feedback with a discriminator": (
        lambda: write_answer(Answer(FEEDBACK, 0.5, weights=WEIGHTS), EFFORT, "float16"),
        lambda content: read_answer(content, SHAPE, {"a": (2,)}),
    ),
}

numbers = st.integers(-(2**63), 2**63 - 1) | st.floats()
values = (
    numbers | st.text(max_size=20) | st.binary(max_size=20) | st.booleans() | st.lists(st.integers(-9, 9), max_size=3)
)
dtypes = st.sampled_from(["uint8", "float16", "float32", "int16", "int64", "object", "<U9", "float31", ""])
shapes = st.lists(st.integers(-2, 2**40), max_size=4).map(tuple) | st.sampled_from([(2,), SHAPE.images, (2, 4), (0,)])


@st.composite
def any_array(draw: st.DrawFn) -> Array:
    honest = np.zeros(
        draw(st.sampled_from([(2,), SHAPE.images, (2, 4), (30,), ()])), draw(st.sampled_from(["f4", "u1"]))
    )
    data = draw(
        st.sampled_from([Array(honest).data, b"\x80\x04N.", b"\x93NUMPY\x01\x00\xff\xff"]) | st.binary(max_size=200)
    )
    cut = draw(st.integers(0, len(data)))
    stype = draw(st.sampled_from(["numpy.ndarray", "pickle", ""]))
    return Array(dtype=draw(dtypes), shape=draw(shapes), stype=stype, data=data[:cut] if draw(st.booleans()) else data)


def change(content: RecordDict, data: st.DataObject) -> None:
    """Change one thing: a record or a key less, more, or another value."""
    name = data.draw(st.sampled_from(sorted(content)))
    record = content[name]
    what = data.draw(st.sampled_from(["drop record", "new record", "swap record", "drop key", "new key", "new value"]))
    if what == "drop record":
        del content[name]
    elif what in ("new record", "swap record"):
        place = name if what == "swap record" else data.draw(st.text(max_size=8))
        content[place] = data.draw(st.sampled_from([ArrayRecord(), ConfigRecord(), MetricRecord()]))
    elif what == "drop key" and record:
        del record[data.draw(st.sampled_from(sorted(record)))]  # type: ignore[arg-type]
    elif record or what == "new key":
        key = data.draw(st.text(min_size=1, max_size=8) if what == "new key" else st.sampled_from(sorted(record)))
        kind = {ArrayRecord: any_array(), MetricRecord: numbers}.get(type(record), values)  # type: ignore[call-overload]
        record[key] = data.draw(kind)  # type: ignore[index]


def fuzz(kind: str, examples: int) -> None:
    make, read = KINDS[kind]
    outcomes = {"read": 0, "refused": 0}

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def run(data: st.DataObject) -> None:
        content = make()
        for _ in range(data.draw(st.integers(1, 3))):
            if content:
                change(content, data)
        try:
            read(content)
            outcomes["read"] += 1
        except ProtocolError:
            outcomes["refused"] += 1

    run()
    assert outcomes["refused"] > examples / 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_is_read_or_refused(kind: str) -> None:
    KINDS[kind][1](KINDS[kind][0]())
    fuzz(kind, 200)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_messages_are_read_or_refused(kind: str) -> None:
    fuzz(kind, 2500)
