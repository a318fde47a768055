"""TSTR Dice against messages, for several numbers of exchanges and of generator steps a message.

Trains the algorithm with S exchanges and g generator steps a message, and measures after some numbers of messages how
useful the synthetic images are: the Dice of a segmentation model trained on them and tested on real images (TSTR),
beside one trained on all real images (Real-All) and one on the images of an untrained generator. Everything runs in
this process, without Flower: that Flower changes nothing about the result is what ``flower-dgan verify exactness``
shows, and what it costs is in ``speed.py``.

    python benchmarks/bundles.py --output <directory>

writes ``results.jsonl`` line by line, then ``bundles.md`` and ``bundles.png``. Started again, it goes on from there.
"""

import shlex
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from bundles_report import write_reports
from common import append_line, natural_clients, read_lines
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.algorithms.in_process import train
from flower_dgan.baselines.rows import LocalFederation, draw_untrained, open_federation
from flower_dgan.config import Config
from flower_dgan.data import Pairs, open_source
from flower_dgan.errors import DganError
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.resolve import resolve, to_yaml
from flower_dgan.synthesis import synthesize
from flower_dgan.tasks import segmentation, tstr
from flower_dgan.tasks.segmentation.fit import train_segmenter
from flower_dgan.wiring import bundle_settings, seeded, threads

NUCLEI = Path(__file__).resolve().parents[2] / "shared" / "data" / "nuclei"
EQUAL_TO_EXCHANGES = "S"
TARGETS = (
    "exchange=targets algorithm.replay=target algorithm.target_step=0.15 algorithm.passes=1 "
    "algorithm.gradient_penalty=0 model.levels=none"
)
"""The rule for images before clients moved them, of which the figures in docs/bundles.md and docs/measured.md are."""


def base_overrides(nuclei: Path) -> dict[str, str]:
    """Return the overrides of each data set.

    Rates are constant: a schedule ends at the last message, so that earlier checkpoints would not be what they seem.
    """
    return {
        "digits": "algorithm.final_rate=1",
        "nuclei": f"data=folder data.root={shlex.quote(str(nuclei))} {TARGETS} algorithm.final_rate=1",
    }


class BudgetSpentError(Exception):
    """A configuration has had its time."""


def configurations(exchanges: list[int], generator_steps: list[str]) -> list[tuple[int, int]]:
    """Return every (S, g) with g a divisor of S, in order and each once; the step count ``S`` stands for S itself."""
    pairs = {
        (size, size if steps == EQUAL_TO_EXCHANGES else int(steps)) for size in exchanges for steps in generator_steps
    }
    return sorted((size, steps) for size, steps in pairs if size % steps == 0)


def open_checkpoints(
    lines: list[dict[str, Any]], run: dict[str, Any], checkpoints: list[int], budget: float
) -> list[int]:
    """Return the checkpoints of a run that are still to be measured.

    Those after a stop are not, unless the budget is larger now.

    Parameters
    ----------
    lines : list of dict
        All results so far.
    run : dict
        ``data``, ``exchanges``, ``generator_steps`` and ``seed``.
    checkpoints : list of int
        Messages a client.
    budget : float
        Seconds.
    """
    ours = [line for line in lines if run.items() <= line.items()]
    if any(line["kind"] == "stopped" and line["budget_seconds"] >= budget for line in ours):
        return []
    done = {line["messages"] for line in ours if line["kind"] == "tstr"}
    return sorted(set(checkpoints) - done)


def score(config: Config, pairs: Pairs, test: Pairs) -> dict[str, float]:
    """Train the segmentation model on pairs and return its Dice and IoU on real test pairs."""
    size = config.data.image_size
    model = train_segmenter(
        pairs, config.downstream, image_size=size, augmentation=config.data.augmentation, seed=config.seed
    )
    return tstr.score(segmentation.TASK, model, test, image_size=size, metrics=("dice", "iou"))


def synthetic_pairs(config: Config, federation: LocalFederation, half: GeneratorHalf) -> Pairs:
    """Draw the synthetic dataset of a run from the moving average of its generator."""
    return synthesize(half.average, federation.labels, bundle_settings(config), config.output.synthetic_images)[0]


