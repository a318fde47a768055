"""Images a second through a SuperLink and two SuperNodes on loopback, over a plain loop, lever by lever.

    python benchmarks/deployed.py --output deployed.json

runs, in turn and as often as asked, the plain loop of ``speed.py`` and a real deployment with each of these:

naive
    One exchange a message, Flower's own SuperNode and Flower's own ``send_and_receive``.
grid
    The same with the grid of this package, which polls fast.
warm
    The same and ``flower-dgan supernode``: polls fast, and has a process that stays between messages.
bundles
    The grid and bundles, on Flower's own SuperNode.
forked
    Grid, warm SuperNodes that fork a process for each message, and bundles.
all
    The same with a process that stays: what ``flower-dgan supernode`` gives with the shipped settings.
forked ahead, ahead
    The same two with two bundles in flight.

Every second turn goes through the levers in the other direction.

An image counts when its feedback has stepped the generator. The first round of each run is warm-up. Where the time of a
message went is given for each: the discriminator's compute, the node's own work around it (configuration, data, state,
number formats), and the rest, which is starting a process, importing, Flower's polls and the wire.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Annotated, Any

import torch
import typer
from matplotlib.figure import Figure

from common import append_line, read_lines
from flower_dgan.baselines.rows import open_federation
from flower_dgan.errors import DganError
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from local_flower import deployed_flower, write_app
from speed import images_per_second, run_bare

CLIENTS = 2
SINGLE = "exchange.exchanges=1 exchange.generator_steps=1"
FORKED, STAYS = ("--resident-workers", "0"), ("--resident-workers", "2")
# name: warm SuperNodes, rounds over those of the fastest, overrides, options of the SuperNodes
LEVERS: dict[str, tuple[bool, float, str, Sequence[str]]] = {
    "naive": (False, 0.3, SINGLE, ()),
    "grid": (False, 0.3, SINGLE, ()),
    "warm": (True, 1.0, SINGLE, ()),
    "bundles": (False, 0.4, "", ()),
    "forked": (True, 1.0, "", FORKED),
    "all": (True, 1.0, "", STAYS),
    "forked ahead": (True, 1.0, "exchange.in_flight=2", FORKED),
    "ahead": (True, 1.0, "exchange.in_flight=2", STAYS),
}
# A step of the large networks takes more than 0.1 s on a slow core.
SIZES = {"small": "", "large": "model.generator_width=32 model.discriminator_width=64"}


def run_deployed(name: str, overrides: str, rounds: int, timeout: float) -> dict[str, Any]:
    """Train through a deployment of its own, and return images a second and where the time of a message went."""
    warm, share, extra, options = LEVERS[name]
    rounds = max(3, round(share * rounds))
    given = f"{overrides} {extra} exchange.rounds={rounds} exchange.min_nodes={CLIENTS} output.synthetic_images=2"
    node_configs = [f"partition-id={client} num-partitions={CLIENTS}" for client in range(CLIENTS)]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch, deployed_flower(node_configs, options=options, warm=warm) as flower:
        directory, app = Path(scratch) / "run", Path(scratch) / "app"
        if name == "naive":
            write_app(app, "naive_app:app")
            shutil.copy(Path(__file__).with_name("naive_app.py"), app)
        else:
            write_app(app)
        start = time.time()
        flower.run(app, f"{given} output.directory='{directory}'", timeout=timeout)
        found: dict[str, Any] = {"rounds": rounds, "run_seconds": time.time() - start, "load_before": load}
        if name == "naive":
            ends = read_lines(directory / "rounds.jsonl")
            images = sum(end["images"] for end in ends[1:])
            return {**found, "images_per_second": images / (ends[-1]["time"] - ends[0]["time"])}
        counted = read_metrics(directory).rounds
    rounds_seconds = [sum(each.seconds.values()) for each in counted[1:]]
    replies = [client for each in counted[1:] for client in each.clients.values()]
    compute = fmean(reply.compute_seconds for reply in replies)
    node = fmean(reply.busy_seconds for reply in replies) - compute
    generator = fmean(each.seconds["generator"] for each in counted[1:])
    split = {"generator": generator, "discriminator": compute, "node": node}
    # With bundles ahead, generator and clients work at the same time.
    hidden = generator if "in_flight=2" in extra else 0.0
    rest = fmean(rounds_seconds) - sum(split.values()) + hidden
    return {
        **found,
        "images_per_second": images_per_second(counted),
        "message_seconds": {**split, "process, polls and wire": rest},
        "rejected": sum(len(each.rejected) for each in counted),
    }


def cost_of_starting() -> dict[str, float]:
    """Return the seconds that a new Python process takes alone, and with what a ClientApp imports."""
    found = {}
    for name, code in {"process": "pass", "process and imports": "import flower_dgan.client_app"}.items():
        start = time.monotonic()
        subprocess.run([sys.executable, "-c", code], check=True)
        found[name] = time.monotonic() - start
    return found


def summarize(lines: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return, for each size and lever, median, least and greatest ratio to the faster plain loop of the same turn."""
    ratios: dict[str, dict[str, list[float]]] = {}
    for line in lines:
        bare = max(each["images_per_second"] for each in line["bare"])
        for name, run in line["deployed"].items():
            ratios.setdefault(line["size"], {}).setdefault(name, []).append(run["images_per_second"] / bare)
    return {
        size: {name: {"median": median(r), "min": min(r), "max": max(r)} for name, r in levers.items()}
        for size, levers in ratios.items()
    }


