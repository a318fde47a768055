"""Follow one synthetic batch through a round, from the generator to the client and its feedback back, by a trace.

    python benchmarks/stations.py

Every call of this package's code is watched (``sys.setprofile``) while the real strategy and ClientApp train for two
rounds in this process. A call is a station of the batch if it is given, or returns, something that holds the batch's
images, their gradients, or either as it travels: a tensor or array of that shape (or of two bundles), alone or in a
type of this package. Flower's own types (messages, records) are followed through, and not counted.
"""

import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image

from flower_dgan.client_app import app
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.resolve import resolve

SIZE, SAMPLES, CHANNELS = 28, 3, 3
"""Of images that nothing else in the run has: three RGB images of 28 pixels, S = 1."""

PACKAGE = "flower_dgan."
ESTIMATE = "networks.footprint"
"""What the networks' memory is estimated by before the training, with images as large as a batch's."""


@dataclass
class Stations:
    """What a batch passed.

    Attributes
    ----------
    functions : dict of str to None
        ``module:function``, in the order in which each was first passed.
    modules, types : dict of str to None
        Modules of these, and types of this package that the batch was in.
    """

    functions: dict[str, None] = field(default_factory=dict)
    modules: dict[str, None] = field(default_factory=dict)
    types: dict[str, None] = field(default_factory=dict)

    def note(self, frame: FrameType, values: list[Any]) -> None:
        """Note a call, or a return, that has these values."""
        held = [holder for value in values if (holder := holders(value)) is not None]
        module = frame.f_globals["__name__"].removeprefix(PACKAGE)
        if held and module != ESTIMATE:
            self.functions[f"{module}:{frame.f_code.co_qualname}"] = None
            self.modules[module] = None
            for each in held:
                self.types.update(dict.fromkeys(each))


def holders(value: Any, depth: int = 0) -> list[str] | None:
    """Return the types of this package in which a value holds the batch, [] for a bare array, None if it does not."""
    if isinstance(value, torch.Tensor | np.ndarray):
        shape = tuple(value.shape)
        return [] if shape[1:] == (CHANNELS, SIZE, SIZE) and shape[0] in (SAMPLES, 2 * SAMPLES) else None
    if depth > 2:
        return None
    if isinstance(value, dict):
        inside = list(value.values())
    elif isinstance(value, list | tuple):
        inside = list(value)
    elif is_dataclass(value) and not isinstance(value, type) and type(value).__module__.startswith(PACKAGE):
        inside = [getattr(value, each.name) for each in fields(value)]
    else:
        return None
    found = [each for each in (holders(part, depth + 1) for part in inside[:8]) if each is not None]
    if not found:
        return None
    own = [type(value).__name__] if is_dataclass(value) else []
    return [*own, *(name for each in found for name in each)]


@contextmanager
def watching(stations: Stations) -> Iterator[None]:
    """Watch all calls of this package's code inside, in all threads that begin inside."""

    def watch(frame: FrameType, event: str, returned: Any) -> None:
        if event in ("call", "return") and frame.f_globals.get("__name__", "").startswith(PACKAGE):
            names = frame.f_code.co_varnames[: frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount]
            # a method's own object is where the batch is kept, not where it passes
            given = [frame.f_locals[name] for name in names if name in frame.f_locals and name != "self"]
            stations.note(frame, given if event == "call" else [returned])

    threading.setprofile(watch)
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def write_pairs(folder: Path, sites: int) -> None:
    """Write a few RGB images and masks of each site, larger than what the networks see, as a folder has them."""
    random = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for site in range(sites):
        for number, split in enumerate(["te", *["tr"] * 2 * SAMPLES]):
            name = f"{split}_site{site}_case{number}_0.png"
            image = random.integers(0, 256, (40, 40, CHANNELS), dtype=np.uint8)
            Image.fromarray(image).save(folder / "images" / name)
            Image.fromarray(image[..., 0] // 128).save(folder / "masks" / name)


def follow(overrides: str, clients: int = 2) -> Stations:
    """Return the stations of a batch in a training with these settings."""
    stations = Stations()
    with tempfile.TemporaryDirectory() as scratch:
        write_pairs(Path(scratch) / "data", clients)
        small = (
            f"data=folder data.root='{scratch}/data' model=small downstream=none {overrides} exchange=single "
            f"exchange.rounds=2 exchange.batch_size={SAMPLES} data.image_size={SIZE} data.augmentation=none threads=1 "
            f"output.synthetic_images=2 output.directory='{scratch}/run'"
        )
        config = resolve(small)
        grid = InProcessGrid(app, simulated_contexts(clients, small))
        with watching(stations):
            run_job(grid, config, 0)
    return stations


def main(
    algorithm: Annotated[str, typer.Option(help="Which preset.")] = "dgan",
    clients: Annotated[int, typer.Option(help="How many.")] = 2,
) -> None:
    """Print the stations of one batch."""
    found = follow(f"algorithm={algorithm}", clients)
    for function in found.functions:
        print(function)
    print(f"{len(found.modules)} modules: {', '.join(found.modules)}")
    print(f"{len(found.types)} types: {', '.join(found.types)}")


if __name__ == "__main__":
    typer.run(main)
