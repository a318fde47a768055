import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from flower_dgan.wire.bundle_message import BundleMessage
from flower_dgan.wire.feedback_message import FeedbackMessage
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from flower_dgan.config import FeedbackFormat
from flower_dgan.data.label_maps import content_hash, pack
from flower_dgan.data.views import Views
from flower_dgan.errors import ProtocolError
from flower_dgan.resolve import resolve
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.description import describe_training, read_description
from flower_dgan.wire.formats import decode_gradients
from flower_dgan.wire.join_messages import (
    JoinRequest,
    NodeDescription,
    label_maps_from_records,
    label_maps_to_records,
)
from flower_dgan.wire.protocol import PROTOCOL_VERSION, Training

TRAINING = Training("0123456789abcdef", 2)
SHAPE = BundleShape(samples=2, channels=1, image_size=4, image_format="uint8", feedback_format="float16")


def bundle() -> BundleMessage:
    views = Views(np.array([0, 5]), np.array([[0, 1, 0, 0], [2, 3, 1, 270]], np.int16))
    return BundleMessage(TRAINING, 7, 6, (3, 5), views, np.arange(32, dtype=np.uint8).reshape(2, 1, 4, 4))


def feedback() -> FeedbackMessage:
    return FeedbackMessage(
        losses=np.array([0.5, 1.5], np.float32),
        gradients=np.full((2, 1, 4, 4), 0.25, np.float16),
        scales=np.array([1.0, 2.0], np.float32),
        discriminator_loss=0.7,
        busy_seconds=1.25,
        compute_seconds=0.75,
        peak_memory_mib=100.0,
    )


PACKED = pack([np.eye(4, dtype=np.uint8), np.zeros((2, 3), np.uint8)], 2)


def description() -> NodeDescription:
    return NodeDescription("breast", 2, (0, 1, 2), 2, True, "a0" * 16, content_hash(PACKED))


def test_bundle_round_trip() -> None:
    read = BundleMessage.from_records(bundle().to_records(), SHAPE)
    assert read.round_number == 7
    np.testing.assert_array_equal(read.images, bundle().images)
    np.testing.assert_array_equal(read.views.ids, [0, 5])
    np.testing.assert_array_equal(read.views.windows, bundle().views.windows)
    assert read.views.colours is None


def test_colours_round_trip_where_they_are_due() -> None:
    colours = np.array([[0, 0, 0, 0], [20, -20, 7, -5]], np.int8)
    message, shape = replace(bundle(), views=replace(bundle().views, colours=colours)), replace(SHAPE, colours=True)
    read = BundleMessage.from_records(message.to_records(), shape)
    np.testing.assert_array_equal(read.views.colours, colours)
    other = replace(message, views=replace(message.views, colours=colours[::-1]))
    assert len({each.digest() for each in (bundle(), message, other)}) == 3
    for content, due in ((message.to_records(), SHAPE), (bundle().to_records(), shape)):
        with pytest.raises(ProtocolError, match="colours"):
            BundleMessage.from_records(content, due)


def test_feedback_round_trip() -> None:
    read = FeedbackMessage.from_records(feedback().to_records(), SHAPE)
    np.testing.assert_array_equal(read.gradients, feedback().gradients)
    np.testing.assert_array_equal(read.losses, [0.5, 1.5])
    np.testing.assert_array_equal(read.scales, [1.0, 2.0])
    assert (read.discriminator_loss, read.busy_seconds, read.peak_memory_mib) == (0.7, 1.25, 100.0)
    assert read.compute_seconds == 0.75


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
    content = feedback().to_records()
    attack(content)
    with pytest.raises(ProtocolError, match=reason):
        FeedbackMessage.from_records(content, SHAPE)


def test_a_scale_that_makes_bytes_infinite_is_refused() -> None:
    """By rounding: the largest float32 divided by 127 and multiplied by it again."""
    largest = float(np.finfo(np.float32).max)
    for scale, fits in ((largest, False), (largest / 2, True)):
        message = replace(
            feedback(), gradients=np.full((2, 1, 4, 4), -127, np.int8), scales=np.array([0.0, scale], np.float32)
        )
        content, shape = message.to_records(), replace(SHAPE, feedback_format="int8")
        if fits:
            read = FeedbackMessage.from_records(content, shape)
            assert torch.isfinite(decode_gradients(read.gradients, read.scales)).all()
        else:
            with pytest.raises(ProtocolError, match="not finite once they are multiplied by their scales"):
                FeedbackMessage.from_records(content, shape)


