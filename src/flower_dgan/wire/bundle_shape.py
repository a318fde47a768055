"""How large a bundle and its feedback are, and in which formats: known on both sides before their arrays are read."""

from dataclasses import dataclass, replace

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import FeedbackFormat, ImageFormat, TrainingConfig
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
    bundles : int
        How many of as many samples are sent; feedback is about the last.
    classes : int
        Classes of the label maps that travel with the images; 0 where they do not, as they are the client's own.
    feedback : bool
        Whether there is feedback; its arrays are empty where a change of weights is the answer.
    """

    samples: int
    channels: int
    image_size: int
    image_format: ImageFormat
    feedback_format: FeedbackFormat
    bundles: int = 1
    classes: int = 0
    feedback: bool = True

    @classmethod
    def of(cls, config: TrainingConfig, classes: int) -> "BundleShape":
        """Return that of a run, whose label maps have so many classes."""
        exchange, algorithm = config.exchange, algorithm_of(config)
        releases = algorithm.releases
        samples = exchange.exchanges * exchange.batch_size
        return cls(
            samples,
            config.data.channels,
            config.data.image_size,
            exchange.image_format,
            exchange.feedback_format,
            bundles=algorithm.bundles,
            classes=classes if releases.label_maps_to_clients or not config.data.from_own_label_maps else 0,
            feedback=releases.feedback,
        )

    def holding(self, channels: Channels) -> "BundleShape":
        """Return that of a client which holds these channels of the images."""
        return self if channels is None else replace(self, channels=len(channels))

    @property
    def images(self) -> tuple[int, int, int, int]:
        """Shape of the image array."""
        return (self.bundles * self.samples, self.channels, self.image_size, self.image_size)

    @property
    def views(self) -> bool:
        """Whether the question says which views of the client's own label maps its images were made from."""
        return not self.classes

    @property
    def gradients(self) -> tuple[int, int, int, int]:
        """Shape of the gradient array."""
        return (self.samples if self.feedback else 0, self.channels, self.image_size, self.image_size)
