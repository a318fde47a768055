"""Any data set becomes a folder with ``images/`` and ``masks/``, once; a run that was broken off goes on where it was.

Beside the pairs there are ``prepared.json``, which says from what and how they were made, and ``prepared.jsonl`` with a
line an original: what was made of it. A line is written when all files of its original are there.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flower_dgan.data.prepare.original import Original, OriginalPair, PrepareSettings, Samples, to_uint8
from flower_dgan.data.splits import some
from flower_dgan.errors import DataError

_ABOUT, _DONE = "prepared.json", "prepared.jsonl"


@dataclass(frozen=True)
class Prepared:
    """What was made.

    Attributes
    ----------
    pairs : int
        All pairs in the folder.
    made : int
        Those of them that this run has made; the others were there.
    empty : int
        Pairs that were left out since they are all background.
    beyond : int
        Values of images that were beyond the range.
    unreadable : tuple of str
        What was left out since it could not be read.
    """

    pairs: int
    made: int
    empty: int
    beyond: int
    unreadable: tuple[str, ...]


def write_folder(
    originals: Sequence[Original],
    output: Path,
    settings: PrepareSettings,
    about: dict[str, Any],
    track: Callable[[Sequence[Original]], Iterable[Original]] = iter,
) -> Prepared:
    """Write pairs, except those that are there already.

    Parameters
    ----------
    originals : sequence of Original
        Of a data set.
    output : Path
        A new folder, or one that the same settings have begun.
    settings : PrepareSettings
        How to write them.
    about : dict
        What else ``prepared.json`` says: name and folder of the data set, its classes.
    track : callable
        Yields the originals again; for a progress bar.

    Raises
    ------
    DataError
        If there is no original, two have one name, the folder holds something else, or an original cannot be read.
    """
    _check_names(originals, about)
    # Which originals may be left out changes none of the others.
    about = {**about, "settings": asdict(replace(settings, skip_unreadable=False))}
    _begin(output, about)
    done = _read_done(output)
    before = sum(len(line["pairs"]) for line in done.values())
    unreadable = []
    with (output / _DONE).open("a", encoding="utf-8") as lines:
        for original in track(originals):
            if original.source in done:
                continue
            try:
                line = _write_pairs(original, output, settings, len(about["classes"]))
            except DataError as error:
                unreadable.append(str(error))
                continue
            lines.write(json.dumps(line) + "\n")
            lines.flush()
            done[original.source] = line
    if unreadable and not settings.skip_unreadable:
        shown = "".join(f"\n- {sentence}" for sentence in unreadable[:5])
        raise DataError(
            f"{len(unreadable):,} of {len(originals):,} originals cannot be used:{shown}\nReplace them and start again "
            "(the others are not made twice), or start again with --skip-unreadable."
        )
    pairs = sum(len(line["pairs"]) for line in done.values())
    if not pairs:
        raise DataError(f"No pair was left of {len(originals):,} originals: change --only-labelled or --tile.")
    empty, beyond = (sum(line[key] for line in done.values()) for key in ("empty", "beyond_range"))
    result = Prepared(pairs, pairs - before, empty, beyond, tuple(unreadable))
    _write(output / _ABOUT, json.dumps({**about, "complete": True, **asdict(result)}, indent=1))
    return result


def cut(pair: OriginalPair, tile: int | None, stride: int | None) -> Iterator[tuple[str, OriginalPair]]:
    """Cut a pair into square tiles from its top left, the last of a row or column flush with the edge.

    Parameters
    ----------
    pair : OriginalPair
        At least as large as a tile.
    tile, stride : int or None
        Side of a tile and way to the next, in pixels; None for the whole image, and for tiles side by side.

    Yields
    ------
    name : str
        ``<top>-<left>`` in pixels; empty for a whole image.
    pair : OriginalPair
        The tile.
    """
    if tile is None:
        yield "", pair
        return
    tops, lefts = (_starts(side, tile, stride or tile) for side in pair.mask.shape)
    for top in tops:
        for left in lefts:
            window = np.s_[top : top + tile, left : left + tile]
            instances = None if pair.instances is None else pair.instances[window]
            yield f"{top}-{left}", OriginalPair(pair.image[window], pair.mask[window], instances)


def _starts(side: int, tile: int, stride: int) -> list[int]:
    starts = list(range(0, side - tile + 1, stride))
    return starts if starts[-1] == side - tile else [*starts, side - tile]


def _check_names(originals: Sequence[Original], about: dict[str, Any]) -> None:
    if not originals:
        raise DataError(f"No pair of {about['dataset']} was found in {about['source']}.")
    seen: dict[str, str] = {}
    for original in originals:
        if original.stem in seen:
            raise DataError(
                f"{original.source} and {seen[original.stem]} would both be called {original.stem}: remove one, or "
                "rename it."
            )
        seen[original.stem] = original.source


def _begin(output: Path, about: dict[str, Any]) -> None:
    """Make the folder, or find that it was begun in the same way."""
    if (output / _ABOUT).is_file():
        before = json.loads((output / _ABOUT).read_text(encoding="utf-8"))
        now = json.loads(json.dumps(about))
        if changed := [key for key in now if now[key] != before.get(key)]:
            raise DataError(
                f"{output.absolute()} was begun with another {some(changed)} (see {_ABOUT}): give a new folder, or "
                "delete this one."
            )
        return
    if output.exists() and any(output.iterdir()):
        raise DataError(f"{output.absolute()} is not empty: give a new folder.")
    for name in ("images", "masks"):
        (output / name).mkdir(parents=True, exist_ok=True)
    _write(output / _ABOUT, json.dumps({**about, "complete": False}, indent=1))


def _read_done(output: Path) -> dict[str, dict[str, Any]]:
    """Read what was made before; a last line that was cut off is made again."""
    path = output / _DONE
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").split("\n")
    _write(path, "\n".join([*lines[:-1], ""]))
    done = {line["source"]: line for line in map(json.loads, lines[:-1])}
    return {
        source: line
        for source, line in done.items()
        if all((output / folder / f"{name}.png").is_file() for name in line["pairs"] for folder in ("images", "masks"))
    }


def _write_pairs(original: Original, output: Path, settings: PrepareSettings, classes: int) -> dict[str, Any]:
    made: list[str] = []
    empty = all_beyond = 0
    for part, pair in original.read():
        image = _channels(pair, settings, original.source)
        pixels, beyond = to_uint8(image, settings.value_range, original.source)
        all_beyond += beyond
        scaled = OriginalPair(pixels, pair.mask * np.uint8(255 if classes == 2 else 1), pair.instances)
        for tile, piece in cut(scaled, settings.tile, settings.stride):
            if settings.only_labelled and not piece.mask.any():
                empty += 1
                continue
            made.append("_".join(filter(None, (original.stem, part, tile))))
            _save(piece.image, output / "images" / f"{made[-1]}.png")
            _save(piece.mask, output / "masks" / f"{made[-1]}.png")
            if piece.instances is not None:
                (output / "instances").mkdir(exist_ok=True)
                _save(piece.instances, output / "instances" / f"{made[-1]}.png")
    return {"source": original.source, "pairs": made, "empty": empty, "beyond_range": all_beyond}


def _channels(pair: OriginalPair, settings: PrepareSettings, source: str) -> Samples:
    """Return the chosen channels of an image that fits its mask and the tiles."""
    image = pair.image[..., None] if pair.image.ndim == 2 else pair.image
    sizes = [f"{shape[0]} x {shape[1]}" for shape in (image.shape, pair.mask.shape)]
    if sizes[0] != sizes[1]:
        raise DataError(f"{source}: the image is {sizes[0]} pixels (height x width), but its mask {sizes[1]}.")
    if settings.tile is not None and min(pair.mask.shape) < settings.tile:
        raise DataError(f"{source} is {sizes[0]} pixels, less than --tile {settings.tile}: give a smaller one.")
    if settings.bands and max(settings.bands) > image.shape[2]:
        raise DataError(f"{source} has {image.shape[2]} channels: there is no --band {max(settings.bands)}.")
    if settings.bands:
        image = image[..., [band - 1 for band in settings.bands]]
    if image.shape[2] not in (1, 3):
        raise DataError(f"{source} has {image.shape[2]} channels: choose one or three of them with --band.")
    return image[..., 0] if image.shape[2] == 1 else image


def _save(pixels: NDArray[Any], path: Path) -> None:
    partial = path.with_suffix(".partial")
    Image.fromarray(np.ascontiguousarray(pixels)).save(partial, format="PNG")
    partial.replace(path)


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
