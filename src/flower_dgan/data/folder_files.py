"""Every file of a folder: read by a run, or not, and why."""

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from flower_dgan.data.array_files import ARRAY_SUFFIX
from flower_dgan.data.image_files import SUFFIXES
from flower_dgan.printable import printable
from flower_dgan.whole_file import no_file

PARTS = ("images", "masks", "instances")
_OF_PREPARE = ("prepared.json", "prepared.jsonl")
# Of pixels, volumes and archives that Pillow does not know.
_DATA = frozenset(
    {".npy", ".npz", ".mat", ".dcm", ".nii", ".gz", ".h5", ".hdf5", ".svs", ".ndpi", ".mrxs", ".scn", ".czi", ".nd2"}
    | {".raw", ".dng", ".heic", ".heif", ".nrrd", ".mha", ".mhd", ".zip", ".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz"}
)


@dataclass(frozen=True)
class FolderFiles:
    """What becomes of the files of one folder.

    Attributes
    ----------
    used : int
        How many a run reads.
    unused : mapping of str to tuple of str
        The names of the others, sub-folders among them, by the reason, in alphabetical order.
    lost : tuple of str
        One sentence for each kind of them that may belong to the data, with what to do.
    """

    used: int
    unused: Mapping[str, tuple[str, ...]]
    lost: tuple[str, ...]


def look_through(root: Path, used: Mapping[str, Collection[Path]], tables: Collection[Path]) -> dict[str, FolderFiles]:
    """Say of every file of a folder whether a run reads it.

    Parameters
    ----------
    root : Path
        The folder.
    used : mapping of str to collection of Path
        The files that a run reads in ``images``, ``masks`` and ``instances``.
    tables : collection of Path
        Others that it reads.

    Returns
    -------
    dict of str to FolderFiles
        By the name of the folder, ``"."`` for what lies beside the three.
    """
    found = {part: _part(root / part, set(used.get(part, ()))) for part in PARTS if (root / part).is_dir()}
    return {**found, ".": _beside(root, {path.absolute() for path in tables})}


def _part(folder: Path, used: Collection[Path]) -> FolderFiles:
    reasons: dict[str, list[str]] = {}
    lost: dict[str, list[Path]] = {"pictures": [], "links": [], "folders": []}
    suffixes = {*SUFFIXES, ARRAY_SUFFIX} if folder.name == "images" else {*SUFFIXES}
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path in used:
            continue
        suffix = path.suffix.lower()
        if path.name.startswith("."):
            reason = "hidden"
        elif path.is_symlink() and not path.exists():
            reason = "link to nothing"
            lost["links"] += [path] if suffix not in suffixes else []  # which is a problem on its own
        elif path.is_dir():
            pictures = sum(map(_looks_like_data, _files_under(path)))
            reason = f"sub-folder with {pictures:,} pictures" if pictures else "sub-folder"
            if pictures and suffix not in suffixes:
                lost["folders"].append(path)
        elif kind := no_file(path):
            reason = f"{kind} and no file"
        elif suffix in suffixes:
            reason = "named among the problems, or its partner is"
        else:
            reason = f"another format ({suffix or 'no suffix'})"
            if _looks_like_data(path):
                lost["pictures"].append(path)
        reasons.setdefault(reason, []).append(printable(path.name))
    return FolderFiles(len(used), {why: tuple(names) for why, names in reasons.items()}, tuple(_sentences(lost)))


def _beside(root: Path, tables: Collection[Path]) -> FolderFiles:
    reasons: dict[str, list[str]] = {}
    used = 0
    for path in sorted(root.iterdir(), key=lambda path: path.name):
        if path.name in PARTS:
            continue
        if path.absolute() in tables:
            used += 1
            continue
        if path.name.startswith("."):
            reason = "hidden"
        elif path.is_symlink() and not path.exists():
            reason = "link to nothing"
        elif path.is_dir():
            reason = "folder that no run reads"
        elif kind := no_file(path):
            reason = f"{kind} and no file"
        elif path.name in _OF_PREPARE:
            reason = "says how the folder was prepared"
        else:
            reason = "file that no run reads"
        reasons.setdefault(reason, []).append(printable(path.name))
    return FolderFiles(used, {why: tuple(names) for why, names in reasons.items()}, ())


def _sentences(lost: Mapping[str, list[Path]]) -> Iterator[str]:
    if pictures := lost["pictures"]:
        others = f" nor {len(pictures) - 1:,} more of other formats there" if len(pictures) > 1 else ""
        yield f"No run reads {_shown(pictures[0])}{others}: save as PNG what belongs to the data, and remove the rest."
    if links := lost["links"]:
        others = f", as {len(links) - 1:,} more there do" if len(links) > 1 else ""
        yield f"{_shown(links[0])} is a link that leads to no file{others}: put the file there, or remove the link."
    if folders := lost["folders"]:
        others = f" nor {len(folders) - 1:,} more folders there" if len(folders) > 1 else ""
        yield f"No run looks into {_shown(folders[0])}{others}: move what belongs to the data up, and remove the rest."


def _shown(path: Path) -> str:
    return printable(str(path), None)


def _files_under(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names if not name.startswith("."))


def _looks_like_data(path: Path) -> bool:
    """Return whether a file may hold pixels: by its suffix, or where that says nothing by its content."""
    suffix = path.suffix.lower()
    if no_file(path):
        return False
    if suffix in Image.registered_extensions() or suffix in _DATA:
        return True
    try:
        with Image.open(path):
            return True
    except Exception:  # Pillow's plug-ins raise almost anything on what they do not know.
        return False
