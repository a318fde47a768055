"""The process that paints: reads a generator and one mask at a time, and is ended when it takes too long.

A file that names code of a package is refused, as whoever wrote it chose that code.
"""

import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from flower_dgan.data.array_files import to_picture
from flower_dgan.errors import DataError, told
from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.gan.generator import draw
from flower_dgan.generator_file import load_generator
from flower_dgan.networks.build import ImageShape
from flower_dgan.printable import printable
from flower_dgan.randomness import derive_generator
from flower_dgan.synthesis import to_pixels

_loaded: dict[tuple[str, int], tuple[nn.Module, int, ImageShape]] = {}


def _load(path: str) -> tuple[nn.Module, int, ImageShape]:
    """Return network, noise channels and shape; the last file stays read until it is written anew."""
    key = path, Path(path).stat().st_mtime_ns
    if key not in _loaded:
        network, model, shape = load_generator(Path(path))
        _loaded.clear()
        _loaded[key] = network, model.noise_channels, shape
    return _loaded[key]


def describe(path: str) -> dict[str, Any]:
    """Return what a generator draws: ``classes``, ``image_size``, ``sites``, ``draws_differ``."""
    _, noise, shape = _load(path)
    return {
        "classes": shape.classes,
        "image_size": shape.image_size,
        "sites": list(shape.sites),
        "draws_differ": noise > 0,
    }


def paint(path: str, mask: bytes, sites: list[str], draws: int, seed: int) -> dict[str, Any]:
    """Draw images on a mask.

    Parameters
    ----------
    path : str
        File of the generator.
    mask : bytes
        Class ids, row by row, of an image of the generator's size.
    sites : list of str
        In whose styles.
    draws : int
        Images of each site, with different noise; the same noise for all sites.
    seed : int
        Of the noise.

    Returns
    -------
    dict
        ``pictures``: a list of ``site``, ``draw`` and ``png`` in base64.

    Raises
    ------
    DataError
        If the mask is of another size, has a class that the generator does not know, or a site is not its own.
    """
    network, noise_channels, shape = _load(path)
    side = shape.image_size
    if len(mask) != side**2:
        raise DataError(f"The mask has {len(mask):,} pixels, and this generator paints {side} x {side}.")
    ids = np.frombuffer(mask, np.uint8).reshape(side, side)
    if ids.max() >= shape.classes:
        raise DataError(f"The mask has class {ids.max()}, and this generator knows 0 to {shape.classes - 1}.")
    if unknown := [site for site in sites if site not in shape.sites]:
        raise DataError(f"This generator does not know the site {printable(unknown[0])}.")
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(ids.astype(np.int64)), shape.classes)
    label_maps = one_hot.permute(2, 0, 1).float()[None].expand(draws, -1, -1, -1)
    random = derive_generator(seed, "page")
    noise = torch.randn(draws, noise_channels, generator=random)
    texture = torch.randn(draws, 1, side, side, generator=random)
    pictures = []
    for site in sites:
        index = torch.full((draws,), shape.sites.index(site))
        with torch.no_grad():
            pixels = to_pixels(draw(network, GeneratorInput(label_maps, noise, texture, index)))
        pictures += [{"site": site, "draw": number + 1, "png": _png(each)} for number, each in enumerate(pixels)]
    return {"pictures": pictures}


def _png(pixels: Any) -> str:
    buffer = io.BytesIO()
    Image.fromarray(to_picture(pixels)).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def answer(line: str) -> dict[str, Any]:
    """Answer one line: an object with ``describe`` or ``paint``."""
    try:
        asked = json.loads(line)
        if "describe" in asked:
            return describe(asked["describe"])
        return paint(**{**asked["paint"], "mask": base64.b64decode(asked["paint"]["mask"])})
    except Exception as error:
        return {"error": told(error) or "This generator could not paint that: its training's log may say more."}


def main() -> None:
    """Answer each line of the standard input by one of the standard output."""
    torch.set_num_threads(1)
    answers = sys.stdout
    sys.stdout = sys.stderr  # what a library prints is no answer
    for line in sys.stdin:
        answers.write(json.dumps(answer(line)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
