"""How far a run through Flower is from the same algorithm in one process: S = 1, float32, on the embedded digits.

What is compared are the two drivers: messages, number formats, order, recovery and several processes must change
nothing. That the algorithm itself is the paper's is shown by the plain loops of the tests.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.algorithms.in_process import train
from flower_dgan.baselines.rows import open_federation
from flower_dgan.client_app import app
from flower_dgan.config import Config
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.flower.local_flower import deployed_flower, local_flower, write_app
from flower_dgan.generator_file import load_generator
from flower_dgan.resolve import resolve
from flower_dgan.wiring import threads

TOLERANCE = 1e-5
"""Largest accepted difference."""

_FLOWER_TIMEOUT = 600.0


def exactness_overrides(rounds: int, directory: Path, algorithm: str = "") -> str:
    """Return the overrides of the check: the papers' algorithm on small networks, without a segmentation table."""
    return (
        "partition=iid exchange=single downstream=none threads=1 algorithm.replay=gradient algorithm.average_decay=0 "
        "algorithm.final_rate=1 "
        f"exchange.rounds={rounds} output.synthetic_images=2 output.directory='{directory}' {algorithm}"
    )


def through_in_process_grid(clients: int, rounds: int, algorithm: str = "") -> float:
    """Run the real strategy and ClientApp in this process; return the largest relative difference to one process.

    Parameters
    ----------
    clients, rounds : int
        How many.
    algorithm : str
        Overrides that choose another algorithm than AsynDGAN.
    """
    with tempfile.TemporaryDirectory() as scratch:
        overrides = exactness_overrides(rounds, Path(scratch) / "run", algorithm)
        config = resolve(overrides)
        run_job(InProcessGrid(app, simulated_contexts(clients, overrides)), config, 0)
        return _difference(config, clients, Path(scratch) / "run")


def through_flower(clients: int, rounds: int, algorithms: Sequence[str] = ("",)) -> float:
    """Run through ``flwr run`` on a SuperLink of its own; return the largest relative difference to one process.

    Parameters
    ----------
    clients, rounds : int
        How many.
    algorithms : sequence of str
        Overrides that choose other algorithms than AsynDGAN, one run each.
    """
    differences = []
    with tempfile.TemporaryDirectory() as scratch, local_flower(clients) as flower:
        for number, algorithm in enumerate(algorithms):
            directory = Path(scratch) / f"run-{number}"
            overrides = exactness_overrides(rounds, directory, algorithm)
            flower.run(write_app(Path(scratch) / "app"), overrides, timeout=_FLOWER_TIMEOUT)
            differences.append(_difference(resolve(overrides), clients, directory))
    return max(differences)


def through_supernodes(clients: int, rounds: int, *, warm: bool) -> float:
    """Run through a SuperLink and SuperNodes on loopback; return the largest relative difference to one process.

    ``warm`` chooses ``flower-dgan supernode``; otherwise every message starts a new process.
    """
    node_configs = [f"partition-id={client} num-partitions={clients}" for client in range(clients)]
    with tempfile.TemporaryDirectory() as scratch, deployed_flower(node_configs, warm=warm) as flower:
        overrides = f"{exactness_overrides(rounds, Path(scratch) / 'run')} exchange.min_nodes={clients}"
        flower.run(write_app(Path(scratch) / "app"), overrides, timeout=_FLOWER_TIMEOUT)
        return _difference(resolve(overrides), clients, Path(scratch) / "run")


def generator_of_one_process(config: Config, clients: int, secrets: Mapping[str, int] | None = None) -> nn.Module:
    """Train in this process, on the data of simulated clients, and return the generator.

    Parameters
    ----------
    config : Config
        The run's configuration.
    clients : int
        How many.
    secrets : mapping of str to int or None
        Clients' names to what their nodes' own draws follow from; None for the run's seed, as in simulation.
    """
    federation = open_federation(config, clients)
    state = federation.state(config)
    with threads(config.threads):
        sessions = federation.sessions(config)
        if secrets is not None:
            sessions = {name: replace(each, secret=secrets[name]) for name, each in sessions.items()}
        train(algorithm_of(config), state, sessions)
    return state.generator.network


def largest_relative_difference(network: nn.Module, reference: nn.Module) -> float:
    """Return max over tensors of max |a - b| / max |b|, for networks of one architecture."""
    ours, theirs = network.state_dict(), reference.state_dict()
    return max(
        float((ours[name] - value).abs().max() / value.abs().max().clamp_min(torch.finfo(value.dtype).tiny))
        for name, value in theirs.items()
    )


def _difference(config: Config, clients: int, directory: Path) -> float:
    """Compare the generator of a run directory; with no average decay its file holds the last parameters."""
    network, _, _ = load_generator(directory / "generator.safetensors")
    return largest_relative_difference(network, generator_of_one_process(config, clients))
