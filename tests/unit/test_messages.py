import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from flower_dgan.config import FeedbackFormat
from flower_dgan.data.label_maps import content_hash, pack
from flower_dgan.data.views import Views
from flower_dgan.errors import ProtocolError
from flower_dgan.gan.exchange import Answer, Feedback, Question
from flower_dgan.resolve import resolve
from flower_dgan.wire.answer_message import Effort, read_answer, write_answer
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.description import describe_training, read_description
from flower_dgan.wire.formats import decode_images, encode_images
from flower_dgan.wire.join_messages import (
    JoinRequest,
    NodeDescription,
    label_maps_from_records,
    label_maps_to_records,
)
from flower_dgan.wire.protocol import PROTOCOL_VERSION, Training
from flower_dgan.wire.question_message import Envelope, read_question, write_question
from flower_dgan.wire.records import pack_array, read_packed

TRAINING = Training("0123456789abcdef", 2)
SHAPE = BundleShape(samples=2, channels=1, image_size=4, image_format="uint8", feedback_format="float16")


ENVELOPE = Envelope(TRAINING, 7, 6, (3, 5))
EFFORT = Effort(busy_seconds=1.25, compute_seconds=0.75, peak_memory_mib=100.0)
PIXELS = np.arange(32, dtype=np.uint8).reshape(2, 1, 4, 4)
VIEWS = Views(np.array([0, 5]), np.array([[0, 1, 0, 0], [2, 3, 1, 270]], np.int16))


def question() -> Question:
    return Question(decode_images(PIXELS), VIEWS)


def bundle(asked: Question | None = None, envelope: Envelope = ENVELOPE, shape: BundleShape = SHAPE) -> RecordDict:
    return write_question(envelope, asked or question(), shape)


def digest(asked: Question, envelope: Envelope = ENVELOPE, shape: BundleShape = SHAPE) -> str:
    return read_question(bundle(asked, envelope, shape), shape)[0].digest


def answer() -> Answer:
    gradients = torch.full((2, 1, 4, 4), 0.25)
    gradients[1, 0, 0, 0] = -2.0
    return Answer(Feedback(torch.tensor([0.5, 1.5]), gradients), 0.7)


def feedback(said: Answer | None = None, feedback_format: FeedbackFormat = "float16") -> RecordDict:
    return write_answer(said or answer(), EFFORT, feedback_format)


PACKED = pack([np.eye(4, dtype=np.uint8), np.zeros((2, 3), np.uint8)], 2)


def description() -> NodeDescription:
    return NodeDescription("breast", 2, (0, 1, 2), 2, True, "a0" * 16, content_hash(PACKED))


def test_bundle_round_trip() -> None:
    envelope, read = read_question(bundle(), SHAPE)
    assert replace(envelope, digest="") == ENVELOPE
    torch.testing.assert_close(read.images, question().images, rtol=0, atol=0)
    np.testing.assert_array_equal(encode_images(read.images, "uint8"), PIXELS)
    assert read.views is not None
    np.testing.assert_array_equal(read.views.ids, [0, 5])
    np.testing.assert_array_equal(read.views.windows, VIEWS.windows)
    assert (read.views.colours, read.label_maps, read.weights, read.return_weights) == (None, None, None, False)


@pytest.mark.parametrize("wanted", [False, True])
def test_a_discriminator_may_travel_with_the_question_and_be_asked_for(wanted: bool) -> None:
    shapes = {"a": (2,), "b": (1, 1)}
    weights = {"a": np.array([0.5, -1], np.float32), "b": np.array([[2]], np.float32)}
    asked = replace(question(), weights=weights, return_weights=wanted)
    _, read = read_question(bundle(asked), SHAPE, shapes)
    assert read.weights is not None
    assert {name: value.tolist() for name, value in read.weights.items()} == {"a": [0.5, -1], "b": [[2]]}
    assert read.return_weights is wanted
    assert read_question(bundle(), SHAPE, shapes)[1].weights is None
    with pytest.raises(ProtocolError, match="discriminator"):
        read_question(bundle(asked), SHAPE)


def test_a_discriminator_comes_back_where_it_is_due() -> None:
    shapes = {"a": (2,)}
    read, _ = read_answer(feedback(replace(answer(), weights={"a": np.array([0.5, -1], np.float32)})), SHAPE, shapes)
    assert read.weights is not None
    assert read.weights["a"].tolist() == [0.5, -1]
    with pytest.raises(ProtocolError, match="discriminator"):
        read_answer(feedback(), SHAPE, shapes)
    with pytest.raises(ProtocolError, match="discriminator"):
        read_answer(feedback(replace(answer(), weights={"a": np.zeros(2, np.float32)})), SHAPE)


