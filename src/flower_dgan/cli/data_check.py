"""The command ``flower-dgan data check``."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import track
from rich.table import Column, Table
from rich.text import Text

from flower_dgan.cli.consoles import console, print_table
from flower_dgan.cli.new_places import require_new_file
from flower_dgan.errors import ConfigError, unknown_name
from flower_dgan.names import check_name

if TYPE_CHECKING:
    from flower_dgan.config import Config, DataConfig
    from flower_dgan.data.check import DataCheck

_SIZES = 5
_FILES = 3
_OF_NODES = ("data-path", "table", "name-pattern", "train-splits", "test-splits", "sites", "channels")
_OTHERS_OF_NODES = ("name", "policy", "secret-file", "identity-file", "partition-id", "num-partitions")


def check(
    path: Annotated[
        str | None,
        typer.Argument(
            help="A folder with images/ and masks/, or the data.root of another data=; left out with --node-config."
        ),
    ] = None,
    overrides: Annotated[str, typer.Argument(help="As of the run, such as 'data.image_size=256'.")] = "",
    picture: Annotated[Path | None, typer.Option(help="Write a few pairs, overlaid, into this new PNG file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON instead.")] = False,
    node_config: Annotated[
        str | None, typer.Option(help="""As of the SuperNode, such as 'data-path="/data" channels="0,2"'.""")
    ] = None,
) -> None:
    """Tell what data hold and everything that is wrong with them, before any run.

    The exit status is 1 if anything is wrong.
    """
    from flower_dgan.data.check import check_data
    from flower_dgan.node.owner_words import as_entries, told_as_entries
    from flower_dgan.report.pairs_picture import draw_pairs

    if picture is not None:
        require_new_file(picture, "--picture")
    config, settings = _settings(path, overrides, node_config)
    shown = iter if as_json else partial(track, description="Reading", console=console, transient=True)
    of_node = node_config is not None
    with told_as_entries() if of_node else nullcontext():
        found = check_data(
            settings,
            track=shown,
            partition=None if of_node else config.partition,
            batch_size=config.exchange.batch_size,
            validation_fraction=config.selection.validation_fraction,
            tested=not of_node,
        )
    if of_node:
        problems, notes = (tuple(map(as_entries, some)) for some in (found.problems, found.notes))
        found = replace(found, problems=problems, notes=notes)
    if picture is not None and len(found.examples):
        draw_pairs(found.examples, picture, settings.class_colours)
    if as_json:
        typer.echo(json.dumps(_plain(found), indent=2))
    else:
        _print(found, settings)
        if picture is not None and len(found.examples):
            console.print(f"{len(found.examples)} pairs in {picture.resolve()}", soft_wrap=True)
    if found.problems:
        raise typer.Exit(1)


def _settings(path: str | None, overrides: str, node_config: str | None) -> "tuple[Config, DataConfig]":
    """Return the settings of the run, and those of the data where they are looked at."""
    from flower_dgan.resolve import resolve

    if node_config is None:
        if path is None:
            raise ConfigError("Give the folder to check, or --node-config with its data-path.")
        config = resolve(f"data=folder {overrides}")
        return config, replace(config.data, root=str(Path(path).absolute()))
    from flower_dgan.flower.node_config import read_node_config
    from flower_dgan.node.own_data import own_data

    owner = read_node_config(node_config)
    for key in owner:
        if key not in (*_OF_NODES, *_OTHERS_OF_NODES):
            raise ConfigError(unknown_name("entry of --node-config", key, (*_OF_NODES, *_OTHERS_OF_NODES)))
    if "name" in owner:
        check_name(str(owner["name"]), ConfigError, "The name in --node-config")
    if path is not None and not overrides and "=" in path and not Path(path).exists():
        overrides, path = path, None
    if path is not None and "data-path" in owner:
        raise ConfigError(f"--node-config has the data-path {owner['data-path']}: leave {path} out.")
    if path is not None:
        owner["data-path"] = path
    if "data-path" not in owner:
        raise ConfigError("--node-config has no data-path: name the folder there.")
    config = resolve(f"data=folder {overrides}")
    own, _ = own_data(config.data, owner)
    # a folder of label maps is the server's
    return config, replace(own, label_maps="clients")


def _print(found: "DataCheck", settings: "DataConfig") -> None:
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
    for note in found.notes:
        console.print(Text.assemble(("- ", "bold yellow"), note), soft_wrap=True)
    for problem in found.problems:
        console.print(Text.assemble(("- ", "bold red"), problem), soft_wrap=True)
    if found.notes:
        console.print(f"To be looked at: {len(found.notes):,}")
    console.print(f"Problems: {len(found.problems):,}")


def _row(found: "DataCheck", site: str | None = None) -> dict[str, int]:
    """Count pairs and groups of a site, or of all."""
    train, test = ([entry for entry in side if site in (None, entry.site)] for side in (found.train, found.test))
    groups = {entry.group for entry in (*train, *test)}
    return {"training": len(train), "test": len(test), "groups": len(groups)}


def _sites(found: "DataCheck") -> list[str]:
    return sorted({entry.site for entry in (*found.train, *found.test)})


def _plain(found: "DataCheck") -> dict[str, Any]:
    """Return what was found as JSON has it."""
    return {
        "pairs": _row(found),
        "sites": {site: _row(found, site) for site in _sites(found)},
        "sizes": [{"height": height, "width": width, "pairs": n} for (height, width), n in found.sizes.items()],
        "classes": found.classes,
        "class_pixels": {str(index): found.class_pixels.get(index, 0) for index in range(found.classes)},
        "lacking": found.lacking,
        "files": {
            folder: {"used": files.used, "unused": {why: list(names) for why, names in files.unused.items()}}
            for folder, files in found.files.items()
        },
        "notes": list(found.notes),
        "problems": list(found.problems),
    }


def _tables(found: "DataCheck", class_label: Callable[[int], str]) -> Iterator[Table]:
    sites = Table("site", "training", "test", "groups", title="Pairs")
    for site in _sites(found):
        sites.add_row(site, *(f"{count:,}" for count in _row(found, site).values()))
    sites.add_section()
    sites.add_row("all", *(f"{count:,}" for count in _row(found).values()))
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
    if found.files:
        files = Table("folder", Column("files", justify="right"), "read by a run", title="Files")
        for folder, each in found.files.items():
            if each.used:
                files.add_row(folder, f"{each.used:,}", "yes")
            for why, names in each.unused.items():
                rest = ", ..." if len(names) > _FILES else ""
                files.add_row(folder, f"{len(names):,}", f"no: {why}: {', '.join(names[:_FILES])}{rest}")
        yield files
