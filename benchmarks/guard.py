"""How far honest clients go beyond what is usual: what the constants of ``flower_dgan.gan.guard`` stand on.

Trains on the digits with each algorithm and several losses, in this process. Of every reply it takes the magnitude of
the largest sample, over the median of the other clients' magnitudes and over the median of its client's past, as the
guard has them. Prints the largest of each training as a table, and how often the guard's bounds applied: 0, if they
leave honest clients alone.

    python benchmarks/guard.py [--only "minimax;uagan, minimax"]
"""

import math
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from flwr.app import Context, Message
from numpy.typing import NDArray

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.algorithms.judging_together import JudgingTogether
from flower_dgan.client_app import app
from flower_dgan.config import Config
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.gan.guard import Guard, Reach, root_mean_square, root_mean_squares
from flower_dgan.networks.build import discriminator_form
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.wire.answer_message import read_answer
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.question_message import EXCHANGE

FOUR = "partition.label_groups=[[0,1,2],[3,4],[5,6,7],[8,9]]"
DENSE = (
    "data.condition=none data.image_size=8 model=mlp model.generator_width=256 model.discriminator_width=128 "
    "model.noise_channels=64 exchange.exchanges=4 exchange.generator_steps=4 exchange.batch_size=64 "
    "algorithm.discriminator_learning_rate=2e-4 algorithm.final_rate=1 algorithm.average_decay=0 exchange.rounds=150"
)
TRAININGS: dict[str, tuple[int, str]] = {
    "README": (2, ""),
    "exactness": (3, "partition=iid exchange=single exchange.rounds=60"),
    "agreement": (4, f"{FOUR} algorithm.merge=agreement exchange.rounds=40"),
    "target replay": (
        4,
        f"{FOUR} algorithm.replay=target algorithm.target_step=0.15 exchange.exchanges=16 exchange.generator_steps=16 "
        "exchange.batch_size=4 exchange.rounds=20",
    ),
    "L1 of the papers": (
        3,
        "partition=iid algorithm=asyndgan model=small allow_pixel_losses=true algorithm.perceptual_weight=0 "
        "exchange.rounds=60",
    ),
    "sequential": (4, f"{FOUR} algorithm=dgan-sequential exchange.rounds=60"),
    "fusion": (4, f"{FOUR} algorithm=fusion exchange.rounds=20"),
    "minimax": (4, f"{FOUR} {DENSE} algorithm.loss=minimax"),
    "minimax, one class": (5, f"partition.label_groups=[[0],[1],[2],[3],[4]] {DENSE} algorithm.loss=minimax"),
    "hinge": (4, f"{FOUR} {DENSE} algorithm.loss=hinge"),
    "least squares": (4, f"{FOUR} {DENSE} algorithm.loss=least-squares"),
    "uagan": (4, f"{FOUR} {DENSE} algorithm=uagan"),
    "uagan, minimax": (4, f"{FOUR} {DENSE} algorithm=uagan algorithm.loss=minimax"),
    "gman, least squares": (4, f"{FOUR} {DENSE} algorithm=gman algorithm.loss=least-squares"),
    "mdgan with swaps": (4, f"{FOUR} {DENSE} algorithm=mdgan algorithm.swap_interval=5"),
    "selective, largest": (4, f"{FOUR} {DENSE} algorithm=dgan-selective"),
    "selective, random": (4, f"{FOUR} {DENSE} algorithm=dgan-selective algorithm.upload=random"),
}
KINDS = ("gradients", "scores", "weights")


class WatchedApp:
    """The ClientApp, and the magnitudes of what its clients say: of the largest sample, and of all."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.said: dict[str, dict[int, dict[str, tuple[float, float]]]] = {kind: defaultdict(dict) for kind in KINDS}

    def __call__(self, message: Message, context: Context) -> Message:
        """Answer as the ClientApp does."""
        reply = app(message, context)
        if message.metadata.message_type == EXCHANGE and not reply.has_error():
            self._note(reply, int(message.metadata.group_id), str(context.node_id))
        return reply

    def _note(self, reply: Message, round_number: int, name: str) -> None:
        config = self._config
        classes = 1 if config.data.condition == "none" else 2
        form, algorithm = discriminator_form(config, classes), algorithm_of(config)
        entries = form.entries if algorithm.releases.changes else 0
        moved = form.shapes if "discriminator" in reply.content else None
        said, _ = read_answer(reply.content, BundleShape.of(config, classes), moved, entries)
        if len(said.feedback.losses):
            self._add("gradients", round_number, name, root_mean_squares(said.feedback.gradients))
        if len(said.feedback.losses) and isinstance(algorithm, JudgingTogether):
            self._add("scores", round_number, name, np.abs(said.feedback.losses.double().numpy()))
        changes = [] if said.change is None else [said.change.numpy()]
        for weights in (*(said.weights or {}).values(), *changes):
            if weights.size:
                largest = float(np.abs(weights).max())
                before, _ = self.said["weights"][round_number].get(name, (0.0, 0.0))
                self.said["weights"][round_number][name] = (max(before, largest),) * 2

    def _add(self, kind: str, round_number: int, name: str, samples: NDArray[np.float64]) -> None:
        self.said[kind][round_number][name] = float(samples.max()), root_mean_square(samples)


def largest_ratios(rounds: dict[int, dict[str, tuple[float, float]]]) -> tuple[float, float]:
    """Return the largest magnitude of a sample over the median of the others, and over that of its client's past."""
    guards = (Guard(Reach(1.0, math.inf, largest=math.inf)), Guard(Reach(math.inf, 1.0, largest=math.inf)))
    found = [0.0, 0.0]
    for _, replies in sorted(rounds.items()):
        levels = {name: level for name, (_, level) in replies.items()}
        for place, guard in enumerate(guards):
            limits = guard.limits(levels)
            found[place] = max(found[place], *(sample / limits[name] for name, (sample, _) in replies.items()))
            guard.remember(levels)
    return found[0], found[1]


def main(
    only: Annotated[str, typer.Option(help="Some of the trainings, separated by semicolons; all if empty.")] = "",
) -> None:
    """Print the table."""
    print("| training | " + " | ".join(f"{kind} / others | {kind} / past" for kind in KINDS) + " | bounds applied |")
    print("|" + " --- |" * (2 + 2 * len(KINDS)))
    for name in only.split(";") if only else TRAININGS:
        clients, chosen = TRAININGS[name]
        with tempfile.TemporaryDirectory() as scratch:
            directory = Path(scratch) / "run"
            overrides = f"downstream=none output.synthetic_images=2 output.directory='{directory}' {chosen}"
            config = resolve(overrides)
            watched = WatchedApp(config)
            run_job(InProcessGrid(watched, simulated_contexts(clients, overrides)), config, 0)  # type: ignore[arg-type]
            rounds = read_metrics(directory).rounds
        applied = sum(each.bounded_together + sum(c.bounded for c in each.clients.values()) for each in rounds)
        ratios = [ratio for kind in KINDS for ratio in largest_ratios(watched.said[kind])]
        print(f"| {name} | " + " | ".join(f"{ratio:.1f}" if ratio else "-" for ratio in ratios) + f" | {applied} |")


if __name__ == "__main__":
    typer.run(main)
