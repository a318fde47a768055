"""What an owner wants to know of a node before its first training: its data, its policy, its machine, and a dry run."""

import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from flower_dgan.algorithms.dpmerf import DpMerf
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.algorithms.in_process import train
from flower_dgan.baselines.rows import federation_of
from flower_dgan.config import Config, TrainingConfig
from flower_dgan.data import Pairs
from flower_dgan.data.check import DataCheck, check_data
from flower_dgan.device import resolve_device
from flower_dgan.errors import DganError
from flower_dgan.memory import available_memory
from flower_dgan.node.bounds import memory_mib
from flower_dgan.node.identity import identity_path, public_identity_in
from flower_dgan.node.leftovers import CLIENTS, RECORDS
from flower_dgan.node.node import Node, node_key
from flower_dgan.node.noisy_sums import rehearse
from flower_dgan.node.own_data import own_data
from flower_dgan.node.own_policy import check_code, own_policy
from flower_dgan.node.owner_words import as_entries, told_as_entries
from flower_dgan.node.peers import Peers
from flower_dgan.node.secret import read_secret, secret_path
from flower_dgan.node.simulation import NodeConfig
from flower_dgan.node.training_file import as_at_a_node
from flower_dgan.node.writable import nearest, require_writable
from flower_dgan.wiring import computing

_PYTHON_MB = 1000.0
"""What a ClientApp takes before it has any data or network: Python with torch, generously."""
_PROBLEMS = 3
_DEMO = "what is checked only"  # a name of a client that is nobody's


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    what : str
        A word or two.
    sound : bool
        Whether a training can begin.
    said : str
        What is there, or what is wrong and what to do.
    """

    what: str
    sound: bool
    said: str


def finding(what: str, check: Callable[[], str]) -> Finding:
    """Return what a check says, or what stopped it."""
    try:
        return Finding(what, True, check())
    except DganError as error:
        return Finding(what, False, str(error))


def look_at_node(config: Config, owner: NodeConfig, state: Path) -> Iterator[Finding]:
    """Yield what is found at a node, one check after the other.

    Parameters
    ----------
    config : Config
        The settings of the training that is to come, as its server has them.
    owner : NodeConfig
        The node configuration, with ``data-path`` and ``name``.
    state : Path
        Directory where nodes of this user keep what they need.
    """
    found: list[DataCheck] = []

    def data() -> str:
        settings, _ = own_data(config.data, owner)
        with told_as_entries():
            checked = check_data(
                replace(settings, label_maps="clients"),
                batch_size=config.exchange.batch_size,
                validation_fraction=config.selection.validation_fraction,
                tested=False,
            )
        found.append(checked)
        if checked.problems:
            more = len(checked.problems) - _PROBLEMS
            rest = f" And {more} more: `flower-dgan data check` names them." if more > 0 else ""
            raise DganError(" ".join(map(as_entries, checked.problems[:_PROBLEMS])) + rest)
        sites = sorted({entry.site for entry in checked.train})
        labels = ", ".join(map(settings.class_label, range(checked.classes)))
        pairs = f"{len(checked.train):,} training and {len(checked.test):,} test pairs"
        return f"{pairs} of {', '.join(sites)}; classes {labels}"

    yield finding("data", data)
    allowed: list[bool] = []

    def policy() -> str:
        at_node = as_at_a_node(config, lambda setting, path: check_code(owner, setting, path))
        rules = own_policy(owner)
        rules.check_settings(at_node)
        allowed.append(True)
        return f"{owner.get('policy', 'standard')}: it allows this training" + (
            ", once you have approved it" if rules.approval else ", without asking you"
        )

    yield finding("policy", policy)
    yield finding("secret", lambda: _secret(owner))
    if (peers := _peers(config, owner)) is not None:
        yield finding("peers", lambda: _masked_sums(owner, peers))
    pixels = sum(height * width * pairs for (height, width), pairs in found[0].sizes.items()) if found else 0
    need = 2 * pixels * (config.data.channels + 1) / 1e6 + 4 * memory_mib(config) * 2**20 / 1e6
    yield finding("disk", lambda: _disk(state, need))
    yield finding("memory", lambda: _memory(memory_mib(config) * 2**20 / 1e6))
    yield finding("device", lambda: f"networks compute on {resolve_device(str(owner.get('device', 'auto')))}")
    if allowed:  # what the policy is against is not executed either
        yield finding("dry run", lambda: _dry_run(replace(config, device=str(owner.get("device", "auto")))))


def _secret(owner: NodeConfig) -> str:
    path = secret_path(owner, node_key(owner))
    if path is None:
        return "none needed"
    if "secret-file" not in owner and not path.exists():
        require_writable(path)
        return f"will be made in {path}"
    read_secret(path)
    return f"{path}, which this user alone can read"


def _peers(config: Config, owner: NodeConfig) -> Peers | None:
    """Return with whom the node is to add up, if the training or its owner's policy has sums behind masks at all."""
    try:
        peers = own_policy(owner).peers
    except DganError:
        return None  # the check of the policy said why
    return peers if peers.keys or algorithm_of(config).releases.masked else None


