"""Each member's rows tested on its own held-out patients: a cross-validation by patient, for a simulation.

The test split has none of some members, and a generator has seen the patients of the training split. So the patients of
all members are dealt into folds, and for each fold everything is trained anew without its patients: the GAN by the
run's algorithm, then the models of the rows. A fold's synthetic images know nothing of the patients that it is tested
on, neither their images nor their label maps. No more is held out of a fold for validation: generators and models are
those of the ends of their trainings, whatever ``selection`` says, the same for all rows.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from torch import nn

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.algorithms.in_process import train
from flower_dgan.baselines.fedavg import EQUAL_ROW as EQUAL_FEDAVG
from flower_dgan.baselines.fedavg import ROW as FEDAVG
from flower_dgan.baselines.fedavg import train_federated
from flower_dgan.baselines.fedgan_row import EQUAL_ROW as EQUAL_FEDGAN
from flower_dgan.baselines.fedgan_row import ROW as FEDGAN
from flower_dgan.baselines.fedgan_row import train_fedgan
from flower_dgan.baselines.folds import Fold
from flower_dgan.baselines.rows import LocalFederation, federation_of
from flower_dgan.config import Config
from flower_dgan.data import Entry, Pairs, Source
from flower_dgan.data.channels import fill_channels, hide_channels, simulated_channels
from flower_dgan.data.instances import without_numbers
from flower_dgan.data.patients import patients_known
from flower_dgan.gan.server_state import PreviousTask
from flower_dgan.metrics import Metric, find_metric
from flower_dgan.node.node import Node, simulated_source
from flower_dgan.synthesis import synthesize
from flower_dgan.tasks.by_patient import HeldOut
from flower_dgan.tasks.members import Whose, scores_of, trained, with_synthetic
from flower_dgan.tasks.patient_scores import PLUS_DGAN, PLUS_FEDGAN, REAL, PatientScore, Unit
from flower_dgan.tasks.results import MAIN_ROW as DGAN
from flower_dgan.tasks.tstr import with_truth
from flower_dgan.wiring import bundle_settings, free_cores, seeded, threads

logger = logging.getLogger("flwr")


def cross_validate(
    config: Config,
    folds: Sequence[Fold],
    previous: PreviousTask | None,
    on_scores: Callable[[list[PatientScore]], None],
    rounds_of: Mapping[str, int],
) -> None:
    """Train every fold's rows, and score each member's on its own held-out patients.

    Parameters
    ----------
    config : Config
        The run's configuration; the rows are those of ``downstream.rows`` that a member can use, ``Real-k`` always.
    folds : sequence of Fold
        From :func:`plan_folds`.
    previous : PreviousTask or None
        What the run's generator began with.
    on_scores : callable
        Called with the scores of each model, as soon as they are there.
    rounds_of : mapping of str to int
        Rounds of the rows at equal bytes, by name; the others have their own.
    """
    source = simulated_source(config)
    rows = config.downstream.rows
    for number, fold in enumerate(folds, start=1):
        logger.info("Members' own patients: fold %d of %d", number, len(folds))
        federation = federation_of(config, (_node(config, source, *member) for member in fold.kept.items()))
        tested = {name: held_out(config, source, name, entries) for name, entries in fold.held.items() if entries}
        drawn = {DGAN: _draw(config, federation, previous, f"fold {number}")}
        for row in (FEDGAN, EQUAL_FEDGAN):
            if row in rows or (row == FEDGAN and PLUS_FEDGAN in rows):
                drawn[row], _, _ = train_fedgan(config, federation, rounds_of.get(row))
        for seed in range(config.seed, config.seed + config.downstream.seeds):
            shared = {row: trained(pairs, config, seed) for row, pairs in drawn.items() if row in rows}
            for row in (FEDAVG, EQUAL_FEDAVG):
                if row in rows:
                    shared[row], _ = train_federated(federation, config, seed, rounds_of.get(row))
            for name, sets in tested.items():
                for whose, model in _models_of(name, federation.members[name], drawn, shared, config, seed):
                    on_scores(scores_of(model, sets, config, tested_on="own", whose=whose, seed=seed))


def _models_of(
    member: str, real: Pairs, drawn: Mapping[str, Pairs], shared: Mapping[str, nn.Module], config: Config, seed: int
) -> Iterator[tuple[Whose, nn.Module]]:
    """Train a member's own models one by one, then yield those of all."""
    own = {REAL: real, PLUS_DGAN: with_synthetic(real, drawn[DGAN])}
    if PLUS_FEDGAN in config.downstream.rows:
        own[PLUS_FEDGAN] = with_synthetic(real, drawn[FEDGAN])
    for row, pairs in own.items():
        yield Whose(row, member, len(real)), trained(pairs, config, seed)
    for row, model in shared.items():
        yield Whose(row, member), model


def _node(config: Config, source: Source, name: str, entries: Sequence[Entry]) -> Node:
    channels = simulated_channels(config.data, name)
    return Node(name, hide_channels(source.load(entries), channels), channels)


def _draw(config: Config, federation: LocalFederation, previous: PreviousTask | None, what: str) -> Pairs:
    """Train the run's algorithm as it is, every client with its own discriminator, and draw as many pairs."""
    state = federation.state(config, free_cores(), previous)

    def log(round_number: int) -> None:
        if round_number % config.output.sample_interval == 0:
            logger.info("%s: round %d/%d", what, round_number, config.exchange.rounds)

    with threads(config.threads), seeded(config.seed, what):
        sessions = federation.sessions(config)
        train(algorithm_of(config), state, sessions, in_flight=config.exchange.in_flight, after_round=log)
    total = config.output.synthetic_images
    return synthesize(state.generator.average, federation.labels, bundle_settings(config), total)[0]


def held_out(config: Config, source: Source, name: str, entries: Sequence[Entry]) -> list[HeldOut]:
    """Return a member's held-out images with their truth; apart those of patients whose objects nobody has numbered."""
    metrics = config.downstream.metrics
    unit: Unit = "patient" if patients_known(source) else "image"
    lacking = without_numbers(config.data, [entry.name for entry in entries])
    unnumbered = {entry.group for entry in entries if entry.name in lacking}
    pixels = tuple(each for each in metrics if find_metric(each, Metric).compares != "objects")
    found = []
    for wanted, numbered in ((metrics, True), (pixels, False)):
        chosen = [entry for entry in entries if (entry.group not in unnumbered) is numbered]
        if not (chosen and wanted):
            continue
        pairs = _node(config, source, name, chosen).pairs
        pairs = fill_channels(pairs, simulated_channels(config.data, name), config.data.channels)
        asked = replace(config.downstream, metrics=wanted)
        pairs = with_truth(pairs, asked, config.data, chosen)
        found.append(HeldOut(pairs, tuple(entry.group for entry in chosen), unit, wanted))
    return found
