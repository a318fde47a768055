"""Passes of the generator that are kept, with their graphs, until the feedback on their images is there.

The generator draws what a client is sent, and draws it again when the feedback comes, to propagate that through itself.
Where its weights have not moved in between, the second pass is the first one once more, bit by bit.
"""

import threading
from typing import Any

import torch
from torch import Tensor, nn

from flower_dgan.gan.exchange import GeneratorInput, Proposal
from flower_dgan.placing import compute


class KeptGraphs:
    """Keeps graphs while there is room for them.

    Parameters
    ----------
    most_bytes : int
        Of all that is kept, parameters aside: what does not fit is drawn again. 0 keeps nothing.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._guard = threading.Lock()
        # The noise is part of the value so that its id is nobody else's.
        self._kept: dict[int, tuple[Tensor, Tensor, list[int]]] = {}

    @property
    def most_bytes(self) -> int:
        """As given."""
        return self._most

    def draw(self, network: nn.Module, inputs: GeneratorInput) -> Tensor:
        """Return the images of a generator in one pass, without a graph; keep the one with it if it fits."""
        room, taken = self._most - self._bytes, 0
        seen = {parameter.data_ptr() for parameter in network.parameters()}

        def note(tensor: Tensor) -> Tensor | None:
            nonlocal taken
            if tensor.data_ptr() not in seen:
                seen.add(tensor.data_ptr())
                taken += tensor.untyped_storage().nbytes()
            return tensor.detach() if taken <= room else None  # nobody will ask for what is too much

        def give(kept: Any) -> Tensor:
            assert isinstance(kept, Tensor)
            return kept

        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, give):
            images = compute(network, inputs)
        with self._guard:
            if self._bytes + taken <= self._most and taken <= room:
                self._bytes += taken
                self._kept[id(inputs.noise)] = inputs.noise, images, _versions(network)
        return images.detach()

    def take(self, network: nn.Module, proposal: Proposal) -> Tensor | None:
        """Return all images of a proposal with their graph, once; None if it is not kept or the generator has moved."""
        with self._guard:
            _, images, versions = self._kept.pop(id(proposal.noise), (None, None, []))
        return images if versions == _versions(network) else None

    def forget(self) -> None:
        """Drop what is kept: the generator has moved."""
        with self._guard:
            self._kept.clear()
            self._bytes = 0


def _versions(network: nn.Module) -> list[int]:
    """Return how often each parameter was changed in place."""
    return [parameter._version for parameter in network.parameters()]
