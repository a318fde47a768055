"""Settings that do not fit the channels of the images, or that some clients lack channels."""

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import PixelSettings, TrainingConfig
from flower_dgan.config.data_settings import COLOURED, PICTURED
from flower_dgan.errors import ConfigError


def check_channels(config: TrainingConfig) -> None:
    """Raise ConfigError for channels that some clients cannot lack, or that a picture has not."""
    channels = config.data.channels
    if config.data.augmentation in COLOURED and channels not in PICTURED:
        raise ConfigError(
            f"data.augmentation={config.data.augmentation} changes colours, and {channels} channels are no "
            "picture: set data.augmentation=rotations or another."
        )
    _check_missing(config)


def _check_missing(config: TrainingConfig) -> None:
    """Find clients in ``data.missing_channels`` that cannot be, and settings for which all hold the same channels."""
    data = config.data
    clients = [client for client, _ in data.missing_channels]
    if len(set(clients)) < len(clients):
        raise ConfigError(f"data.missing_channels names a client twice among {', '.join(clients)}.")
    for client, missing in data.missing_channels:
        if len(set(missing)) < len(missing) or not 1 <= len(missing) < data.channels:
            raise ConfigError(
                f"data.missing_channels: {client} lacks {list(missing)}; name at least one of the {data.channels} "
                "channels once, and not all."
            )
        if not set(missing) <= set(range(data.channels)):
            raise ConfigError(
                f"data.missing_channels: {client} lacks {list(missing)}; the channels are 0 .. {data.channels - 1}."
            )
    if clients:
        check_missing_channels(config)


def check_missing_channels(config: TrainingConfig) -> None:
    """Raise ConfigError for settings that want the same channels at all clients, where one lacks some."""
    algorithm, downstream = config.algorithm, config.downstream
    perceptual = isinstance(algorithm, PixelSettings) and algorithm.perceptual_weight
    wrong = {
        "an algorithm whose discriminators stay at their nodes, as they differ": algorithm_of(
            config
        ).releases.of_network,
        "data.augmentation=rotations or another, as part of a picture has no colours": config.data.augmentation
        in COLOURED,
        "algorithm.perceptual_weight=0, as VGG-16 sees whole images": perceptual,
        "downstream.rows without FedGAN, as their discriminators differ": downstream.seeds
        and any("FedGAN" in row for row in downstream.rows),
        "downstream.dist_fid=0, as its features are those of whole images": downstream.dist_fid,
        "selection.checks=0, as the model that is scored looks at whole images": config.selection.checks,
        "a model.generator that is no fusion, as nobody would teach the others to theirs": config.model.fuses,
        "model.site_condition=false model.levels=none, as nobody would teach the others in their style": (
            config.model.site_condition
        ),
    }
    for instead, is_set in wrong.items():
        if is_set:
            raise ConfigError(f"Some clients hold only some of the channels: set {instead}.")
