"""The command ``flower-dgan compare``."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from flower_dgan.cli.consoles import console, print_table, require_different
from flower_dgan.cli.device_option import Device, on_device
from flower_dgan.cli.new_places import require_new_file
from flower_dgan.whole_file import whole_file


def compare(
    real: Annotated[
        Path,
        typer.Argument(help="A folder with images/ and masks/, the data.root of another data=, or digits (embedded)."),
    ],
    synthetic: Annotated[
        list[Path], typer.Argument(readable=False, help="Folders with images/, one a row of the table.")
    ],
    metric: Annotated[
        list[str], typer.Option(help="Such as fid-segmenter-256-n1000, or kid-, precision-, recall-: docs/metrics.md.")
    ],
    overrides: Annotated[str, typer.Option(help="Hydra overrides, such as 'data.image_size=128'.")] = "",
    inception_weights: Annotated[Path | None, typer.Option(help="File, instead of the one in torch's cache.")] = None,
    sites: Annotated[bool, typer.Option(help="Also the Fréchet distance to the training images of each site.")] = False,
    copies: Annotated[
        Path | None,
        typer.Option(help="Also whether synthetic images are copies of training images, with a picture: a new PNG."),
    ] = None,
    device: Device = "auto",
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write all figures into this new file.")] = None,
) -> None:
    """Compare synthetic images with the real training split, by distances whose names fix how they are measured."""
    from flower_dgan.comparison.copies import COPIED, held_out_windows, look_for_copies
    from flower_dgan.comparison.feature_networks import open_network
    from flower_dgan.comparison.image_sets import TEST, TRAIN, compare, frechet_by_site, open_windows, read_images
    from flower_dgan.comparison.named_metric import parse_metric, require_pictures
    from flower_dgan.data import open_source
    from flower_dgan.resolve import resolve
    from flower_dgan.wiring import computing

    require_different([str(folder) for folder in synthetic], reserved=(TEST, TRAIN))
    metrics = [parse_metric(name) for name in dict.fromkeys(metric)]
    if json_file is not None:
        require_new_file(json_file, "--json")
    if copies is not None:
        require_new_file(copies, "--copies")
    embedded = str(real) == "digits" and not real.is_dir()
    settings = on_device(resolve(f"data={'digits' if embedded else 'folder'} {overrides}"), device)
    if not embedded:
        settings = replace(settings, data=replace(settings.data, root=str(real.absolute())))
    require_pictures(metrics, settings.data.channels)
    source, size = open_source(settings.data), settings.data.image_size
    images = {str(folder): read_images(folder, settings.data.channels) for folder in synthetic}
    windows = open_windows(source, images, size, metrics)
    held_out = [] if copies is None else held_out_windows(source, size)
    with computing(settings):
        names = sorted({(each.network, each.features) for each in metrics}, key=_trained_here)
        networks = {key: open_network(*key, source, settings, inception_weights) for key in names}
        looks = {key: network.look for key, network in networks.items()}
        remarks: dict[str, None] = {}
        rows = compare(windows, metrics, looks, lambda remark: remarks.update({remark: None}))
        table = Table("images", *(f"{each} (few)" if each.samples < each.wanted else str(each) for each in metrics))
        for row, values in rows.items():
            cells = zip(metrics, values, strict=True)
            table.add_row(row, *("-" if value is None else each.shown(value) for each, value in cells))
        print_table(table)
        if None in rows[TEST]:
            console.print(f"-: the {TEST} has {len(windows[TEST]):,} windows, and the metric takes more")
        for (name, features), network in networks.items():
            console.print(f"{name}-{features}: {network.quality}", soft_wrap=True)
        for remark in remarks:
            console.print(remark, soft_wrap=True)
        others = {name: found for name, found in windows.items() if name != TRAIN}
        by_network = {key: frechet_by_site(source, others, size, looks[key]) for key in names} if sites else {}
        for key, found in by_network.items():
            title = f"Fréchet distance by {key[0]}-{key[1]}"
            site_table = Table("real training images of", "windows", *others, title=title)
            for site, (count, distances) in found.items():
                site_table.add_row(site, f"{count:,}", *(f"{distance:.4g}" for distance in distances))
            print_table(site_table)
        copied = {}
        if copies is not None:
            copied = look_for_copies(copies, windows, held_out, looks[names[0]])
            console.print(f"Copies, by {names[0][0]}-{names[0][1]} (nearer than {COPIED:g}: look at {copies}):")
        for name, statistic in copied.items():
            console.print(f"  {name}: {statistic:+.1f}", soft_wrap=True)
    if json_file is not None:
        results = {
            "metrics": {row: dict(zip(map(str, metrics), values, strict=True)) for row, values in rows.items()},
            "remarks": list(remarks),
            "copying": copied,
            "networks": {f"{name}-{features}": network.quality for (name, features), network in networks.items()},
            "sites": {
                f"{name}-{features}": {
                    site: {"windows": count, "frechet": dict(zip(others, distances, strict=True))}
                    for site, (count, distances) in found.items()
                }
                for (name, features), found in by_network.items()
            },
        }
        with whole_file(json_file) as partial:
            partial.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _trained_here(network: tuple[str, int]) -> tuple[bool, str, int]:
    """Sort networks: Inception, whose file may be missing, before those that take a training."""
    return (network[0] != "inception", *network)
