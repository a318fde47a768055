"""After the training: the TSTR table, and the distances between synthetic and real images."""

import logging
from collections.abc import Sequence
from dataclasses import asdict

from flwr.serverapp import Grid
from torch import nn

from flower_dgan.baselines.fedavg import ROW as FEDAVG_ROW
from flower_dgan.baselines.fedavg import federated_row, rounds_of
from flower_dgan.baselines.fedgan_row import ROW as FEDGAN_ROW
from flower_dgan.baselines.fedgan_row import train_fedgan
from flower_dgan.baselines.rows import LocalFederation, table_rows
from flower_dgan.config import Config
from flower_dgan.data import Pairs, open_source
from flower_dgan.federation.dist_fid import ask_for_moments, distances, require_windows
from flower_dgan.federation.join import JoinedClient
from flower_dgan.federation.recorder import record_ledger
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.flower.grid import FastGrid
from flower_dgan.flower.ledger import FROM_NODE, TO_NODE, Ledger
from flower_dgan.gan.server_state import PreviousTask
from flower_dgan.tasks import find_task
from flower_dgan.tasks.results import MAIN_ROW, TstrResult
from flower_dgan.tasks.tstr import kinds_of, train_on_synthetic_test_on_real, with_truth
from flower_dgan.wire.answers import known_answers
from flower_dgan.wire.parcels import Parcel

logger = logging.getLogger("flwr")


def read_test_pairs(config: Config) -> Pairs:
    """Return the real pairs that every row is tested on, after checking that they suit what is to be measured."""
    task = find_task(config.downstream.task)
    task.check_model(config.downstream, config.data.image_size)
    source = open_source(config.data)
    test = with_truth(source.load(source.test), config.downstream, config.data, source.test)
    task.check_truth(test, kinds_of(config.downstream.metrics))
    if config.downstream.dist_fid:
        require_windows(test, config)
    return test


def make_table(
    directory: RunDirectory,
    config: Config,
    federation: LocalFederation,
    synthetic: Pairs,
    test: Pairs,
    previous: PreviousTask | None,
) -> nn.Module | None:
    """Make the table, and return the first model of the row ``DGAN`` where Dist-FID wants it.

    ``previous`` is what the run's generator began with: those of the rows that train one begin with it, too.
    """
    models: list[nn.Module] = []

    def keep(result: TstrResult, model: nn.Module) -> None:
        if config.downstream.dist_fid and (result.row, result.seed) == (MAIN_ROW, config.seed):
            models.append(model)

    def write_down(result: TstrResult) -> None:
        said = {name: text for name in ("remark", "warning") if (text := getattr(result, name))}
        directory.measure("tstr", row=result.row, seed=result.seed, **result.values, **said)
        logger.info("%s", result)
        if result.warning:
            logger.warning("%s", result.warning)

    def write_down_traffic(row: str, ledger: Ledger, rounds: int) -> None:
        for node_id, site in enumerate(federation.shape.sites, start=1):
            sent, received = ledger.bytes(node_id, FROM_NODE), ledger.bytes(node_id, TO_NODE)
            directory.measure("traffic", row=row, site=site, rounds=rounds, bytes_sent=sent, bytes_received=received)

    with directory.stage("centralised GAN"):
        rows = table_rows(config, federation, synthetic, previous)
    if FEDGAN_ROW in config.downstream.rows:
        with directory.stage("federated GAN"):
            rows[FEDGAN_ROW], ledger, rounds = train_fedgan(config, federation)
        write_down_traffic(FEDGAN_ROW, ledger, rounds)
    with directory.stage(config.downstream.task):
        train_on_synthetic_test_on_real(
            rows,
            test,
            config.downstream,
            image_size=config.data.image_size,
            augmentation=config.data.augmentation,
            seed=config.seed,
            on_result=write_down,
            on_model=keep,
        )
    if FEDAVG_ROW in config.downstream.rows:
        with directory.stage(f"federated {config.downstream.task}"):
            ledger = federated_row(federation, test, config, write_down)
        write_down_traffic(FEDAVG_ROW, ledger, rounds_of(config.downstream.steps))
    return models[0] if models else None


def measure_dist_fid(
    grid: Grid,
    directory: RunDirectory,
    config: Config,
    clients: Sequence[JoinedClient],
    generator: nn.Module,
    encoder: nn.Module,
    test: Pairs,
) -> None:
    """Ask the nodes for the moments of their real images, and write down how far the generator's images are."""
    envelope = Parcel(directory.training.identity, config.exchange.message_bytes)
    counting = FastGrid(grid, Ledger(known_answers()), envelope)  # the training's ledger is written down already
    counting.names.update({client.node_id: client.name for client in clients})
    answers = ask_for_moments(counting, config, clients, directory.training, encoder)
    record_ledger(directory, counting.ledger, {client.node_id: client.name for client in clients})
    for site, reason in answers.missing.items():
        directory.measure("missing-moments", site=site, reason=reason)
        logger.warning("Dist-FID without %s: %s", site, reason)
    if not answers.moments:
        return
    for each in distances(config, clients, generator, encoder, answers.moments, test):
        directory.measure("distance", **asdict(each))
        logger.info("%s of %s, %s: %.4g", each.metric, each.site, each.compared, each.distance)
