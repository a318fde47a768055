"""Settings of the TSTR table."""

from dataclasses import dataclass
from typing import Annotated

from flower_dgan.config.ranges import Because, Count, Positive, Size, SizeOrNone, Steps, Text


@dataclass(frozen=True)
class DownstreamConfig:
    """The model that is trained on synthetic and tested on real images (TSTR).

    Attributes
    ----------
    encoder : str
        Of segmentation: encoder name of segmentation-models-pytorch. Of classification: ``cnn``. Of instances:
        ``dense`` or ``mask-rcnn``.
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
        ``FedGAN`` (generators and discriminators of the clients, averaged) and ``FedAvg`` (models of the task, trained
        on the clients' real images and averaged), both also as ``FedGAN-equal-bytes`` and ``FedAvg-equal-bytes``: for
        about as many bytes as a client of the run sent and received. ``Real-k+DGAN`` and ``Real-k+FedGAN`` are each
        client's real images with all synthetic ones beside them: what a member gains.
    metrics : tuple of str
        The columns of the table, see ``flower_dgan.metrics``; the first is the main one, which reports compare rows by.
    dist_fid : int
        Real windows, of all clients together, whose moments the nodes are asked for at the end, and as many synthetic
        images to compare with them: see ``flower_dgan.federation.dist_fid``; 0 for not.
    task : str
        What the model is for, see ``flower_dgan.tasks``. The default is what configurations of version 0.1 meant, which
        do not say it.
    member_folds : int
        Folds of a cross-validation by patient, in which each member's own patients are held out of the training of the
        GAN, too: a training of the GAN for each fold. 0 for none.
    member_sizes : tuple of int
        Numbers of real images that a member's rows ``Real-k`` and ``Real-k+DGAN`` are also trained with, which shows
        when synthetic images stop helping; two trainings a member, size and seed.
    synthetic_times : tuple of int
        Rows of so many times as many synthetic images as all clients have real ones, ``DGAN x 2`` for 2.
    skeleton : bool
        Of instances: whether the model has a head for centre lines.
    skeleton_training_only : bool
        Of instances: whether that head is there in training only, and objects are traced along the thinned foreground,
        as they are without it.
    """

    encoder: Text
    encoder_weights: Text | None
    steps: Steps
    batch_size: Size
    learning_rate: Positive
    seeds: Annotated[SizeOrNone, Because("0 is no table")]
    rows: tuple[str, ...]
    metrics: tuple[Text, ...]
    dist_fid: Annotated[Count, Because("0 is for none")]
    task: Text = "segmentation"
    member_folds: Annotated[Count, Because("0 is for none")] = 0
    member_sizes: tuple[Steps, ...] = ()
    synthetic_times: tuple[Steps, ...] = ()
    skeleton: bool = False
    skeleton_training_only: bool = False

    @property
    def uses_skeleton(self) -> bool:
        """Whether objects are traced along the centre lines that a model finds."""
        return self.skeleton and not self.skeleton_training_only
