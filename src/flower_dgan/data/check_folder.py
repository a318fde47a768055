"""What a folder holds, file by file, and everything that is wrong or odd in it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flower_dgan.config import DataConfig
from flower_dgan.data.border_ids import border_ids
from flower_dgan.data.check_instances import check_instances
from flower_dgan.data.check_objects import check_objects
from flower_dgan.data.folder_files import FolderFiles, look_through
from flower_dgan.data.folder_scan import FolderScan, scan_folder
from flower_dgan.data.folder_source import divide_folder, read_pairs
from flower_dgan.data.lossy_files import lossy_format
from flower_dgan.data.object_files import FILE, whole_objects
from flower_dgan.data.origins import rows_without_image
from flower_dgan.data.pairs import Entry, Pairs
from flower_dgan.data.splits import some
from flower_dgan.errors import DataError


@dataclass(frozen=True)
class FolderCheck:
    """What was found in a source.

    Attributes
    ----------
    train, test, classes, problems, notes, examples, files
        As of :class:`~flower_dgan.data.check.DataCheck`.
    sizes : sequence of (int, int)
        Height and width of each usable pair.
    pixels : mapping of str to mapping
        How many pixels of each usable label map belong to each class, by name.
    """

    train: tuple[Entry, ...]
    test: tuple[Entry, ...]
    sizes: Sequence[tuple[int, int]]
    classes: int
    pixels: Mapping[str, Mapping[int, int]]
    problems: Sequence[str]
    notes: Sequence[str]
    examples: Pairs
    files: Mapping[str, FolderFiles]


def check_folder(
    config: DataConfig,
    choose: Callable[[list[str]], Sequence[str]],
    track: Callable[[Sequence[str]], Iterable[str]],
    *,
    tested: bool = True,
) -> FolderCheck:
    """Read a folder whole.

    Parameters
    ----------
    config : DataConfig
        As :func:`~flower_dgan.data.folder_scan.scan_folder` takes it.
    choose : callable
        Which of the names of pairs to return as examples.
    track : callable
        For a progress bar.
    tested : bool
        As :func:`~flower_dgan.data.splits.split_entries` takes it.

    Raises
    ------
    ConfigError, DataError
        As :func:`~flower_dgan.data.folder_scan.scan_folder`, and if settings do not fit each other.
    """
    scan = scan_folder(config, read_pixels=True, track=track)
    problems = list(scan.problems)
    train: tuple[Entry, ...] = ()
    test: tuple[Entry, ...] = ()
    try:
        train, test = divide_folder(scan, config, tested=tested)
    except DataError as error:
        problems.append(str(error))
    notes = [*_odd_masks(scan), *_plain_images(scan)] if config.condition == "label-map" else [*_plain_images(scan)]
    if config.condition == "label-map" and config.classes is None and config.masks is None:
        problems += _all_the_same(scan)
    problems += _on_both_sides(scan, train, test)
    of_test = [entry.name for entry in test]
    if (train or test) and (others := rows_without_image(list(scan.pairs), scan.root, config)):
        notes.append(
            f"data.table has rows for {some(others)}, of which there is no image: look whether any is missing."
        )
    whole = whole_objects(scan.root)
    numbered = check_objects(scan, of_test) if whole else check_instances(scan, of_test, config)
    problems += numbered.problems
    notes += numbered.notes
    used = {
        "images": [pair.image for pair in scan.pairs.values()],
        "masks": [pair.mask for pair in scan.pairs.values() if pair.mask],
        "instances": numbered.used,
    }
    beside = [scan.root / Path(config.table).expanduser()] if config.table else []
    files = look_through(scan.root, used, [*beside, *([scan.root / FILE] if whole else [])])
    problems += [sentence for found in files.values() for sentence in found.lost]
    pixels = {name: _by_class(pair.values) if scan.binary else pair.values for name, pair in scan.pairs.items()}
    with_both = [name for name, pair in scan.pairs.items() if len(pair.values) > 1]
    chosen = max(choose(with_both), choose(list(scan.pairs)), key=len)  # the first, where there are as many
    shown = read_pairs(scan, chosen, config.channels)
    sizes = [(pair.height, pair.width) for pair in scan.pairs.values()]
    return FolderCheck(train, test, sizes, scan.classes, pixels, problems, notes, shown, files)


def _by_class(values: Mapping[int, int]) -> dict[int, int]:
    background = values.get(0, 0)
    counts = {0: background, 1: sum(values.values()) - background}
    return {index: count for index, count in counts.items() if count}


def _odd_masks(scan: FolderScan) -> Iterator[str]:
    """Say which masks are of one value, which are from files that do not keep values, and which ids look invented."""
    masks = {pair.mask: pair.values for pair in scan.pairs.values() if pair.mask}
    empty = [path for path, values in masks.items() if set(values) == {0}]
    full = [path for path, values in masks.items() if len(values) == 1 and 0 not in values]
    lossy = [path for path in masks if lossy_format(path)]
    for paths, what in (
        (empty, "empty throughout: all background"),
        (full, "full throughout: no background"),
        (lossy, "from a file that keeps values only nearly, though they can be read here: PNG keeps them"),
    ):
        if paths:
            others = f" and {len(paths) - 1:,} more of {len(masks):,} masks are" if len(paths) > 1 else " is"
            yield f"{paths[0]}{others} {what}."
    for number, paths in {} if scan.binary else border_ids(masks).items():
        others = f" and {len(paths) - 1:,} more hold" if len(paths) > 1 else " holds"
        yield (
            f"{paths[0]}{others} class {number} only as a border between a lower and a higher id, as a resize with "
            "interpolation invents it: look whether it is a class."
        )


def _all_the_same(scan: FolderScan) -> Iterator[str]:
    """Say that no mask tells anything from anything, which a site is that lacks all classes, or a mistake."""
    every = {value for pair in scan.pairs.values() for value in pair.values}
    if len(every) == 1 and len(scan.pairs) > 1:
        first = next(pair.mask for pair in scan.pairs.values())
        yield (
            f"All {len(scan.pairs):,} masks, such as {first}, hold the value {every.pop()} throughout: save masks with "
            "background and foreground; or, if other sites have both, say how many classes there are, data.classes=2 "
            "or more."
        )


def _plain_images(scan: FolderScan) -> Iterator[str]:
    plain = [pair.image for pair in scan.pairs.values() if pair.content is None]
    if plain:
        others = f" and {len(plain) - 1:,} more of {len(scan.pairs):,} images are" if len(plain) > 1 else " is"
        yield f"{plain[0]}{others} of one value throughout: nothing can be seen there."


def _on_both_sides(scan: FolderScan, train: Sequence[Entry], test: Sequence[Entry]) -> Iterator[str]:
    """Say which test images are in training, too, under another name; those of one value do not count."""
    held: dict[str, Path] = {}
    for entry in train:
        if (content := scan.pairs[entry.name].content) is not None:
            held.setdefault(content, scan.pairs[entry.name].image)
    for entry in test:
        pair = scan.pairs[entry.name]
        if pair.content in held:
            yield (
                f"{pair.image} of the test equals {held[pair.content]} of the training, pixel by pixel, so the test "
                "would flatter the model: remove one of them, or make them one group."
            )
