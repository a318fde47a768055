"""Classification: find the class of an image, the one that the generator was asked for."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, final

from flower_dgan.config import AugmentationName, DownstreamConfig, TrainingConfig
from flower_dgan.metrics import Compared
from flower_dgan.tasks.classification.columns import check_settings
from flower_dgan.tasks.task import Compare, Fit, Task

if TYPE_CHECKING:
    from torch import nn

    from flower_dgan.data.pairs import Pairs


@final
class Classification(Task):
    """A small CNN on images and their classes. What needs torch is imported when it is wanted."""

    compares = ("classes",)

    def check(self, config: TrainingConfig) -> None:
        """Raise ConfigError where synthetic images have no class."""
        check_settings(config)

    def check_model(self, config: DownstreamConfig, image_size: int) -> None:
        """Raise ConfigError if the CNN cannot be trained with these settings; it takes images of any size."""
        from flower_dgan.tasks.classification.fit import check_numbers

        check_numbers(config)

    def build(self, config: DownstreamConfig, *, channels: int, classes: int) -> "nn.Module":
        """Build the CNN with random weights."""
        from flower_dgan.tasks.classification.network import build_classifier

        return build_classifier(channels, classes).eval()

    def fit(
        self, pairs: "Pairs", config: DownstreamConfig, *, image_size: int, augmentation: AugmentationName, seed: int
    ) -> Fit:
        """Begin a training, see :func:`flower_dgan.tasks.classification.fit.fit_classifier`."""
        from flower_dgan.tasks.classification.fit import fit_classifier

        return fit_classifier(pairs, config, image_size=image_size, augmentation=augmentation, seed=seed)

    def predict(
        self, model: "nn.Module", pairs: "Pairs", image_size: int, kinds: frozenset[Compared]
    ) -> Iterator[Compare]:
        """Predict classes, see :func:`flower_dgan.tasks.classification.predict.predict_classes`."""
        from flower_dgan.tasks.classification.predict import predict_classes

        return predict_classes(model, pairs, image_size)

    def check_truth(self, pairs: "Pairs", kinds: frozenset[Compared]) -> None:
        """Raise DataError if there are not two classes, or a label map is no class of a whole image."""
        from flower_dgan.tasks.classification.fit import labels_of

        labels_of(pairs)


TASK = Classification()
