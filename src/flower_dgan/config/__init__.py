"""The settings of a run as frozen dataclasses; their values and defaults live in ``conf/`` only."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from flower_dgan.config.algorithm import (
    AlgorithmSettings,
    LossName,
    MergeName,
    MergeSettings,
    PixelSettings,
    ReplayName,
    require_pictures,
)
from flower_dgan.config.data_settings import AugmentationName, DataConfig, PartitionConfig, PartitionName, SourceName
from flower_dgan.config.downstream import DownstreamConfig
from flower_dgan.config.exchange_settings import ExchangeConfig, FeedbackFormat, ImageFormat, ScheduleConfig
from flower_dgan.config.import_path import ImportPath
from flower_dgan.config.model import ModelConfig
from flower_dgan.config.ranges import Because, DeviceName, SecondsOrNone, Seed, Steps, Text
from flower_dgan.config.selection_settings import SelectionConfig, TakeName
from flower_dgan.device import PrecisionName

__all__ = [
    "AlgorithmSettings",
    "AugmentationName",
    "Config",
    "DataConfig",
    "DownstreamConfig",
    "ExchangeConfig",
    "FeedbackFormat",
    "ImageFormat",
    "ImportPath",
    "LossName",
    "MergeName",
    "MergeSettings",
    "ModelConfig",
    "OutputConfig",
    "PartitionConfig",
    "PartitionName",
    "PixelSettings",
    "PrecisionName",
    "ReplayName",
    "ScheduleConfig",
    "SelectionConfig",
    "SourceName",
    "TakeName",
    "TrainingConfig",
    "require_pictures",
]


@dataclass(frozen=True)
class OutputConfig:
    """What a run leaves behind.

    Attributes
    ----------
    directory : str or None
        The run directory; None for a new one under the user's data directory.
    sample_interval : int
        Rounds between two sample grids.
    checkpoint_interval : float
        Seconds between two checkpoints, written at the end of a round; 0 for one each round.
    synthetic_images : int
        Pairs of the synthetic dataset.
    trackers : tuple of str
        Trackers of experiments that are told of the run, by their names (see ``flower_dgan.trackers``) or import paths.
    """

    directory: Text | None
    sample_interval: Steps
    checkpoint_interval: Annotated[SecondsOrNone, Because("seconds; 0 is after each round")]
    synthetic_images: Steps
    trackers: tuple[Text, ...] = ()


@dataclass(frozen=True)
class TrainingConfig:
    """What server and nodes of a training must agree on: a node is sent it when it joins.

    Attributes
    ----------
    seed : int
        Seed of every draw of the run.
    threads : int or None
        Threads of one torch operation; None leaves torch's own choice.
    device : str
        Where the server's networks compute, and those of simulated clients: see
        :func:`flower_dgan.device.resolve_device`. A deployed node has its owner's.
    precision : {"float32", "bfloat16"}
        In which both networks of the GAN make their forward passes, at both ends.
    compile : bool
        Whether ``torch.compile`` compiles the generator, and a discriminator in a process that has answered before.
    allow_pixel_losses : bool
        In simulation, whether the (simulated) nodes answer with pixel losses; deployed nodes ask their own
        node configuration instead.
    """

    seed: Seed
    threads: Annotated[int, Interval(ge=1, le=1024), Because("null is torch's own choice")] | None
    device: DeviceName
    precision: PrecisionName
    compile: bool
    allow_pixel_losses: bool
    data: DataConfig
    partition: PartitionConfig
    model: ModelConfig
    algorithm: AlgorithmSettings
    exchange: ExchangeConfig
    schedule: ScheduleConfig
    downstream: DownstreamConfig
    selection: SelectionConfig


@dataclass(frozen=True)
class Config(TrainingConfig):
    """Everything that is set for a run.

    Attributes
    ----------
    resume : str or None
        Run directory of an earlier start whose training is to go on; None for a new training.
    """

    resume: Text | None
    output: OutputConfig
