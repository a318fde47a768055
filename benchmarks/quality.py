"""TSTR Dice of the distributed GAN against real data, over several seeds of the whole run, each by a real `flwr run`.

python benchmarks/quality.py nuclei --output <directory>
python benchmarks/quality.py digits --output <directory>
"""

from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated

import typer

from flower_dgan.report.run_metrics import read_metrics
from local_flower import local_flower

ROOT = Path(__file__).resolve().parents[1]
NUCLEI = ROOT.parent / "shared" / "data" / "nuclei"
CLIENTS = {"digits": 2, "nuclei": 7}


def main(
    data: Annotated[str, typer.Argument(help="digits or nuclei")],
    output: Annotated[Path, typer.Option(help="Where the run directories go.")],
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    first_seed: int = 0,
    overrides: Annotated[str, typer.Option(help="More Hydra overrides.")] = "",
) -> None:
    """Run once a seed and print each row's Dice over the seeds, and as a share of Real-All's."""
    if data not in CLIENTS:
        raise typer.BadParameter(f"{data}: choose from {', '.join(CLIENTS)}")
    if data == "nuclei" and not NUCLEI.is_dir():
        raise typer.BadParameter(f"the nuclei are not at {NUCLEI}")
    source = f"data=folder data.root='{NUCLEI}'" if data == "nuclei" else "data=digits"
    dice: dict[str, list[float]] = {}
    for seed in range(first_seed, first_seed + seeds):
        directory = output.resolve() / f"{data}-seed{seed}"
        with local_flower(CLIENTS[data]) as flower:
            flower.run(ROOT, f"{source} seed={seed} output.directory='{directory}' {overrides}", timeout=7200)
        metrics = read_metrics(directory)
        rows: dict[str, list[float]] = {}
        for result in metrics.tstr:
            rows.setdefault(result.row, []).append(result.values["dice"])
        for row, values in rows.items():
            dice.setdefault(row, []).append(fmean(values))
        minutes = {stage.name: round(stage.seconds / 60, 1) for stage in metrics.stages}
        print(
            f"seed {seed}:",
            {row: round(fmean(values), 4) for row, values in rows.items()},
            "minutes:",
            minutes,
            flush=True,
        )
    print("| trained on | seeds | Dice | of Real-All |\n|---|---|---|---|")
    for row, values in dice.items():
        spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
        share = f"{fmean(values) / fmean(dice['Real-All']):.3f}" if "Real-All" in dice else ""
        print(f"| {row} | {len(values)} | {fmean(values):.3f}{spread} | {share} |")


if __name__ == "__main__":
    typer.run(main)
