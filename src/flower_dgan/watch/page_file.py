"""The page as one file that needs no server, for whoever may open no port."""

import base64
import hashlib
import json
import time
from pathlib import Path
from typing import Any

from flower_dgan.errors import DataError
from flower_dgan.run.audit_file import shown_audit
from flower_dgan.watch.board import Board, Watched
from flower_dgan.watch.page import SCRIPTS, STYLES, page, static_file
from flower_dgan.watch.plain import plain
from flower_dgan.watch.shown_files import pictures, sample_rounds
from flower_dgan.whole_file import whole_file

_GRIDS = 24  # of each run: the first, the last, and those between at equal distances
_PICTURES = 24 * 2**20  # characters of pictures in the whole page


def export(board: Board, file: Path) -> None:
    """Write the page with what it shows now.

    Parameters
    ----------
    board : Board
        The runs; the 40 that were written to last are taken, and of each at most 24 sample grids.
    file : Path
        The page.

    Raises
    ------
    DataError
        If there is no run.
    StorageError
        If the file cannot be written.
    """
    latest = board.latest()
    places = [place for place in board.places() if place.key in latest]
    if not places:
        raise DataError("There is no run to export: name the directory of a run, a sweep, or several runs.")
    answers: dict[str, Any] = {
        "runs": {"runs": [{"key": place.key, "name": place.name} for place in places], "latest": latest}
    }
    room = _PICTURES
    for place in places:
        run = board.run(place.key)
        if run is not None:
            room = _add(answers, run, room)
    data = json.dumps(plain({"made": time.strftime("%Y-%m-%d %H:%M"), "answers": answers}), allow_nan=False)
    with whole_file(file, private=True) as partial:
        partial.write_text(_page(data), encoding="utf-8")


def _add(answers: dict[str, Any], run: Watched, room: int) -> int:
    """Add what the page asks of a run; return how much room for pictures is left."""
    while run.refresh():
        pass
    path, base = run.place.path, f"runs/{run.place.key}"
    answers[f"{base}/summary"] = {
        **run.view(),
        "more": False,
        "curves": run.curves(),
        "settings": run.settings(),
    }
    answers[f"{base}/audit"] = {"audit": shown_audit(path)}
    answers[f"{base}/records"] = {"records": run.story.records()}
    shown = []
    for number in _some(sample_rounds(run.story, path)):
        found = pictures(run.story, path, number)
        room -= sum(len(each["png"]) for each in found)
        if found and room >= 0:
            answers[f"{base}/samples/{number}"] = {"round": number, "pictures": found}
            shown.append(number)
    answers[f"{base}/samples"] = {"rounds": shown}
    return room


def _some(rounds: list[int]) -> list[int]:
    if len(rounds) <= _GRIDS:
        return rounds
    return [rounds[round(at * (len(rounds) - 1) / (_GRIDS - 1))] for at in range(_GRIDS)]


def _page(data: str) -> str:
    """Return the page with style, scripts and data in it; it may load nothing else."""
    style = "\n".join(static_file(name).decode("utf-8") for name in STYLES)
    script = "\n;\n".join(static_file(name).decode("utf-8") for name in SCRIPTS)
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{style}</style>'
    inert = data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    end = f'<script type="application/json" id="data">{inert}</script>\n<script>{script}</script>'
    return page(head, end)


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"
