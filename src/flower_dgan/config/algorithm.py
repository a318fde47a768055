"""Settings of the losses, of how feedback becomes one, and of the optimizers."""

from dataclasses import dataclass
from typing import Annotated, Literal

from flower_dgan.config.import_path import ImportPath, is_import_path
from flower_dgan.config.ranges import (
    Because,
    Count,
    Decay,
    Fraction,
    NonNegative,
    NonNegativeOrInfinite,
    Positive,
    PositiveFraction,
    SizeOrNone,
    Steps,
    Text,
)

LossName = Literal["bce", "minimax", "least-squares", "hinge", "wasserstein"]
MergeName = Literal["samples", "equal", "agreement", "average", "odds", "odds-by-class", "softmax"]
UploadName = Literal["none", "largest", "random", "threshold"]
TurnsName = Literal["together", "one-by-one"]
ReplayName = Literal["gradient", "target"]


@dataclass(frozen=True)
class AlgorithmConfig:
    """Losses, weights and optimizers.

    Attributes
    ----------
    loss : str
        Adversarial loss, see ``flower_dgan.gan.losses``.
    merge : str
        How the feedback of the clients becomes one. ``samples``, ``equal``, ``agreement``: a sum with the share of the
        images as weights; with the same for all; or the same for all but those that contradict the others, see
        ``flower_dgan.gan.merge``. ``average``, ``odds``, ``odds-by-class``, ``softmax``: one loss made of the
        scores that all gave to the same images, see ``flower_dgan.gan.scores``; an import path names a rule for
        scores, too.
    largest_share : float
        Largest weight that the share of the images gives one client where there are three or more, in (0, 1]; what is
        cut off goes to the others. The number of images is a client's own claim. 1 for no bound.
    sharpness : float
        For ``softmax``: lambda of GMAN; 0 is the mean, ``inf`` the harshest critic alone.
    turns : {"together", "one-by-one"}
        Whether a round asks all clients, or one after the other.
    shared_batches : int
        Batches that a round draws for all clients from all their label maps, which then reach the other clients, too; 0
        to draw for each from its own.
    separate_batches : bool
        Whether clients are trained on another of the shared batches than they give feedback on.
    replay : {"gradient", "target"}
        How the generator uses feedback on images that it made some steps ago: the gradient as it came, or as a target
        image to approach, see ``flower_dgan.gan.replay``.
    target_step : float
        For ``target``: root mean square distance of the target from the image, in units of [-1, 1].
    diversity : float
        For ``target``: how far the colours of two draws on one label map are pushed apart; 0 for not.
    final_rate : float
        Factor of the generator's learning rate, target step and diversity in the last round; it falls over the second
        half. 1 for no change.
    swap_interval : int
        Rounds after which the clients swap their discriminators, as in MD-GAN, so that weights leave the nodes; 0 for
        never.
    upload : {"none", "largest", "random", "threshold"}
        For Distributed-GAN's approach 1: which entries of the change of the discriminator's weights the clients upload,
        so that weights leave the nodes, instead of feedback; ``none`` for feedback.
    upload_share : float
        For ``largest`` and ``random``: share of the entries, in (0, 1].
    upload_threshold : float
        For ``threshold``: smallest magnitude that is uploaded.
    previous : str or None
        For TDGAN: run directory of the task before, whose generator this one begins with.
    reminding_l1_weight, reminding_perceptual_weight : float
        For TDGAN: weights of the distance to that generator's images on the label maps of all earlier tasks.
    generator_weight, discriminator_weight : float
        Factors lambda_G and lambda_D of the whole losses.
    l1_weight, perceptual_weight : float
        Pixel losses, which read the real image: 0 unless the owner of the node allows them.
    discriminator_steps : int
        Optimizer steps of the discriminator for each synthetic batch.
    generator_learning_rate, discriminator_learning_rate : float
        Adam's learning rates.
    betas : tuple of two floats
        Adam's decay rates, for both networks.
    average_decay : float
        Decay of the moving average of the generator's parameters that draws the results; 0 for none.
    """

    loss: LossName
    merge: MergeName | ImportPath
    largest_share: Annotated[PositiveFraction, Because("1 is no bound")]
    sharpness: Annotated[NonNegativeOrInfinite, Because("0 makes a mean, inf the harshest critic alone")]
    turns: TurnsName
    shared_batches: Annotated[SizeOrNone, Because("0 draws for each client from its own label maps")]
    separate_batches: bool
    swap_interval: Annotated[Count, Because("0 is never")]
    upload: UploadName
    upload_share: PositiveFraction
    upload_threshold: NonNegative
    previous: Text | None
    reminding_l1_weight: NonNegative
    reminding_perceptual_weight: NonNegative
    replay: ReplayName
    target_step: NonNegative
    diversity: NonNegative
    final_rate: Annotated[Fraction, Because("1 is no change over the rounds")]
    generator_weight: Positive
    discriminator_weight: Positive
    l1_weight: NonNegative
    perceptual_weight: NonNegative
    discriminator_steps: Steps
    generator_learning_rate: Positive
    discriminator_learning_rate: Positive
    betas: tuple[Decay, Decay]
    average_decay: Annotated[Decay, Because("0 is no average")]

    @property
    def merges_scores(self) -> bool:
        """Whether ``merge`` makes one loss of the clients' scores; a rule of one's own is not imported for that."""
        return self.merge in ("average", "odds", "odds-by-class", "softmax") or is_import_path(self.merge)
