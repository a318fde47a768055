"""Which alarms runs raise: healthy ones none, and those that are broken on purpose their own and no other.

    python benchmarks/alarms.py runs --data ../shared/data

prints a table of runs by alarms, and keeps the events of each in ``runs/<name>/``; a run whose directory is there is
read instead. ``--only`` names some of them. A run whose data are not in the folder is left out, which is said.
"""

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from flwr.app import Context, Error, Message

from common import natural_clients
from flower_dgan.client_app import app
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.node import node
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.wire import answer_message

_TAUGHT = "downstream.seeds=0 output.synthetic_images=10 exchange.join_timeout=1 output.checkpoint_interval=600"
_BROKEN = "partition=iid exchange.rounds=12 output.sample_interval=1"
_FEWER = "exchange.rounds=12 exchange.exchanges=8 exchange.generator_steps=8"  # than the presets' 64
_HARDLY = (
    "exchange.rounds=12 exchange.exchanges=8 output.sample_interval=12 model.site_condition=false "
    "algorithm.discriminator_steps=4 algorithm.discriminator_learning_rate=0.002 algorithm.generator_learning_rate=1e-6"
)
_FOUND_WITHIN = 10  # rounds
_CLIENTS = 4  # where the partition takes any number: one of them can be held against the others


@contextmanager
def as_it_is() -> Iterator[None]:
    """Change nothing."""
    yield


@contextmanager
def no_noise() -> Iterator[None]:
    """Feed zeros as noise: whatever is drawn from a normal distribution at the server is 0."""
    real = torch.randn
    with patch.object(torch, "randn", lambda *size, **options: torch.zeros_like(real(*size, **options))):
        yield


@contextmanager
def shuffled_labels() -> Iterator[None]:
    """Give each image of the first client the label map of another one."""
    real = node.open_partition

    def opened(config: Any, client: int, clients: int) -> node.Node:
        found = real(config, client, clients)
        if client:
            return found
        order = np.random.default_rng(0).permutation(len(found.pairs))
        label_maps = [found.pairs.label_maps[at] for at in order]
        return replace(found, pairs=replace(found.pairs, label_maps=label_maps))

    with patch.object(node, "open_partition", opened):
        yield


@contextmanager
def frozen_client() -> Iterator[None]:
    """Let the first client say nothing once the training has begun; :func:`answer` asks."""
    global _frozen
    _frozen = True
    try:
        yield
    finally:
        _frozen = False


_frozen = False


@contextmanager
def another_unit() -> Iterator[None]:
    """Let the first client's feedback be 30 times as long, as where a sum stands for a mean."""
    real = answer_message.encode_gradients

    def encode(gradients: torch.Tensor, feedback_format: Any) -> Any:
        return real(gradients * (30 if _answering == 0 else 1), feedback_format)

    with patch.object(answer_message, "encode_gradients", encode):
        yield


_answering = -1


def answer(message: Message, context: Context) -> Message:
    """Answer as a client, or not at all where it is the frozen one."""
    global _answering
    _answering = int(context.node_config["partition-id"])
    is_first = _answering == 0
    if _frozen and is_first and message.metadata.message_type.startswith("train"):
        return Message(Error(code=0, reason="it hangs"), reply_to=message)
    return app(message, context)


@dataclass(frozen=True)
class Run:
    """A run: its settings, the data that it needs, what is broken in it, and what alarms of that are its own."""

    overrides: str
    data: str = ""
    broken: Callable[[], Any] = as_it_is
    own: tuple[str, ...] = ()


def plan(data: Path) -> dict[str, Run]:
    """Return all runs by name."""
    nuclei, mnist = f"data.root={data}/nuclei", f"data.root={data}/digits/mnist-10k"
    return {
        "digits": Run(""),
        "digits-iid": Run("partition=iid exchange.rounds=20"),
        "asyndgan-nuclei-cpu": Run(f"experiment=asyndgan-nuclei-cpu {nuclei} {_FEWER}", "nuclei"),
        "tdgan-nuclei-cpu": Run(f"experiment=tdgan-nuclei-cpu {nuclei} data.sites=[breast,kidney] {_FEWER}", "nuclei"),
        "mdgan-mnist-cpu": Run(f"experiment=mdgan-mnist-cpu {mnist} exchange.rounds=40", "digits/mnist-10k"),
        "uagan-mnist-cpu": Run(f"experiment=uagan-mnist-cpu {mnist}", "digits/mnist-10k"),
        "uagan-mnist-cpu-12": Run(f"experiment=uagan-mnist-cpu {mnist} exchange.rounds=12", "digits/mnist-10k"),
        "distributed-gan-mnist-cpu": Run(
            f"experiment=distributed-gan-mnist-cpu {mnist} exchange.rounds=40", "digits/mnist-10k"
        ),
        "learning-rate-x-30": Run(
            f"{_BROKEN} algorithm.generator_learning_rate=0.03 algorithm.discriminator_learning_rate=0.015",
            own=("images saturate",),
        ),
        "noise-of-zeros": Run(_BROKEN, broken=no_noise, own=("draws collapse",)),
        "shuffled-labels": Run(_BROKEN, broken=shuffled_labels, own=("images and label maps do not match",)),
        "frozen-client": Run(_BROKEN, broken=frozen_client, own=("a client is missing",)),
        "feedback-x-30": Run(_BROKEN, broken=another_unit, own=("feedback is long",)),
        "generator-that-hardly-learns": Run(_HARDLY, own=("D has won",)),
    }


def do(name: str, run: Run, folder: Path) -> None:
    """Make a run in a folder, unless it is there."""
    directory = folder / name
    if directory.is_dir():
        return
    overrides = f"{run.overrides} {_TAUGHT}"
    config = resolve(overrides)
    config = replace(config, output=replace(config.output, directory=str(directory)))
    clients = natural_clients(config, _CLIENTS)
    with run.broken():
        run_job(InProcessGrid(answer, simulated_contexts(clients, overrides)), config, 1)


def line(name: str, run: Run, directory: Path) -> str:
    """Return a line of the table."""
    found = read_metrics(directory)
    begun = [each for each in found.alarms if each.begins]
    kinds = {each.name for each in begun}
    early = {each.name for each in begun if each.round <= _FOUND_WITHIN}
    good = kinds == early == set(run.own)
    said = ", ".join(f"{each.name}{each.site and f' at {each.site}'} (round {each.round})" for each in begun)
    own = ", ".join(run.own) or "none"
    return f"| {name} | {len(found.rounds)} | {own} | {said or 'none'} | {'yes' if good else 'NO'} |"


def main() -> None:
    """Make the runs that are missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", nargs="*", default=[])
    asked = parser.parse_args()
    os.nice(10)
    lines = ["| run | rounds | its alarm | raised | as it should be |", "|---|---|---|---|---|"]
    for name, run in plan(asked.data.resolve()).items():
        if asked.only and name not in asked.only:
            continue
        if run.data and not (asked.data / run.data).is_dir():
            print(f"{name} is left out: there is no {asked.data / run.data}")
            continue
        do(name, run, asked.folder.resolve())
        lines.append(line(name, run, asked.folder.resolve() / name))
        print(lines[-1], flush=True)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
