"""What many clients were sent, and what they said, until the generator steps on it: in files where it is too much."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from flower_dgan.gan.exchange import Answer, Proposal
from flower_dgan.whole_file import writing

LARGE = 2**28
"""Bytes that the proposals, or the answers, of all clients may take together in memory."""
_ALIGNED = 64


class Spill:
    """Puts tensors into files that nobody else can open, end with the process, and are mapped into memory.

    Their pages are read when they are used, and the system takes them back where it wants the memory for something
    else. The values stay what they were, bit by bit, and so does the order in which they are added up.

    Parameters
    ----------
    directory : Path or None
        Whose disk is used; None to keep all in memory.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def proposal(self, proposal: Proposal, parties: int) -> Proposal:
        """Return a proposal whose large tensors are in a file, if those of so many would be too much for memory.

        The noise stays in memory: it is small, and a graph that is kept is known by it.

        Raises
        ------
        StorageError
            If the disk is full.
        """
        kept = (proposal.texture, proposal.one_hot, proposal.images)
        if not self._is_large(kept, parties):
            return proposal
        texture, one_hot, images = self._put(kept)
        return replace(proposal, texture=texture, one_hot=one_hot, images=images)

    def answer(self, answer: Answer, parties: int) -> Answer:
        """Return an answer likewise: with its gradients, weights and change of weights in a file."""
        names = list(answer.weights or ())
        weights = [torch.from_numpy(array) for array in (answer.weights or {}).values()]
        change = [] if answer.change is None else [answer.change]
        kept = [answer.feedback.gradients, *change, *weights]
        if not self._is_large(kept, parties):
            return answer
        gradients, *rest = self._put(kept)
        return replace(
            answer,
            feedback=replace(answer.feedback, gradients=gradients),
            change=rest.pop(0) if change else None,
            weights=None
            if answer.weights is None
            else dict(zip(names, (tensor.numpy() for tensor in rest), strict=True)),
        )

    def _is_large(self, tensors: Sequence[Tensor], parties: int) -> bool:
        return self._directory is not None and parties * sum(tensor.nbytes for tensor in tensors) > LARGE

    def _put(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        places: list[int] = []
        assert self._directory is not None
        # A file of its own for each, which goes with its tensors. Not by numpy's map, which keeps the file open.
        with writing(self._directory / "bundles"), tempfile.NamedTemporaryFile(dir=self._directory) as file:
            for tensor in tensors:
                places.append(file.tell())
                file.write(tensor.contiguous().numpy().data)
                file.write(bytes(-file.tell() % _ALIGNED))
            file.flush()
            flat = torch.from_file(file.name, shared=True, size=file.tell(), dtype=torch.uint8)
        return [
            flat[place : place + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
            for place, tensor in zip(places, tensors, strict=True)
        ]