def test_feedback_round_trip() -> None:
    content = feedback()
    np.testing.assert_array_equal(content.array_records["feedback"]["scales"].numpy(), np.array([0.25, 2], np.float32))
    read, effort = read_answer(content, SHAPE)
    torch.testing.assert_close(read.feedback.gradients, answer().feedback.gradients, rtol=0, atol=0)
    torch.testing.assert_close(read.feedback.losses, torch.tensor([0.5, 1.5]), rtol=0, atol=0)
    assert (read.discriminator_loss, read.weights, read.change) == (0.7, None, None)
    assert effort == EFFORT


def test_join_round_trip() -> None:
    config = resolve("seed=3 algorithm=uagan")
    read = JoinRequest.from_records(JoinRequest(TRAINING, config).to_records())
    assert (read.training, read.config) == (TRAINING, read_description(describe_training(config)))
    assert (read.config.seed, read.config.algorithm) == (3, config.algorithm)
    assert NodeDescription.from_records(description().to_records()) == description()


def test_label_maps_round_trip() -> None:
    assert Training.from_records(TRAINING.to_records("request"), "request") == TRAINING
    read = label_maps_from_records(label_maps_to_records(PACKED))
    assert (read.data, read.shapes.tolist(), read.classes) == (PACKED.data, [[4, 4], [2, 3]], 2)


@pytest.mark.parametrize("announced", ["", "f" * 63, "F" * 64, "../../secret"])
def test_a_hash_that_is_none(announced: str) -> None:
    """Label maps are kept in a file of that name."""
    content = description().to_records()
    content.config_records["node"]["label-maps-hash"] = announced
    with pytest.raises(ProtocolError, match="announces the hash"):
        NodeDescription.from_records(content)


@pytest.mark.parametrize("token", ["", "a0" * 15, "A0" * 16, "../../secret", "a0" * 17])
def test_a_token_that_is_none(token: str) -> None:
    content = description().to_records()
    content.config_records["node"]["token"] = token
    with pytest.raises(ProtocolError, match="a node with a token that is none"):
        NodeDescription.from_records(content)


def test_where_label_maps_stay_their_sizes_travel_and_nothing_else_of_them_is_read() -> None:
    sizes = np.array([[4, 4], [2, 3]], np.int32)
    sent = NodeDescription("breast", 2, (0, 1, 2), 2, True, "a0" * 16, None, sizes).to_records()
    read = NodeDescription.from_records(sent, label_maps_leave=False)
    assert (read.classes, read.label_maps_hash) == (2, None)
    assert read.sizes is not None
    assert read.sizes.tolist() == [[4, 4], [2, 3]]
    with pytest.raises(ProtocolError, match=r"records \['images', 'node'\]"):
        NodeDescription.from_records(sent)
    with pytest.raises(ProtocolError, match=r"records \['node'\]"):
        NodeDescription.from_records(description().to_records(), label_maps_leave=False)


@pytest.mark.parametrize("classes", [0, 257])
def test_numbers_of_classes_are_bounded(classes: int) -> None:
    content = description().to_records()
    content.config_records["node"]["classes"] = classes
    with pytest.raises(ProtocolError, match=f"{classes} classes"):
        NodeDescription.from_records(content)


def change(record: str, key: str, value: object) -> Callable[[RecordDict], None]:
    def apply(content: RecordDict) -> None:
        content[record][key] = value  # type: ignore[index,assignment]

    return apply


def add(name: str, record: ArrayRecord | ConfigRecord | MetricRecord) -> Callable[[RecordDict], None]:
    def apply(content: RecordDict) -> None:
        content[name] = record

    return apply


def lying_array(dtype: str, shape: tuple[int, ...], actual: np.ndarray) -> Array:
    return Array(dtype=dtype, shape=shape, stype="numpy.ndarray", data=Array(actual).data)


