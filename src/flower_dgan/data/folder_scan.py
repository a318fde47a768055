"""What a folder with ``images/`` and ``masks/`` holds, with everything that is wrong in it, file by file."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from flower_dgan.config import DataConfig
from flower_dgan.data.image_files import (
    IMAGE_SUFFIXES,
    double_stems,
    list_files,
    list_images,
    misnamed,
    no_files,
    read_image,
    read_image_size,
    read_size,
    turned_by_exif,
)
from flower_dgan.data.mask_values import decide_classes, mask_values
from flower_dgan.data.open_masks import left_open, told_by_preparation
from flower_dgan.data.pairs import Pixels
from flower_dgan.data.picture_checks import MASK_MODES
from flower_dgan.errors import ConfigError, DataError

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ScannedPair:
    """An image and its mask that can be used together.

    Attributes
    ----------
    image : Path
        Its file.
    mask : Path or None
        Its file; None in a folder without masks.
    height, width : int
        Of both, in pixels.
    values : mapping of int to int
        How many pixels of the mask hold each value.
    content : str or None
        Equal where images are, pixel by pixel; None where they were not read, or are of one value throughout.
    """

    image: Path
    mask: Path | None
    height: int
    width: int
    values: Mapping[int, int]
    content: str | None = None


@dataclass(frozen=True)
class FolderScan:
    """What a folder holds.

    Attributes
    ----------
    root : Path
        The folder.
    pairs : dict of str to ScannedPair
        By stem, in alphabetical order; those in which nothing is wrong.
    binary : bool
        Whether every value of a mask but 0 is foreground, decided over all of them.
    classes : int
        ``data.classes``; without it 2 for such masks, otherwise the highest id + 1 (at least 2).
    problems : tuple of str
        One sentence each: what is wrong with which file, and what to do.
    """

    root: Path
    pairs: dict[str, ScannedPair]
    binary: bool
    classes: int
    problems: tuple[str, ...]


def scan_folder(
    config: DataConfig, *, read_pixels: bool = False, track: Callable[[Sequence[str]], Iterable[str]] = iter
) -> FolderScan:
    """Look at every file of a folder: headers of images, and masks whole.

    Parameters
    ----------
    config : DataConfig
        ``root``, ``image_size``, ``channels``, ``classes``, ``masks`` and ``condition`` are used: with ``none`` there
        may be no ``masks/``.
    read_pixels : bool
        Whether images are read whole too, which finds those that are cut off.
    track : callable
        Is given the stems to look at and yields them again; for a progress bar.

    Raises
    ------
    ConfigError
        If ``config`` has no root.
    DataError
        If there is no such folder, or no image in it.
    """
    root = _root(config.root)
    labelled = config.condition != "none" or (root / "masks").is_dir()
    _require_folders(root, ("images", "masks") if labelled else ("images",))
    images = list_images(root / "images")
    masks = list_files(root / "masks") if labelled else {}
    none = no_files(root / "images", IMAGE_SUFFIXES), no_files(root / "masks") if labelled else {}
    if not (images or none[0]):
        raise DataError(
            f"{root / 'images'} holds no PNG, JPEG, TIFF or .npy image: put images there, or change data.root."
        )
    problems: list[str] = [problem for places in none for problem in places.values()]
    for files in (images, masks):
        odd = misnamed(files)
        problems += odd.values()
        for name in odd:
            del files[name]
    problems += [*double_stems(images), *double_stems(masks)]
    partners = (images, {*masks, *none[1]}, "mask"), (masks, {*images, *none[0]}, "image")
    for here, there, kind in partners if labelled else ():
        problems += _without_partner(here, there, kind, root / f"{kind}s")
    pairs: dict[str, ScannedPair] = {}
    for name in track([name for name in images if name in masks or not labelled]):
        before = len(problems)
        pair = _look(images[name][0], masks[name][0] if labelled else None, config, problems)
        with _noted(problems):
            if read_pixels and pair is not None:
                pair = replace(pair, content=content_of(read_image(pair.image, config.channels)))
        if pair is not None and len(problems) == before:
            pairs[name] = pair
    binary, classes = False, config.classes or 2
    with _noted(problems):
        values = {pair.mask: pair.values for pair in pairs.values() if pair.mask}
        binary, classes = decide_classes(values, config.classes, config.masks)
        said = config.classes is not None or config.masks is not None or told_by_preparation(root)
        if values and config.condition == "label-map" and not said and (problem := left_open(values, classes)):
            problems.append(problem)
    return FolderScan(root, pairs, binary, classes, tuple(problems))


def content_of(image: Pixels) -> str | None:
    """Return what is equal for images that are equal pixel by pixel; None for one of a single value throughout."""
    if image.min() == image.max():
        return None
    return sha256(str(image.shape).encode() + image.tobytes()).hexdigest()


def require_sound(scan: FolderScan) -> None:
    """Raise DataError with the first problems of a folder and their number, if it has any."""
    if len(scan.problems) == 1:
        raise DataError(scan.problems[0])
    if scan.problems:
        shown = "".join(f"\n- {problem}" for problem in scan.problems[:_SHOWN])
        rest = len(scan.problems) - _SHOWN
        raise DataError(
            f"{len(scan.problems):,} problems in {scan.root}:{shown}"
            + (f"\n... and {rest:,} more; all of them: flower-dgan data check {scan.root}" if rest > 0 else "")
        )


def _root(given: str | None) -> Path:
    if given is None:
        raise ConfigError("data.source=folder needs a folder: set data.root to its absolute path.")
    root = Path(given).expanduser()
    if not root.is_dir():
        relative = (
            f" data.root={given} is relative to the current working directory, which in Flower's simulation is the one "
            "in which the local SuperLink was started: give an absolute path."
        )
        raise DataError(f"There is no folder {root.absolute()}: set data.root.{'' if root.is_absolute() else relative}")
    return root.resolve()


def _require_folders(root: Path, names: Sequence[str]) -> None:
    for name in names:
        if not (root / name).is_dir():
            raise DataError(
                f"{root} has no folder '{name}': put images into {root / 'images'} and masks of the same names into "
                f"{root / 'masks'}, or change data.root. Only data.condition=none does without masks."
            )


def _without_partner(
    here: Mapping[str, Sequence[Path]], there: Collection[str], kind: str, folder: Path
) -> Iterator[str]:
    """Say which files have none of the same name."""
    for name, (path, *_) in here.items():
        if name not in there:
            yield f"{path} has no {kind} of the same name in {folder}: add it, or remove the file."


def _look(image: Path, mask: Path | None, config: DataConfig, problems: list[str]) -> ScannedPair | None:
    """Look at one pair and append what is wrong with it."""
    size = mask_size = None
    values: Mapping[int, int] = {}
    with _noted(problems):
        size = read_image_size(image, config.channels)
    with _noted(problems):
        if mask is not None:
            mask_size = read_size(mask, MASK_MODES)
            values = mask_values(mask, config.classes, config.masks)
    if size is None:
        return None
    height, width = size
    if mask is not None and mask_size is not None and mask_size != size:
        problems.append(
            f"{image} is {height} x {width} pixels (height x width) but {mask} is {mask_size[0]} x {mask_size[1]}: "
            f"make them equal (a mask is resized without interpolation).{turned_by_exif((image, mask))}"
        )
    if min(height, width) < config.image_size:
        problems.append(
            f"{image} is {height} x {width} pixels, less than data.image_size={config.image_size}: "
            f"set data.image_size={min(height, width)} or less, or remove the image and its mask."
        )
    return ScannedPair(image, mask, height, width, values)


@contextmanager
def _noted(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        problems.append(str(error))
