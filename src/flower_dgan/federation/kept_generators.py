"""Generators of a training that goes on, each a whole file: to look at now, and to compare later."""

import math
import time
from collections.abc import Callable

from torch import nn

from flower_dgan.config import Config
from flower_dgan.federation.run_directory import GENERATORS, RunDirectory
from flower_dgan.generator_file import save_generator
from flower_dgan.networks.build import ImageShape
from flower_dgan.private import private_directory
from flower_dgan.run.status_records import KeptGenerator

MOST_KEPT = 16
"""Files; where there would be more, every second of the older ones goes."""


class KeptGenerators:
    """The moving average of the generator as it was when a sample grid was drawn.

    Parameters
    ----------
    directory : RunDirectory
        The files are in ``generators/`` there, which its owner alone may enter: a generator may remember images.
    config : Config
        The run's configuration.
    shape : ImageShape
        What the generator draws.
    clock : callable
        Seconds, of which ``output.checkpoint_interval`` lie between two of them.
    """

    def __init__(
        self,
        directory: RunDirectory,
        config: Config,
        shape: ImageShape,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._folder = directory.path / GENERATORS
        self._model, self._shape = config.model, shape
        self._clock, self._apart, self._kept = clock, config.output.checkpoint_interval, -math.inf

    def keep(self, round_number: int, network: nn.Module, *, last: bool = False) -> None:
        """Write the generator as it is after a round, and make room for it.

        That of a round soon after another is not kept, so that rounds of a second do not wait for the disk.

        Parameters
        ----------
        round_number : int
            The round.
        network : nn.Module
            The generator.
        last : bool
            Whether it is to be kept in any case.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        now = self._clock()
        if not last and now - self._kept < self._apart:
            return
        self._kept = now
        private_directory(self._folder)
        name = f"{round_number:08d}.safetensors"
        save_generator(self._folder / name, network, self._model, self._shape)
        files = sorted(self._folder.glob("*.safetensors"))
        if len(files) > MOST_KEPT:
            for file in files[1:-1:2]:
                if file.name != name:  # the newest is not the last by name where a later one was left over
                    file.unlink(missing_ok=True)
        self._directory.events.write(KeptGenerator(round_number, f"{GENERATORS}/{name}"), durable=False)