FEEDBACK_ATTACKS = {
    "real image on board": (add("images", ArrayRecord({"real": Array(np.zeros(3, np.uint8))})), "images"),
    "extra key": (change("feedback", "weights", Array(np.zeros(3, np.float32))), "weights"),
    "extra metric": (change("metrics", "labels", 1.0), "labels"),
    "another record type": (add("metrics", ConfigRecord({"busy-seconds": 1.0})), "not a MetricRecord"),
    "NaN": (change("feedback", "losses", Array(np.array([np.nan, 1], np.float32))), "not finite"),
    "infinite gradient": (
        change("feedback", "gradients", Array(np.full((2, 1, 4, 4), np.inf, np.float16))),
        "not finite",
    ),
    "NaN gradient": (
        change("feedback", "gradients", Array(np.full((2, 1, 4, 4), np.nan, np.float16))),
        "not finite",
    ),
    "infinite loss": (change("feedback", "losses", Array(np.array([-np.inf, 1], np.float32))), "not finite"),
    "NaN scale": (change("feedback", "scales", Array(np.array([1, np.nan], np.float32))), "not finite"),
    "infinite scale": (change("feedback", "scales", Array(np.array([1, np.inf], np.float32))), "not finite"),
    "negative scale": (change("feedback", "scales", Array(np.array([1, -1], np.float32))), "negative scales"),
    "gradient that its scale makes infinite": (
        change("feedback", "gradients", Array(np.full((2, 1, 4, 4), -1.001, np.float16))),
        "gradients beyond 1",
    ),
    "negative time": (change("metrics", "busy-seconds", -1e308), "'busy-seconds' is -1e.308, not finite and in 0 .. "),
    "time of ages": (change("metrics", "compute-seconds", 1e9), "'compute-seconds' is 1000000000.0"),
    "negative memory": (change("metrics", "peak-memory-mib", -0.5), "'peak-memory-mib' is -0.5"),
    "loss that no float32 has": (change("metrics", "discriminator-loss", 1e39), "'discriminator-loss' is 1e.39"),
    "NaN metric": (change("metrics", "discriminator-loss", float("nan")), "not finite"),
    "metric of another type": (change("metrics", "discriminator-loss", 3), "not of type float"),
    "another shape": (change("feedback", "gradients", Array(np.zeros((2, 1, 4, 5), np.float16))), r"\(2, 1, 4, 5\)"),
    "another dtype": (change("feedback", "gradients", Array(np.zeros((2, 1, 4, 4), np.float32))), "float32"),
    "header of another dtype": (
        change("feedback", "losses", lying_array("float32", (2,), np.zeros(1, np.float64))),
        "header",
    ),
    "header of another shape": (
        change("feedback", "losses", lying_array("float32", (2,), np.zeros((1, 2), np.float32))),
        "header",
    ),
    "no array at all": (
        change("feedback", "losses", Array(dtype="float32", shape=(2,), stype="numpy.ndarray", data=b"\x80\x04" * 9)),
        "cannot be read",
    ),
    "more bytes than announced": (
        change("feedback", "losses", lying_array("float32", (2,), np.zeros(9999, np.float32))),
        "bytes where",
    ),
    "another serialisation": (
        change(
            "feedback",
            "losses",
            Array(dtype="float32", shape=(2,), stype="pickle", data=Array(np.zeros(2, np.float32)).data),
        ),
        "cannot be read",
    ),
}


@pytest.mark.parametrize("name", FEEDBACK_ATTACKS)
def test_feedback_that_breaks_the_protocol_is_refused(name: str) -> None:
    attack, reason = FEEDBACK_ATTACKS[name]
    content = feedback()
    attack(content)
    with pytest.raises(ProtocolError, match=reason):
        read_answer(content, SHAPE)


def test_a_scale_that_makes_bytes_infinite_is_refused() -> None:
    """By rounding: the largest float32 divided by 127 and multiplied by it again."""
    largest = float(np.finfo(np.float32).max)
    for scale, fits in ((largest, False), (largest / 2, True)):
        content, shape = feedback(feedback_format="int8"), replace(SHAPE, feedback_format="int8")
        content["feedback"]["gradients"] = pack_array(np.full((2, 1, 4, 4), -127, np.int8))
        content["feedback"]["scales"] = Array(np.array([0.0, scale], np.float32))
        if fits:
            read, _ = read_answer(content, shape)
            assert read.feedback.gradients.isfinite().all()
        else:
            with pytest.raises(ProtocolError, match="not finite once they are multiplied by their scales"):
                read_answer(content, shape)


@pytest.mark.parametrize("missing", ["feedback", "metrics"])
def test_feedback_without_a_record_is_refused(missing: str) -> None:
    content = feedback()
    del content[missing]
    with pytest.raises(ProtocolError, match="records"):
        read_answer(content, SHAPE)


