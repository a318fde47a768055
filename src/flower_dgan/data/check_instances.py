"""The numbered objects of a folder, held against its masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flower_dgan.config import DataConfig
from flower_dgan.data.folder_scan import FolderScan
from flower_dgan.data.folder_source import read_label_map
from flower_dgan.data.image_files import double_stems, list_files, list_images, misnamed, no_files
from flower_dgan.data.instances import no_objects, read_numbers
from flower_dgan.data.open_masks import single_pieces
from flower_dgan.data.overlap import better_place, disagreement
from flower_dgan.errors import DataError


@dataclass(frozen=True)
class InstancesCheck:
    """What was found.

    Attributes
    ----------
    used : tuple of Path
        Sound files.
    problems, notes : tuple of str
        As of :class:`~flower_dgan.data.check.DataCheck`.
    """

    used: tuple[Path, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def check_instances(scan: FolderScan, test: Sequence[str], config: DataConfig) -> InstancesCheck:
    """Look at each file of ``instances/``, or with ``data.masks=objects`` and without that folder at each mask.

    Parameters
    ----------
    scan : FolderScan
        Of the folder.
    test : sequence of str
        The names of the test pairs, each of which needs a file where there are any.
    config : DataConfig
        ``condition`` and ``masks`` are used.
    """
    folder = scan.root / "instances"
    in_masks = not folder.is_dir() and config.masks == "objects"
    if config.condition != "label-map" or not (folder.is_dir() or in_masks):
        return InstancesCheck((), (), ())
    if in_masks:
        folder = scan.root / "masks"
    notes: list[str] = []
    files = list_files(folder)
    problems = [] if in_masks else [*no_files(folder).values(), *misnamed(files).values(), *double_stems(files)]
    images = list_images(scan.root / "images")
    problems += [
        f"{path} has no image of the same name in {scan.root / 'images'}: add it, or remove the file."
        for name, (path, *_) in files.items()
        if name not in images
    ]
    used: list[Path] = []
    differing: list[tuple[float, Path]] = []
    beside: list[Path] = []
    pieces: dict[Path, tuple[int, int]] = {}
    for name, path in [(name, files[name][0]) for name in scan.pairs if len(files.get(name, ())) == 1]:
        label_map = read_label_map(scan.pairs[name], scan.binary)
        try:
            numbers = read_numbers(path, label_map, scan.classes)
        except DataError as error:
            problems.append(str(error))
            continue
        used.append(path)
        pieces[path] = single_pieces(numbers)
        if scan.classes == 2 and (share := disagreement(numbers > 0, label_map > 0)):
            differing.append((share, path))
            if better_place(numbers > 0, label_map > 0) != (0, 0):
                beside.append(path)
    if problem := no_objects(pieces):
        problems.append(problem)
    missing = [name for name in scan.pairs if name not in files]
    if tested := sorted(set(missing) & set(test)):
        problems.append(
            f"{folder} lacks {tested[0]}, and {len(tested):,} of the {len(test):,} test pairs in all, so that objects "
            "cannot be scored: add them, or remove the folder to take connected components of the masks for objects."
        )
    elif missing:
        notes.append(f"{folder} lacks {missing[0]}, and {len(missing):,} training pairs in all, which no run needs.")
    if differing:
        share, path = max(differing)
        notes.append(
            f"{len(differing):,} of {len(used):,} files in {folder} number a little more or less than the foreground "
            f"of the mask; the most, {share:.1%} of the pixels, {path}."
        )
    if beside:
        notes.append(
            f"{len(beside):,} of {len(used):,} files in {folder}, such as {beside[0]}, would lie better a pixel beside "
            "where they are."
        )
    return InstancesCheck(tuple(used), tuple(problems), tuple(notes))
