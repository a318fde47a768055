"""Which files of a run the page may be given: those that its events name, and that are where such files are."""

import base64
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flower_dgan.run.regular_file import open_regular
from flower_dgan.watch.story import Story

_PART = re.compile(r"(?!\.)[^/\\\0]{1,255}")
_FOLDERS = {"samples": ".png", "generators": ".safetensors", "candidates": ".safetensors"}
_FINAL = "generator.safetensors"
_GRID = re.compile(r"round-(\d{5,9})\.png")
_LARGEST = 16 * 2**20  # bytes of a picture
_MOST = 48 * 2**20  # bytes of the pictures of a round together


def sample_rounds(story: Story, run: Path) -> list[int]:
    """Return the rounds of which there are sample grids, those of earlier versions too, in order."""
    return sorted({*story.samples, *_grids(story, run)})


def pictures(story: Story, run: Path, round_number: int) -> list[dict[str, Any]]:
    """Return the pictures of a sample grid: ``row``, ``site``, ``column`` and ``png`` in base64.

    An earlier version's is one picture, whose column is ``grid``. Pictures that are gone, and those beyond 48 MiB
    together, are left out.
    """
    event = story.samples.get(round_number)
    if event is None:
        grid = _grids(story, run).get(round_number)
        named: list[Mapping[str, Any]] = [{"row": 0, "site": "", "column": "grid", "file": grid}] if grid else []
    else:
        files = event.get("files")
        named = [each for each in files if isinstance(each, Mapping)] if isinstance(files, list) else []
    found, total = [], 0
    for each in named:
        read = read_shown(run, str(each.get("file")))
        if read is not None and (total := total + len(read)) <= _MOST:
            shown = {name: each.get(name) for name in ("row", "site", "column")}
            found.append({**shown, "png": base64.b64encode(read).decode("ascii")})
    return found


def tested(story: Story, run: Path) -> list[dict[str, Any]]:
    """Return what the model of each row of the table does worst and best on, as pictures that are there.

    Returns
    -------
    list of dict
        ``row``, ``metric``, ``rank``, ``figure``, and ``png`` in base64; of a row that was made twice the last, and
        48 MiB in all.
    """
    found, total = [], 0
    for event in {str(each["row"]): each for each in story.tested}.values():
        for each in event["pictures"]:
            read = read_shown(run, str(each["file"]))
            if read is not None and (total := total + len(read)) <= _MOST:
                shown = {"row": event["row"], "metric": event["metric"], "rank": each["rank"], "figure": each["figure"]}
                found.append({**shown, "png": base64.b64encode(read).decode("ascii")})
    return found


def generators(story: Story, run: Path) -> dict[str, Path]:
    """Return the generators that are there: by round, and ``final`` for that of a training that ended."""
    named = {str(number): inside(run, str(event.get("file"))) for number, event in sorted(story.generators.items())}
    return {name: path for name, path in {**named, "final": inside(run, _FINAL)}.items() if path is not None}


def inside(run: Path, name: str) -> Path | None:
    """Return the file of a run that an event names, None where no page may have it.

    Parameters
    ----------
    run : Path
        The run's directory.
    name : str
        Relative to it: ``generator.safetensors``, or a file below ``samples``, ``generators`` or ``candidates`` with
        the suffix of such files. The directory may be another user's, so nothing else of it, nor a link, is taken.
    """
    parts = name.split("/")
    listed = len(parts) > 1 and parts[0] in _FOLDERS and name.endswith(_FOLDERS[parts[0]])
    if not (listed or name == _FINAL) or not all(_PART.fullmatch(part) for part in parts):
        return None
    path = run
    try:
        for part in parts:
            path = path / part
            if path.is_symlink():
                return None
        return path if path.is_file() else None
    except OSError:  # a folder that this user may not enter
        return None


def read_shown(run: Path, name: str) -> bytes | None:
    """Read a picture that :func:`inside` allows; None where there is none, or it is larger than 16 MiB."""
    path = inside(run, name) if name.endswith(".png") else None
    if path is None:
        return None
    try:
        with open_regular(path) as file:
            found = file.read(_LARGEST + 1)
    except OSError:
        return None
    return found if len(found) <= _LARGEST else None


def _grids(story: Story, run: Path) -> dict[int, str]:
    """Return the grids that are one picture each, by round.

    One that is new has a folder of pictures beside it, which a line of the events will name: it waits for that.
    """
    newest = max(story.samples, default=-1)
    try:
        with os.scandir(run / "samples") as entries:
            folders = {each.name: each.is_dir(follow_symlinks=False) for each in entries}
    except OSError:
        return {}
    files = {int(found[1]): name for name in folders if not folders[name] and (found := _GRID.fullmatch(name))}
    told = {number: name for number, name in files.items() if number <= newest or not folders.get(name[:-4])}
    return {number: f"samples/{name}" for number, name in told.items()}