def test_another_protocol_version_is_named_first() -> None:
    content = bundle()
    content["bundle"] = ConfigRecord({"protocol-version": PROTOCOL_VERSION + 1, "new-setting": True})
    with pytest.raises(ProtocolError, match="protocol version 14 meets version 13: install the same flower-dgan"):
        read_question(content, SHAPE)
    request = JoinRequest(TRAINING, resolve("")).to_records()
    request.config_records["join"]["protocol-version"] = 99
    with pytest.raises(ProtocolError, match="protocol version 99"):
        JoinRequest.from_records(request)
    answer = description().to_records()
    del answer.config_records["node"]["protocol-version"]
    with pytest.raises(ProtocolError, match="protocol version None"):
        NodeDescription.from_records(answer)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("training", "../../etc", "a training named '../../etc'"),
        ("training", 7, "'training' is '7', not of type str"),
        ("attempt", "1", "not of type int"),
        ("returns", [1, 2, 3], r"a list of rounds \[1, 2, 3\]"),
        ("returns", [1.5], r"a list of rounds \[1.5\]"),
    ],
)
def test_bundle_of_no_training_is_refused(key: str, value: object, reason: str) -> None:
    content = bundle()
    content["bundle"][key] = value  # type: ignore[index,assignment]
    with pytest.raises(ProtocolError, match=reason):
        read_question(content, SHAPE)


def test_digest_is_that_of_what_is_asked() -> None:
    first = digest(question())
    again = replace(ENVELOPE, training=replace(TRAINING, attempt=3), answered=1, returns=())
    assert digest(question(), again) == first
    pixels = PIXELS.copy()
    pixels[1, 0, 3, 3] ^= 1
    others = [
        replace(question(), images=decode_images(pixels)),
        replace(question(), views=Views(VIEWS.ids + 1, VIEWS.windows)),
        replace(question(), views=Views(VIEWS.ids, VIEWS.windows + np.int16(1))),
        replace(question(), return_weights=True),
    ]
    assert len({first, *map(digest, others)}) == 5


def test_bundle_with_label_maps_round_trip() -> None:
    """Two samples to train on and two to judge, with the label maps of all four."""
    shape = replace(SHAPE, bundles=2, classes=3)
    label_maps = np.arange(64, dtype=np.uint8).reshape(4, 4, 4) % 3
    images = np.arange(64, dtype=np.uint8).reshape(4, 1, 4, 4)
    asked = Question(decode_images(images), label_maps=label_maps)
    _, read = read_question(bundle(asked, shape=shape), shape)
    assert (read.label_maps is not None, read.views) == (True, None)
    np.testing.assert_array_equal(read.label_maps, label_maps)
    np.testing.assert_array_equal(encode_images(read.images, "uint8"), images)
    assert digest(asked, shape=shape) != digest(replace(asked, label_maps=2 - label_maps), shape=shape)
    with pytest.raises(ProtocolError, match="records"):
        read_question(bundle(asked, shape=shape), replace(shape, classes=0))
    with pytest.raises(ProtocolError, match="class 2 of 2"):
        read_question(bundle(asked, shape=shape), replace(shape, classes=2))
    with pytest.raises(ProtocolError, match="label-maps"):
        read_question(bundle(replace(asked, label_maps=None), shape=shape), shape)


def test_label_maps_that_stay_with_the_clients_do_not_travel() -> None:
    asked = replace(question(), label_maps=np.zeros((2, 4, 4), np.uint8))
    assert set(bundle(asked).array_records["synthetic"]) == {"images"}
    assert read_question(bundle(asked), SHAPE)[1].label_maps is None


@pytest.mark.parametrize(
    ("overrides", "views"),
    [
        ("data.augmentation=all", True),
        ("data.augmentation=all allow_pixel_losses=true algorithm.l1_weight=1", True),
        ("algorithm=uagan", False),
        ("data.label_maps=/maps", False),
    ],
)
def test_views_travel_where_they_name_label_maps(overrides: str, views: bool) -> None:
    assert BundleShape.of(resolve(f"data.channels=3 {overrides}"), 2).views == views


def test_bundle_with_a_foreign_record_is_refused() -> None:
    content = bundle()
    content["code"] = ConfigRecord({"run": "me"})
    with pytest.raises(ProtocolError, match="code"):
        read_question(content, SHAPE)


def test_synthetic_images_out_of_range_are_refused() -> None:
    shape = BundleShape(2, 1, 4, "float32", "float32")
    for level, fits in ((1.0, True), (-1.0, True), (1.5, False), (-1.5, False)):
        content = bundle(replace(question(), images=torch.full((2, 1, 4, 4), level)), shape=shape)
        if fits:
            torch.testing.assert_close(read_question(content, shape)[1].images, torch.full((2, 1, 4, 4), level))
        else:
            with pytest.raises(ProtocolError, match=r"outside \[-1, 1\]"):
                read_question(content, shape)


