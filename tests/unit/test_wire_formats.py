import numpy as np
import pytest
import torch

from flower_dgan.config import FeedbackFormat
from flower_dgan.wire.formats import decode_gradients, decode_images, encode_gradients, encode_images


def test_uint8_images_round_to_the_nearest_level() -> None:
    images = torch.tensor([-1.0, -0.9970, 0.0, 0.5, 1.0])
    encoded = encode_images(images, "uint8")
    # (x + 1) 127.5 = 0, 0.38, 127.5 (half to even), 191.25, 255
    np.testing.assert_array_equal(encoded, np.array([0, 0, 128, 191, 255], np.uint8))
    torch.testing.assert_close(
        decode_images(encoded), torch.tensor([-1.0, -1.0, 128 / 127.5 - 1, 191 / 127.5 - 1, 1.0])
    )


def test_float32_images_are_exact() -> None:
    images = torch.rand(2, 3) * 2 - 1
    torch.testing.assert_close(decode_images(encode_images(images, "float32")), images, rtol=0, atol=0)


def test_int8_feedback_has_a_scale_for_each_sample() -> None:
    gradients = torch.tensor([[[[1.0, -0.5, 0.004]]], [[[0.0, 0.0, 0.0]]], [[[2e-9, 1e-9, 0.0]]]])
    encoded, scales = encode_gradients(gradients, "int8")
    np.testing.assert_array_equal(encoded.reshape(3, 3), np.array([[127, -64, 1], [0, 0, 0], [127, 64, 0]], np.int8))
    np.testing.assert_allclose(scales, [1.0, 0.0, 2e-9])
    expected = torch.tensor([[1.0, -64 / 127, 1 / 127], [0.0, 0.0, 0.0], [2e-9, 2e-9 * 64 / 127, 0.0]])
    torch.testing.assert_close(decode_gradients(encoded, scales).reshape(3, 3), expected)


@pytest.mark.parametrize(("feedback_format", "tolerance"), [("float32", 0.0), ("float16", 6e-4), ("int8", 0.5 / 127)])
def test_feedback_survives_at_any_magnitude(feedback_format: FeedbackFormat, tolerance: float) -> None:
    torch.manual_seed(0)
    gradients = torch.randn(4, 1, 8, 8) * torch.tensor([1e-12, 1e-6, 1.0, 1e6])[:, None, None, None]
    decoded = decode_gradients(*encode_gradients(gradients, feedback_format))
    largest = gradients.abs().flatten(1).amax(1)
    assert ((decoded - gradients).abs().flatten(1).amax(1) <= tolerance * largest).all()
    assert (decoded.abs().flatten(1).amax(1) > 0.99 * largest).all()
