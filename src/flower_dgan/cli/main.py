"""The command ``flower-dgan``."""

import importlib.metadata
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from flower_dgan.cli.audit_command import audit
from flower_dgan.cli.clean import clean
from flower_dgan.cli.compare import compare
from flower_dgan.cli.consoles import console, errors, print_table, require_different, show_any_name
from flower_dgan.cli.data import data
from flower_dgan.cli.device_option import Device, on_device
from flower_dgan.cli.export import export
from flower_dgan.cli.gain import gain
from flower_dgan.cli.init import init
from flower_dgan.cli.invite import invite
from flower_dgan.cli.ledger_command import ledger
from flower_dgan.cli.models import predict, train_model
from flower_dgan.cli.new_places import new_folder, require_new_folder, require_outside
from flower_dgan.cli.policy_command import policy
from flower_dgan.cli.preflight import preflight
from flower_dgan.cli.watch_command import watch
from flower_dgan.errors import defect, told

if TYPE_CHECKING:
    from flower_dgan.data import Pairs

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
verify = typer.Typer(no_args_is_help=True, help="Show that the distributed run does what the algorithm says.")
app.add_typer(verify, name="verify")
app.add_typer(data, name="data")
app.command()(audit)
app.command()(clean)
app.command()(compare)
app.command()(gain)
app.command()(export)
app.command()(init)
app.command()(invite)
app.command()(train_model)
app.command()(predict)
app.command()(preflight)
app.command()(ledger)
app.command()(watch)
app.add_typer(policy, name="policy")

_SOFTWARE = 70  # what sysexits.h calls it


