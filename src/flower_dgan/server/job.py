"""The main job on the server: join, train, synthesise, evaluate, report."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial

from flwr.serverapp import Grid
from torch import nn

from flower_dgan.baselines.fedavg import ROW as FEDAVG_ROW
from flower_dgan.baselines.fedavg import federated_row, rounds_of
from flower_dgan.baselines.fedgan import ROW as FEDGAN_ROW
from flower_dgan.baselines.fedgan import train_fedgan
from flower_dgan.baselines.rows import LocalFederation, open_federation, table_rows
from flower_dgan.config import Config
from flower_dgan.data import LabelMaps, Pairs, open_source, read_foreign_label_maps, write_label_maps
from flower_dgan.data.instances import with_instances
from flower_dgan.errors import FederationError
from flower_dgan.evaluation.deeplab import check_segmentation
from flower_dgan.evaluation.scoring import check_metrics, compares_objects
from flower_dgan.evaluation.tstr import train_on_synthetic_test_on_real
from flower_dgan.evaluation.tstr_summary import TstrResult
from flower_dgan.generator_file import save_generator
from flower_dgan.report import write_report
from flower_dgan.runtime.grid import FastGrid
from flower_dgan.runtime.ledger import FROM_NODE, TO_NODE, Ledger
from flower_dgan.server.dist_fid import ask_for_moments, distances, require_windows, windows_of
from flower_dgan.server.join import JoinedClient, image_shape, join, leave
from flower_dgan.server.previous_task import GENERATOR, LABEL_MAPS, PreviousTask, open_previous_task, save_label_maps
from flower_dgan.server.recorder import record_ledger
from flower_dgan.server.run_directory import RunDirectory, label_map_cache
from flower_dgan.server.samples import plan_samples
from flower_dgan.server.training import begin, train
from flower_dgan.synthesis import drawn_label_maps, synthesize, write_pairs
from flower_dgan.wiring import bundle_settings, free_cores, generator_half, threads

logger = logging.getLogger("flwr")


def run_job(grid: Grid, config: Config, run_id: int) -> RunDirectory:
    """Run the main job and return the directory with its results.

    Parameters
    ----------
    grid : Grid
        The grid of the run.
    config : Config
        The resolved configuration.
    run_id : int
        Flower's id of the run; names the run directory.

    Raises
    ------
    DganError
        Says what was wrong and what to do.
    """
    previous = open_previous_task(config)
    foreign = read_foreign_label_maps(config.data)
    test = _test_pairs(config) if config.downstream.seeds else None
    directory = RunDirectory.open(config, run_id)
    logger.info("Run directory: %s", directory.path)
    with directory.in_use():
        if foreign is not None:
            directory.keep_to_label_maps(foreign.content)
        _run(grid, config, directory, test, previous, foreign)
    logger.info("Run directory: %s", directory.path)
    return directory


def _run(
    grid: Grid,
    config: Config,
    directory: RunDirectory,
    test: Pairs | None,
    previous: PreviousTask | None,
    foreign: LabelMaps | None,
) -> None:
    checkpoint = directory.go_on()
    fast_grid = FastGrid(grid, Ledger())
    with threads(config.threads), ExitStack() as at_the_end:
        with directory.stage("join"):
            clients = join(fast_grid, config, label_map_cache(), directory.training, foreign)
            fast_grid.queues.update(client.node_id for client in clients if client.queue)
            federation = open_federation(config, len(clients)) if test is not None else None
            if config.downstream.dist_fid:
                windows_of(clients, config)  # before any work, as it may be too many
        shape = image_shape(config, clients)
        earlier = previous.labels if previous else ()
        if earlier and earlier[0].classes != shape.classes:
            raise FederationError(
                f"The task before had {earlier[0].classes} classes, and the clients have {shape.classes}."
            )
        before = (previous.generator, earlier) if previous else None
        half = generator_half(config, shape, free_cores(), before)
        start = begin(checkpoint, config, fast_grid, clients, half)
        try:
            with directory.stage("training"):
                samples = plan_samples(config, clients, federation)
                clients = train(directory, config, fast_grid, clients, half, samples, start)
            let_go = partial(leave, fast_grid, config, clients, directory.training)
            if config.downstream.dist_fid:  # they are asked once more
                at_the_end.callback(let_go)
            else:
                let_go()
        finally:  # what was learned is kept, whatever ends the training
            save_generator(directory.path / GENERATOR, half.average, config.model, shape)
            labels = [*earlier, *(client.labels for client in clients)]
            save_label_maps(directory.path / LABEL_MAPS, labels)
        with directory.stage("synthetic dataset"):
            total = config.output.synthetic_images
            synthetic, names = synthesize(half.average, labels, bundle_settings(config), total)
            write_pairs(directory.synthetic, synthetic, names)
            if config.data.target == "label-maps":
                write_label_maps(directory.synthetic / "masks", drawn_label_maps(synthetic), 2, names)
        if test is not None and federation is not None:
            model = _segmentation_table(directory, config, federation, synthetic, test)
            if model is not None:
                with directory.stage("Dist-FID"):
                    _dist_fid(grid, directory, config, clients, half.average, model.get_submodule("encoder"), test)
    logger.info("Report: %s", write_report(directory.path))


def _test_pairs(config: Config) -> Pairs:
    check_segmentation(config.downstream, config.data.image_size)
    source = open_source(config.data)
    test = source.load(source.test)
    if compares_objects(config.downstream.metrics):
        test = with_instances(test, config.data, source.test)
    check_metrics(config.downstream.metrics, test)
    if config.downstream.dist_fid:
        require_windows(test, config)
    return test


def _segmentation_table(
    directory: RunDirectory, config: Config, federation: LocalFederation, synthetic: Pairs, test: Pairs
) -> nn.Module | None:
    """Make the table, and return the first model of the row ``DGAN`` where Dist-FID wants it."""
    models: list[nn.Module] = []

    def keep(result: TstrResult, model: nn.Module) -> None:
        if config.downstream.dist_fid and (result.row, result.seed) == ("DGAN", config.seed):
            models.append(model)

    def write_down(result: TstrResult) -> None:
        objects = {"objects": result.objects} if result.objects else {}
        directory.measure("tstr", row=result.row, seed=result.seed, **result.scores, **objects)
        logger.info("%s", result)

    def write_down_traffic(row: str, ledger: Ledger, rounds: int) -> None:
        for node_id, site in enumerate(federation.shape.sites, start=1):
            sent, received = ledger.bytes(node_id, FROM_NODE), ledger.bytes(node_id, TO_NODE)
            directory.measure("traffic", row=row, site=site, rounds=rounds, bytes_sent=sent, bytes_received=received)

    with directory.stage("centralised GAN"):
        rows = table_rows(config, federation, synthetic)
    if FEDGAN_ROW in config.downstream.rows:
        with directory.stage("federated GAN"):
            rows[FEDGAN_ROW], ledger, rounds = train_fedgan(config, federation)
        write_down_traffic(FEDGAN_ROW, ledger, rounds)
    with directory.stage("segmentation"):
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
        with directory.stage("federated segmentation"):
            ledger = federated_row(federation, test, config, write_down)
        write_down_traffic(FEDAVG_ROW, ledger, rounds_of(config.downstream.steps))
    return models[0] if models else None


def _dist_fid(
    grid: Grid,
    directory: RunDirectory,
    config: Config,
    clients: Sequence[JoinedClient],
    generator: nn.Module,
    encoder: nn.Module,
    test: Pairs,
) -> None:
    counting = FastGrid(grid, Ledger())  # the training's ledger is written down already
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