@pytest.mark.parametrize("missing", ["feedback", "metrics"])
def test_feedback_without_a_record_is_refused(missing: str) -> None:
    content = feedback().to_records()
    del content[missing]
    with pytest.raises(ProtocolError, match="records"):
        FeedbackMessage.from_records(content, SHAPE)


def test_another_protocol_version_is_named_first() -> None:
    content = bundle().to_records()
    content["bundle"] = ConfigRecord({"protocol-version": PROTOCOL_VERSION + 1, "new-setting": True})
    with pytest.raises(ProtocolError, match="protocol version 10 meets version 9: install the same flower-dgan"):
        BundleMessage.from_records(content, SHAPE)
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
    content = bundle().to_records()
    content["bundle"][key] = value  # type: ignore[index,assignment]
    with pytest.raises(ProtocolError, match=reason):
        BundleMessage.from_records(content, SHAPE)


def test_digest_is_that_of_what_is_asked() -> None:
    first = bundle()
    again = replace(first, training=replace(TRAINING, attempt=3), answered=1, returns=())
    assert again.digest() == first.digest()
    images = first.images.copy()
    images[1, 0, 3, 3] ^= 1
    ids = Views(first.views.ids + 1, first.views.windows)
    assert len({first.digest(), replace(first, images=images).digest(), replace(first, views=ids).digest()}) == 3


def test_bundle_with_label_maps_round_trip() -> None:
    """Two samples to train on and two to judge, with the label maps of all four."""
    shape = replace(SHAPE, separate=True, classes=3)
    label_maps = np.arange(64, dtype=np.uint8).reshape(4, 4, 4) % 3
    images = np.arange(64, dtype=np.uint8).reshape(4, 1, 4, 4)
    message = replace(bundle(), images=images, label_maps=label_maps, views=None)
    read = BundleMessage.from_records(message.to_records(), shape)
    assert read.label_maps is not None
    assert read.views is None
    np.testing.assert_array_equal(read.label_maps, label_maps)
    np.testing.assert_array_equal(read.images, images)
    assert read.digest() == message.digest() != replace(message, label_maps=2 - label_maps).digest()
    with pytest.raises(ProtocolError, match=r"records \['bundle', 'synthetic'\] where .*'views'\] are allowed"):
        BundleMessage.from_records(message.to_records(), replace(shape, classes=0))
    with pytest.raises(ProtocolError, match=r"'views'\] where \['bundle', 'synthetic'\] are allowed"):
        BundleMessage.from_records(replace(message, views=bundle().views).to_records(), shape)
    with pytest.raises(ProtocolError, match="class 2 of 2"):
        BundleMessage.from_records(message.to_records(), replace(shape, classes=2))
    with pytest.raises(ProtocolError, match="label-maps"):
        BundleMessage.from_records(replace(message, label_maps=None).to_records(), shape)


@pytest.mark.parametrize(
    ("overrides", "views", "colours"),
    [
        ("data.augmentation=flips", True, False),
        ("data.augmentation=all", True, False),
        ("data.augmentation=all allow_pixel_losses=true algorithm.l1_weight=1", True, True),
        ("data.augmentation=colour allow_pixel_losses=true algorithm.perceptual_weight=1", True, True),
        ("data.augmentation=flips allow_pixel_losses=true algorithm.l1_weight=1", True, False),
        ("data.augmentation=all algorithm=uagan", False, False),
        ("data.augmentation=all data.label_maps=/maps", False, False),
    ],
)
def test_views_travel_where_they_name_label_maps_and_colours_for_pixel_losses(
    overrides: str, views: bool, colours: bool
) -> None:
    shape = BundleShape.of(resolve(f"data.channels=3 {overrides}"), 2)
    assert (shape.views, shape.colours) == (views, colours)


def test_bundle_with_a_foreign_record_is_refused() -> None:
    content = bundle().to_records()
    content["code"] = ConfigRecord({"run": "me"})
    with pytest.raises(ProtocolError, match="code"):
        BundleMessage.from_records(content, SHAPE)


