"""What the server needs to go on after a crash, in files that are whole or not used."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from flower_dgan.private import private_directory
from flower_dgan.whole_file import whole_file
from flower_dgan.wire.question_message import KEPT_CHECKPOINTS

logger = logging.getLogger("flwr")


@dataclass(frozen=True)
class Checkpoint:
    """A training after one of its rounds.

    Attributes
    ----------
    training : str
        Identity of the training.
    round_number : int
        The round.
    answered : dict of str to int
        Client name to the last round of which the server has its answer.
    ledger : list
        Rows of the ledger, see :meth:`flower_dgan.flower.ledger.Ledger.saved`.
    tensors : dict of str to Tensor
        The server's part, see :meth:`flower_dgan.gan.server_state.ServerState.snapshot`.
    """

    training: str
    round_number: int
    answered: dict[str, int]
    ledger: list[list[object]]
    tensors: Mapping[str, Tensor]


class Checkpoints:
    """The checkpoints of a training, the last few of which are kept.

    Parameters
    ----------
    directory : Path
        Where they are.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def rounds(self) -> tuple[int, ...]:
        """Return the rounds of the checkpoints that are there, in their order."""
        files = self._directory.glob("*.safetensors")
        return tuple(sorted(int(file.stem) for file in files if file.stem.isdecimal()))

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, and delete those that it makes superfluous."""
        private_directory(self._directory)  # a generator may remember images
        about = {
            "training": checkpoint.training,
            "answered": json.dumps(checkpoint.answered),
            "ledger": json.dumps(checkpoint.ledger),
        }
        tensors = {name: value.contiguous() for name, value in checkpoint.tensors.items()}
        with whole_file(self._file(checkpoint.round_number), private=True) as partial:
            save_file(tensors, partial, about | {"digest": _digest(about, tensors)})
        for old in self.rounds()[:-KEPT_CHECKPOINTS]:
            self._file(old).unlink()

    def newest(self, training: str) -> Checkpoint | None:
        """Return the newest checkpoint that is whole and of this training, None if there is none.

        Others are named in the log and passed over.
        """
        for round_number in reversed(self.rounds()):
            file = self._file(round_number)
            try:
                return self._load(file, training)
            except (SafetensorError, OSError, KeyError, ValueError) as error:
                logger.warning("The checkpoint %s is not used: %s", file, error)
        return None

    def _load(self, file: Path, training: str) -> Checkpoint:
        with safe_open(file, "pt") as opened:
            about = dict(opened.metadata() or {})
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  no mapping
        if about.pop("digest") != _digest(about, tensors):
            raise ValueError("its content is not what was written")
        if about["training"] != training:
            raise ValueError(f"it is of another training, {about['training']}")
        return Checkpoint(training, int(file.stem), json.loads(about["answered"]), json.loads(about["ledger"]), tensors)

    def _file(self, round_number: int) -> Path:
        return self._directory / f"{round_number:08d}.safetensors"


def _digest(about: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256(json.dumps(dict(sorted(about.items()))).encode())
    for name, tensor in sorted(tensors.items()):
        found.update(name.encode())
        found.update(tensor.numpy().tobytes())
    return found.hexdigest()
