"""How the segmentation table of finished runs depends on how each segmentation model is trained: steps, augmentation.

    python benchmarks/table_steps.py <run directory> ... --steps 300,1200 --rows Real-All,DGAN --output <file>

The rows of real images are made anew from each run's data and partition, ``DGAN`` from its synthetic dataset. Results
are JSON lines; what is there already is not done again.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
import yaml

from common import append_line, read_lines, spread
from flower_dgan.algorithms.find import read_config
from flower_dgan.baselines.rows import open_federation, table_rows
from flower_dgan.config import Config
from flower_dgan.data import Pairs, open_source
from flower_dgan.data.folder_source import FolderSource
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.tasks.results import TstrResult
from flower_dgan.tasks.tstr import train_on_synthetic_test_on_real
from flower_dgan.wiring import threads


def settings_of(run: Path, augmentation: str | None) -> Config:
    """Return the configuration of a run, with another augmentation where one is given."""
    values = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    if augmentation is not None:
        values["data"]["augmentation"] = augmentation
    return read_config(Config, values)


def pairs_of(run: Path, config: Config) -> dict[str, Pairs]:
    """Return the training pairs of the rows ``Real-All``, ``Real-k`` and ``DGAN`` of a run."""
    drawn = FolderSource(replace(config.data, root=str(run / "synthetic"), sites=(), name_pattern=None, table=None))
    asked = replace(config, downstream=replace(config.downstream, rows=("Real-All", "Real-k", "DGAN")))
    federation = open_federation(config, len(read_metrics(run).joins))
    return table_rows(asked, federation, drawn.load([*drawn.train, *drawn.test]))


def main(
    runs: Annotated[list[Path], typer.Argument(help="Run directories of one data set and partition.")],
    steps: Annotated[str, typer.Option(help="Optimizer steps of a training, separated by commas.")],
    rows: Annotated[str, typer.Option(help="Rows, separated by commas.")],
    output: Annotated[Path, typer.Option(help="File of the results.")],
    augmentation: Annotated[str | None, typer.Option(help="In place of the run's own, such as all.")] = None,
) -> None:
    """Train and test each row with each number of steps, and print Dice as a table."""
    for run in runs:
        config = settings_of(run, augmentation)
        source, pairs = open_source(config.data), pairs_of(run, config)
        test = source.load(source.test)
        for row in rows.split(","):
            for count in map(int, steps.split(",")):
                key = {"run": str(run), "row": row, "steps": count, "augmentation": config.data.augmentation}
                if any(key.items() <= line.items() for line in read_lines(output)):
                    continue
                found: list[TstrResult] = []
                with threads(config.threads):
                    train_on_synthetic_test_on_real(
                        {row: pairs[row]},
                        test,
                        replace(config.downstream, steps=count, seeds=1, metrics=("dice",)),
                        image_size=config.data.image_size,
                        augmentation=config.data.augmentation,
                        seed=config.seed,
                        on_result=found.append,
                    )
                append_line(output, key | {"dice": found[0].values["dice"]})
    lines = [x for x in read_lines(output) if x["augmentation"] == config.data.augmentation]
    counts = list(map(int, steps.split(",")))
    print(f"| trained on | {' | '.join(f'{count} steps' for count in counts)} |")
    print("|---" * (1 + len(counts)) + "|")
    for row in rows.split(","):
        dice = [[x["dice"] for x in lines if (x["row"], x["steps"]) == (row, count)] for count in counts]
        print(f"| {row} | {' | '.join(spread(values, 3) for values in dice)} |")


if __name__ == "__main__":
    typer.run(main)
