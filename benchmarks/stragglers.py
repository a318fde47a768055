"""What a slow client and one that goes away cost, with rounds that wait for all and with rounds that do not.

    python benchmarks/stragglers.py --output stragglers.json

Four clients with equal random parts of the digits; one takes ten times as long for a message as it works, and one goes
away half-way. The real strategy and ClientApp run in this process, each node in a thread of its own. A round that waits
for all gives up on the one that is gone after ``--timeout`` seconds, and asks it again in the next.
"""

import json
import os
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import torch
import typer
from flwr.app import Message

from flower_dgan.client_app import app
from flower_dgan.errors import DganError
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.wire.question_message import EXCHANGE

CLIENTS, SLOW, LEAVING = 4, 1, 2
SLOWNESS = 10
SCHEDULES = {"synchronous": "exchange.timeout={timeout}", "asynchronous": "schedule=asynchronous"}


class Nodes(InProcessGrid):
    """Nodes that work at the same time, one of them slowly, and one of them until a round."""

    def __init__(self, overrides: str, last_round: int) -> None:
        super().__init__(app, simulated_contexts(CLIENTS, overrides))
        self._pools = {node: ThreadPoolExecutor(1) for node in self._contexts}
        self._work: dict[str, Future[Message]] = {}
        self._last_round = last_round
        self._round = 0

    def get_node_ids(self) -> Iterable[int]:
        """Return the nodes that are there."""
        return [node for node in self._contexts if node != LEAVING or self._round < self._last_round]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Give each message to its node."""
        ids = []
        for message in messages:
            node, message_id = message.metadata.dst_node_id, f"{len(self._work)}"
            message.metadata.__dict__["_message_id"] = message_id
            self._round = max(self._round, int(message.metadata.group_id or 0))
            self._work[message_id] = self._pools[node].submit(self._answer, message)
            ids.append(message_id)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that are there; the node that left gives none."""
        done = [self._work[i] for i in message_ids if self._work[i].done()]
        replies = [work.result() for work in done]
        return [reply for reply in replies if reply.metadata.src_node_id in self.get_node_ids()]

    def _answer(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        start = time.thread_time()
        reply = self._app(message, self._contexts[node])
        if message.metadata.message_type == EXCHANGE and node == SLOW:
            time.sleep((SLOWNESS - 1) * (time.thread_time() - start))
        return reply


def measure(schedule: str, seed: int, timeout: float, overrides: str) -> dict[str, Any]:
    """Train under a schedule and return seconds and Dice."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "run"
        given = (
            f"partition=iid downstream.rows=[Real-All,DGAN] downstream.seeds=1 model.site_condition=false seed={seed} "
            f"{SCHEDULES[schedule].format(timeout=timeout)} exchange.join_timeout=20 output.directory='{directory}' "
            f"{overrides}"
        )
        config = resolve(given)
        run_job(Nodes(given, config.exchange.rounds // 2), config, seed)
        metrics = read_metrics(directory)
    dice = {result.row: result.values["dice"] for result in metrics.tstr}
    return {
        "schedule": schedule,
        "seed": seed,
        "seconds": sum(sum(each.seconds.values()) for each in metrics.rounds),
        "seconds_before_it_left": sum(sum(e.seconds.values()) for e in metrics.rounds[: len(metrics.rounds) // 2]),
        "images": sum(each.images for each in metrics.rounds),
        "late": sum(client.rounds_late > 0 for each in metrics.rounds for client in each.clients.values()),
        "dropped": sum(len(each.rejected) for each in metrics.rounds),
        "dice": dice["DGAN"],
        "real": dice["Real-All"],
    }


def main(
    output: Annotated[Path, typer.Option(help="JSON file of the result.")],
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    timeout: Annotated[float, typer.Option(help="Seconds after which a round that waits gives up on a client.")] = 5.0,
    overrides: Annotated[str, typer.Option(help="More Hydra overrides.")] = "",
) -> None:
    """Compare the seconds of a training and what its images are worth under both schedules."""
    found = []
    try:
        for seed in range(seeds):
            for schedule in SCHEDULES:
                found.append(measure(schedule, seed, timeout, overrides))
                print(json.dumps(found[-1]), flush=True)
    except DganError as error:
        print(f"Not measured. {error}")
        raise typer.Exit(1) from error
    machine = {"cpus": os.cpu_count(), "torch": torch.__version__}
    output.write_text(json.dumps({"machine": machine, "runs": found}, indent=2) + "\n", encoding="utf-8")
    for schedule in SCHEDULES:
        ours = [run for run in found if run["schedule"] == schedule]
        print(f"{schedule}: {fmean(r['seconds'] for r in ours):.0f} s, Dice {fmean(r['dice'] for r in ours):.3f}")


if __name__ == "__main__":
    typer.run(main)
