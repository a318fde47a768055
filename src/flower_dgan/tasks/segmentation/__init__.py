"""Segmentation: find the class of each pixel, as the label map has it that an image was drawn on."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, final

from flower_dgan.config import AugmentationName, DataConfig, DownstreamConfig, TrainingConfig
from flower_dgan.metrics import Compared
from flower_dgan.tasks.segmentation.columns import check_condition, objects_are
from flower_dgan.tasks.task import Compare, Fit, Task

if TYPE_CHECKING:
    from torch import nn

    from flower_dgan.data.pairs import Entry, Pairs, Pixels


@final
class Segmentation(Task):
    """DeepLabV3+ on images and their masks. What needs torch is imported when it is wanted."""

    compares = ("masks", "objects")
    has_encoder = True

    def check(self, config: TrainingConfig) -> None:
        """Raise ConfigError where the data have no masks."""
        check_condition(config.data)

    def check_model(self, config: DownstreamConfig, image_size: int) -> None:
        """Raise ConfigError if DeepLabV3+ cannot be trained with these settings."""
        from flower_dgan.tasks.segmentation.deeplab import check_segmentation

        check_segmentation(config, image_size)

    def build(self, config: DownstreamConfig, *, channels: int, classes: int) -> "nn.Module":
        """Build DeepLabV3+ with random weights."""
        from flower_dgan.tasks.segmentation.deeplab import build_deeplab

        return build_deeplab(replace(config, encoder_weights=None), channels=channels, classes=classes).eval()

    def fit(
        self, pairs: "Pairs", config: DownstreamConfig, *, image_size: int, augmentation: AugmentationName, seed: int
    ) -> Fit:
        """Begin a training, see :func:`flower_dgan.tasks.segmentation.fit.fit_segmenter`."""
        from flower_dgan.tasks.segmentation.fit import fit_segmenter

        return fit_segmenter(pairs, config, image_size=image_size, augmentation=augmentation, seed=seed)

    def predict(
        self, model: "nn.Module", pairs: "Pairs", image_size: int, kinds: frozenset[Compared]
    ) -> Iterator[Compare]:
        """Predict masks and objects, see :func:`flower_dgan.tasks.segmentation.predict.predict_masks`."""
        from flower_dgan.tasks.segmentation.predict import predict_masks

        return predict_masks(model, pairs, image_size, objects="objects" in kinds)

    def check_truth(self, pairs: "Pairs", kinds: frozenset[Compared]) -> None:
        """Raise ConfigError or DataError if masks or objects have nothing to find, or objects are of several kinds."""
        from flower_dgan.tasks.segmentation.predict import check_masks

        check_masks(pairs, objects="objects" in kinds)

    def with_truth(
        self, pairs: "Pairs", data: DataConfig, entries: "Sequence[Entry]", kinds: frozenset[Compared]
    ) -> "Pairs":
        """Return the pairs with the objects that a folder has numbered, where objects are compared."""
        from flower_dgan.data.instances import with_instances

        return with_instances(pairs, data, entries) if "objects" in kinds else pairs

    def look_at(self, model: "nn.Module", image: "Pixels", image_size: int) -> "Pixels":
        """Return the class of each pixel, see :func:`flower_dgan.tasks.segmentation.predict.whole_mask`."""
        from flower_dgan.tasks.segmentation.predict import whole_mask

        return whole_mask(model, image, image_size)

    def remark(self, pairs: "Pairs", kinds: frozenset[Compared]) -> str:
        """Say what the true objects were, where objects are compared."""
        return objects_are(numbered=pairs.instances is not None) if "objects" in kinds else ""


TASK = Segmentation()
