"""The training of a run: the strategy's rounds, written down and kept for a restart."""

import logging
import time
from collections.abc import Sequence

import numpy as np
from flwr.app import ArrayRecord
from numpy.typing import NDArray

from flower_dgan.config import Config
from flower_dgan.errors import FederationError
from flower_dgan.federation.checkpoint import BEGINNING, Checkpoint, Start
from flower_dgan.federation.claims import Claims
from flower_dgan.federation.join import JoinedClient
from flower_dgan.federation.membership import Membership
from flower_dgan.federation.recorder import Recorder
from flower_dgan.federation.round_report import RoundReport
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.federation.samples import SamplePlan
from flower_dgan.federation.strategy import DganStrategy
from flower_dgan.flower.grid import FastGrid
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.gan.merge import require_clients
from flower_dgan.memory import peak_memory_mib
from flower_dgan.wire.parameters import DISCRIMINATOR

logger = logging.getLogger("flwr")


def begin(
    checkpoint: Checkpoint | None,
    config: Config,
    grid: FastGrid,
    clients: Sequence[JoinedClient],
    half: GeneratorHalf,
) -> Start:
    """Return where the training goes on, with generator and ledger as they were there.

    Parameters
    ----------
    checkpoint : Checkpoint or None
        None for a training that begins.
    config, grid, clients, half
        As for :func:`train`.

    Raises
    ------
    FederationError
        If there are too few clients for the merge rule; if a round waits for all, and those that are there are not
        those that the training began with.
    """
    require_clients(config.algorithm.merge, len(clients))
    if checkpoint is None:
        return BEGINNING
    nodes = {client.name: client.node_id for client in clients}
    if config.schedule.is_synchronous and set(nodes) != set(checkpoint.answered):
        raise FederationError(
            f"The training began with {', '.join(sorted(checkpoint.answered))}; connected are "
            f"{', '.join(sorted(nodes))}. Start the same SuperNodes again and resume."
        )
    half.restore(dict(checkpoint.tensors))
    grid.ledger.restore(checkpoint.ledger, nodes)
    logger.info("The training goes on after round %d.", checkpoint.round_number)
    moving: dict[str, dict[str, NDArray[np.float32]]] = {}
    discriminator: dict[str, NDArray[np.float32]] = {}
    for key, tensor in checkpoint.tensors.items():
        kind, _, name = key.partition(":")
        if kind == "moving":
            client, _, parameter = name.rpartition(":")
            moving.setdefault(client, {})[parameter] = tensor.numpy()
        elif kind == DISCRIMINATOR:
            discriminator[name] = tensor.numpy()
    # Not all of these are about clients, but a guard takes its own alone.
    return Start(checkpoint.round_number, checkpoint.answered, moving, discriminator, checkpoint.tensors)


def train(
    directory: RunDirectory,
    config: Config,
    grid: FastGrid,
    clients: Sequence[JoinedClient],
    half: GeneratorHalf,
    samples: SamplePlan,
    start: Start,
    claims: Claims,
) -> tuple[JoinedClient, ...]:
    """Run the rounds that are left.

    Parameters
    ----------
    directory : RunDirectory
        Where measurements, samples and checkpoints go.
    config : Config
        The run's configuration.
    grid : FastGrid
        The grid of the run.
    clients : sequence of JoinedClient
        Who takes part.
    half : GeneratorHalf
        Changed in place.
    samples : SamplePlan
        What the sample grids show.
    start : Start
        Where the training goes on, see :func:`begin`.
    claims : Claims
        Whose the clients' names are.

    Returns
    -------
    tuple of JoinedClient
        The clients as they are at the end: those that came later too, and each by its last node.
    """

    def write_samples(round_number: int) -> None:
        samples.write(half.average, directory.sample(round_number))

    recorder = Recorder(directory, config, grid, write_samples, start.round_number)
    members = Membership(
        grid, config, directory.training, claims, clients, recorder.record_client, recorder.record_change
    )
    last_checkpoint = time.monotonic()

    def after_round(report: RoundReport) -> None:
        nonlocal last_checkpoint
        recorder.record_round(report)
        done = report.round_number == config.exchange.rounds
        if done or time.monotonic() - last_checkpoint >= config.output.checkpoint_interval:
            names = {client.node_id: name for name, client in members.clients.items()}
            ledger = grid.ledger.saved(names)
            directory.checkpoints.save(
                Checkpoint(
                    directory.training.identity, report.round_number, strategy.answered, ledger, strategy.snapshot()
                )
            )
            last_checkpoint = time.monotonic()

    strategy = DganStrategy(
        half,
        clients,
        config,
        directory.training,
        after_round,
        directory.checkpoints.rounds,
        start,
        members.admit,
        recorder.record_change,
    )
    if left := config.exchange.rounds - start.round_number:
        strategy.start(
            grid=grid,
            initial_arrays=ArrayRecord(half.network.state_dict()),
            num_rounds=left,
            timeout=config.exchange.timeout,
        )
    grid.while_waiting = lambda: None  # from here on nobody is taken in
    grid.give_up()  # a bundle that is late keeps nobody from leaving
    write_samples(config.exchange.rounds)
    recorder.record_end(peak_memory_mib())
    return tuple(members.clients.values())
