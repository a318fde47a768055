"""Servers that read images: each makes what comes back an image, or a known function of one.

``PLAIN``: in the regime of plain gradients (a loss far below Adam's epsilon, and a rate that makes up for it) a step
adds rate * delta * x to each row of a first layer that sees the whole image x. With x~ = 0 the gradient that comes
back, a sum of rows, is then x times a number, whatever the layer began with.

``NAMED``: the gradient of a pixel loss is the sign of x~ - x at each pixel of the real image that the server names.
Each message halves the interval in which every pixel is.

``CHOSEN``: where the server chooses a discriminator's weights and gets them back (as swaps do), a first convolution
whose channels look at one place each has, after one step, the image's patches in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from flower_dgan.audit.attacked_node import AttackedNode, NodeRefusedError, shape_of
from flower_dgan.config import Config
from flower_dgan.data.views import Views
from flower_dgan.gan.exchange import Question
from flower_dgan.networks.build import discriminator_form
from flower_dgan.resolve import resolve
from flower_dgan.wire.answer_message import read_answer
from flower_dgan.wire.formats import decode_gradients

Images = NDArray[np.float64]
"""(images, channels, height, width), in [-1, 1]."""

_SERVER = (
    "data=folder partition=iid exchange=single exchange.rounds=1000 data.condition=none downstream=none "
    "data.augmentation=none data.foreground_windows=0 selection=last threads=1 device=cpu "
)
_GRADIENTS = f"{_SERVER} algorithm=dgan algorithm.loss=hinge model=small-all-sites "
ROWS_OF_PLAIN_GRADIENTS = (
    f"{_GRADIENTS} algorithm.discriminator_weight=1e-12 algorithm.discriminator_learning_rate=1e8 "
    "algorithm.betas=[0.0,0.0]"
)
WHOLE = f"{ROWS_OF_PLAIN_GRADIENTS} model.discriminator=mlp model.discriminator_width=16 exchange.batch_size=1"
WITHIN = (
    f"{_GRADIENTS} algorithm.discriminator_weight=0.01 algorithm.discriminator_learning_rate=0.002 "
    "algorithm.betas=[0.0,0.9] exchange.batch_size=4"
)
"""The nearest to the attack that the bounds of ``standard`` leave."""
NAMED = (
    f"{_SERVER} algorithm=dgan model=mlp model.discriminator_width=16 model.generator_width=16 allow_pixel_losses=true "
    "algorithm.l1_weight=100 exchange.batch_size=4"
)
CHOSEN = (
    f"{_SERVER} algorithm=mdgan algorithm.shared_batches=1 algorithm.swap_interval=1 model=small-all-sites "
    "algorithm.loss=hinge algorithm.discriminator_weight=1e-12 algorithm.discriminator_learning_rate=1e8 "
    "algorithm.betas=[0.0,0.0] exchange.batch_size=1 model.discriminator_width=4"
)
_UNSEEN = 0.01  # activation of the chosen network, whose score stays below the hinge


@dataclass(frozen=True)
class Read:
    """What an attack got out of a node.

    Attributes
    ----------
    images : float64 array (images, channels, height, width)
        None or more; what is no image at all is also there.
    refused : str
        The rule that stood against it; empty where the node answered.
    """

    images: Images
    refused: str = ""


def read_gradients(node: AttackedNode, overrides: str, form: tuple[int, int], messages: int) -> Read:
    """Ask about black synthetic images, and return what comes back, and its change from one message to the next.

    Parameters
    ----------
    node : AttackedNode
        In a training that is not begun.
    overrides : str
        Settings of the server's choice, such as :data:`WHOLE`.
    form : tuple of two ints
        Channels, and side in pixels, of the node's images.
    messages : int
        How many.
    """
    config = _of_form(overrides, form)
    samples, shape = config.exchange.batch_size, shape_of(config, 1, form[0])
    question = Question(torch.zeros(samples, *shape.images[1:]), _corners(samples))
    found = []
    try:
        node.join(config)
        for number in range(1, messages + 1):
            feedback = node.ask(number, question, shape).array_records["feedback"]
            found.append(decode_gradients(feedback["gradients"].numpy(), feedback["scales"].numpy()).double().numpy())
    except NodeRefusedError as error:
        return _nothing(form, error)
    read = np.concatenate(found)
    return Read(np.concatenate([read, np.diff(read, axis=0), read.mean(0)[None]]))


def read_by_halving(node: AttackedNode, form: tuple[int, int], messages: int = 9) -> Read:
    """Find each pixel of the first images, which the server names, by halving its interval with every message."""
    config = _of_form(NAMED, form)
    samples, shape = config.exchange.batch_size, shape_of(config, 1, form[0])
    middle, step = torch.zeros(samples, *shape.images[1:]), 0.5
    views = Views(np.arange(samples), np.zeros((samples, 4), np.int16))
    try:
        node.join(config)
        for number in range(1, messages + 1):
            feedback = node.ask(number, Question(middle, views), shape).array_records["feedback"]
            gradients = decode_gradients(feedback["gradients"].numpy(), feedback["scales"].numpy())
            middle, step = middle - step * gradients.sign(), step / 2
    except NodeRefusedError as error:
        return _nothing(form, error)
    return Read(middle.double().numpy())


def read_by_chosen_weights(node: AttackedNode, channels: int, messages: int = 4) -> Read:
    """Read windows of 4 x 4 pixels, of the default small network, one a message, from what a step adds to weights."""
    form = channels, 4
    config = _of_form(CHOSEN, form)
    shape = shape_of(config, 1, channels)
    network = discriminator_form(config, 1, channels).shapes
    chosen, found = _looking_at_places(network), []
    blank = np.zeros((len(torch.zeros(shape.images)), 4, 4), np.uint8)
    question = Question(torch.zeros(shape.images), label_maps=blank, weights=chosen, return_weights=True)
    try:
        node.join(config)
        for number in range(1, messages + 1):
            answer, _ = read_answer(node.ask(number, question, shape), shape, network)
            assert answer.weights is not None
            first = next(iter(network))
            found.append(_of_patches((answer.weights[first] - chosen[first])[:4, -channels:].astype(float)))
    except NodeRefusedError as error:
        return _nothing(form, error)
    return Read(np.stack(found))


def _looking_at_places(network: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """Return weights of ``flower_dgan.networks.small`` whose channel k hands on what place k of four says."""
    chosen = {name: np.zeros(shape, np.float32) for name, shape in network.items()}
    first, second, *later = [name for name in network if name.endswith("weight")]
    chosen[first.replace("weight", "bias")][:] = _UNSEEN
    for place in range(4):
        chosen[second][0, place, 1 + place // 2, 1 + place % 2] = 1  # beyond its border of one pixel
    for name in later:
        chosen[name][0, 0, 1, 1] = 1
    return chosen


def _of_patches(patches: Images) -> Images:
    """Put four patches of 4 x 4, (places, channels, 4, 4), each two pixels further, together to one image of 4 x 4."""
    total, times = np.zeros((patches.shape[1], 6, 6)), np.zeros((6, 6))
    for place, patch in enumerate(patches):
        top, left = 2 * (place // 2), 2 * (place % 2)
        total[:, top : top + 4, left : left + 4] += patch
        times[top : top + 4, left : left + 4] += 1
    image: Images = (total / times)[:, 1:5, 1:5]
    return image


def best_psnr(read: Images, images: Images) -> float:
    """Return the PSNR, in dB, of the image that is read best, with the best scale and offset, which are given."""
    return max((_psnr(one, image) for one in read for image in images), default=float("-inf"))


def psnr_of_the_mean(images: Images) -> float:
    """Return the same of a server that knows the mean of the images, and nothing else."""
    return best_psnr(images.mean(0)[None], images)


def _psnr(read: Images, image: Images) -> float:
    """Return 10 log10(4 / mse) of images in [-1, 1], after the least squares fit of scale and offset."""
    design = np.stack([read.ravel(), np.ones(read.size)], 1)
    fitted = design @ np.linalg.lstsq(design, image.ravel(), rcond=None)[0]
    return float(10 * np.log10(4 / max(np.square(fitted - image.ravel()).mean(), 1e-12)))


def _of_form(overrides: str, form: tuple[int, int]) -> Config:
    return resolve(f"{overrides} data.channels={form[0]} data.image_size={form[1]}")


def _corners(samples: int) -> Views:
    return Views(np.zeros(samples, np.int64), np.zeros((samples, 4), np.int16))


def _nothing(form: tuple[int, int], error: NodeRefusedError) -> Read:
    return Read(np.zeros((0, form[0], form[1], form[1])), error.rule)