def deflated(data: bytes) -> Array:
    return Array(np.frombuffer(zlib.compress(data), np.uint8))


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (deflated(bytes(31)), "does not inflate to"),
        (deflated(bytes(33)), "does not inflate to"),
        (deflated(bytes(10**8)), "bytes where"),  # a bomb that is large itself
        (deflated(bytes(10**6)), "does not inflate to"),  # one that is small
        (Array(np.frombuffer(zlib.compress(bytes(32)) + b"more", np.uint8)), "does not inflate to"),
        (Array(np.frombuffer(zlib.compress(bytes(32))[:-5], np.uint8)), "does not inflate to"),
        (Array(np.arange(20, dtype=np.uint8)), "cannot be inflated"),
        (Array(np.zeros((2, 1, 4, 4), np.uint8)), "deflated, is due"),
        (Array(np.zeros(20, np.float32)), "float32"),
    ],
)
def test_what_does_not_inflate_to_the_announced_size_is_refused(images: Array, reason: str) -> None:
    content = bundle()
    content.array_records["synthetic"]["images"] = images
    with pytest.raises(ProtocolError, match=reason):
        read_question(content, SHAPE)


def test_eight_bit_feedback_round_trip() -> None:
    shape = replace(SHAPE, feedback_format="int8")
    gradients = torch.arange(-16.0, 16.0).reshape(2, 1, 4, 4)
    gradients[:, 0, 0, 0] = 127
    content = feedback(replace(answer(), feedback=Feedback(torch.zeros(2), gradients)), "int8")
    sent = read_packed(content.array_records["feedback"]["gradients"], "int8", (2, 1, 4, 4))
    np.testing.assert_array_equal(sent, gradients.numpy())
    assert sent.dtype == np.int8
    read, _ = read_answer(content, shape)
    torch.testing.assert_close(read.feedback.gradients, gradients, rtol=0, atol=0)


def change_of_weights(*values: float) -> Answer:
    """Return an answer that brings a change instead of feedback."""
    return Answer(Feedback(torch.zeros(0), torch.zeros(0, 1, 4, 4)), 0.7, change=torch.tensor(values))


@pytest.mark.parametrize("feedback_format", ["float32", "float16", "int8"])
def test_change_round_trip(feedback_format: FeedbackFormat) -> None:
    shape = replace(SHAPE, feedback=False, feedback_format=feedback_format)
    read, _ = read_answer(feedback(change_of_weights(0.5, 0.0, -2.0), feedback_format), shape, entries=3)
    assert read.change is not None
    assert read.change.tolist() == [0.5, 0.0, -2.0]
    assert (read.feedback.losses.shape, read.feedback.gradients.shape) == ((0,), (0, 1, 4, 4))
    assert read_answer(feedback(), SHAPE)[0].change is None


def test_a_change_with_few_entries_takes_few_bytes() -> None:
    change = np.zeros(10_000, np.float32)
    change[::10] = np.random.default_rng(0).normal(size=1000)
    content = feedback(replace(change_of_weights(), change=torch.from_numpy(change)))
    assert len(content.array_records["change"]["entries"].data) < 0.2 * change.nbytes


def test_feedback_and_change_do_not_stand_in_for_each_other() -> None:
    shape = replace(SHAPE, feedback=False)
    with pytest.raises(ProtocolError, match="change"):
        read_answer(feedback(change_of_weights(1.0)), SHAPE)
    with pytest.raises(ProtocolError, match="change"):
        read_answer(feedback(), shape, entries=3)
    with pytest.raises(ProtocolError, match=r"\(0, 1, 4, 4\)"):
        read_answer(feedback(replace(answer(), change=torch.ones(3))), shape, entries=3)
    with pytest.raises(ProtocolError, match="does not inflate to"):
        read_answer(feedback(change_of_weights(1.0, 2.0)), shape, entries=3)
    for value in (np.nan, np.inf):
        with pytest.raises(ProtocolError, match="not finite"):
            read_answer(feedback(change_of_weights(1.0, value, 0.0)), shape, entries=3)


def test_incompressible_images_round_trip() -> None:
    shape = BundleShape(64, 3, 32, "uint8", "float16")
    images = np.random.default_rng(0).integers(0, 256, shape.images, dtype=np.uint8)
    views = Views(np.zeros(64, np.int64), np.zeros((64, 4), np.int16))
    _, read = read_question(bundle(Question(decode_images(images), views), shape=shape), shape)
    np.testing.assert_array_equal(encode_images(read.images, "uint8"), images)


def test_absurd_sizes_are_refused_before_memory_is_taken() -> None:
    answer = description().to_records()
    answer.config_records["node"]["images"] = 10**12
    with pytest.raises(ProtocolError, match="1000000000000 images"):
        NodeDescription.from_records(answer)