def _masked_sums(owner: NodeConfig, peers: Peers) -> str:
    """Say by which key the others are to name this node, and whom its owner has named; nothing is made."""
    path = identity_path(owner)
    how = "flower-dgan policy key" + (f" --file {shlex.quote(str(path))}" if "identity-file" in owner else "")
    if not path.exists():
        raise DganError(
            f"This node has no key for sums with others yet, so that nobody can have named it: `{how}` makes "
            f"{path} and prints the public half, which the other owners put into their policies (peers)."
        )
    own = public_identity_in(path)
    peers.require()
    if own in peers.keys:
        raise DganError(f"The policy names {own} among its peers, which is this node's own key: leave it out.")
    others = len({*peers.keys})
    return (
        f"the others must have named {own}, this node's key in {path}, which the first run shows; its policy names "
        f"{others} {'peer' if others == 1 else 'peers'}, and wants sums of {peers.fewest} sites or more, "
        f"{peers.honest_sites} of them honest"
    )


def _disk(state: Path, need: float) -> str:
    for name in (CLIENTS, *RECORDS):
        require_writable(state / name)
    free = shutil.disk_usage(nearest(state)).free / 1e6
    if free < need:
        raise DganError(
            f"{free:,.0f} MB are free at {state}, and this training takes about {need:,.0f}: free some, or start the "
            "node with XDG_STATE_HOME set to a directory with more."
        )
    return f"{free:,.0f} MB free at {state}; this training takes about {need:,.0f}"


def _memory(of_training: float) -> str:
    need, there = _PYTHON_MB + of_training, available_memory()
    if there is None:
        return f"this training takes about {need:,.0f} MB; what is available cannot be told here"
    if there / 1e6 < need:
        raise DganError(f"{there / 1e6:,.0f} MB are available, and this training takes about {need:,.0f}: end others.")
    return f"{there / 1e6:,.0f} MB available; this training takes about {need:,.0f}"


def dummy_pairs(config: TrainingConfig) -> Pairs:
    """Return as many pairs of noise as two batches, of the size that the networks see: nobody's images."""
    drawn, side = np.random.default_rng(0), config.data.image_size
    classes = config.data.classes or 2
    count = 2 * config.exchange.batch_size
    images = tuple(drawn.integers(0, 256, (side, side, config.data.channels), np.uint8) for _ in range(count))
    maps = tuple(np.arange(side * side, dtype=np.int64).reshape(side, side) % classes for _ in range(count))
    return Pairs(images, tuple(each.astype(np.uint8) for each in maps), classes)


def _dry_run(config: Config) -> str:
    """Do on dummy data what a node does in a training, once: an exchange with the real networks, or a sum with noise.

    Raises what a training would.
    """
    algorithm = algorithm_of(config)
    if isinstance(algorithm, DpMerf):
        pairs, begin = dummy_pairs(config), time.monotonic()
        rehearse(algorithm, config, pairs)
        seconds = time.monotonic() - begin
        return f"a sum with noise of {len(pairs)} images took {seconds:.1f} s; a training asks for one, of all of yours"
    few = replace(config.exchange, rounds=1, exchanges=1, generator_steps=1, in_flight=1)
    once = replace(config, exchange=few, data=replace(config.data, label_maps="clients"))
    node = Node(_DEMO, dummy_pairs(once))
    begin = time.monotonic()
    with computing(once):
        federation = federation_of(once, [node])
        train(algorithm_of(once), federation.state(once), federation.sessions(once))
    seconds = time.monotonic() - begin
    return f"one exchange, with the generator's half, took {seconds:.1f} s; a round has {config.exchange.exchanges}"
