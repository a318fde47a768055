"""How large a bundle and its feedback are, and in which formats: known on both sides before their arrays are read."""

from dataclasses import dataclass, replace

from flower_dgan.config import FeedbackFormat, ImageFormat, TrainingConfig
from flower_dgan.data.augmentation import COLOURED
from flower_dgan.data.channels import Channels


@dataclass(frozen=True)
class BundleShape:
    """Sizes and formats of one bundle, known on both sides before its arrays are read.

    Attributes
    ----------
    samples : int
        Samples of a client: exchanges times batch size.
    channels, image_size : int
        Of the images that the client is sent.
    image_format, feedback_format : str
        Number formats on the wire.
    separate : bool
        Whether as many other samples are sent before these, on which the discriminator is trained.
    classes : int
        Classes of the label maps that travel with the images; 0 where they do not, as they are the client's own.
    feedback : bool
        Whether there is feedback; its arrays are empty where a change of weights is the answer.
    colours : bool
        Whether views say what happens to the colours of real images: where losses compare with these pixel by pixel.
    """

    samples: int
    channels: int
    image_size: int
    image_format: ImageFormat
    feedback_format: FeedbackFormat
    separate: bool = False
    classes: int = 0
    feedback: bool = True
    colours: bool = False

    @classmethod
    def of(cls, config: TrainingConfig, classes: int) -> "BundleShape":
        """Return that of a run, whose label maps have so many classes."""
        exchange, algorithm = config.exchange, config.algorithm
        samples = exchange.exchanges * exchange.batch_size
        return cls(
            samples,
            config.data.channels,
            config.data.image_size,
            exchange.image_format,
            exchange.feedback_format,
            separate=algorithm.separate_batches,
            classes=classes if algorithm.shared_batches or config.data.foreign_label_maps else 0,
            feedback=algorithm.upload == "none",
            colours=config.data.augmentation in COLOURED and bool(algorithm.l1_weight or algorithm.perceptual_weight),
        )

    def holding(self, channels: Channels) -> "BundleShape":
        """Return that of a client which holds these channels of the images."""
        return self if channels is None else replace(self, channels=len(channels))

    @property
    def views(self) -> bool:
        """Whether views travel: where no label maps do, they say which of the client's own are meant."""
        return not self.classes

    @property
    def images(self) -> tuple[int, int, int, int]:
        """Shape of the image array."""
        return (2 * self.samples if self.separate else self.samples, self.channels, self.image_size, self.image_size)

    @property
    def gradients(self) -> tuple[int, int, int, int]:
        """Shape of the gradient array."""
        return (self.samples if self.feedback else 0, self.channels, self.image_size, self.image_size)
