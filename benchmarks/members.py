"""What each organ gains from the federation's synthetic images, over several seeds of the whole run.

    python benchmarks/members.py --output <directory>

runs the nuclei once a seed by a real ``flwr run``, with the patients of each organ held out in three folds, and prints
the tables of all seeds together, as the report of a sweep has them. A run that is there already is not made again, so
that the same command goes on after a break. A seed takes about five trainings of the GAN, and those of FedGAN.
"""

from pathlib import Path
from typing import Annotated

import typer

from common import natural_clients
from flower_dgan.errors import DganError
from flower_dgan.report.member_tables import members_section
from flower_dgan.resolve import resolve
from flower_dgan.tasks.patient_scores import read_scores
from local_flower import local_flower

ROOT = Path(__file__).resolve().parents[1]
NUCLEI = ROOT.parent / "shared" / "data" / "nuclei"
ASKED = (
    "partition=site downstream.member_folds=3 downstream.seeds=1 downstream.metrics=[dice,object-dice,aji] "
    "downstream.rows=[Real-k,Real-k+DGAN,DGAN,FedGAN-equal-bytes,FedAvg,FedAvg-equal-bytes]"
)


def overrides_of(data: Path, seed: int, directory: Path, more: str) -> str:
    """Return the overrides of one run; what is given comes last, and so wins."""
    return f"data=folder data.root='{data.resolve()}' {ASKED} {more} seed={seed} output.directory='{directory}'"


def main(
    output: Annotated[Path, typer.Option(help="Where the run directories go; the table is members.md there.")],
    data: Annotated[Path, typer.Option(help="Folder of images and masks, with patients in its names.")] = NUCLEI,
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    first_seed: int = 0,
    overrides: Annotated[str, typer.Option(help="More Hydra overrides.")] = "",
    hours: Annotated[float, typer.Option(help="At most, for one run.")] = 6.0,
) -> None:
    """Run once a seed, and print what each member gains."""
    directories = [output.resolve() / f"seed{seed}" for seed in range(first_seed, first_seed + seeds)]
    try:
        for seed, directory in enumerate(directories, start=first_seed):
            asked = overrides_of(data, seed, directory, overrides)
            if not (directory / "report.md").is_file():
                with local_flower(natural_clients(resolve(asked), otherwise=2)) as flower:
                    flower.run(ROOT, asked, timeout=3600 * hours)
                print(f"seed {seed}: {directory}", flush=True)
        section = members_section([read_scores(directory) for directory in directories])
    except DganError as error:
        print(f"Not measured. {error}")
        raise typer.Exit(1) from error
    (output / "members.md").write_text(f"{section}\n", encoding="utf-8")
    print(section)


if __name__ == "__main__":
    typer.run(main)