def measure(
    config: Config,
    federation: LocalFederation,
    test: Pairs,
    run: dict[str, Any],
    todo: list[int],
    budget: float,
    path: Path,
) -> None:
    """Train one configuration and write a line at each checkpoint, or a line that says why it stopped."""
    rated = replace(
        config,
        algorithm=replace(config.algorithm, final_rate=1.0),
        exchange=replace(config.exchange, rounds=todo[-1]),
    )
    state, settings = federation.state(rated), bundle_settings(config)
    images = len(federation.labels) * settings.exchanges * settings.batch_size
    start = time.monotonic()
    evaluating = 0.0

    def after_round(messages: int) -> None:
        nonlocal evaluating
        now = time.monotonic()
        if messages in todo:
            seconds = now - start - evaluating
            scores = score(config, synthetic_pairs(config, federation, state.generator), test)
            found = {"messages": messages, "images": messages * images, "seconds": seconds, **scores}
            append_line(path, {"kind": "tstr", **run, **found})
            evaluating += time.monotonic() - now
            print(f"{_title(run)}: {messages} messages, {seconds:.0f} s, Dice {scores['dice']:.3f}", flush=True)
        if messages < todo[-1] and time.monotonic() - start > budget:
            append_line(path, {"kind": "stopped", **run, "messages": messages, "budget_seconds": budget})
            print(f"{_title(run)}: stopped after {messages} messages, the budget of {budget:g} s is spent", flush=True)
            raise BudgetSpentError

    with suppress(BudgetSpentError), seeded(config.seed, "bundles"):
        train(
            algorithm_of(rated),
            state,
            federation.sessions(rated),
            in_flight=config.exchange.in_flight,
            after_round=after_round,
        )


def measure_data(
    data: str, base: str, grid: list[tuple[int, int]], seeds: int, checkpoints: list[int], budget: float, output: Path
) -> None:
    """Measure Real-All, an untrained generator and every configuration on one data set."""
    path = output / "results.jsonl"
    first = resolve(base)
    _keep_settings(output / f"{data}.yaml", first)
    test_source = open_source(first.data)
    test = test_source.load(test_source.test)
    for seed in range(seeds):
        config = replace(first, seed=seed)
        federation = open_federation(config, natural_clients(config, otherwise=2))
        with threads(config.threads):
            for kind in ("real-all", "untrained"):
                key = {"kind": kind, "data": data, "seed": seed}
                if not any(key.items() <= line.items() for line in read_lines(path)):
                    pairs = federation.pooled() if kind == "real-all" else draw_untrained(config, federation)
                    append_line(path, {**key, **score(config, pairs, test)})
            for exchanges, steps in grid:
                run = {"data": data, "exchanges": exchanges, "generator_steps": steps, "seed": seed}
                if todo := open_checkpoints(read_lines(path), run, checkpoints, budget):
                    exchange = replace(config.exchange, exchanges=exchanges, generator_steps=steps)
                    measure(replace(config, exchange=exchange), federation, test, run, todo, budget, path)


def main(
    output: Annotated[Path, typer.Option(help="Directory of the results; what is there already is not run again.")],
    data: Annotated[list[str] | None, typer.Option(help="digits or nuclei; both if not given.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each configuration.")] = 1,
    exchanges: Annotated[str, typer.Option(help="Exchanges a message (S).")] = "1,4,16,64",
    generator_steps: Annotated[str, typer.Option(help="Generator steps a message; S for all.")] = "1,2,4,S",
    checkpoints: Annotated[str, typer.Option(help="Messages a client after which to measure.")] = "5,10,20,40,60",
    budget_seconds: Annotated[float, typer.Option(help="Longest time of one run, measuring included.")] = 1800.0,
    nuclei: Annotated[Path, typer.Option(help="Folder of the nuclei: images/ and masks/.")] = NUCLEI,
    overrides: Annotated[str, typer.Option(help="More Hydra overrides, for every data set.")] = "",
    report_only: Annotated[bool, typer.Option("--report-only", help="Only write table and plot.")] = False,
) -> None:
    """Measure TSTR Dice against messages, exchanges a message and generator steps a message."""
    grid = configurations([int(size) for size in exchanges.split(",")], generator_steps.split(","))
    marks = sorted({int(mark) for mark in checkpoints.split(",")})
    bases = base_overrides(nuclei)
    output.mkdir(parents=True, exist_ok=True)
    for name in [] if report_only else data or list(bases):
        if name not in bases:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(bases)}.", param_hint="--data")
        if name == "nuclei" and not (nuclei / "images").is_dir():
            print(f"nuclei: skipped, as there is no {nuclei / 'images'}; name the folder with --nuclei.")
            continue
        try:
            measure_data(name, f"{bases[name]} {overrides}".strip(), grid, seeds, marks, budget_seconds, output)
        except DganError as error:
            print(f"{name}: not measured. {error}")
            raise typer.Exit(1) from error
    write_reports(read_lines(output / "results.jsonl"), output)


def _title(run: dict[str, Any]) -> str:
    return f"{run['data']}, S = {run['exchanges']}, {run['generator_steps']} steps, seed {run['seed']}"


def _keep_settings(path: Path, config: Config) -> None:
    """Write the settings down on the first start, and refuse to mix results of other settings with them."""
    text = to_yaml(config)
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise typer.BadParameter(f"{path} has other settings: choose another directory.", param_hint="--output")
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
