"""The name of a data source becomes an object, only here."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from flower_dgan.config import DataConfig
from flower_dgan.data.condition import ConstantLabelMaps, LabelMapsAsImages
from flower_dgan.data.digits import DigitsSource
from flower_dgan.data.folder import FolderSource
from flower_dgan.data.mnist import MnistSource
from flower_dgan.data.pairs import Source
from flower_dgan.errors import ConfigError, unknown_name
from flower_dgan.plugins import is_import_path, make

SOURCES: Mapping[str, Callable[[DataConfig], Source]] = MappingProxyType(
    {"digits": DigitsSource, "folder": FolderSource, "mnist": MnistSource, "fashion-mnist": MnistSource}
)


def open_source(config: DataConfig) -> Source:
    """Open the source that ``config.source`` names, and check it.

    Parameters
    ----------
    config : DataConfig
        Where the pairs come from, how they are split, and what their label maps say.

    Returns
    -------
    Source
        With at least one pair in each split; ``load`` reads the pixels.

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
    elif config.source in SOURCES:
        source = SOURCES[config.source](own)
    else:
        raise ConfigError(unknown_name("data source", config.source, SOURCES))
    if masks:
        source = LabelMapsAsImages(source)
    return source if config.condition == "label-map" else ConstantLabelMaps(source, config)
