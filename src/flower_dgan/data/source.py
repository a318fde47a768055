"""The name of a data source becomes an object, only here."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from flower_dgan.config import DataConfig
from flower_dgan.config.import_path import is_import_path
from flower_dgan.data.declared_classes import DeclaredClasses
from flower_dgan.data.digits import DigitsSource
from flower_dgan.data.folder_source import FolderSource
from flower_dgan.data.mnist import MnistSource
from flower_dgan.data.pairs import Source
from flower_dgan.data.wrapped_sources import ConstantLabelMaps, LabelMapsAsImages
from flower_dgan.errors import ConfigError, DataError, unknown_name
from flower_dgan.plugins import make

SOURCES: Mapping[str, Callable[[DataConfig], Source]] = MappingProxyType(
    {"digits": DigitsSource, "folder": FolderSource, "mnist": MnistSource, "fashion-mnist": MnistSource}
)


def open_source(config: DataConfig, *, divided: bool = True, tested: bool = True) -> Source:
    """Open the source that ``config.source`` names, and check it.

    Parameters
    ----------
    config : DataConfig
        Where the pairs come from, how they are split, and what their label maps say.
    divided : bool
        Whether a folder is divided into training and test; where it is not, all of it is for training, so that one
        pair will do.
    tested : bool
        Whether the names or the table of a folder must put pairs into the test, where they give a split; not for a
        node, which trains.

    Returns
    -------
    Source
        With at least one pair in each split if it is divided and tested, and the number of classes that is set, if one
        is; ``load`` reads the pixels.

    Raises
    ------
    ConfigError
        If the settings name something unknown or contradict each other.
    DataError
        If the data cannot be used as they are.
    """
    masks = config.target == "label-maps"
    own = replace(config, condition="label-map") if masks else config  # the masks are wanted, though no condition
    if is_import_path(config.source):
        source: Source = make(config.source, "data.source", config=own)
        _require_sizes(source, config.image_size)
    elif config.source == "folder":
        source = FolderSource(own, divided=divided, tested=tested)
    elif config.source in SOURCES:
        source = SOURCES[config.source](own)
    else:
        raise ConfigError(unknown_name("data source", config.source, SOURCES))
    if config.classes not in (None, source.classes) and own.condition == "label-map":
        source = DeclaredClasses(source, config.classes)
    if masks:
        source = LabelMapsAsImages(source)
    return source if config.condition == "label-map" else ConstantLabelMaps(source, config)


def _require_sizes(source: Source, image_size: int) -> None:
    """Raise DataError for an image that no window fits into; the shipped sources look for themselves."""
    for entry in (*source.train, *source.test):
        if min(entry.height, entry.width) < image_size:
            raise DataError(
                f"{entry.name} is {entry.height} x {entry.width} pixels, less than data.image_size={image_size}: set "
                f"data.image_size={min(entry.height, entry.width)} or less, or leave the image out."
            )
