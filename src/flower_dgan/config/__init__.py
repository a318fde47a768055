"""The settings of a run as frozen dataclasses; their values and defaults live in ``conf/`` only."""

from dataclasses import dataclass

from flower_dgan.config.algorithm import AlgorithmConfig, LossName, MergeName, ReplayName, TurnsName
from flower_dgan.config.data import AugmentationName, DataConfig, PartitionConfig, PartitionName, SourceName
from flower_dgan.config.downstream import DownstreamConfig
from flower_dgan.config.exchange import ExchangeConfig, FeedbackFormat, ImageFormat, ScheduleConfig
from flower_dgan.config.import_path import ImportPath
from flower_dgan.config.model import ModelConfig

__all__ = [
    "AlgorithmConfig",
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
    "ModelConfig",
    "OutputConfig",
    "PartitionConfig",
    "PartitionName",
    "ReplayName",
    "ScheduleConfig",
    "SourceName",
    "TrainingConfig",
    "TurnsName",
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
    """

    directory: str | None
    sample_interval: int
    checkpoint_interval: float
    synthetic_images: int


@dataclass(frozen=True)
class TrainingConfig:
    """What server and nodes of a training must agree on: a node is sent it when it joins.

    Attributes
    ----------
    seed : int
        Seed of every draw of the run.
    threads : int or None
        Threads of one torch operation; None leaves torch's own choice.
    allow_pixel_losses : bool
        In simulation, whether the (simulated) nodes answer with pixel losses; deployed nodes ask their own
        node configuration instead.
    """

    seed: int
    threads: int | None
    allow_pixel_losses: bool
    data: DataConfig
    partition: PartitionConfig
    model: ModelConfig
    algorithm: AlgorithmConfig
    exchange: ExchangeConfig
    schedule: ScheduleConfig
    downstream: DownstreamConfig


@dataclass(frozen=True)
class Config(TrainingConfig):
    """Everything that is set for a run.

    Attributes
    ----------
    resume : str or None
        Run directory of an earlier start whose training is to go on; None for a new training.
    """

    resume: str | None
    output: OutputConfig
