"""A deployed node with a few images and a policy of its owner's, and a server that says what it likes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from flwr.app import Context, Message, RecordDict

from flower_dgan.client_app import app
from flower_dgan.config import Config
from flower_dgan.data.views import Views
from flower_dgan.flower.inprocess import InProcessGrid
from flower_dgan.gan.exchange import Question
from flower_dgan.resolve import resolve
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.formats import decode_images
from flower_dgan.wire.join_messages import JOIN, JoinRequest
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.question_message import EXCHANGE, Envelope, write_question
from flower_dgan.wire.refusals import Refusal

TINY = (
    "data=folder data.image_size=16 model.discriminator_width=4 exchange.exchanges=2 exchange.batch_size=4 threads=1 "
    "exchange.generator_steps=1"
)
FIRST = Training("a" * 16, 1)
BASE = "preset: standard\napproval: false\n"


class Clinic:
    """A deployed node, and a server that says what it likes."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.policy = scratch / "policy.yaml"
        self.policy.write_text(BASE)
        self.node_config = {"data-path": str(folder), "name": "clinic", "policy": str(self.policy)}

    def send(self, content: RecordDict, message_type: str) -> Message:
        context = Context(run_id=1, node_id=1, node_config=self.node_config, state=RecordDict(), run_config={})
        grid = InProcessGrid(app, {1: context})
        (reply,) = grid.send_and_receive([Message(content, dst_node_id=1, message_type=message_type, group_id="1")])
        return reply

    def join(self, extra: str = "", training: Training = FIRST) -> Message:
        self.config = settings(extra)
        return self.send(JoinRequest(training, self.config).to_records(), JOIN)

    def ask(self, number: int, grey: int = 100, training: Training = FIRST, answered: int = 0) -> Message:
        samples = self.config.exchange.exchanges * self.config.exchange.batch_size
        size = self.config.data.image_size
        images = decode_images(np.full((samples, 3, size, size), grey, np.uint8))
        question = Question(images, Views(np.zeros(samples, np.int64), np.zeros((samples, 4), np.int16)))
        shape = replace(BundleShape.of(self.config, 2), channels=3)
        return self.send(write_question(Envelope(training, number, answered, ()), question, shape), EXCHANGE)

    def refusal(self, reply: Message) -> Refusal | None:
        return Refusal(reply.error.code) if reply.has_error() else None


def settings(extra: str = "") -> Config:
    return resolve(f"{TINY} {extra}")
