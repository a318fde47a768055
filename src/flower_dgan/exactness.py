"""How far a run through Flower is from the same algorithm in one process: S = 1, float32, on the embedded digits.

What is compared are the two drivers: messages, number formats, order, recovery and several processes must change
nothing. That the algorithm itself is the paper's is shown by the plain loops of the tests.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.algorithms.in_process import train
from flower_dgan.baselines.rows import open_federation
from flower_dgan.client_app import app
from flower_dgan.config import Config
from flower_dgan.device import to_cpu
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.federation.job import run_job
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.federation.run_identity import settings_of_run
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.generator_file import load_generator
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.wiring import computing

TOLERANCE = 1e-5
"""Largest accepted difference."""


def exactness_overrides(rounds: int, directory: Path, algorithm: str = "") -> str:
    """Return the overrides of the check: the papers' algorithm on small networks, without a segmentation table."""
    return (
        "partition=iid exchange=single downstream=none threads=1 device=cpu algorithm.replay=gradient "
        "algorithm.passes=1 algorithm.average_decay=0 algorithm.final_rate=1 "
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


def of_run(directory: Path) -> float:
    """Return the largest relative difference of a simulation's generator to one process, which trains it once more.

    Raises
    ------
    ConfigError
        If its settings make the two differ anyway: other number formats than float32, or rounds that do not wait; if
        they cannot be read.
    DataError
        If it is not the directory of a finished run.
    """
    if not RunDirectory.is_begun(directory):
        raise DataError(f"{directory} is not the directory of a run.")
    config = settings_of_run(directory)
    formats = (config.exchange.image_format, config.exchange.feedback_format)
    if formats != ("float32", "float32") or not config.schedule.is_synchronous:
        raise ConfigError(
            f"{directory} has images and feedback as {' and '.join(formats)}, or rounds that do not wait. What one "
            "process does is a run with exchange.image_format=float32 exchange.feedback_format=float32 "
            "schedule=synchronous."
        )
    return _difference(config, len({join.site for join in read_metrics(directory).joins}), directory)


def generator_of_one_process(config: Config, clients: int, secrets: Mapping[str, int] | None = None) -> nn.Module:
    """Train in this process, on the data of simulated clients, and return the moving average of the generator.

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
    with computing(config):
        train(algorithm_of(config), state, federation.sessions(config, secrets), in_flight=config.exchange.in_flight)
    return state.generator.average


def largest_relative_difference(network: nn.Module, reference: nn.Module) -> float:
    """Return max over tensors of max |a - b| / max |b|, for networks of one architecture."""
    ours, theirs = ({name: to_cpu(value) for name, value in each.state_dict().items()} for each in (network, reference))
    return max(
        float((ours[name] - value).abs().max() / value.abs().max().clamp_min(torch.finfo(value.dtype).tiny))
        for name, value in theirs.items()
    )


def _difference(config: Config, clients: int, directory: Path) -> float:
    """Compare the generator of a run directory, which holds the moving average of its parameters."""
    network, _, _ = load_generator(directory / "generator.safetensors")
    return largest_relative_difference(network, generator_of_one_process(config, clients))
