"""What a node with many images needs in memory beyond an empty one, from the folder to the pairs that it keeps.

    python benchmarks/node_memory.py --images 100000 --side 64

A deployed node reads its folder, keeps the pairs in its state directory, and draws a batch from what is kept, each time
in a process of its own, of which the peak of the resident memory is taken (``VmHWM``). The images are RGB; every 1,000
are equal files, which nobody notices. The pages of the kept copy that were read are in that figure, too.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

DISTINCT = 1_000
EMPTY = 100
"""Images of the node that stands for an empty one: a batch wants some."""

CODE = """
import sys
from pathlib import Path
from flower_dgan.node.kept_pairs import digest, keep_pairs, kept_pairs
from flower_dgan.node.node import open_node
from flower_dgan.resolve import resolve

root, state, side = sys.argv[1:]
own = {"data-path": root, "name": "a", "name-pattern": "none"}
node = open_node(resolve(f"data=folder data.image_size={side}"), own)
keep_pairs(Path(state), node.pairs)
kept = kept_pairs(Path(state), node.pairs.classes)
assert digest(kept) == digest(node.pairs)
print(len(kept), *(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def write_folder(root: Path, images: int, side: int) -> None:
    """Write pairs with equal names."""
    random = np.random.default_rng(0)
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for number in range(images):
        for part in ("images", "masks"):
            path = root / part / f"{number:07d}.png"
            if number >= DISTINCT:
                os.link(root / part / f"{number % DISTINCT:07d}.png", path)
                continue
            shape = (side, side, 3) if part == "images" else (side, side)
            pixels = random.integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(pixels if part == "images" else (pixels > 127) * np.uint8(255)).save(path, compress_level=1)


def measure(images: int, side: int) -> tuple[int, int, float]:
    """Return how many pairs a node trains on, its peak memory in MiB, and the seconds that it took."""
    with tempfile.TemporaryDirectory() as scratch:
        root, state = Path(scratch, "data"), Path(scratch, "kept")
        state.mkdir()
        write_folder(root, images, side)
        begin = time.monotonic()
        command = [sys.executable, "-c", CODE, str(root), str(state), str(side)]
        home = {"XDG_STATE_HOME": str(Path(scratch, "state"))}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | home)
        pairs, peak = map(int, done.stdout.split())
        return pairs, peak // 1024, time.monotonic() - begin


def main(
    images: Annotated[int, typer.Option(min=DISTINCT)] = 100_000, side: Annotated[int, typer.Option(min=16)] = 64
) -> None:
    """Measure."""
    peaks = []
    for count in (EMPTY, images):
        pairs, peak, seconds = measure(count, side)
        peaks.append(peak)
        print(f"{count:,} images of {side} x {side}: {pairs:,} for training, {peak:,} MiB at most, {seconds:.0f} s")
    print(f"beyond an empty node: {peaks[1] - peaks[0]:,} MiB")


if __name__ == "__main__":
    typer.run(main)