def test_synthetic_images_out_of_range_are_refused() -> None:
    shape = BundleShape(2, 1, 4, "float32", "float32")
    message = BundleMessage(TRAINING, 1, 0, (), bundle().views, np.full((2, 1, 4, 4), 1.5, np.float32))
    with pytest.raises(ProtocolError, match=r"outside \[-1, 1\]"):
        BundleMessage.from_records(message.to_records(), shape)


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
    content = bundle().to_records()
    content.array_records["synthetic"]["images"] = images
    with pytest.raises(ProtocolError, match=reason):
        BundleMessage.from_records(content, SHAPE)


def test_eight_bit_feedback_round_trip() -> None:
    shape = replace(SHAPE, feedback_format="int8")
    gradients = np.arange(-16, 16, dtype=np.int8).reshape(2, 1, 4, 4)
    content = replace(feedback(), gradients=gradients).to_records()
    read = FeedbackMessage.from_records(content, shape)
    np.testing.assert_array_equal(read.gradients, gradients)
    assert read.gradients.dtype == np.int8


def change_of_weights(*values: float) -> FeedbackMessage:
    """Return an answer that brings a change instead of feedback."""
    empty = np.zeros(0, np.float32)
    gradients = np.zeros((0, 1, 4, 4), np.float16)
    return replace(feedback(), losses=empty, gradients=gradients, scales=empty, change=np.array(values, np.float32))


@pytest.mark.parametrize("feedback_format", ["float32", "float16", "int8"])
def test_change_round_trip(feedback_format: FeedbackFormat) -> None:
    shape = replace(SHAPE, feedback=False, feedback_format=feedback_format)
    sent = change_of_weights(0.5, 0.0, -2.0)
    sent = replace(sent, gradients=sent.gradients.astype(feedback_format))
    read = FeedbackMessage.from_records(sent.to_records(), shape, entries=3)
    np.testing.assert_array_equal(read.change, [0.5, 0.0, -2.0])
    assert (read.losses.shape, read.gradients.shape, read.scales.shape) == ((0,), (0, 1, 4, 4), (0,))
    assert len(FeedbackMessage.from_records(feedback().to_records(), SHAPE).change) == 0


def test_a_change_with_few_entries_takes_few_bytes() -> None:
    change = np.zeros(10_000, np.float32)
    change[::10] = np.random.default_rng(0).normal(size=1000)
    content = replace(change_of_weights(), change=change).to_records()
    assert len(content.array_records["change"]["entries"].data) < 0.2 * change.nbytes


def test_feedback_and_change_do_not_stand_in_for_each_other() -> None:
    shape = replace(SHAPE, feedback=False)
    with pytest.raises(ProtocolError, match="change"):
        FeedbackMessage.from_records(change_of_weights(1.0).to_records(), SHAPE)
    with pytest.raises(ProtocolError, match="change"):
        FeedbackMessage.from_records(feedback().to_records(), shape, entries=3)
    with pytest.raises(ProtocolError, match=r"\(0, 1, 4, 4\)"):
        FeedbackMessage.from_records(replace(feedback(), change=np.ones(3, np.float32)).to_records(), shape, entries=3)
    with pytest.raises(ProtocolError, match="does not inflate to"):
        FeedbackMessage.from_records(change_of_weights(1.0, 2.0).to_records(), shape, entries=3)
    for value in (np.nan, np.inf):
        with pytest.raises(ProtocolError, match="not finite"):
            FeedbackMessage.from_records(change_of_weights(1.0, value, 0.0).to_records(), shape, entries=3)


def test_incompressible_images_round_trip() -> None:
    shape = BundleShape(64, 3, 32, "uint8", "float16")
    images = np.random.default_rng(0).integers(0, 256, shape.images, dtype=np.uint8)
    views = Views(np.zeros(64, np.int64), np.zeros((64, 4), np.int16))
    read = BundleMessage.from_records(BundleMessage(TRAINING, 1, 0, (), views, images).to_records(), shape)
    np.testing.assert_array_equal(read.images, images)


def test_absurd_sizes_are_refused_before_memory_is_taken() -> None:
    answer = description().to_records()
    answer.config_records["node"]["images"] = 10**12
    with pytest.raises(ProtocolError, match="1000000000000 images"):
        NodeDescription.from_records(answer)
