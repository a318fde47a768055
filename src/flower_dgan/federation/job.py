"""The main job on the server: join, train, synthesise, evaluate, report."""

import logging
import shlex
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial

from flwr.serverapp import Grid

from flower_dgan.algorithms.dpgan import DpGan
from flower_dgan.algorithms.dpmerf import DpMerf
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.baselines.rows import open_federation
from flower_dgan.config import Config
from flower_dgan.data import LabelMaps, Pairs, read_foreign_label_maps, write_label_maps
from flower_dgan.errors import DivergedError, FederationError, StorageError
from flower_dgan.federation.announcement import announce, announce_classes, refused
from flower_dgan.federation.cached_label_maps import tidy
from flower_dgan.federation.candidates import Candidates
from flower_dgan.federation.devices import say_memory, say_where
from flower_dgan.federation.dist_fid import windows_of
from flower_dgan.federation.evaluation import make_table, measure_dist_fid, read_test_pairs
from flower_dgan.federation.failed_start import forgotten_if_it_fails
from flower_dgan.federation.join import image_shape, join, leave
from flower_dgan.federation.kept_generators import KeptGenerators
from flower_dgan.federation.link_report import say_how_long
from flower_dgan.federation.masked_start import ask_together
from flower_dgan.federation.member_scores import plan_members
from flower_dgan.federation.noisy_start import ask_once
from flower_dgan.federation.previous_task import GENERATOR, LABEL_MAPS, open_previous_task, save_label_maps
from flower_dgan.federation.private_account import say_account
from flower_dgan.federation.published_maps import publishable
from flower_dgan.federation.run_directory import RunDirectory, label_map_cache
from flower_dgan.federation.run_end import ending
from flower_dgan.federation.samples import plan_samples
from flower_dgan.federation.selection import select_generator
from flower_dgan.federation.training import begin, train
from flower_dgan.flower.grid import FastGrid
from flower_dgan.flower.ledger import FROM_NODE, TO_NODE, Ledger
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.gan.server_state import PreviousTask, ServerState
from flower_dgan.generator_file import save_generator
from flower_dgan.networks.build import ImageShape, discriminator_form
from flower_dgan.private import private_directory
from flower_dgan.synthesis import drawn_label_maps, synthesize, write_pairs
from flower_dgan.tasks import find_task
from flower_dgan.trackers import open_tracker
from flower_dgan.trackers.running import tracked
from flower_dgan.wire.answers import known_answers
from flower_dgan.wire.parcels import Parcel
from flower_dgan.wiring import bundle_settings, computing, free_cores, server_state

Labels = Sequence[ClientLabels]

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
    trackers = [(name, open_tracker(name)) for name in config.output.trackers]
    previous = open_previous_task(config)
    foreign = read_foreign_label_maps(config.data)
    if config.selection.checks:
        find_task(config.downstream.task).check_model(config.downstream, config.data.image_size)
    test = read_test_pairs(config) if config.downstream.seeds else None
    tidy(label_map_cache())
    directory = RunDirectory.open(config, run_id)
    logger.info("Run directory: %s", directory.path)
    logger.info("To watch it: flower-dgan watch %s", shlex.quote(str(directory.path)))
    with directory.in_use(), ending(directory), tracked(directory.events, trackers), directory.pulse.beating():
        if foreign is not None:
            directory.keep_to_label_maps(foreign.content)
        _run(grid, config, directory, test, previous, foreign)
    return directory


