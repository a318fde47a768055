"""The command ``flower-dgan gain``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flower_dgan.cli.consoles import console
from flower_dgan.cli.device_option import Device, on_device
from flower_dgan.cli.new_places import new_folder, require_new_folder
from flower_dgan.errors import ConfigError

if TYPE_CHECKING:
    from flower_dgan.tasks.patient_scores import Unit


def gain(
    own: Annotated[
        Path, typer.Argument(readable=False, help="Your own folder with images/ and masks/, as your node has it.")
    ],
    synthetic: Annotated[
        Path, typer.Argument(readable=False, help="The federation's synthetic images: synthetic/ of a run.")
    ],
    overrides: Annotated[str, typer.Option(help="Hydra overrides, those of the run among them.")] = "",
    output: Annotated[Path | None, typer.Option(help="New folder for the table and each patient's scores.")] = None,
    device: Device = "auto",
) -> None:
    """Tell what a member gains, from its own images: trained without and with synthetic ones, tested on its test split.

    The images of the test split took no part in the training of the GAN, so that this is a fair test at a node.
    """
    from flower_dgan.data import open_source
    from flower_dgan.data.patients import patients_known
    from flower_dgan.report.member_tables import members_section
    from flower_dgan.resolve import resolve
    from flower_dgan.tasks import find_task
    from flower_dgan.tasks.by_patient import HeldOut
    from flower_dgan.tasks.members import Whose, scores_of, trained, with_synthetic
    from flower_dgan.tasks.patient_scores import PLUS_DGAN, REAL, append_scores
    from flower_dgan.tasks.tstr import kinds_of, with_truth
    from flower_dgan.wiring import computing

    if output is not None:
        require_new_folder(output)
    settings = on_device(resolve(f"data=folder {overrides}"), device)
    settings = replace(settings, data=replace(settings.data, root=str(own.absolute())))
    downstream, task = settings.downstream, find_task(settings.downstream.task)
    if not downstream.seeds:
        raise ConfigError("downstream.seeds=0 trains nothing: set it to 1 or more.")
    task.check_model(downstream, settings.data.image_size)
    source = open_source(settings.data)
    folder = replace(
        settings.data,
        root=str(synthetic.absolute()),
        classes=source.classes if settings.data.condition == "label-map" else settings.data.classes,
        name_pattern=None,
        table=None,
        sites=(),
    )
    drawn = open_source(folder, divided=False)
    real, pairs = source.load(source.train), drawn.load(drawn.train)
    test = with_truth(source.load(source.test), downstream, settings.data, source.test)
    task.check_truth(test, kinds_of(downstream.metrics))
    unit: Unit = "patient" if patients_known(source) else "image"
    held_out = HeldOut(test, tuple(entry.group for entry in source.test), unit, downstream.metrics)
    name = own.resolve().name or "own"  # "." has none
    rows = {Whose(REAL, name, len(real)): real, Whose(PLUS_DGAN, name, len(real)): with_synthetic(real, pairs)}
    scores = []
    with computing(settings):
        for seed in range(settings.seed, settings.seed + downstream.seeds):
            for whose, those in rows.items():
                model = trained(those, settings, seed)
                scores += scores_of(model, [held_out], settings, tested_on="all", whose=whose, seed=seed)
                console.print(f"{whose.row}, seed {seed}: done", soft_wrap=True)
    section = members_section([scores])
    console.print(section, soft_wrap=True)
    if output is not None:
        with new_folder(output) as partial_folder:
            append_scores(partial_folder, scores, downstream.metrics)
            text = f"# What this member gains\n\n{section}\n"
            (partial_folder / "gain.md").write_text(text, encoding="utf-8")
