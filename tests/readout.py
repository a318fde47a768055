"""A server that reads images: it lets one step write them into a discriminator, and takes them out of its gradients.

In the regime of plain gradients a step adds rate * delta * x to each row of a first layer that sees the whole image x.
With x~ = 0 the gradient that comes back, a sum of rows, is then x times a number, whatever the layer began with.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from flower_dgan.data.views import Views
from flower_dgan.gan.exchange import Question
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.formats import decode_gradients
from flower_dgan.wire.question_message import EXCHANGE, Envelope, write_question
from flower_dgan.wire.refusals import Refusal
from tests.clinic import FIRST, Clinic

Images = NDArray[np.float64]

ROWS_OF_PLAIN_GRADIENTS = (
    "algorithm=dgan exchange=single exchange.rounds=1000 data.condition=none downstream=none model=small-all-sites "
    "algorithm.discriminator_weight=1e-12 algorithm.discriminator_learning_rate=1e8 algorithm.betas=[0.0,0.0] "
    "algorithm.loss=hinge data.augmentation=none"
)


@dataclass
class Reader:
    """What a server gets out of a node that has so many images of one channel, in [-1, 1]."""

    clinic: Clinic
    images: Images

    def read(self, overrides: str, messages: int) -> tuple[Images, Refusal | None]:
        """Return what came back, (messages x samples, height, width), and what the node refused, if it did."""
        size = self.images.shape[-1]
        reply = self.clinic.join(f"{overrides} data.channels=1 data.image_size={size}")
        if reply.has_error():
            return np.zeros((0, size, size)), self.clinic.refusal(reply)
        config, found = self.clinic.config, []
        samples = config.exchange.exchanges * config.exchange.batch_size
        shape = replace(BundleShape.of(config, 1), channels=1)
        for number in range(1, messages + 1):
            views = Views(np.zeros(samples, np.int64), np.zeros((samples, 4), np.int16))
            question = Question(torch.zeros(samples, 1, size, size), views)
            content = write_question(Envelope(FIRST, number, number - 1, ()), question, shape)
            reply = self.clinic.send(content, EXCHANGE)
            if reply.has_error():
                return np.zeros((0, size, size)), self.clinic.refusal(reply)
            feedback = reply.content.array_records["feedback"]
            gradients = decode_gradients(feedback["gradients"].numpy(), feedback["scales"].numpy())
            found.append(gradients.double().numpy()[:, 0])
        return np.concatenate(found), None

    def best_psnr(self, read: Images) -> float:
        """Return the PSNR, in dB, of the image that is read best, with the best scale and offset, which are given."""
        return max(max(psnr(one, image) for one in read) for image in self.images)

    def psnr_of_the_mean(self) -> float:
        """Return the same of a server that knows the mean of the images, and nothing else."""
        return self.best_psnr(self.images.mean(0)[None])


def psnr(read: Images, image: Images) -> float:
    """Return 10 log10(4 / mse) of images in [-1, 1], after the least squares fit of scale and offset."""
    design = np.stack([read.ravel(), np.ones(read.size)], 1)
    fitted = design @ np.linalg.lstsq(design, image.ravel(), rcond=None)[0]
    return float(10 * np.log10(4 / max(np.square(fitted - image.ravel()).mean(), 1e-12)))


def differences(read: Images) -> Images:
    """Return what came back, and its change from one message to the next, which is what a step has added."""
    return np.concatenate([read, np.diff(read, axis=0), read.mean(0)[None]])


def write_images(folder: Path, images: NDArray[np.uint8]) -> Path:
    """Write images, with masks that say nothing, as a folder of one's own pairs."""
    for number, image in enumerate([*images, images[0]]):
        name = f"{'tr' if number < len(images) else 'te'}_site0_{number}_0.png"
        for kind, pixels in (("images", image), ("masks", (image > 127).astype(np.uint8) * 255)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / kind / name)
    return folder
