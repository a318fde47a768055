"""Settings of the losses, of how feedback becomes one, and of the optimizers."""

from dataclasses import dataclass
from typing import Literal

from flower_dgan.config.import_path import ImportPath

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
    largest_share: float
    sharpness: float
    turns: TurnsName
    shared_batches: int
    separate_batches: bool
    swap_interval: int
    upload: UploadName
    upload_share: float
    upload_threshold: float
    previous: str | None
    reminding_l1_weight: float
    reminding_perceptual_weight: float
    replay: ReplayName
    target_step: float
    diversity: float
    final_rate: float
    generator_weight: float
    discriminator_weight: float
    l1_weight: float
    perceptual_weight: float
    discriminator_steps: int
    generator_learning_rate: float
    discriminator_learning_rate: float
    betas: tuple[float, float]
    average_decay: float
