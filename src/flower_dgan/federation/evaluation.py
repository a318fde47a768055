"""After the training: the TSTR table, and the distances between synthetic and real images."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict

from flwr.serverapp import Grid
from torch import nn

from flower_dgan.baselines import fedavg, fedgan_row
from flower_dgan.baselines.folds import Fold
from flower_dgan.baselines.rows import LocalFederation, table_rows
from flower_dgan.config import Config
from flower_dgan.data import Pairs, open_source
from flower_dgan.federation.dist_fid import ask_for_moments, distances, require_windows
from flower_dgan.federation.join import JoinedClient
from flower_dgan.federation.member_scores import MemberScores, equal_rounds
from flower_dgan.federation.recorder import record_ledger
from flower_dgan.federation.row_pictures import write_row_pictures
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.flower.grid import FastGrid
from flower_dgan.flower.ledger import FROM_NODE, TO_NODE, Ledger
from flower_dgan.gan.server_state import PreviousTask
from flower_dgan.tasks import find_task
from flower_dgan.tasks.members import plus_rows
from flower_dgan.tasks.patient_scores import PLUS_FEDGAN
from flower_dgan.tasks.results import MAIN_ROW, TstrResult
from flower_dgan.tasks.tstr import kinds_of, train_on_synthetic_test_on_real, with_truth
from flower_dgan.wire.answers import known_answers
from flower_dgan.wire.parcels import Parcel
from flower_dgan.wiring import rows_at_once

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
    *,
    crossed: float,
    draw: Callable[[int], Pairs],
    folds: Sequence[Fold] = (),
) -> nn.Module | None:
    """Make the tables, and return the first model of the row ``DGAN`` where Dist-FID wants it.

    Parameters
    ----------
    directory : RunDirectory
        Where figures are written down.
    config : Config
        The run's configuration.
    federation : LocalFederation
        The clients.
    synthetic : Pairs
        The synthetic dataset.
    test : Pairs
        Real pairs that no client has.
    previous : PreviousTask or None
        What the run's generator began with: those of the rows that train one begin with it, too.
    crossed : float
        Bytes that a client sent and received in the run, mean over the clients.
    draw : callable
        Draws so many pairs from the run's generator.
    folds : sequence of Fold
        For the members' own patients.
    """
    models: list[nn.Module] = []
    members = MemberScores(directory, config, federation)

    def keep(result: TstrResult, model: nn.Module) -> None:
        members.record(result, model, test)
        if result.seed == config.seed and not result.warning:
            size = config.data.image_size
            pictures = write_row_pictures(directory.path, config.downstream, result.row, model, test, size)
            if pictures is not None:
                directory.events.write(pictures)
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
    for times in config.downstream.synthetic_times:
        rows[f"{MAIN_ROW} x {times}"] = draw(times * sum(map(len, federation.real)))
    asked, rounds_of = config.downstream.rows, equal_rounds(config, federation, crossed)
    for row in (fedgan_row.ROW, fedgan_row.EQUAL_ROW):
        if row in asked or (row == fedgan_row.ROW and PLUS_FEDGAN in asked):
            with directory.stage("federated GAN"):
                drawn, ledger, rounds = fedgan_row.train_fedgan(config, federation, rounds_of.get(row))
            write_down_traffic(row, ledger, rounds)
            if row in asked:
                rows[row] = drawn
            if row == fedgan_row.ROW and PLUS_FEDGAN in asked:
                rows |= plus_rows(PLUS_FEDGAN, federation.members, drawn)
    trainings = len(rows) * config.downstream.seeds
    with directory.stage(config.downstream.task, trainings * config.downstream.steps):
        train_on_synthetic_test_on_real(
            rows,
            test,
            config.downstream,
            image_size=config.data.image_size,
            augmentation=config.data.augmentation,
            seed=config.seed,
            on_result=write_down,
            on_model=keep,
            validation=federation.validation,
            workers=rows_at_once(config),
        )
    for row in (fedavg.ROW, fedavg.EQUAL_ROW):
        if row in asked:
            rounds = rounds_of.get(row, fedavg.rounds_of(config.downstream.steps))
            with directory.stage(f"federated {config.downstream.task}"):
                ledger = fedavg.federated_row(
                    federation, test, config, write_down, keep, row=row, rounds=rounds, validation=federation.validation
                )
            write_down_traffic(row, ledger, rounds)
    members.measure_more(synthetic, test, folds, previous, rounds_of)
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
