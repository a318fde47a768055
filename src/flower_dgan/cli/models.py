"""The commands ``flower-dgan train-model`` and ``flower-dgan predict``."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from flower_dgan.cli.consoles import console
from flower_dgan.cli.device_option import Device, on_device
from flower_dgan.cli.new_places import new_folder, require_new_file, require_new_folder

Micrometres = Annotated[float | None, typer.Option(min=1e-6, help="Of a pixel, for lengths; pixels without.")]


def train_model(
    folder: Annotated[Path, typer.Argument(help="Folder with images/ and masks/, real or synthetic.")],
    output: Annotated[Path, typer.Argument(help="New model file, such as worms.safetensors.")],
    overrides: Annotated[str, typer.Option(help="Hydra overrides, such as 'data=bbbc010 downstream.steps=1000'.")] = "",
    validation: Annotated[Path | None, typer.Option(help="Folder of other pairs, to choose a threshold by.")] = None,
    device: Device = "auto",
) -> None:
    """Train a model of the task on a folder, and keep it; instances with downstream=instances, or a data set's own."""
    from flower_dgan.resolve import resolve
    from flower_dgan.tasks.model_file import save_model
    from flower_dgan.tasks.train_model import train_model
    from flower_dgan.wiring import computing

    require_new_file(output, "the model file")
    named = any(each.startswith("data=") for each in overrides.split())
    config = on_device(resolve(overrides if named else f"data=folder {overrides}"), device)
    with computing(config):
        model, kind = train_model(folder, config, validation, lambda text: console.print(text, soft_wrap=True))
    save_model(output, model, kind)
    console.print(f"Model: {output.resolve()}", soft_wrap=True)


def predict(
    model: Annotated[Path, typer.Argument(help="File of flower-dgan train-model.")],
    images: Annotated[Path, typer.Argument(help="Folder of images.")],
    output: Annotated[Path, typer.Argument(help="New folder for masks or objects, overlays and tables.")],
    um_per_pixel: Micrometres = None,
    device: Device = "auto",
) -> None:
    """Find in images what a model was trained for: masks, or objects with their counts and lengths."""
    from flower_dgan.device import enough_memory_for, resolve_device
    from flower_dgan.placing import place
    from flower_dgan.tasks.model_file import load_model
    from flower_dgan.tasks.write_predictions import write_predictions

    require_new_folder(output, images)
    where = resolve_device(device)
    trained, kind = load_model(model)
    with enough_memory_for("the model", "what else is on it, or give --device cpu"):
        place(trained, where)
    shown = partial(track, description="Looking", console=console, transient=True)
    with new_folder(output) as folder:
        written = write_predictions(trained, kind, images, folder, um_per_pixel, shown)
    what = "masks" if written.objects is None else f"{written.objects:,} objects"
    console.print(f"{what} of {written.images:,} images in {output.resolve()}", soft_wrap=True)
    if written.remark:
        console.print(written.remark, soft_wrap=True)
