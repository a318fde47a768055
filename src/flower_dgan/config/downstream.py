"""Settings of the segmentation table."""

from dataclasses import dataclass
from typing import Annotated, Literal

from flower_dgan.config.ranges import Because, Count, Positive, Size, SizeOrNone, Steps, Text

MetricName = Literal["dice", "iou", "hd95", "object-dice", "aji"]


@dataclass(frozen=True)
class DownstreamConfig:
    """The segmentation model that is trained on synthetic and tested on real images (TSTR).

    Attributes
    ----------
    encoder : str
        Encoder name of segmentation-models-pytorch.
    encoder_weights : str or None
        Name of pretrained weights, downloaded on first use; None for random weights.
    steps : int
        Optimizer steps of each training.
    batch_size : int
        Images a step.
    learning_rate : float
        Adam's learning rate at the start; it falls to zero along a cosine.
    seeds : int
        Trainings a row; 0 for no table.
    rows : tuple of str
        Any of ``Real-All`` and ``Real-k`` (real images of all clients, and of each alone), ``Untrained``, ``Local-k``
        and ``Syn-All`` (images of the GAN trained on each client alone, and on all data at one place), ``DGAN``,
        ``FedGAN`` (generators and discriminators of the clients, averaged) and ``FedAvg`` (segmentation models of the
        clients, averaged).
    metrics : tuple of str
        The columns of the table, see ``flower_dgan.evaluation.scoring``.
    dist_fid : int
        Real windows, of all clients together, whose moments the nodes are asked for at the end, and as many synthetic
        images to compare with them: see ``flower_dgan.federation.dist_fid``; 0 for not.
    """

    encoder: Text
    encoder_weights: Text | None
    steps: Steps
    batch_size: Size
    learning_rate: Positive
    seeds: Annotated[SizeOrNone, Because("0 is no table")]
    rows: tuple[str, ...]
    metrics: tuple[MetricName, ...]
    dist_fid: Annotated[Count, Because("0 is for none")]