def figure(summary: dict[str, dict[str, dict[str, float]]]) -> Figure:
    """Return the plot: a bar a lever, a colour a size of the networks, on a logarithmic axis."""
    result = Figure(figsize=(7, 4), layout="constrained")
    axes = result.subplots()
    names = list(dict.fromkeys(name for levers in summary.values() for name in levers))
    for shift, (size, levers) in enumerate(summary.items()):
        places = [names.index(name) + 0.4 * shift for name in levers]
        bars = axes.bar(places, [levers[name]["median"] for name in levers], 0.38, label=f"{size} networks")
        axes.bar_label(bars, [f"{levers[name]['median']:.3f}" for name in levers], fontsize="small")
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks([place + 0.2 * (len(summary) - 1) for place in range(len(names))], names)
    axes.set(yscale="log", ylabel="images a second, over a plain loop")
    axes.legend()
    return result


def main(
    output: Annotated[Path, typer.Option(help="JSON lines of the results; the plot is beside them.")],
    sizes: Annotated[str, typer.Option(help="Sizes of the networks.")] = "small,large",
    levers: Annotated[str, typer.Option(help="Which of the levers.")] = ",".join(LEVERS),
    rounds: Annotated[int, typer.Option(min=3, help="Rounds of the fastest runs.")] = 12,
    turns: Annotated[int, typer.Option(min=1, help="Turns of plain loop and all levers.")] = 3,
    overrides: Annotated[str, typer.Option(help="More Hydra overrides.")] = "",
    timeout: Annotated[float, typer.Option(help="Longest time of one run, in seconds.")] = 1800.0,
) -> None:
    """Measure images a second of a deployment, over a plain loop."""
    output.parent.mkdir(parents=True, exist_ok=True)
    own_threads = torch.get_num_threads()
    machine = {"cpus": os.cpu_count(), "system": platform.platform(), "torch": torch.__version__}
    try:
        for turn in range(turns):
            names = levers.split(",")[:: -1 if turn % 2 else 1]
            for size in sizes.split(","):
                given = f"downstream=none {SIZES[size]} {overrides}".strip()
                config = resolve(f"{given} exchange.rounds={rounds}")
                federation = open_federation(config, CLIENTS)
                bare = [run_bare(config, federation, n) for n in sorted({config.threads or own_threads, own_threads})]
                found = {name: run_deployed(name, given, rounds, timeout) for name in names}
                line = {"size": size, "machine": machine, "starting": cost_of_starting()}
                append_line(output, {**line, "bare": bare, "deployed": found})
                print(json.dumps(summarize(read_lines(output)), indent=2), flush=True)
    except DganError as error:
        print(f"Not measured. {error}")
        raise typer.Exit(1) from error
    figure(summarize(read_lines(output))).savefig(output.with_suffix(".png"), dpi=150)


if __name__ == "__main__":
    typer.run(main)
