"""Where the files of a data set lie, and which belong together."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from flower_dgan.data.splits import some
from flower_dgan.data.text_files import same_name
from flower_dgan.errors import DataError


def find_folders(root: Path, names: Sequence[str], layout: str) -> list[Path]:
    """Return ``root/<name>`` for each name.

    Raises
    ------
    DataError
        If one is missing, or without a suffix in its name and no folder: says what is expected, what is there instead,
        and which folder inside has all of them.
    """
    if missing := [name for name in names if not (root / name).exists()]:
        inside = [path for path in visible(root.iterdir()) if path.is_dir()] if root.is_dir() else []
        nested = [path for path in inside if all((path / name).exists() for name in names)]
        hint = f"{nested[0]} has all of them: give that folder." if nested else content_of(root)
        raise DataError(f"{root.absolute()} has no {some(missing)}. Expected is {layout} {hint}".rstrip())
    for name in names:
        if not Path(name).suffix and not (root / name).is_dir():
            raise DataError(f"{root.absolute() / name} is no folder. Expected is {layout}")
    return [root / name for name in names]


def files_of(folder: Path, suffix: str) -> dict[str, Path]:
    """Return the files of a folder with this suffix by their names, whose accents are as ``same_name`` returns them.

    Raises
    ------
    DataError
        If there is none: says what is there instead, such as a folder of the same name, as archives that were unpacked
        into a folder for each have it.
    """
    found = {same_name(path.name): path for path in visible(folder.iterdir()) if path.suffix == suffix}
    if not found:
        raise DataError(f"{folder.absolute()} has no file *{suffix}: move the images there. {content_of(folder)}")
    return found


def content_of(root: Path) -> str:
    """Return a sentence about what is in a folder, for a message; empty for what is no folder."""
    if not root.is_dir():
        return ""
    return f"It holds {some(path.name for path in visible(root.iterdir())) or 'nothing'}."


def visible(paths: Iterable[Path]) -> list[Path]:
    """Return paths in alphabetical order without hidden ones, such as the twins ``._name`` of macOS."""
    return sorted(path for path in paths if not path.name.startswith("."))


def match_stems(images: Mapping[str, Path], labels: Mapping[str, Path], kind: str) -> None:
    """Raise DataError if an image has no label of the same name, or a label no image."""
    for here, there, other in ((images, labels, kind), (labels, images, "image")):
        if alone := sorted(str(here[name]) for name in set(here) - set(there)):
            raise DataError(f"No {other} of the same name for {some(alone)}: add it, or remove the file.")


def by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    """Return files by stem, in alphabetical order; raises DataError if two have the same.

    Hidden ones do not count. Accents are as :func:`~flower_dgan.data.text_files.same_name` returns them.
    """
    found: dict[str, Path] = {}
    for path in sorted(visible(paths), key=lambda path: (same_name(str(path)), path)):
        stem = same_name(path.stem)
        if stem in found:
            raise DataError(f"{found[stem]} and {path} have one name: remove one of them.")
        found[stem] = path
    return found
