"""Any data set becomes a folder with ``images/`` and ``masks/``, once; a run that was broken off goes on where it was.

Beside the pairs there are ``prepared.json``, which says from what and how they were made, and ``prepared.jsonl`` with a
line an original: what was made of it. A line is written when all files of its original are there.
"""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from flower_dgan.data.array_files import ARRAY_SUFFIX, write_image
from flower_dgan.data.coco_annotations import CocoFile, write_coco
from flower_dgan.data.object_masks import ObjectMasks
from flower_dgan.data.pairs import Pixels
from flower_dgan.data.picture_windows import whole
from flower_dgan.data.plain_values import parse_json, read_json
from flower_dgan.data.prepare.original import Found, Original, PrepareSettings
from flower_dgan.data.prepare.pixels import pieces
from flower_dgan.data.prepare.stain import stain_normalizer
from flower_dgan.data.splits import some
from flower_dgan.errors import DataError
from flower_dgan.names import folded, inside, portable_stem
from flower_dgan.whole_file import append_line, settle, whole_file, writing

_LONGEST_STEM = 200  # bytes; a name has 255, with the part, the place of a tile and a suffix
_ABOUT, _DONE = "prepared.json", "prepared.jsonl"
_SUFFIXES = (".png", ARRAY_SUFFIX, ".json")
# If so many cannot be read, something is wrong with all of them.
_MOST_ERRORS = 5
_DARK = 32  # of 255


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
    dark : int
        Images of more than 8 bits of which no value is beyond an eighth of what these can hold, so that they came out
        nearly black.
    """

    pairs: int
    made: int
    empty: int
    beyond: int
    unreadable: tuple[str, ...]
    dark: int = 0


def write_folder(
    found: Found,
    output: Path,
    settings: PrepareSettings,
    about: dict[str, Any],
    track: Callable[[Sequence[Original]], Iterable[Original]] = iter,
) -> Prepared:
    """Write pairs, except those that are there already.

    Parameters
    ----------
    found : Found
        A data set.
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
    StorageError
        If a file cannot be written. Started again, it goes on there.
    """
    originals = found.originals
    _check_names(originals, about)
    normalize = stain_normalizer(Path(settings.stain_reference)) if settings.stain_reference else None
    # Which originals may be left out changes none of the others.
    about = {**about, "settings": asdict(replace(settings, skip_unreadable=False))}
    _begin(output, about)
    done = _read_done(output)
    before = sum(len(line["pairs"]) for line in done.values())
    unreadable = []
    names = {folded(name): source for source, line in done.items() for name in line["pairs"]}
    for original in track(originals):
        if original.source in done:
            continue
        try:
            line = _write_pairs(original, output, settings, found, normalize, names)
        except DataError as error:
            unreadable.append(str(error))
            if len(unreadable) == _MOST_ERRORS and not settings.skip_unreadable:
                break
            continue
        append_line(output / _DONE, json.dumps(line), durable=False)
        done[original.source] = line
    if unreadable and not settings.skip_unreadable:
        stopped = " (and no more were tried)" if len(unreadable) == _MOST_ERRORS else ""
        first = ", the first one" if len(unreadable) > 1 else ""
        raise DataError(
            f"{len(unreadable)} of {len(originals):,} originals cannot be used{stopped}{first}: {unreadable[0]} Start "
            "again then (what is done is not made twice), or with --skip-unreadable, which lists all of them."
        )
    pairs = sum(len(line["pairs"]) for line in done.values())
    if not pairs:
        raise DataError(f"No pair was left of {len(originals):,} originals: change --only-labelled or --tile.")
    for folder in sorted({folder for line in done.values() for folder in line["folders"]}):
        settle(output / folder)
    empty, beyond = (sum(line[key] for line in done.values()) for key in ("empty", "beyond_range"))
    dark = sum(line.get("dark", 0) for line in done.values())
    result = Prepared(pairs, pairs - before, empty, beyond, tuple(unreadable), dark)
    _write(output / _ABOUT, json.dumps({**about, "complete": True, **asdict(result)}, indent=1))
    return result


def _check_names(originals: Sequence[Original], about: dict[str, Any]) -> None:
    if not originals:
        raise DataError(f"No pair of {about['dataset']} was found in {about['source']}.")
    seen: dict[str, str] = {}
    sources: set[str] = set()
    for original in originals:
        if original.source in sources:
            raise DataError(f"{original.source} is listed twice in {about['source']}: leave it in one list.")
        sources.add(original.source)
        stem = portable_stem(original.stem)
        if (name := folded(stem)) in seen:
            raise DataError(
                f"{original.source} and {seen[name]} would both be called {stem}, as some file systems know no "
                "difference of case or accents, and no devices and signs in names that others have: remove one, or "
                "rename it."
            )
        seen[name] = original.source
        if (size := len(os.fsencode(original.stem))) > _LONGEST_STEM:
            raise DataError(
                f"{original.source}: its name has {size} bytes, and {_LONGEST_STEM} at most leave room for the names "
                "of tiles: rename it."
            )


def _begin(output: Path, about: dict[str, Any]) -> None:
    """Make the folder, or find that it was begun in the same way."""
    if (output / _ABOUT).is_file():
        try:
            before = read_json(output / _ABOUT)
        except (OSError, ValueError) as error:
            raise DataError(
                f"{output / _ABOUT} cannot be read: {error}. Delete {output}, or give a new folder."
            ) from error
        if not (isinstance(before, dict) and "complete" in before):
            raise DataError(f"{output / _ABOUT} is none of flower-dgan's: give a new folder.")
        now = json.loads(json.dumps(about))
        # Where nothing was made, as with an option that was wrong, there is nothing to mix with.
        made = any(path.name != _ABOUT for path in output.iterdir())
        if made and (changed := [key for key in now if now[key] != before.get(key)]):
            raise DataError(
                f"{output.absolute()} was begun with other {some(changed)} (see {_ABOUT}): give a new folder, "
                "or delete this one."
            )
        if not made:
            _write(output / _ABOUT, json.dumps({**about, "complete": False}, indent=1))
        return
    if output.exists() and any(output.iterdir()):
        raise DataError(f"{output.absolute()} is not empty: give a new folder.")
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    _write(output / _ABOUT, json.dumps({**about, "complete": False}, indent=1))


def _read_done(output: Path) -> dict[str, dict[str, Any]]:
    """Read what was made before and is still there, whole; what a line that is damaged or cut off was about is not."""
    path = output / _DONE
    if not path.is_file():
        return {}
    lines = [line for line in path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1] if _is_line(line)]
    done = {line["source"]: line for line in map(json.loads, lines)}
    whole = {
        source: line
        for source, line in done.items()
        if "folders" in line
        and all(_is_whole(output / folder, name) for name in line["pairs"] for folder in line["folders"])
    }
    _write(path, "".join(f"{json.dumps(line)}\n" for line in whole.values()))
    return whole


def _is_line(text: str) -> bool:
    """Return whether a text is a line of what was made; after a power cut one may be of zero bytes."""
    try:
        line = parse_json(text)
    except ValueError:
        return False
    return isinstance(line, dict) and {"source", "pairs", "empty", "beyond_range"} <= set(line)


def _is_whole(folder: Path, name: str) -> bool:
    """Return whether a file is there and was written to its end, by its checksums where it is PNG."""
    picture, array, objects = (folder / f"{name}{suffix}" for suffix in _SUFFIXES)
    try:
        if picture.is_file():
            with Image.open(picture) as image:
                image.verify()
            return True
        if objects.is_file():
            return list(CocoFile(objects).images) == [name]
        return array.is_file() and np.load(array, mmap_mode="r").ndim == 3
    except Exception:  # whatever the decoders make of half a file
        return False


def _write_pairs(
    original: Original,
    output: Path,
    settings: PrepareSettings,
    found: Found,
    normalize: Callable[[Pixels, str], Pixels] | None,
    names: dict[str, str],
) -> dict[str, Any]:
    """Write what becomes of an original, all of it or, where it cannot be read, nothing; return its line.

    The pairs' names are added to all ``names`` and may not be another original's.
    """
    made: list[str] = []
    folders: list[str] = []
    empty = all_beyond = dark = 0
    try:
        for part, pair in original.read():
            deep = settings.value_range is None and pair.highest is None and pair.image.dtype != np.uint8
            brightest = 0
            for tile, piece, beyond in pieces(pair, settings, found.binary, original.source, normalize):
                all_beyond += beyond
                if settings.only_labelled and piece.mask is not None and not piece.mask.any():
                    empty += 1
                    continue
                name = portable_stem("_".join(filter(None, (original.stem, part, tile))))
                if (other := names.setdefault(folded(name), original.source)) != original.source:
                    raise DataError(f"{original.source} and {other} both make a {name}: rename one of them.")
                made.append(name)
                brightest = max(brightest, int(whole(piece.image).max()))
                files = (("images", whole(piece.image)), ("masks", piece.mask), ("instances", piece.instances))
                written = {folder: pixels for folder, pixels in files if pixels is not None}
                folders = list(written)
                for folder, pixels in written.items():
                    write_image(pixels, output / folder, name)
                if piece.objects is not None:
                    folders.append("instances")
                    _write_objects(piece.objects, output / "instances", name, found.category)
            dark += deep and 0 < brightest < _DARK
    except DataError:
        for name in made:
            for folder in folders:
                for suffix in _SUFFIXES:
                    (output / folder / f"{name}{suffix}").unlink(missing_ok=True)
        raise
    return {
        "source": original.source,
        "pairs": made,
        "folders": folders,
        "empty": empty,
        "beyond_range": all_beyond,
        "dark": dark,
    }


def _write_objects(objects: ObjectMasks, folder: Path, name: str, category: str) -> None:
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_coco(inside(folder, f"{name}.json"), {f"{name}.png": objects}, category)


def _write(path: Path, text: str) -> None:
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
