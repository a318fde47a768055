"""What a device makes of a round: images a second and peak memory, in each precision, beside a plain loop.

    python benchmarks/gpu.py speed --output gpu.json          # about 8 minutes on a large card
    python benchmarks/gpu.py table <folder> --output table.json
    python benchmarks/gpu.py table <folder> --output strong.json --model strong

``speed`` trains the papers' networks (ResNet-9, PatchGAN), the strong and the small ones on random images of 256 x 256
pixels, in batches of 8, with two clients: in float32, in bfloat16, and in bfloat16 compiled by ``torch.compile``; one
exchange a round, as the papers do. Beside it stands a plain loop that runs the generator once for both networks' steps,
and has its data on the device already. Each is run for some seconds after its first steps, which are not counted.

``table`` runs the whole job in this process, on a folder of images and masks, to its table of training on synthetic and
testing on real images: a line a row, with the run's metrics. The file beside it says how long each stage took and where
the run lies, with its sheets of samples.

``--tiny`` makes everything as small as it can be, for a machine without a GPU: ``torch.compile`` then finds the graphs
and leaves them as they are. Its figures mean nothing.
"""

import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.baselines.rows import LocalFederation, federation_of
from flower_dgan.client_app import app as client_app
from flower_dgan.config import Config
from flower_dgan.data import Pairs
from flower_dgan.device import describe, resolve_device
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.gan.losses import BCE
from flower_dgan.node.node import Node
from flower_dgan.placing import compute
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.wiring import computing

app = typer.Typer(no_args_is_help=True, add_completion=False)
console = Console()

NETWORKS = {
    "papers": "model=papers",
    "strong": "model=strong model.levels=none",
    "small": "model=images model.levels=none",
}
WAYS = {"float32": ("float32", False), "bfloat16": ("bfloat16", False), "bfloat16 compiled": ("bfloat16", True)}
"""Precision, and whether networks are compiled."""

