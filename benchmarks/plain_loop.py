"""CPU seconds of a round in process, over those of a plain loop that does what the released AsynDGAN does.

    python benchmarks/plain_loop.py --output plain_loop.json

Two clients, the papers' networks (ResNet-9, 70 x 70 PatchGAN), 8 images of 64 x 64 pixels each, L1, S = 1, one thread.
The plain loop draws once a step: D_k learns from images that are detached, and the generator's loss goes through D_k
and G in one graph. Ours is :func:`flower_dgan.algorithms.in_process.train`, with the passes that are kept until the
feedback comes, and with ``exchange.graph_mb=0``. The three take turns, each turn begun by another. CPU seconds and not
those of the clock, as what else the machine does hardly changes them.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import typer

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.algorithms.in_process import train
from flower_dgan.baselines.rows import LocalFederation, open_federation
from flower_dgan.config import Config
from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.resolve import resolve
from flower_dgan.wiring import seeded, threads

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script it finds only what is beside it
from tests.pairs import make_folder

CLIENTS = 2


def per_round(config: Config, run: Callable[[Callable[[int], None]], None]) -> float:
    """Return the median CPU seconds of the rounds but the first, with one thread."""
    ends: list[float] = []
    with threads(1), seeded(config.seed, "plain loop"):
        run(lambda _: ends.append(time.process_time()))
    return median(end - start for start, end in pairwise(ends))


def ours(config: Config, federation: LocalFederation) -> float:
    """Return the CPU seconds of a round of the algorithm in this process."""
    state, sessions = federation.state(config), federation.sessions(config)
    return per_round(config, lambda ended: train(algorithm_of(config), state, sessions, after_round=ended))


def plain(config: Config, federation: LocalFederation) -> float:
    """Return the CPU seconds of a round of the plain loop, on the same networks and images."""
    generator, sessions = federation.state(config).generator, federation.sessions(config)
    algorithm: Any = config.algorithm

    def run(ended: Callable[[int], None]) -> None:
        for number in range(1, config.exchange.rounds + 1):
            generator.optimizer.zero_grad(set_to_none=True)
            for index, session in enumerate(sessions.values()):
                real, half = session.draw_real(number, 0), session.half
                samples, _, height, width = real.images.shape
                nothing = torch.zeros(samples, 1, height, width)
                sites = torch.full((samples,), index)
                images = generator.network(GeneratorInput(real.label_maps, torch.zeros(samples, 0), nothing, sites))
                half.optimizer.zero_grad(set_to_none=True)
                on_real = half.network(real.label_maps, real.images)
                on_synthetic = half.network(real.label_maps, images.detach())
                loss = (half.loss.real(on_real) + half.loss.fake(on_synthetic)).mean()
                (half.discriminator_weight * loss).backward()
                half.optimizer.step()
                half.network.requires_grad_(False)
                judged = half.loss.generator(half.network(real.label_maps, images)).mean()
                judged = judged + algorithm.l1_weight * (images - real.images).abs().mean()
                (half.generator_weight * judged / len(sessions)).backward()
                half.network.requires_grad_(True)
            generator.optimizer.step()
            ended(number)

    return per_round(config, run)


def main(
    output: Annotated[Path, typer.Option(help="JSON file of the result.")],
    size: Annotated[int, typer.Option(help="Height and width of the images.")] = 64,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds a turn; the first one is not counted.")] = 4,
    turns: Annotated[int, typer.Option(min=1)] = 3,
) -> None:
    """Measure CPU seconds of a round, side by side."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = make_folder(Path(scratch) / "pairs", images=10, size=size)
        given = (
            f"algorithm=asyndgan algorithm.perceptual_weight=0 allow_pixel_losses=true downstream=none data=folder "
            f"data.root='{folder}' data.image_size={size} exchange.rounds={rounds}"
        )
        config, without = resolve(f"{given} exchange.graph_mb=8000"), resolve(f"{given} exchange.graph_mb=0")
        federation = open_federation(config, CLIENTS)
        runs: dict[str, Callable[[], float]] = {
            "plain": lambda: plain(config, federation),
            "ours": lambda: ours(config, federation),
            "ours, each pass repeated": lambda: ours(without, federation),
        }
        found: dict[str, list[float]] = {name: [] for name in runs}
        for turn in range(turns):
            names = list(runs)
            for name in names[turn % 3 :] + names[: turn % 3]:
                found[name].append(runs[name]())
            print(json.dumps(found), flush=True)
    ratios = {
        name: [plain / own for plain, own in zip(found["plain"], seconds, strict=True)]
        for name, seconds in found.items()
        if name != "plain"
    }
    result = {
        "machine": {"cpus": os.cpu_count(), "torch": torch.__version__},
        "size": size,
        "cpu_seconds_a_round": found,
        "speed_over_plain": {name: {"median": median(each), "all": each} for name, each in ratios.items()},
    }
    print(json.dumps(result["speed_over_plain"], indent=2))
    output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