def _run(
    grid: Grid,
    config: Config,
    directory: RunDirectory,
    test: Pairs | None,
    previous: PreviousTask | None,
    foreign: LabelMaps | None,
) -> None:
    last_seen = directory.last_seen
    checkpoint = directory.go_on()
    announce(directory, config, checkpoint.round_number if checkpoint else 0, last_seen)
    envelope = Parcel(directory.training.identity, config.exchange.message_bytes)
    fast_grid = FastGrid(grid, Ledger(known_answers()), envelope, directory.path)
    with computing(config), ExitStack() as at_the_end:
        say_where(directory, config)
        with forgotten_if_it_fails(fast_grid, config, directory.training, begun=checkpoint is not None):
            with directory.stage("join"):
                claims = directory.claims
                clients = join(
                    fast_grid,
                    config,
                    label_map_cache(),
                    directory.training,
                    claims,
                    foreign,
                    partial(refused, directory),
                )
                say_how_long(config, clients, fast_grid.rates)
                fast_grid.queues.update(client.node_id for client in clients if client.queue)
                federation = open_federation(config, len(clients)) if test is not None else None
                folds = plan_members(config, federation) if federation is not None else ()
                if config.downstream.dist_fid:
                    windows_of(clients, config)  # before any work, as it may be too many
            algorithm, said_once = algorithm_of(config), {}
            if isinstance(algorithm, DpMerf):
                with directory.stage("release with noise"):
                    asked = fast_grid, config, algorithm, clients, directory.training
                    masked = algorithm.releases.masked
                    start = ask_together(*asked, directory.path / "sum-keys.json") if masked else ask_once(*asked)
                left_out = {client.name for client in clients} - {client.name for client in start.clients}
                leave(fast_grid, config, [each for each in clients if each.name in left_out], directory.training)
                clients, said_once = start.clients, start.kept
                for client in clients:
                    directory.measure("noisy-release", site=client.name, **algorithm.cost)
            if isinstance(algorithm, DpGan):
                tell = partial(say_account, algorithm, config, directory, [client.name for client in clients])
                tell()
                at_the_end.callback(tell)
            shape = image_shape(config, clients)
            say_memory(config, shape)
            announce_classes(directory, config, shape)
            fast_grid.ledger.answers = known_answers(discriminator_form(config, shape.classes).shapes)
            earlier = previous.labels if previous else ()
            if earlier and earlier[0].classes != shape.classes:
                raise FederationError(
                    f"The task before had {earlier[0].classes} classes, and the clients have {shape.classes}."
                )
            labels_of = {client.name: client.labels for client in clients}
            state = server_state(config, shape, labels_of, free_cores(), previous)
            state.parameters = said_once
            begin(checkpoint, algorithm, config, fast_grid, clients, state)
        labels: Labels = [*earlier, *(client.labels for client in clients)]
        candidates = Candidates(directory.path, config, shape)
        try:
            with directory.stage("training", config.exchange.rounds - (checkpoint.round_number if checkpoint else 0)):
                samples = plan_samples(config, clients, federation)
                clients = train(
                    directory,
                    config,
                    fast_grid,
                    clients,
                    algorithm,
                    state,
                    samples,
                    candidates,
                    KeptGenerators(directory, config, shape),
                    checkpoint,
                    claims,
                )
            let_go = partial(leave, fast_grid, config, clients, directory.training)
            if config.downstream.dist_fid or candidates.rounds:  # they are asked once more
                at_the_end.callback(let_go)
            else:
                let_go()
        except DivergedError:  # there is no generator that is of use
            with suppress(StorageError):
                save_label_maps(directory.path / LABEL_MAPS, labels)
            raise
        except BaseException:  # what was learned is kept, whatever else ends the training, which is what is told
            with suppress(StorageError):
                _keep(directory, config, state, shape, labels)
            raise
        labels = [*earlier, *(client.labels for client in clients)]
        _keep(directory, config, state, shape, labels)
        generator = state.generator.average
        if candidates.rounds:
            with directory.stage("selection", len(candidates.rounds) * config.downstream.steps):
                generator = select_generator(grid, directory, config, clients, labels, candidates, generator)
        with directory.stage("synthetic dataset"):
            total = config.output.synthetic_images
            synthetic, names = synthesize(generator, labels, bundle_settings(config), total)
            # The table is of images on the label maps that the server has; what is handed on, on those that may be.
            allowed = publishable(labels, config)
            published = synthetic
            if any(each is not theirs for each, theirs in zip(allowed, labels, strict=True)):
                published, names = synthesize(generator, allowed, bundle_settings(config), total)
            private_directory(directory.synthetic)  # its masks may be pieces of the clients' own
            write_pairs(directory.synthetic, published, names)
            if config.data.target == "label-maps":
                write_label_maps(directory.synthetic / "masks", drawn_label_maps(published), 2, names)
        if test is not None and federation is not None:
            crossed = [
                fast_grid.ledger.bytes(client.node_id, way) for client in clients for way in (FROM_NODE, TO_NODE)
            ]
            model = make_table(
                directory,
                config,
                federation,
                synthetic,
                test,
                previous,
                crossed=sum(crossed) / len(clients),
                draw=lambda count: synthesize(generator, labels, bundle_settings(config), count)[0],
                folds=folds,
            )
            if model is not None:
                with directory.stage("Dist-FID"):
                    encoder = model.get_submodule("encoder")
                    measure_dist_fid(grid, directory, config, clients, generator, encoder, test)


def _keep(directory: RunDirectory, config: Config, state: ServerState, shape: ImageShape, labels: Labels) -> None:
    """Keep what was learned in files that other commands and later tasks read."""
    save_generator(directory.path / GENERATOR, state.generator.average, config.model, shape)
    save_label_maps(directory.path / LABEL_MAPS, labels)
