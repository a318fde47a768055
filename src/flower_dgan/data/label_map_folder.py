"""Folders of label maps without images."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from flower_dgan.config import DataConfig
from flower_dgan.config.data_settings import MasksName
from flower_dgan.data.image_files import read_mask, sound_files
from flower_dgan.data.label_maps import content_hash, pack
from flower_dgan.data.mask_values import decide_classes, mask_values
from flower_dgan.data.open_masks import left_open, told_by_preparation
from flower_dgan.data.pairs import Pixels
from flower_dgan.errors import DataError
from flower_dgan.names import inside
from flower_dgan.whole_file import settle, whole_file, writing


@dataclass(frozen=True, eq=False)
class LabelMaps:
    """Label maps without images.

    Attributes
    ----------
    folder : Path
        Where they are from.
    maps : tuple of uint8 arrays (height, width)
        Class ids, in the order of the names of their files.
    binary : bool
        Whether every value of the files but 0 is foreground, as of 0 and 255.
    classes : int
        As given; otherwise 2 for such files, else the highest id + 1 (at least 2).
    """

    folder: Path
    maps: tuple[Pixels, ...]
    binary: bool
    classes: int

    @property
    def content(self) -> str:
        """Name of what they hold, see :func:`~flower_dgan.data.label_maps.content_hash`."""
        return content_hash(pack(self.maps, self.classes))


def read_label_maps(
    folder: Path,
    image_size: int,
    classes: int | None = None,
    masks: MasksName | None = None,
    *,
    decided: bool = False,
    of_command: bool = False,
) -> LabelMaps:
    """Read a folder of label maps without images.

    Parameters
    ----------
    folder : Path
        PNG, JPEG or TIFF files of 0 and 255 or of class ids.
    image_size : int
        Least height and width in pixels.
    classes : int or None
        How many classes there are, some of which may be in no label map; None for those that are found.
    masks : {"classes", "binary", "objects"} or None
        What their values say, see :attr:`~flower_dgan.config.DataConfig.masks`; None to find out.
    decided : bool
        Whether ids are known to be classes, though neither of the two says so.
    of_command : bool
        Whether an option would say it, see :func:`~flower_dgan.data.open_masks.left_open`.

    Raises
    ------
    DataError
        If there is no label map, or one cannot be read, has values that are no classes, or is too small; or if it is
        left open what they are.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder.absolute()}: give a folder of label maps.")
    paths = list(sound_files(folder).values())
    if not paths:
        raise DataError(f"{folder} holds no PNG, JPEG or TIFF label map.")
    values = {path: mask_values(path, classes, masks) for path in paths}
    said = decided or classes is not None or masks is not None or told_by_preparation(folder.parent)
    binary, classes = decide_classes(values, classes, masks)
    if not said and (doubt := left_open(values, classes, of_command=of_command)):
        raise DataError(doubt)
    read = [read_mask(path) for path in paths]
    for path, mask in zip(paths, read, strict=True):
        if min(mask.shape) < image_size:
            raise DataError(f"{path} is {mask.shape[0]} x {mask.shape[1]} pixels, less than {image_size}.")
    maps = tuple((mask > 0 if binary else mask).astype(np.uint8) for mask in read)
    return LabelMaps(folder, maps, binary, classes)


def read_foreign_label_maps(config: DataConfig) -> LabelMaps | None:
    """Read those of ``data.label_maps``; None where the clients' own are used. Raises DataError as above."""
    if not config.foreign_label_maps:
        return None
    return read_label_maps(Path(config.label_maps).expanduser(), config.image_size, config.classes, config.masks)


def write_label_maps(
    folder: Path, label_maps: Iterable[Pixels], classes: int, names: Sequence[str], *, ids: bool = False
) -> None:
    """Write label maps as PNG into a folder that is made if need be: 0/255 for two classes, else class ids.

    With ``ids`` two classes are ids, too, for data of which another part may have more. Raises ValueError if a name is
    a path, and StorageError if one cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    scale = np.uint8(255 if classes == 2 and not ids else 1)
    for name, label_map in zip(names, label_maps, strict=True):
        with whole_file(inside(folder, f"{name}.png"), durable=False) as partial:
            Image.fromarray(label_map * scale).save(partial, format="PNG")
    settle(folder)
