"""All attacks on a run's own images, one after the other."""

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.audit.attacked_node import AttackedNode, NodeRefusedError, approving, own_state, require_known
from flower_dgan.audit.finding_members import Candidates, MembershipServer, scores_of_label_maps, settings_for
from flower_dgan.audit.findings import Finding, of_area, of_canaries, of_reading, of_scores
from flower_dgan.audit.intervals import area_under_curve
from flower_dgan.audit.own_sample import Sample, sample_of
from flower_dgan.audit.reading_images import (
    ROWS_OF_PLAIN_GRADIENTS,
    WHOLE,
    WITHIN,
    read_by_chosen_weights,
    read_by_halving,
    read_gradients,
)
from flower_dgan.audit.sum_tests import (
    area_that_theory_allows,
    canaries_like,
    canary_scores,
    cost_of,
    likelihood_ratios,
    most_canaries,
    settings_of_sums,
)
from flower_dgan.config import Config
from flower_dgan.errors import DataError
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.federation.run_identity import settings_of_run
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve

_READ, _SIDE = 24, 32
"""Images that a server tries to read, and their side in pixels at most."""
_HOSTILE = (
    "data=folder partition=iid data.condition=none data.foreground_windows=0 data.augmentation=none downstream=none "
    "selection=last algorithm=dgan model=small-all-sites model.discriminator_width=32 exchange.batch_size=20 "
    "exchange.exchanges=8 algorithm.discriminator_steps=4 algorithm.discriminator_learning_rate=0.002 threads=1 "
    "exchange.rounds=1000 device=cpu"
)
_SHOWN = 20  # times that a hostile server shows each candidate
_DELTA = 1e-5
_ROUNDS = 40


def audit(
    directory: Path, policy: str, *, candidates: int = 200, tries: int = 100, tell: Callable[[Finding], None]
) -> list[Finding]:
    """Attack a node that holds images of a run's own data, under an owner's policy.

    Nothing of the user's own state is used or changed: nodes have a book, a ledger and a secret of their own, in a
    directory that is deleted afterwards.

    Parameters
    ----------
    directory : Path
        Of the run; its data must be here.
    policy : str
        A preset or a file.
    candidates : int
        Of whom each is at the node by a coin.
    tries : int
        Releases with a patient, and as many without, where nodes send sums with noise.
    tell : callable
        Given each finding as it is made.

    Raises
    ------
    ConfigError, DataError, FederationError
        If there is no such run or policy, or the run's data cannot be opened here.
    """
    if not RunDirectory.is_begun(directory):
        raise DataError(f"{directory} is not the directory of a run.")
    require_known(policy)
    config, clients = settings_of_run(directory), len({join.site for join in read_metrics(directory).joins})
    if not clients:
        raise DataError(f"No client has joined the run in {directory}, so that it has used no data.")
    found = []
    with tempfile.TemporaryDirectory(prefix="flower-dgan-audit-") as scratch:
        for each in attack(config, clients, policy, Path(scratch), candidates, tries):
            tell(each)
            found.append(each)
    return found


def attack(config: Config, clients: int, policy: str, scratch: Path, candidates: int, tries: int) -> Iterator[Finding]:
    """Yield what each attack finds, see :func:`audit`."""
    where = _Scratch(scratch, policy)
    yield from _reading(config, clients, where)
    side = config.data.image_size
    drawn = np.random.default_rng(config.seed)
    sample = sample_of(config, clients, side, candidates)
    if algorithm_of(config).releases.noisy_sums:
        yield from _sums(sample, config, where, tries, candidates, drawn)
        return
    yield from _membership(Candidates.drawn(sample, drawn), config, where)


class _Scratch:
    """Where the nodes that are attacked are, and under which policy."""

    def __init__(self, path: Path, policy: str) -> None:
        self.path = path
        self.policy, self.rules = approving(policy, path)
        self._folders = 0

    @contextmanager
    def node(self, sample: Sample) -> Iterator[AttackedNode]:
        self._folders += 1
        with own_state(self.path):
            yield AttackedNode(sample.write(self.path / f"pairs-{self._folders}"), self.policy)


