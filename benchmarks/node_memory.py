"""What a node with many images needs in memory beyond an empty one, from the folder to the pairs that it keeps.

    python benchmarks/node_memory.py --images 100000 --side 64

A deployed node reads its folder, keeps the pairs in its state directory, and reads each of the kept ones once, in a
process of its own. What it needs is its peak of anonymous resident memory (``RssAnon``, looked at ten times a second):
pages of the kept copy that were read stay in memory as long as nobody else wants it, and are told beside it, within the
peak of all that was resident (``VmHWM``). The images are RGB; every 1,000 are equal files, which nobody notices.
"""

import os
import select
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
print(len(kept), flush=True)
sys.stdin.read()
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


def resident(process: int, what: str) -> int:
    """Return a line of a process's memory, in MiB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(what))) // 1024


def measure(images: int, side: int) -> tuple[int, int, int, float]:
    """Return how many pairs a node trains on, its peaks of anonymous and of all memory in MiB, and its seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        root, state = Path(scratch, "data"), Path(scratch, "kept")
        state.mkdir()
        write_folder(root, images, side)
        begin = time.monotonic()
        command = [sys.executable, "-c", CODE, str(root), str(state), str(side)]
        home = {"XDG_STATE_HOME": str(Path(scratch, "state"))}
        pipe, peak = subprocess.PIPE, 0
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=os.environ | home) as node:
            assert node.stdin is not None
            assert node.stdout is not None
            while not select.select([node.stdout], [], [], 0.1)[0]:
                peak = max(peak, resident(node.pid, "RssAnon"))
            pairs = int(node.stdout.readline())
            seconds, whole = time.monotonic() - begin, resident(node.pid, "VmHWM")
            node.stdin.close()
        return pairs, peak, whole, seconds


def main(
    images: Annotated[int, typer.Option(min=DISTINCT)] = 100_000, side: Annotated[int, typer.Option(min=16)] = 64
) -> None:
    """Measure."""
    peaks = []
    for count in (EMPTY, images):
        pairs, peak, whole, seconds = measure(count, side)
        peaks.append(peak)
        print(
            f"{count:,} images of {side} x {side}: {pairs:,} for training, {peak:,} MiB at most, {whole:,} with the "
            f"pages of files, {seconds:.0f} s",
            flush=True,
        )
    print(f"beyond an empty node: {peaks[1] - peaks[0]:,} MiB")


if __name__ == "__main__":
    typer.run(main)