@app.callback(invoke_without_command=True)
def start(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    """Distributed GANs on Flower."""
    if version:
        typer.echo(importlib.metadata.version("flower-dgan"))
        raise typer.Exit


Overrides = Annotated[str, typer.Argument(help="Hydra overrides, such as 'data=folder data.root=/data'.")]


@app.command()
def config(overrides: Overrides = "") -> None:
    """Print the resolved configuration without running."""
    from flower_dgan.resolve import resolve, to_yaml

    text = to_yaml(resolve(overrides))
    if not console.is_terminal:
        console.print(text, end="")
        return
    from rich.syntax import Syntax

    console.print(Syntax(text, "yaml", background_color="default"), end="")


@app.command()
def synthesize(
    generator: Annotated[Path, typer.Argument(readable=False, help="generator.safetensors of a run directory.")],
    label_maps: Annotated[
        Path, typer.Argument(readable=False, help="Folder of label maps; not read with data.condition=none.")
    ],
    output: Annotated[Path, typer.Argument(help="New folder for images/ and masks/.")],
    count: Annotated[int, typer.Option(help="Number of pairs.", min=1)] = 100,
    site: Annotated[str | None, typer.Option(help="Draw in the style of this site; all in turn if not given.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of views and noise.", min=0)] = 0,
    device: Device = "auto",
    package: Annotated[
        list[str] | None, typer.Option(help="A package of your own whose network the file may name; repeatable.")
    ] = None,
) -> None:
    """Draw labelled images from a trained generator on label maps of your own."""
    from flower_dgan.device import enough_memory_for, resolve_device
    from flower_dgan.generator_file import load_generator
    from flower_dgan.placing import place
    from flower_dgan.synthesis import synthesize_folder, write_pairs

    require_new_folder(output)
    where = resolve_device(device)
    network, model, shape = load_generator(generator, package or ())
    if shape.classes > 1:  # else no label maps are read, and any place may stand for them
        require_outside(output, label_maps)
    size = f"images of {shape.image_size} x {shape.image_size} pixels"
    with enough_memory_for(size, "what else is on it, or give --device cpu"):
        trained = place(network, where), model, shape
        pairs, names = synthesize_folder(trained, label_maps, count=count, site=site, seed=seed)
    with new_folder(output) as folder:
        write_pairs(folder, pairs, names)
    console.print(f"{count} pairs in {output.resolve()}", soft_wrap=True)


@app.command()
def evaluate(
    test: Annotated[Path, typer.Argument(readable=False, help="Folder of real test pairs (images/ and masks/).")],
    train: Annotated[
        list[Path], typer.Argument(readable=False, help="Folders of training pairs, one a row of the table.")
    ],
    overrides: Annotated[str, typer.Option(help="Hydra overrides, such as 'downstream.steps=100'.")] = "",
    device: Device = "auto",
) -> None:
    """Train a model of the task on each folder and test it on the real pairs: the TSTR table."""
    from flower_dgan.data import open_source
    from flower_dgan.data.equal_images import equal_images
    from flower_dgan.metrics import described
    from flower_dgan.resolve import resolve
    from flower_dgan.tasks.results import summarize
    from flower_dgan.tasks.tstr import train_on_synthetic_test_on_real, with_truth
    from flower_dgan.wiring import computing, rows_at_once

    require_different([str(folder) for folder in train])
    settings = on_device(resolve(f"data=folder {overrides}"), device)
    # a folder of synthetic images holds the class of an image, where there is one, as its mask
    own = replace(settings.data, name_pattern=None, table=None, condition="label-map")

    def read(folder: Path, classes: int | None, truth: bool = False) -> "Pairs":
        data = replace(own, root=str(folder), classes=classes)
        source = open_source(data, divided=False)
        entries = [*source.train, *source.test]
        pairs = source.load(entries)
        return with_truth(pairs, settings.downstream, data, entries) if truth else pairs

    with computing(settings):
        real = read(test, own.classes, truth=True)
        sets = {str(folder): read(folder, real.classes) for folder in train}
        results = train_on_synthetic_test_on_real(
            sets,
            real,
            settings.downstream,
            image_size=own.image_size,
            augmentation=own.augmentation,
            seed=settings.seed,
            on_result=lambda result: console.print(str(result), soft_wrap=True),
            workers=rows_at_once(settings),
        )
    metrics = settings.downstream.metrics
    table = Table("trained on", "seeds", *(described(name).title for name in metrics))
    for row in summarize(results):
        table.add_row(row.row, str(row.seeds), *map(row.shown, metrics))
    print_table(table)
    for folder, pairs in sets.items():
        if seen := equal_images(real, pairs):
            console.print(
                f"{seen:,} of {len(real):,} test images are also in {folder}, pixel by pixel: its row is about images "
                "that the model was trained on.",
                soft_wrap=True,
            )
    said = [result.remark for result in results] + [result.warning for result in results]
    for sentence in dict.fromkeys(filter(None, said)):
        console.print(sentence, soft_wrap=True)


@app.command()
def report(
    directory: Annotated[
        Path, typer.Argument(readable=False, help="Directory of a run, or of a sweep of which any part may be done.")
    ],
) -> None:
    """Write the report of a run or of a sweep anew."""
    from flower_dgan.report import write_report, write_sweep_report

    is_run = any((directory / name).is_file() for name in ("metrics.jsonl", "training.json"))
    console.print((write_report if is_run else write_sweep_report)(directory), soft_wrap=True)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    options_metavar="[OPTIONS of flower-supernode]",
)
def supernode(context: typer.Context) -> None:
    """Run a SuperNode whose clients have torch imported already, with the options of `flower-supernode`."""
    from flower_dgan.flower.supernode import run_supernode

    raise typer.Exit(run_supernode(context.args))


@verify.command()
def exactness(
    run: Annotated[
        Path | None, typer.Argument(readable=False, help="Directory of a simulation of yours, in float32.")
    ] = None,
    clients: Annotated[int, typer.Option(min=1, max=10)] = 3,
    rounds: Annotated[int, typer.Option(min=1)] = 20,
) -> None:
    """Compare two drivers: an algorithm through Flower's messages, and the same algorithm in one process.

    Without a run it trains on the embedded digits, with the real strategy and ClientApp in this process.
    """
    from flower_dgan.exactness import TOLERANCE, of_run, through_in_process_grid

    difference = through_in_process_grid(clients, rounds) if run is None else of_run(run)
    what = str(run) if run else f"{rounds} rounds of {clients} clients"
    console.print(f"largest relative difference through messages and in one process: {difference:.2e} ({what})")
    if difference > TOLERANCE:
        raise typer.Exit(1)


def main() -> None:
    """Run the command; what a user can act on is one line, and a traceback is a defect's."""
    show_any_name()
    try:
        app()
    except Exception as error:
        if (sentence := told(error)) is not None:
            errors.print(Text.assemble(("Error: ", "bold red"), sentence))
            raise SystemExit(1) from error
        traceback.print_exception(error)
        errors.print(Text.assemble(("Defect: ", "bold red"), defect(error)))
        raise SystemExit(_SOFTWARE) from error