Tiny = Annotated[bool, typer.Option(help="As small as can be, for a machine without a GPU.")]
Output = Annotated[Path, typer.Option(help="JSON file of the result.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]


def random_federation(config: Config) -> LocalFederation:
    """Return two clients with 16 random images each."""
    random, side = np.random.default_rng(0), config.data.image_size

    def node(name: str) -> Node:
        images = tuple(random.integers(0, 256, (side, side, config.data.channels), np.uint8) for _ in range(16))
        return Node(name, Pairs(images, tuple(random.integers(0, 2, (side, side), np.uint8) for _ in range(16)), 2))

    return federation_of(config, [node("a"), node("b")])


def images_per_second(turn: Callable[[], int], seconds: float, warm_up: int) -> float:
    """Return the images a second of turns that each tell how many they made, after some that are not counted."""
    for _ in range(warm_up):
        turn()
    begin, made = time.monotonic(), 0
    while (spent := time.monotonic() - begin) < seconds or not made:
        made += turn()
    return made / spent


def product(config: Config, federation: LocalFederation, compiler: str | None) -> Callable[[], int]:
    """Return a round of the run's algorithm in one process, which waits for the device at its end."""
    algorithm, state, sessions = algorithm_of(config), federation.state(config), federation.sessions(config)
    if compiler is not None:
        for network in (state.generator.network, *(each.half.network for each in sessions.values())):
            network.compile(backend=compiler)
    algorithm.begin(state)
    done = 0

    def turn() -> int:
        nonlocal done
        done += 1
        proposals, answers = {}, {}
        for name, proposal, question in algorithm.ask(state, done, list(sessions)):
            proposals[name], answers[name] = proposal, algorithm.answer(sessions[name], done, question)
        algorithm.learn(state, done, proposals, answers, dict.fromkeys(answers, 1.0))
        return sum(map(len, proposals.values()))

    return turn


def plain_loop(config: Config, federation: LocalFederation, compiler: str | None) -> Callable[[], int]:
    """Return a step of the same networks without anything around them, on data that are on the device."""
    state, sessions = federation.state(config), list(federation.sessions(config).values())
    generator, optimizer = state.generator.network, state.generator.optimizer
    real = [session.draw_real(1, 0) for session in sessions]
    drawn = [state.generator.propose(_inputs(federation, config, index)).inputs() for index in range(len(sessions))]
    inputs = [each.to(real[0].images.device) for each in drawn]
    if compiler is not None:
        for network in (generator, *(session.half.network for session in sessions)):
            network.compile(backend=compiler)

    def turn() -> int:
        loss = torch.zeros((), device=real[0].images.device)
        for session, given, batch in zip(sessions, inputs, real, strict=True):
            half = session.half
            fake = compute(generator, given)
            half.optimizer.zero_grad(set_to_none=True)
            on_real = compute(half.network, batch.label_maps, batch.images)
            on_fake = compute(half.network, given.label_maps, fake.detach())
            (BCE.real(on_real) + BCE.fake(on_fake)).mean().backward()
            half.optimizer.step()
            half.network.requires_grad_(False)
            loss = loss + BCE.generator(compute(half.network, given.label_maps, fake)).mean()
            half.network.requires_grad_(True)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        float(loss.detach())  # waits for the device
        return sum(map(len, inputs))

    return turn


def _inputs(federation: LocalFederation, config: Config, index: int) -> Any:
    from flower_dgan.gan.bundle import draw_bundle
    from flower_dgan.wiring import bundle_settings

    return draw_bundle(federation.labels[index], bundle_settings(config), 1)[1]


def measure(config: Config, compiler: str | None, seconds: float, warm_up: int) -> dict[str, Any]:
    """Return images a second and peak memory of the plain loop and of the product; what failed says why."""
    found: dict[str, Any] = {}
    federation, device = random_federation(config), resolve_device(config.device)
    for name, make in (("plain loop", plain_loop), ("in process", product)):
        try:
            with computing(config):
                begin = time.monotonic()
                turn = make(config, federation, compiler)
                turn()
                first = time.monotonic() - begin
                if device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats(device)
                speed = images_per_second(turn, seconds, warm_up)
            peak = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else None
            found[name] = {"images_per_second": speed, "first_seconds": first, "peak_mib": peak}
        except Exception as error:  # the other measurements are wanted all the same
            found[name] = {"failed": f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]}
    return found


@app.command()
def speed(
    output: Output,
    device: Device = "auto",
    seconds: Annotated[float, typer.Option(min=0, help="Of each of the 18 measurements.")] = 12.0,
    tiny: Tiny = False,
) -> None:
    """Measure images a second and memory."""
    side, width, batch = (32, 4, 2) if tiny else (256, 64, 8)
    where = resolve_device(device)
    result: dict[str, Any] = {"tiny": tiny, "device": describe(where), "torch": torch.__version__, "side": side}
    result |= {"batch": batch, "platform": platform.platform(), "measured": []}
    shown = Table("networks", "precision", "plain loop", "in process", "ratio", "peak MiB", title="images a second")
    for networks, overrides in NETWORKS.items():
        for way, (precision, compiled) in WAYS.items():
            widths = f"model.generator_width={width} model.discriminator_width={width}" if tiny else ""
            config = resolve(
                f"algorithm=dgan {overrides} {widths} exchange=single data.image_size={side} data.channels=3 "
                f"exchange.batch_size={batch} exchange.rounds=1000000 downstream=none precision={precision}"
            )
            compiler = ("eager" if tiny else "inductor") if compiled else None
            found = measure(replace(config, device=device), compiler, 0.0 if tiny else seconds, 0 if tiny else 3)
            result["measured"].append({"networks": networks, "way": way, **found})
            output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
            shown.add_row(networks, way, *_cells(found))
    console.print(shown)
    if tiny:
        console.print("Tiny: these figures say only that each way runs to its end.")


def _cells(found: dict[str, Any]) -> Sequence[str]:
    plain, ours = found["plain loop"], found["in process"]
    if "failed" in plain or "failed" in ours:
        return (
            *("failed" if "failed" in each else f"{each['images_per_second']:.1f}" for each in (plain, ours)),
            "-",
            "-",
        )
    peaks = [each["peak_mib"] for each in (plain, ours)]
    peak = "-" if None in peaks else " and ".join(f"{each:,.0f}" for each in peaks)
    speeds = [each["images_per_second"] for each in (plain, ours)]
    return (*(f"{each:.1f}" for each in speeds), f"{speeds[1] / speeds[0]:.2f}", peak)


@app.command()
def table(
    folder: Annotated[Path | None, typer.Argument(help="data.root of the images; not read with --tiny.")] = None,
    *,
    output: Output,
    device: Device = "auto",
    clients: Annotated[int, typer.Option(min=1)] = 4,
    model: Annotated[str, typer.Option(help="Networks: a file of conf/model that takes label maps.")] = "images",
    overrides: Annotated[str, typer.Option(help="Hydra overrides of the run.")] = (
        "data=monuseg data.image_size=256 algorithm=dgan-images partition=iid exchange.rounds=40 precision=bfloat16 "
        "downstream.seeds=1 downstream.rows=[Real-All,DGAN]"
    ),
    tiny: Tiny = False,
) -> None:
    """Train to a table of training on synthetic and testing on real images."""
    if tiny:
        overrides = (
            "data=digits algorithm=dgan model.generator_width=4 partition=iid exchange.rounds=1 exchange.exchanges=1 "
            "exchange.generator_steps=1 exchange.batch_size=2 downstream.seeds=1 downstream.steps=1 "
            "downstream.rows=[Real-All,DGAN] output.synthetic_images=4 precision=bfloat16"
        )
    elif folder is None:
        raise typer.BadParameter("give the folder of images and masks, or --tiny")
    else:
        overrides = f"{overrides} data.root='{folder.absolute()}'"
    overrides = f"{overrides} model={model}"
    config = replace(resolve(overrides), device=device)
    begin = time.monotonic()
    told = f"{overrides} device={device}"
    directory = run_job(InProcessGrid(client_app, simulated_contexts(clients, told)), config, 1).path
    metrics = read_metrics(directory)
    result = {
        "tiny": tiny,
        "device": describe(resolve_device(device), config.precision),
        "overrides": overrides,
        "seconds": time.monotonic() - begin,
        "stages": [asdict(each) for each in metrics.stages],
        "rows": [{"row": each.row, "seed": each.seed, **each.values} for each in metrics.tstr],
        "directory": str(directory),
    }
    output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    shown = Table("trained on", *config.downstream.metrics)
    for each in metrics.tstr:
        shown.add_row(each.row, *(f"{each.values[name]:.3f}" for name in config.downstream.metrics))
    console.print(shown)
    if tiny:
        console.print("Tiny: these figures say only that the run comes to its end.")


if __name__ == "__main__":
    app()
