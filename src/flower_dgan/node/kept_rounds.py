"""The discriminator of a node as it was after its last answers, a file for each round.

A file is complete or not there, so that a process that dies amid a message leaves the state before it.

A message may come twice, because a reply was lost, or because the server crashed and went back to its last checkpoint.
The same bundle is answered again as it was the first time, from the state before it; nothing new leaves, and nothing is
learned twice. Another bundle for a round that was answered is refused, unless the server said on joining that it was
started once more: then the node goes back as well, to what it kept, and no further. Each time is counted, and the real
images are drawn anew from then on: a server that goes back learns nothing more of a hidden batch that it asked about.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save_file
from torch import Tensor

from flower_dgan.errors import ForgottenError, ProtocolError, StorageError
from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.gan.snapshot import restore_snapshot, take_snapshot
from flower_dgan.node.stamp import Stamp, stamp
from flower_dgan.whole_file import checksum, whole_file
from flower_dgan.wire.question_message import Envelope

logger = logging.getLogger("flwr")

_GONE = "The node's memory of this training is gone: begin a new one."
_RETURNS = "returns.txt"
_KEPT_ANSWERS = 3
"""Two bundles may be under way, and the first of them may come again: it is answered from the state before it."""


@dataclass(frozen=True)
class Place:
    """Where in a training a bundle is answered.

    Attributes
    ----------
    base : int
        The round from whose state, 0 for none.
    again : bool
        Whether it was answered before.
    returns : int
        How often the node went back to an earlier state for another bundle, this time included.
    first : int
        The first round that the node answered.
    """

    base: int
    again: bool
    returns: int
    first: int


class KeptRounds:
    """What is kept of the discriminator in a directory, as it was when this last looked.

    Parameters
    ----------
    directory : Path
        That of the node in the training.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._about: dict[int, dict[str, str]] = {}
        self._newest: tuple[Path, Stamp] | None = None

    def look(self) -> None:
        """Look which rounds are kept, and what was asked in each."""
        self._about = {}
        for file in sorted(self._directory.glob("round-*.safetensors")):
            try:
                number, about = int(file.stem.removeprefix("round-")), _metadata(file)
                if missing := {"bundle", "base", "attempt", "checksum", "returns", "first"} - set(about):
                    raise ValueError(f"it does not say its {min(missing)}")
            except (SafetensorError, OSError, ValueError) as error:  # the rounds before it are still good
                logger.warning("%s is damaged, and not used: %s", file, error)
            else:
                self._about[number] = about
        self._about = dict(sorted(self._about.items()))  # files are sorted as text
        self._note_newest()

    def unchanged(self) -> bool:
        """Return whether the newest round is in its file as it was; opens no file."""
        return self._newest is None or stamp(self._newest[0]) == self._newest[1]

    def before(self, envelope: Envelope) -> Place:
        """Return where a bundle is answered.

        Raises
        ------
        ProtocolError
            If the round was answered already with another bundle, or too long ago; if it would begin afresh amid a
            training.
        ForgottenError
            If less is kept than the server was answered: the discriminator would start afresh.
        """
        number, attempt = envelope.round_number, envelope.training.attempt
        rounds = list(self._about)
        if number in rounds and (answer := self._about[number])["bundle"] == envelope.digest:
            base = int(answer["base"])
            if base and base not in rounds:
                raise ProtocolError(f"round {number} was answered too long ago to be answered again")
            return Place(base, True, int(answer["returns"]), int(answer["first"]))
        if rounds and rounds[-1] >= number and int(self._about[rounds[-1]]["attempt"]) >= attempt:
            raise ProtocolError(f"round {number} was answered already, or a later one, and with another bundle")
        base = max((each for each in rounds if each < number), default=0)
        first, returns = number, self._returns()
        if rounds:
            first = int(self._about[rounds[-1]]["first"])
            returns += rounds[-1] >= number
        if base < envelope.answered:
            raise ForgottenError(
                f"The server has this node's answer to round {envelope.answered}, but {self._directory} knows of round "
                f"{base}: the node's memory of this training is gone."
            )
        if not base and first < number:
            raise ProtocolError(f"round {number} after round {first}, whose state is not kept: no fresh start amid it")
        return Place(base, False, returns, min(first, number))

    def restore(self, half: DiscriminatorHalf, round_number: int) -> None:
        """Put the discriminator as it was after a round into ``half``, and torch's default random state back.

        Raises StorageError if the file does not hold what was written.
        """
        file = self._file(round_number)
        try:
            tensors = load(file.read_bytes())  # safetensors 0.8 loses 30 bytes a tensor in load_file
        except (SafetensorError, OSError) as error:
            raise StorageError(f"{file} cannot be read: {error}. {_GONE}") from error
        if _checksum(tensors) != self._about[round_number]["checksum"]:
            raise StorageError(f"{file} does not hold what was written. {_GONE}")
        torch.set_rng_state(tensors["random"])
        restore_snapshot(tensors, half.network, half.optimizer)

    def note(self, place: Place) -> None:
        """Note that the node goes back, before it does: an answer that dies on its way counts, too."""
        if place.returns > self._returns():
            with whole_file(self._directory / _RETURNS, private=True) as partial:
                partial.write_text(str(place.returns), encoding="utf-8")

    def _returns(self) -> int:
        file = self._directory / _RETURNS
        try:
            return int(file.read_text(encoding="utf-8")) if file.is_file() else 0
        except (OSError, ValueError) as error:
            raise StorageError(f"{file} cannot be read: {error}. {_GONE}") from error

    def stored(self, envelope: Envelope) -> bytes | None:
        """Return the bytes that a bundle was answered with, None where it was not answered or they were not kept."""
        number = envelope.round_number
        file = self._answer(number)
        if self._about.get(number, {}).get("bundle") != envelope.digest or not file.is_file():
            return None
        data = file.read_bytes()
        return data[len(envelope.digest) :] if data.startswith(envelope.digest.encode()) else None

    def keep_answer(self, envelope: Envelope, answer: bytes) -> None:
        """Keep the bytes that a bundle was answered with, as long as the state after it."""
        with whole_file(self._answer(envelope.round_number), private=True) as partial:
            partial.write_bytes(envelope.digest.encode() + answer)

    def keep(self, half: DiscriminatorHalf, envelope: Envelope, place: Place) -> None:
        """Write the state after a round, without those that it replaces and those that nobody can go back to."""
        number = envelope.round_number
        for later in [each for each in self._about if each >= number]:
            self._delete(later)
        tensors = take_snapshot(half.network, half.optimizer) | {"random": torch.get_rng_state()}
        about = {
            "bundle": envelope.digest,
            "base": str(place.base),
            "attempt": str(envelope.training.attempt),
            "checksum": _checksum(tensors),
            "returns": str(place.returns),
            "first": str(place.first),
        }
        with whole_file(self._file(number), private=True) as partial:
            save_file(tensors, partial, about)
        self._about[number] = about
        rounds = list(self._about)
        wanted = {max((each for each in rounds if each <= back), default=0) for back in envelope.returns}
        for old in rounds[:-_KEPT_ANSWERS]:
            if old not in wanted:
                self._delete(old)
        self._note_newest()

    def _delete(self, number: int) -> None:
        self._file(number).unlink(missing_ok=True)
        self._answer(number).unlink(missing_ok=True)
        del self._about[number]

    def _note_newest(self) -> None:
        newest = self._file(max(self._about)) if self._about else None
        self._newest = None if newest is None else (newest, stamp(newest))

    def _answer(self, round_number: int) -> Path:
        return self._directory / f"answer-{round_number:08d}.bin"

    def _file(self, round_number: int) -> Path:
        return self._directory / f"round-{round_number:08d}.safetensors"


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    return checksum({name: tensor.numpy() for name, tensor in tensors.items()})


def _metadata(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return dict(file.metadata() or {})
