"""A node as it is deployed, with its owner's policy and a folder of images, and a server that says what it likes.

Every message goes through the real ClientApp: what is attacked is what guards the images, and no copy of it.
"""

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import yaml
from flwr.app import Context, Message, RecordDict

from flower_dgan.client_app import app
from flower_dgan.config import Config
from flower_dgan.data.plain_values import Once, read_yaml
from flower_dgan.errors import ConfigError, DganError
from flower_dgan.flower.inprocess import InProcessGrid
from flower_dgan.gan.exchange import Question
from flower_dgan.node.own_policy import own_policy
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.node.presets import PRESETS
from flower_dgan.private import private_directory
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.join_messages import JOIN, LEAVE, JoinRequest
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.question_message import EXCHANGE, Envelope, write_question
from flower_dgan.wire.refusals import Refusal

NAME = "audited"
_NODE = 1


class NodeRefusedError(DganError):
    """The node did not answer.

    Attributes
    ----------
    rule : str
        The rule of its owner's policy that stood against it, or what else its code says, in small letters.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.sentence)
        self.rule = refusal.name.lower()


class AttackedNode:
    """One node in one training, begun afresh.

    Parameters
    ----------
    folder : Path
        Its pairs, in the layout that ``flower_dgan.data.folder_source`` reads.
    policy : str
        Its owner's: a preset or a file.
    """

    def __init__(self, folder: Path, policy: str) -> None:
        self._node_config: dict[str, bool | int | float | str] = {
            "data-path": str(folder),
            "name": NAME,
            "policy": policy,
        }
        self.training = Training(secrets.token_hex(8), 1)

    def send(self, content: RecordDict, message_type: str) -> RecordDict:
        """Send a message, and return what was answered; raises NodeRefusedError."""
        context = Context(run_id=1, node_id=_NODE, node_config=self._node_config, state=RecordDict(), run_config={})
        grid = InProcessGrid(app, {_NODE: context})
        message = Message(content, dst_node_id=_NODE, message_type=message_type, group_id="1")
        (reply,) = grid.send_and_receive([message])
        if reply.has_error():
            raise NodeRefusedError(Refusal(reply.error.code))
        return reply.content

    def join(self, config: Config) -> RecordDict:
        """Begin the training with settings of the server's choice."""
        return self.send(JoinRequest(self.training, config).to_records(), JOIN)

    def ask(self, number: int, question: Question, shape: BundleShape) -> RecordDict:
        """Send the question of a round."""
        return self.send(write_question(Envelope(self.training, number, number - 1, ()), question, shape), EXCHANGE)

    def leave(self) -> None:
        """End the training."""
        self.send(self.training.to_records("leave"), LEAVE)


def shape_of(config: Config, classes: int, channels: int) -> BundleShape:
    """Return the form of questions about images with so many channels, whose label maps have so many classes."""
    return replace(BundleShape.of(config, classes), channels=channels)


def approving(policy: str, scratch: Path) -> tuple[str, ReleasePolicy]:
    """Return the policy, as a new file and as it is read, of an owner who approves whatever training asks.

    An attack begins where the owner has said yes: what an honest owner would not approve is no hurdle that code holds.

    Parameters
    ----------
    policy : str
        A preset or a file.
    scratch : Path
        Where the file is written.

    Raises
    ------
    ConfigError
        If it is neither, or the file does not say exactly what a policy says.
    """
    if policy in PRESETS:
        values: dict[str, object] = {"preset": policy}
    else:
        own_policy({"policy": policy})  # says what is wrong with it
        values = read_yaml(Path(policy).expanduser(), Once)
    file = scratch / "policy.yaml"
    file.write_text(yaml.safe_dump({**values, "approval": False}), encoding="utf-8")
    return str(file), own_policy({"policy": str(file)})


@contextmanager
def own_state(scratch: Path) -> Iterator[None]:
    """Give nodes that are called inside a new state directory, so that no book, ledger or secret of the user's is used.

    What the nodes log, a line for each refusal, is left out.
    """
    place = scratch / f"state-{secrets.token_hex(4)}"
    private_directory(place)
    logger, before = logging.getLogger("flwr"), os.environ.get("XDG_STATE_HOME")
    level = logger.level
    os.environ["XDG_STATE_HOME"] = str(place)
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        if before is None:
            del os.environ["XDG_STATE_HOME"]
        else:
            os.environ["XDG_STATE_HOME"] = before


def require_known(policy: str) -> None:
    """Raise ConfigError if a policy is neither a preset nor a file."""
    if policy not in PRESETS and not Path(policy).expanduser().is_file():
        raise ConfigError(f"There is no policy {policy}: name {', '.join(PRESETS)}, or a file.")
