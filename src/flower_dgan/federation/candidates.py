"""The generators of a training that may be taken in the end: files in the run directory, one for each check."""

import copy
from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from flower_dgan.config import Config, ModelConfig
from flower_dgan.generator_file import save_generator
from flower_dgan.networks.build import ImageShape
from flower_dgan.private import private_directory


class Candidates:
    """The moving average of the generator as it was at the rounds of ``selection``.

    They stay where they are when the training has ended, so that one that is resumed has those of its earlier attempts.

    Parameters
    ----------
    directory : Path
        The run directory; the files are in ``candidates/``, which its owner alone may enter.
    config : Config
        The run's configuration.
    shape : ImageShape
        What the generator draws.

    Attributes
    ----------
    rounds : tuple of int
        At whose ends one is kept.
    """

    def __init__(self, directory: Path, config: Config, shape: ImageShape) -> None:
        self._directory = directory / "candidates"
        self._model: ModelConfig = config.model
        self._shape = shape
        self.rounds = config.selection.rounds(config.exchange.rounds)

    def keep(self, round_number: int, network: nn.Module) -> None:
        """Write the generator at the end of a round, if that has a check."""
        if round_number in self.rounds:
            private_directory(self._directory)  # a generator may remember images
            save_generator(self.file(round_number), network, self._model, self._shape)

    def read(self, round_number: int, network: nn.Module) -> nn.Module:
        """Return a copy of a network with the parameters that it had at the end of a round."""
        read = copy.deepcopy(network)
        read.load_state_dict(load_file(self.file(round_number)))
        return read

    def file(self, round_number: int) -> Path:
        """Return the file of the generator at the end of a round."""
        return self._directory / f"{round_number:08d}.safetensors"