def _reading(config: Config, clients: int, where: _Scratch) -> Iterator[Finding]:
    side = min(_SIDE, config.data.image_size)
    sample = sample_of(config, clients, side, _READ)
    form = sample.images.shape[-1], side
    ways = [
        *((WHOLE, 2), (f"{WHOLE} exchange.batch_size=4", 2), (f"{WITHIN} model.discriminator=mlp", 12)),
        *((f"{WITHIN} model.discriminator={network}", 12) for network in ("small", "dcgan")),
    ]
    reads = []
    for overrides, messages in ways:
        with where.node(sample) as node:
            reads.append(read_gradients(node, overrides, form, messages))
    yield of_reading("images out of a dense first layer", reads, sample.floats, where.rules)
    with where.node(sample) as node:
        read = read_by_halving(node, form)
    yield of_reading("images by pixel losses, in 9 messages", [read], sample.floats, where.rules)
    small = sample_of(config, clients, 4, _READ)
    with where.node(small) as node:
        reads = [read_by_chosen_weights(node, form[0])]
    with where.node(small) as node:
        plain = f"{ROWS_OF_PLAIN_GRADIENTS} exchange.batch_size=4"
        reads.append(read_gradients(node, plain, (form[0], 4), 8))
    yield of_reading("windows of 4 x 4 out of the small network", reads, small.floats, where.rules)


def _membership(candidates: Candidates, config: Config, where: _Scratch) -> Iterator[Finding]:
    """Ask about candidates; no policy that lets feedback leave promises anything of it."""
    sample, count = candidates.sample, len(candidates.sample)
    trained = min(_ROUNDS, config.exchange.rounds)
    shown = MembershipServer.rounds_to_show(count, config, 1)
    honest = settings_for(config, sample, trained + shown)
    form = f"data.channels={sample.images.shape[-1]} data.image_size={sample.images.shape[1]}"
    hostile = resolve(f"{_HOSTILE} {form}")
    for what, settings, times in (
        ("after an honest training", honest, 1),
        ("by real images as fakes", hostile, _SHOWN),
    ):
        name = f"membership {what}"
        with _refusals(name) as refused, where.node(candidates.members) as node:
            server = MembershipServer(node, settings, candidates)
            if times == 1:
                server.train(trained)
            scores = server.show(times)
            yield of_scores(name, scores, candidates.inside)
            yield of_canaries(f"canaries {what}", scores, candidates.inside, _DELTA, None)
        yield from refused
    name = "membership by label maps"
    if honest.data.condition != "label-map":
        yield Finding(name, said="no label map leaves in this training")
        return
    with _refusals(name) as refused, where.node(candidates.members) as node:
        yield of_scores(name, scores_of_label_maps(node, honest, sample), candidates.inside)
    yield from refused


def _sums(
    sample: Sample, config: Config, where: _Scratch, tries: int, canaries: int, drawn: np.random.Generator
) -> Iterator[Finding]:
    settings = settings_of_sums(config)
    cost = cost_of(settings)
    few = sample[:_READ]
    name = "membership by the best test of a sum"
    with _refusals(name) as refused:
        inside, outside = likelihood_ratios(few, settings, where.policy, where.path, tries)
        allowed = area_that_theory_allows(settings)
        yield of_area(name, area_under_curve(inside, outside), allowed, f"theory allows {allowed:.3f}")
    yield from refused
    name = "canaries in a sum"
    count = min(canaries, most_canaries(settings), math.prod(sample.images.shape[1:]))
    coins = drawn.random(count) < 0.5
    with _refusals(name) as refused:
        worst = canaries_like(sample, count, drawn)
        scores = canary_scores(few, worst, coins, settings, where.policy, where.path)
        yield of_canaries(name, scores, coins, cost["delta"], cost["epsilon"])
    yield from refused


@contextmanager
def _refusals(attack: str) -> Iterator[list[Finding]]:
    """Turn that a node does not answer into a finding, which is in the list afterwards."""
    found: list[Finding] = []
    try:
        yield found
    except NodeRefusedError as error:
        found.append(Finding(attack, refused=(error.rule,), said="refused"))


def promises(policy: ReleasePolicy) -> str:
    """Return what a policy promises, in a sentence."""
    if not policy.feedback:
        return "This policy promises (epsilon, delta) by patient for all that leaves."
    if policy.distinct_images > 1:
        return "This policy promises no figure: it holds the known ways to read images off, and membership may be told."
    return "This policy promises nothing: whoever starts a run can read the images."
