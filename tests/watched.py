"""Runs as files, for the page that reads them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CLIENTS = ("north", "south")


def client(loss: float = 1.0) -> dict[str, Any]:
    """Return what a round holds of a client."""
    return {
        "discriminator_loss": loss,
        "generator_loss": 0.5,
        "busy_seconds": 0.25,
        "compute_seconds": 0.125,
        "bytes_sent": 1000,
        "bytes_received": 500,
        "rounds_late": 0,
        "weight": 0.5,
        "arrived_seconds": 0.3,
    }


def round_event(number: int, clients: Iterable[str] = CLIENTS, **fields: Any) -> dict[str, Any]:
    """Return a round as the training writes it."""
    return {
        "kind": "round",
        "time": 1000.0 + number,
        "round": number,
        "seconds": {"generator": 0.5, "discriminator": 0.25, "waiting": 0.125, "flower": 0.125},
        "images": 16,
        "staleness": 0,
        "clients": {name: client() for name in clients},
        "rejected": {},
        "late": [],
        "repeats": {},
        **fields,
    }


def begin_event(**fields: Any) -> dict[str, Any]:
    """Return the beginning of an attempt."""
    return {
        "kind": "begin",
        "time": 1000.0,
        "attempt": 1,
        "rounds": 10,
        "done": 0,
        "heartbeat": 10.0,
        **fields,
    }


def end_event(how: str = "finished", why: str = "") -> dict[str, Any]:
    """Return the end of an attempt."""
    return {"kind": "end", "time": 2000.0, "how": how, "why": why, "attempt": 1}


def write_events(run: Path, events: Iterable[Mapping[str, Any]]) -> Path:
    """Write the events of a run, which may be none, and what marks its directory; return that."""
    run.mkdir(parents=True, exist_ok=True)
    (run / "training.json").write_text("{}")
    (run / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in events))
    return run


def samples_event(run: Path, number: int) -> dict[str, Any]:
    """Draw a sample grid of each client's; return its event."""
    files = []
    folder = run / "samples" / f"round-{number:05d}"
    folder.mkdir(parents=True, exist_ok=True)
    for row, site in enumerate(CLIENTS):
        for at, column in enumerate(("label map", "draw 1", "draw 2")):
            file = folder / f"{row}-{column.replace(' ', '-')}.png"
            Image.fromarray(np.full((8, 8), 40 * (at + 1) + number, np.uint8)).save(file)
            files.append({"row": row, "site": site, "column": column, "file": str(file.relative_to(run))})
    return {"kind": "samples", "time": 1000.0, "round": number, "grid": "", "files": files, "looks": {}}
