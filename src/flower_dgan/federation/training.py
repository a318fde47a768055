"""The training of a run: the strategy's rounds, written down and kept for a restart."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from flwr.app import ArrayRecord

from flower_dgan.algorithms.base import AnyAlgorithm
from flower_dgan.config import Config
from flower_dgan.errors import FederationError, StorageError
from flower_dgan.federation.candidates import Candidates
from flower_dgan.federation.checkpoint import Checkpoint
from flower_dgan.federation.claims import Claims
from flower_dgan.federation.join import JoinedClient
from flower_dgan.federation.kept_generators import KeptGenerators
from flower_dgan.federation.membership import Membership
from flower_dgan.federation.open_bundles import MOST_BYTES, OpenBundles
from flower_dgan.federation.recorder import Recorder
from flower_dgan.federation.round_report import RoundReport
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.federation.samples import SamplePlan
from flower_dgan.federation.strategy import DganStrategy
from flower_dgan.flower.grid import FastGrid
from flower_dgan.gan.server_state import ServerState
from flower_dgan.memory import peak_memory_mib

logger = logging.getLogger("flwr")


def begin(
    checkpoint: Checkpoint | None,
    algorithm: AnyAlgorithm,
    config: Config,
    grid: FastGrid,
    clients: Sequence[JoinedClient],
    state: ServerState,
) -> None:
    """Prepare a training; where it goes on, bring state and ledger to where they were.

    Parameters
    ----------
    checkpoint : Checkpoint or None
        None for a training that begins.
    algorithm, config, grid, clients, state
        As for :func:`train`.

    Raises
    ------
    FederationError
        If there are too few clients for the algorithm; if a round waits for all, and those that are there are not
        those that the training began with.
    """
    algorithm.require_clients(len(clients))
    if checkpoint is not None:
        nodes = {client.name: client.node_id for client in clients}
        if config.schedule.is_synchronous and set(nodes) != set(checkpoint.answered):
            raise FederationError(
                f"The training began with {', '.join(sorted(checkpoint.answered))}; connected are "
                f"{', '.join(sorted(nodes))}. Start the same SuperNodes again and resume."
            )
        state.restore(checkpoint.tensors)
        grid.ledger.restore(checkpoint.ledger, nodes)
        logger.info("The training goes on after round %d.", checkpoint.round_number)
    algorithm.begin(state)


def run_alone(
    algorithm: AnyAlgorithm, state: ServerState, config: Config, done: int, on_round: Callable[[RoundReport], None]
) -> None:
    """Run the rounds that are left of a training whose clients have said everything; raises DivergedError."""
    for round_number in range(done + 1, config.exchange.rounds + 1):
        begin = time.monotonic()
        algorithm.learn(state, round_number, {}, {}, {})
        drawn = config.exchange.generator_steps * config.exchange.batch_size
        on_round(RoundReport(round_number, drawn, 0, time.monotonic() - begin, {}, {}, (), 0))


def train(
    directory: RunDirectory,
    config: Config,
    grid: FastGrid,
    clients: Sequence[JoinedClient],
    algorithm: AnyAlgorithm,
    state: ServerState,
    samples: SamplePlan,
    candidates: Candidates,
    kept: KeptGenerators,
    checkpoint: Checkpoint | None,
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
    algorithm : Algorithm
        What is trained.
    state : ServerState
        The server's part; changed in place.
    samples : SamplePlan
        What the sample grids show.
    candidates : Candidates
        Keeps the generators that may be taken in the end.
    kept : KeptGenerators
        Keeps those that may be looked at while the training goes on.
    checkpoint : Checkpoint or None
        Where the training goes on, see :func:`begin`.
    claims : Claims
        Whose the clients' names are.

    Returns
    -------
    tuple of JoinedClient
        The clients as they are at the end: those that came later too, and each by its last node.
    """
    sampled = None

    def write_samples(round_number: int) -> None:
        nonlocal sampled
        sampled = round_number
        directory.events.write(samples.write(state.generator.average, directory.path, round_number), durable=False)
        kept.keep(round_number, state.generator.average, last=round_number == config.exchange.rounds)

    done, answered = (checkpoint.round_number, checkpoint.answered) if checkpoint else (0, {})
    recorder = Recorder(directory, config, grid, write_samples, done)
    members = Membership(
        grid, config, directory.training, claims, clients, recorder.record_client, recorder.record_change
    )
    recorder.record_ledger()
    open_bundles = OpenBundles(directory.path / "open-bundles", directory.training.identity)
    last_checkpoint = time.monotonic()

    def after_round(report: RoundReport) -> None:
        nonlocal last_checkpoint
        recorder.record_round(report)
        candidates.keep(report.round_number, state.generator.average)  # before the checkpoint that may follow it
        done = report.round_number == config.exchange.rounds
        due = time.monotonic() - last_checkpoint >= config.output.checkpoint_interval
        if done or due or open_bundles.bytes > MOST_BYTES:
            names = {client.node_id: name for name, client in members.clients.items()}
            ledger = grid.ledger.saved(names)
            directory.checkpoints.save(
                Checkpoint(
                    directory.training.identity, report.round_number, strategy.answered, ledger, state.snapshot()
                )
            )
            open_bundles.forget(report.round_number)
            last_checkpoint = time.monotonic()

    strategy = DganStrategy(
        algorithm,
        state,
        clients,
        config,
        directory.training,
        after_round,
        directory.checkpoints.rounds,
        done,
        answered,
        members.admit,
        recorder.record_change,
        directory.path,
        open_bundles,
    )
    if algorithm.once:
        run_alone(algorithm, state, config, done, after_round)
    elif left := config.exchange.rounds - done:
        try:
            strategy.start(
                grid=grid,
                initial_arrays=ArrayRecord(state.generator.network.state_dict()),
                num_rounds=left,
                timeout=config.exchange.timeout,
            )
        except BaseException:  # what left the nodes is told also where nothing came of it
            with suppress(StorageError):
                recorder.record_ledger()
            raise
    grid.while_waiting = lambda: None  # from here on nobody is taken in
    grid.give_up()  # a bundle that is late keeps nobody from leaving
    if sampled != config.exchange.rounds:
        write_samples(config.exchange.rounds)
    recorder.record_end(peak_memory_mib())
    return tuple(members.clients.values())
