"""The settings of a run as frozen dataclasses; their values and defaults live in ``conf/`` only."""

from dataclasses import dataclass
from typing import Literal, NewType

SourceName = Literal["digits", "folder", "mnist", "fashion-mnist"]
PartitionName = Literal["site", "label", "iid", "shards", "dirichlet", "pathological", "size", "foreground", "csv"]
AugmentationName = Literal["none", "flips", "rotations", "colour", "all"]
ConditionName = Literal["label-map", "class", "none"]
TargetName = Literal["images", "label-maps"]
GeneratorName = Literal["small", "unet", "resnet9", "mlp", "mlp-relu", "dcgan", "fusion-mixture", "fusion-gate"]
DiscriminatorName = Literal["small", "patchgan", "mlp", "dcgan"]
LossName = Literal["bce", "minimax", "least-squares", "hinge", "wasserstein"]
MergeName = Literal["samples", "equal", "agreement", "average", "odds", "odds-by-class", "softmax"]
UploadName = Literal["none", "largest", "random", "threshold"]
TurnsName = Literal["together", "one-by-one"]
ReplayName = Literal["gradient", "target"]
ImageFormat = Literal["uint8", "float32"]
InFlight = Literal[1, 2]
MetricName = Literal["dice", "iou", "hd95", "object-dice", "aji"]
FeedbackFormat = Literal["float32", "float16", "int8"]
ImportPath = NewType("ImportPath", str)
"""``module:attribute`` of the user's own in place of a shipped name, see ``flower_dgan.plugins``."""


@dataclass(frozen=True)
class DataConfig:
    """Where the pairs of image and label map come from.

    Attributes
    ----------
    source : {"digits", "folder", "mnist", "fashion-mnist"} or import path
        The embedded handwritten digits, a folder with ``images/`` and ``masks/``, or one with the files of MNIST or
        Fashion-MNIST.
    root : str or None
        The folder; None for embedded data.
    image_size : int
        Height and width in pixels of what the networks see.
    channels : int
        Channels of the images, 1 to 255: 1 is grey, 3 is RGB.
    missing_channels : tuple of (str, tuple of int)
        In simulation, names of clients and the channels, from 0, that each lacks. A deployed node says in its node
        configuration which channels its files hold.
    name_pattern : str or None
        Regular expression over file stems with any of the groups ``split``, ``site`` and ``group``.
    table : str or None
        CSV file with the columns ``name`` and any of ``split``, ``site``, ``group``; instead of ``name_pattern``.
    train_splits, test_splits : tuple of str
        Which values of ``split`` are for training and for the held-out test.
    test_fraction : float
        Share of the groups (patients, scenes) held out where no split is given, in (0, 1).
    sites : tuple of str
        The sites that take part in training; empty for all.
    augmentation : {"none", "flips", "rotations", "colour", "all"}
        What views do besides choosing a window, see ``flower_dgan.data.augmentation``.
    condition : {"label-map", "class", "none"}
        What the generator draws on: the source's own label maps; the class of the whole image, as a label map that is
        constant; or nothing, as a label map of zeros.
    target : {"images", "label-maps"}
        What the generator learns to draw: images, or label maps of two classes as grey images of 0 and 255.
    label_maps : str
        ``clients``: the generator draws from the clients' label maps, which they send to the server; else a folder of
        label maps at the server, which it draws from instead, and no client sends any.
    """

    source: SourceName | ImportPath
    root: str | None
    image_size: int
    channels: int
    missing_channels: tuple[tuple[str, tuple[int, ...]], ...]
    name_pattern: str | None
    table: str | None
    train_splits: tuple[str, ...]
    test_splits: tuple[str, ...]
    test_fraction: float
    sites: tuple[str, ...]
    augmentation: AugmentationName
    condition: ConditionName
    target: TargetName
    label_maps: str

    @property
    def foreign_label_maps(self) -> bool:
        """Whether synthetic images are made from other label maps than the clients'."""
        return self.label_maps != "clients"

    @property
    def label_maps_leave(self) -> bool:
        """Whether the clients send theirs to the server, or the classes of their images."""
        return self.condition != "none" and not self.foreign_label_maps


