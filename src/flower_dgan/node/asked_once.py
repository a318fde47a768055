"""What a training may ask a node for: in its own attempt, and figures of real images once."""

from flower_dgan.errors import FederationError, ProtocolError
from flower_dgan.node.state import ClientState
from flower_dgan.whole_file import whole_file
from flower_dgan.wire.protocol import Training


def check_attempt(training: Training, joined: int) -> None:
    """Raise ProtocolError if a message is of another attempt than the one that the node has joined."""
    if training.attempt != joined:
        raise ProtocolError(f"a message of attempt {training.attempt} at a node that has joined attempt {joined}")


def note_once(state: ClientState, training: Training, what: str, digest: str) -> None:
    """Note which figures of real images a training asked for: these it may have again, but no others.

    Moments of two sets of windows that differ by one would tell of that one, and scores of any number of networks
    of every image.

    Parameters
    ----------
    state : ClientState
        What the node knows of the training.
    training : Training
        Who asks.
    what : str
        What there is once a training, such as ``"moments"``; with hyphens for its blanks, the stem of a file.
    digest : str
        Hash of what is asked.

    Raises
    ------
    ProtocolError
        If the message is of an earlier attempt.
    FederationError
        If others were asked for before.
    """
    with state.locked():
        check_attempt(training, state.attempt())
        file = state.path / f"{what.replace(' ', '-')}.sha256"
        if not file.is_file():
            with whole_file(file, private=True) as partial:
                partial.write_text(digest, encoding="utf-8")
        elif file.read_text(encoding="utf-8") != digest:
            raise FederationError(
                f"This node gives {what} once a training, and those of another network or of other windows were "
                "asked for already."
            )
