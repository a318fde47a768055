"""The commands ``flower-dgan data ...``."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import track
from rich.table import Column, Table
from rich.text import Text

from flower_dgan.cli.consoles import console, print_table
from flower_dgan.cli.new_places import new_folder, require_new_file, require_new_folder
from flower_dgan.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flower_dgan.data.check import DataCheck

data = typer.Typer(no_args_is_help=True, help="Look at data, get them and divide them.")
_SIZES = 5


@data.command()
def download(
    name: Annotated[str, typer.Argument(help="mnist or fashion-mnist.")],
    folder: Annotated[Path, typer.Argument(help="The data.root of runs on it.")],
) -> None:
    """Download a data set through torchvision."""
    from flower_dgan.data.mnist import download

    download(name, folder)
    console.print(f"{name} in {folder.resolve()}: data={name} data.root={folder.resolve()}", soft_wrap=True)


@data.command()
def partition(
    overrides: Annotated[str, typer.Argument(help="Hydra overrides, such as 'partition=dirichlet'.")] = "",
    clients: Annotated[int | None, typer.Option(min=1, help="Needed if the partition takes any number.")] = None,
    output: Annotated[Path, typer.Option(help="New PNG file.")] = Path("partition.png"),
) -> None:
    """Show which training pairs each simulated client would hold."""
    from flower_dgan.data import named_clients, open_source, partition
    from flower_dgan.data.skew import distributions
    from flower_dgan.report.partition_figure import MOST_DRAWN, plot_partition
    from flower_dgan.resolve import resolve

    require_new_file(output, "--output")
    config = resolve(overrides)
    of_images = config.data.condition == "class"  # which a number of classes and their names are about then
    classes = None if of_images else config.data.classes
    try:  # a condition hides the masks, which tell where the images have no label
        source = open_source(replace(config.data, condition="label-map", classes=classes))
    except DataError:
        source = open_source(config.data)  # a run without masks needs none; any other problem is raised again
    number = clients or len(named_clients(source.train, config.partition))
    if not number:
        raise ConfigError(f"partition={config.partition.name} takes any number of clients: give --clients.")
    parts = partition(source, config.partition, number, config.seed)
    shown = distributions(source, parts, config.data.class_names if of_images else ())
    columns = [heading for each in shown for heading in (each.what, "largest")]
    table = Table("client", Column("pairs", justify="right"), *columns)
    for index, (name, part) in enumerate(parts.items()):
        cells = [cell for each in shown for cell in _cells(each.kinds, each.counts[index])]
        table.add_row(name, str(len(part)), *cells)
    print_table(table)
    if unused := len(source.train) - sum(map(len, parts.values())):
        console.print(f"{unused} of {len(source.train)} training pairs are no client's.")
    for each in shown:
        console.print(f"Mean total variation distance of two clients by {each.what}: {each.mean_distance:.3f}")
    if number > MOST_DRAWN:
        console.print(f"No figure: {MOST_DRAWN} clients can be drawn, and there are {number:,}.")
        return
    plot_partition(list(parts), shown, output)
    console.print(f"Figure: {output.resolve()}", soft_wrap=True)


def _cells(kinds: Sequence[str], counts: "NDArray[np.int64]") -> tuple[str, str]:
    """Return how many kinds a client has, and its most frequent one."""
    most = int(counts.argmax())
    return f"{(counts > 0).sum()} of {len(kinds)}", f"{kinds[most]} ({counts[most] / counts.sum():.0%})"


@data.command()
def check(
    path: Annotated[Path, typer.Argument(help="A folder with images/ and masks/, or the data.root of another data=.")],
    overrides: Annotated[str, typer.Argument(help="As of the run, such as 'data.image_size=256'.")] = "",
    picture: Annotated[Path | None, typer.Option(help="Write a few pairs into this new PNG file.")] = None,
) -> None:
    """Tell what data hold and everything that is wrong with them, before any run.

    The exit status is 1 if anything is wrong.
    """
    from flower_dgan.data.check import check_data
    from flower_dgan.report.pairs_picture import draw_pairs
    from flower_dgan.resolve import resolve

    if picture is not None:
        require_new_file(picture, "--picture")
    settings = replace(resolve(f"data=folder {overrides}").data, root=str(path.absolute()))
    found = check_data(settings, track=partial(track, description="Reading", console=console, transient=True))
    for table in _tables(found, settings.class_label):
        print_table(table)
    for site, lacking in found.lacking.items():
        named = ", ".join(map(settings.class_label, lacking))
        console.print(f"No training pair of site {site} has class {named}.", soft_wrap=True, highlight=False)
    if found.classes > 2 and settings.classes is None and settings.condition == "label-map":
        console.print(
            f"Set data.classes={found.classes}, or as many as all clients have together: otherwise each node counts "
            "those that it finds, and they must agree.",
            soft_wrap=True,
            highlight=False,
        )
    for problem in found.problems:
        console.print(Text.assemble(("- ", "bold red"), problem), soft_wrap=True)
    console.print(f"Problems: {len(found.problems):,}")
    if picture is not None and len(found.examples):
        draw_pairs(found.examples, picture, settings.class_colours)
        console.print(f"{len(found.examples)} pairs in {picture.resolve()}", soft_wrap=True)
    if found.problems:
        raise typer.Exit(1)


def _tables(found: "DataCheck", class_label: Callable[[int], str]) -> Iterator[Table]:
    splits = {"training": found.train, "test": found.test}
    sites = Table("site", *splits, "groups", title="Pairs")
    for site in sorted({entry.site for entries in splits.values() for entry in entries}):
        here = {split: [entry for entry in entries if entry.site == site] for split, entries in splits.items()}
        groups = {entry.group for entries in here.values() for entry in entries}
        sites.add_row(site, *(f"{len(entries):,}" for entries in here.values()), f"{len(groups):,}")
    sites.add_section()
    totals = (f"{len(entries):,}" for entries in splits.values())
    sites.add_row("all", *totals, f"{len({entry.group for entry in (*found.train, *found.test)}):,}")
    yield sites
    sizes = Table("height x width", "pairs", title="Sizes")
    counted = Counter(found.sizes).most_common()
    for (height, width), count in counted[:_SIZES]:
        sizes.add_row(f"{height} x {width}", f"{count:,}")
    if others := counted[_SIZES:]:
        sizes.add_row(f"{len(others):,} other sizes", f"{sum(count for _, count in others):,}")
    yield sizes
    classes = Table("class", "share of pixels", title="Label maps")
    pixels = sum(found.class_pixels.values())
    for index in range(found.classes if pixels else 0):
        classes.add_row(class_label(index), f"{found.class_pixels.get(index, 0) / pixels:.2%}")
    yield classes


@data.command()
def prepare(
    name: Annotated[str, typer.Argument(help="monuseg, kumar, city-osm, whu, ...: docs/data.md has all; or folder.")],
    path: Annotated[Path, typer.Argument(help="The unpacked download.")],
    output: Annotated[Path, typer.Argument(help="New folder, the data.root of runs; or one that was begun.")],
    tile: Annotated[int | None, typer.Option(help="Cut images into square tiles of this side.")] = None,
    stride: Annotated[int | None, typer.Option(help="Pixels from one tile to the next, if not side by side.")] = None,
    size: Annotated[int | None, typer.Option(help="Cut out the centred square and resize it to this side.")] = None,
    value_range: Annotated[
        tuple[float, float] | None, typer.Option("--range", help="What becomes 0 and 255, with what is beyond.")
    ] = None,
    band: Annotated[list[int] | None, typer.Option(help="A channel to take, from 1; give it once for each.")] = None,
    modality: Annotated[list[str] | None, typer.Option(help="A channel of brats: flair, t1, t1ce, t2.")] = None,
    layer: Annotated[list[str] | None, typer.Option(help="Name or number of a layer of annotations to take.")] = None,
    only_labelled: Annotated[bool, typer.Option(help="Leave out what is all background.")] = False,
    instances: Annotated[bool, typer.Option(help="Masks hold a number for each object, not classes.")] = False,
    colour: Annotated[list[str] | None, typer.Option(help="Of class 0, 1, ... in masks, such as '#ff0000'.")] = None,
    nearest_colour: Annotated[bool, typer.Option(help="Take other colours of masks for the nearest.")] = False,
    stain_reference: Annotated[Path | None, typer.Option(help="Give all images the colours of this one.")] = None,
    skip_unreadable: Annotated[bool, typer.Option(help="Leave out what cannot be read, and list it.")] = False,
) -> None:
    """Turn a data set as it is given out into a folder that runs read; started again, it goes on where it was."""
    from flower_dgan.data.prepare import PrepareSettings, prepare

    settings = PrepareSettings(
        tile=tile,
        stride=stride,
        size=size,
        value_range=value_range,
        bands=tuple(band or ()),
        modalities=tuple(modality or ("t2",)),
        layers=tuple(layer or ()),
        only_labelled=only_labelled,
        skip_unreadable=skip_unreadable,
        instances=instances,
        palette=tuple(colour or ()),
        nearest_colour=nearest_colour,
        stain_reference=None if stain_reference is None else str(stain_reference.resolve()),
    )
    shown = partial(track, description="Preparing", console=console, transient=True)
    result = prepare(name, path, output, settings, shown)
    for sentence in result.unreadable:
        console.print(Text.assemble(("Left out: ", "bold red"), sentence), soft_wrap=True)
    if result.beyond:
        console.print(f"{result.beyond:,} values of images were beyond --range and became 0 or 255.")
    if result.empty:
        console.print(f"{result.empty:,} pairs that are all background were left out.")
    console.print(
        f"{result.pairs:,} pairs ({result.made:,} made now) in {output.resolve()}: see prepared.json there",
        soft_wrap=True,
    )


@data.command()
def edit_masks(
    folder: Annotated[Path, typer.Argument(help="PNG, JPEG or TIFF label maps of 0 and 255 or of class ids.")],
    output: Annotated[Path, typer.Argument(help="New folder, a data.label_maps of runs.")],
    count: Annotated[int, typer.Option(min=1, help="How many to make.")] = 100,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Make new label maps from the objects of given ones, grown or shrunk by a pixel, in new places."""
    from flower_dgan.data import read_label_maps, write_label_maps
    from flower_dgan.data.edit_label_maps import edit_label_maps

    require_new_folder(output)
    given = read_label_maps(folder, image_size=1)
    made = track(edit_label_maps(given.maps, count, seed), "Editing", count, console=console, transient=True)
    names = [f"edited_{number:05d}" for number in range(count)]
    with new_folder(output) as partial_folder:
        write_label_maps(partial_folder, made, given.classes, names, ids=not given.binary)
    console.print(
        f"{count:,} label maps from the objects of {len(given.maps):,}: data.label_maps={output.resolve()}",
        soft_wrap=True,
    )