@dataclass(frozen=True)
class PartitionConfig:
    """How simulated clients share the training pairs.

    Each setting but the name belongs to one partition, and is empty, 0 or None with all others.

    Attributes
    ----------
    name : str
        See ``flower_dgan.data.partition``.
    label_groups : tuple of tuple of int
        For ``label``: the labels of each client.
    shards_per_client : int
        For ``shards``: runs of pairs in the order of their labels that a client gets.
    alpha : float
        For ``dirichlet``: concentration; each label's pairs go to one client as it nears 0, to all alike as it grows.
    min_pairs : int
        For ``dirichlet``: drawn anew until each client has as many.
    classes_per_client : int
        For ``pathological``: different labels that a client gets.
    exponent : float
        For ``size``: client k = 0, 1, ... has a share of the pairs proportional to ``(k + 1) ** -exponent``.
    file : str or None
        For ``csv``: a CSV file with the columns ``name`` and ``client`` and a row for each training pair.
    """

    name: PartitionName
    label_groups: tuple[tuple[int, ...], ...]
    shards_per_client: int
    alpha: float
    min_pairs: int
    classes_per_client: int
    exponent: float
    file: str | None


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
        images to compare with them: see ``flower_dgan.dist_fid``; 0 for not.
    """

    encoder: str
    encoder_weights: str | None
    steps: int
    batch_size: int
    learning_rate: float
    seeds: int
    rows: tuple[str, ...]
    metrics: tuple[MetricName, ...]
    dist_fid: int


@dataclass(frozen=True)
class ModelConfig:
    """The two networks.

    Attributes
    ----------
    generator, discriminator : str
        Names of the networks, see ``flower_dgan.models``, or import paths.
    generator_width, discriminator_width : int
        Channels of the widest image, or neurons of a layer; see ``flower_dgan.models``. For a fusion those of one
        sub-generator.
    noise_channels : int
        Values of the noise vector of one image; 0 for none.
    site_condition : bool
        Whether the generator is told which site it draws for. Its images can then be told apart by site.
    """

    generator: GeneratorName | ImportPath
    discriminator: DiscriminatorName | ImportPath
    generator_width: int
    discriminator_width: int
    noise_channels: int
    site_condition: bool

    @property
    def fuses(self) -> bool:
        """Whether the generator is made of one a site; see ``flower_dgan.models.fusion``."""
        return self.generator in ("fusion-mixture", "fusion-gate")

    @property
    def sites_fixed_by(self) -> str | None:
        """The setting that makes the generator one for the sites there are; None if there is none."""
        if self.site_condition:
            return "model.site_condition"
        return f"model.generator={self.generator}" if self.fuses else None


@dataclass(frozen=True)
class AlgorithmConfig:
    """Losses, weights and optimizers.

    Attributes
    ----------
    loss : str
        Adversarial loss, see ``flower_dgan.algorithm.losses``.
    merge : str
        How the feedback of the clients becomes one. ``samples``, ``equal``, ``agreement``: a sum with the share of the
        images as weights; with the same for all; or the same for all but those that contradict the others, see
        ``flower_dgan.algorithm.merge``. ``average``, ``odds``, ``odds-by-class``, ``softmax``: one loss made of the
        scores that all gave to the same images, see ``flower_dgan.algorithm.scores``; an import path names a rule for
        scores, too.
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
        image to approach, see ``flower_dgan.algorithm.generator``.
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


@dataclass(frozen=True)
class ExchangeConfig:
    """How much travels, how often and in which format.

    Attributes
    ----------
    rounds : int
        Messages a client.
    exchanges : int
        Synthetic batches in one message (S); 1 is the papers' algorithm.
    generator_steps : int
        Generator steps a message; divides ``exchanges``.
    in_flight : {1, 2}
        Bundles of a client under way at once. With 1 the server waits for the feedback before it draws the next bundle;
        with 2 it draws ahead, so that clients and generator work at the same time, on feedback one bundle older.
    batch_size : int
        Images of one synthetic batch.
    image_format, feedback_format : str
        Number format on the wire.
    min_nodes : int
        Nodes to wait for at the start; the run goes with all that are connected then.
    timeout : float
        Seconds to wait for the replies of a round.
    join_timeout : float
        Seconds to wait for the nodes at the start.
    """

    rounds: int
    exchanges: int
    generator_steps: int
    in_flight: InFlight
    batch_size: int
    image_format: ImageFormat
    feedback_format: FeedbackFormat
    min_nodes: int
    timeout: float
    join_timeout: float


@dataclass(frozen=True)
class ScheduleConfig:
    """When a round closes, see ``flower_dgan.algorithm.schedule``.

    Attributes
    ----------
    quorum : float
        Share of the clients whose feedback closes a round, in (0, 1].
    deadline : float or None
        Seconds after which a round closes with what there is, if there is any; None to wait for the quorum.
    max_staleness : int
        Oldest feedback that is used, in rounds.
    """

    quorum: float
    deadline: float | None
    max_staleness: int


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
class Config:
    """Everything that is set for a run.

    Attributes
    ----------
    seed : int
        Seed of every draw of the run.
    threads : int or None
        Threads of one torch operation; None leaves torch's own choice.
    allow_pixel_losses : bool
        In simulation, whether the (simulated) nodes answer with pixel losses; deployed nodes ask their own
        node configuration instead.
    resume : str or None
        Run directory of an earlier start whose training is to go on; None for a new training.
    """

    seed: int
    threads: int | None
    allow_pixel_losses: bool
    resume: str | None
    data: DataConfig
    partition: PartitionConfig
    model: ModelConfig
    algorithm: AlgorithmConfig
    exchange: ExchangeConfig
    schedule: ScheduleConfig
    downstream: DownstreamConfig
    output: OutputConfig
