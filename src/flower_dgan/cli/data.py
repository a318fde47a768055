"""The commands ``flower-dgan data ...``."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import track
from rich.table import Column, Table
from rich.text import Text

from flower_dgan.cli.consoles import console, print_table
from flower_dgan.cli.data_check import check
from flower_dgan.cli.new_places import new_folder, require_new_file, require_new_folder, require_outside
from flower_dgan.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Masks = Literal["classes", "binary", "objects"]
Bodies = Literal["whole", "new"]
Shape = Literal["long", "round"]
_BODIES_HELP = "Let objects cross: whole, given ones turned by any angle, or new ones, between two given ones in shape."
_MASKS_HELP = "What values say, if they leave it open: class ids, 0 and 255, or a number for each object."

data = typer.Typer(no_args_is_help=True, help="Look at data, get them and divide them.")


@data.command()
def download(
    name: Annotated[str, typer.Argument(help="mnist or fashion-mnist.")],
    folder: Annotated[Path, typer.Argument(help="The data.root of runs on it.")],
) -> None:
    """Download a data set through torchvision; what is there whole is not downloaded again."""
    from flower_dgan.data.mnist import download, download_folder, is_whole

    place = download_folder(name, folder)
    if not is_whole(place):
        with new_folder(place) as partial_folder:
            download(name, partial_folder)
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


data.command()(check)


@data.command()
def prepare(
    name: Annotated[str, typer.Argument(help="monuseg, kumar, city-osm, whu, ...: docs/data.md has all; or folder.")],
    path: Annotated[Path, typer.Argument(readable=False, help="The unpacked download.")],
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
    masks: Annotated[Masks | None, typer.Option(help=_MASKS_HELP)] = None,
    instances: Annotated[bool, typer.Option(help="The same as --masks objects.")] = False,
    class_maps: Annotated[
        Shape | None, typer.Option(help="Draw masks from the objects, which are long or round: to learn instances.")
    ] = None,
    colour: Annotated[list[str] | None, typer.Option(help="Of class 0, 1, ... in masks, such as '#ff0000'.")] = None,
    nearest_colour: Annotated[bool, typer.Option(help="Take other colours of masks for the nearest.")] = False,
    stain_reference: Annotated[Path | None, typer.Option(help="Give all images the colours of this one.")] = None,
    skip_unreadable: Annotated[bool, typer.Option(help="Leave out what cannot be read, and list it.")] = False,
) -> None:
    """Turn a data set as it is given out into a folder that runs read; started again, it goes on where it was."""
    from flower_dgan.data.prepare import PrepareSettings, prepare

    require_outside(output, path)
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
        instances=instances or masks == "objects",
        masks=None if masks == "objects" else masks,
        class_maps=class_maps,
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
    if result.dark:
        console.print(
            f"{result.dark:,} images came out nearly black: their numbers take less than an eighth of what their type "
            "holds, as 12 bits in 16 do. Where that is not how they look, give --range low high and a new folder.",
            soft_wrap=True,
        )
    if result.empty:
        console.print(f"{result.empty:,} pairs that are all background were left out.")
    console.print(
        f"{result.pairs:,} pairs ({result.made:,} made now) in {output.resolve()}: see prepared.json there",
        soft_wrap=True,
    )


@data.command()
def edit_masks(
    folder: Annotated[
        Path,
        typer.Argument(
            readable=False,
            help="PNG, JPEG or TIFF label maps of 0 and 255 or of class ids; with --bodies a folder with masks/ and "
            "objects beside it.",
        ),
    ],
    output: Annotated[Path, typer.Argument(help="New folder, a data.label_maps of runs.")],
    count: Annotated[int, typer.Option(min=1, help="How many to make.")] = 100,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    masks: Annotated[Masks | None, typer.Option(help=_MASKS_HELP)] = None,
    bodies: Annotated[Bodies | None, typer.Option(help=_BODIES_HELP)] = None,
) -> None:
    """Make new label maps from the objects of given ones, in new places: apart, or with --bodies over each other."""
    from flower_dgan.data import read_label_maps, write_label_maps
    from flower_dgan.data.edit_label_maps import edit_label_maps

    require_new_folder(output, folder)
    names = [f"edited_{number:05d}" for number in range(count)]
    if bodies is not None:
        _put_together(folder, output, names, seed, masks, bodies)
        return
    given = read_label_maps(folder, image_size=1, masks=masks, of_command=True)
    made = track(edit_label_maps(given.maps, count, seed), "Editing", count, console=console, transient=True)
    with new_folder(output) as partial_folder:
        write_label_maps(partial_folder, made, given.classes, names, ids=not given.binary)
    console.print(
        f"{count:,} label maps from the objects of {len(given.maps):,}: data.label_maps={output.resolve()}",
        soft_wrap=True,
    )


def _put_together(
    folder: Path, output: Path, names: Sequence[str], seed: int, masks: Masks | None, bodies: Bodies
) -> None:
    """Make label maps of whole objects that may cross, and write the objects beside them."""
    from flower_dgan.data import read_label_maps
    from flower_dgan.data.layout_files import read_whole, write_layouts
    from flower_dgan.data.new_layouts import new_layouts
    from flower_dgan.resolve import resolve

    given = read_whole(folder, resolve("data=folder").data)
    classes = read_label_maps(folder / "masks", image_size=1, masks=masks, of_command=True).classes
    layouts = new_layouts(given, len(names), seed, bodies)
    with new_folder(output) as partial_folder:
        shown = track(layouts, "Putting together", len(names), console=console, transient=True)
        write_layouts(partial_folder, shown, names, classes)
    console.print(
        f"{len(names):,} label maps, and their objects beside them, from the objects of {len(given):,} images: "
        f"data.label_maps={output.resolve() / 'masks'}",
        soft_wrap=True,
    )
