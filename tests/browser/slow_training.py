"""A training that goes on for as long as someone watches: two clients, of which one says nonsense now and then."""

import sys
import time
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message

from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.wire.question_message import EXCHANGE
from tests.contract.conftest import TINY, Reply, TamperedApp, configuration

ROUNDS = 5000
_PAUSE = 0.1  # seconds a message, so that a round can be seen
_BROKEN = 5  # every so many rounds the second client sends no number


def slow(message: Message, context: Context, answer: Reply) -> Message:
    """Answer after a pause; the second client's feedback of some rounds is not a number."""
    reply = answer(message, context)
    if message.metadata.message_type == EXCHANGE:
        time.sleep(_PAUSE)
        if context.node_config["partition-id"] == 1 and int(message.metadata.group_id) % _BROKEN == 0:
            feedback = reply.content["feedback"]
            assert isinstance(feedback, ArrayRecord)
            losses = feedback["losses"].numpy()
            feedback["losses"] = Array(np.full_like(losses, np.nan))
    return reply


def main(directory: str, *resume: str) -> None:
    """Train into a directory, or go on there."""
    overrides = f"{TINY} partition=iid exchange.rounds={ROUNDS} output.checkpoint_interval=0 output.sample_interval=2"
    overrides += f" resume='{directory}'" if resume else ""
    grid = InProcessGrid(TamperedApp(slow), simulated_contexts(2, overrides))
    run_job(grid, configuration(overrides, Path(directory)), 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
