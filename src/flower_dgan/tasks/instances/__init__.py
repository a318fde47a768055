"""Instance segmentation: find each object of an image, also where objects lie over each other."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, final

from flower_dgan.config import AugmentationName, DataConfig, DownstreamConfig, TrainingConfig
from flower_dgan.metrics import Compared
from flower_dgan.tasks.instances.columns import MASK_RCNN, check_numbers, check_settings, instances_are
from flower_dgan.tasks.task import Compare, Fit, Task

if TYPE_CHECKING:
    from torch import nn

    from flower_dgan.data.object_masks import ObjectMasks
    from flower_dgan.data.pairs import Entry, Pairs, Pixels


@final
class Instances(Task):
    """A dense model on images and their class maps, or Mask R-CNN. What needs torch is imported when it is wanted."""

    compares = ("instances",)
    whole_images = True
    calibrates = True

    def check(self, config: TrainingConfig) -> None:
        """Raise ConfigError where the data have no class maps, or the settings name another model."""
        check_settings(config.data, config.downstream)

    def check_model(self, config: DownstreamConfig, image_size: int) -> None:
        """Raise ConfigError if the model cannot be trained with these settings."""
        check_numbers(config, image_size)

    def build(self, config: DownstreamConfig, *, channels: int, classes: int) -> "nn.Module":
        """Build the model with random weights."""
        from flower_dgan.tasks.instances.dense import DenseModel
        from flower_dgan.tasks.instances.mask_rcnn import MaskRcnn

        if config.encoder == MASK_RCNN:
            return MaskRcnn(channels, skeleton=config.skeleton, used=config.uses_skeleton).eval()
        return DenseModel(channels, skeleton=config.skeleton, used=config.uses_skeleton).eval()

    def fit(
        self, pairs: "Pairs", config: DownstreamConfig, *, image_size: int, augmentation: AugmentationName, seed: int
    ) -> Fit:
        """Begin a training, of :func:`~flower_dgan.tasks.instances.fit.fit_dense` or of Mask R-CNN."""
        from flower_dgan.tasks.instances.fit import fit_dense
        from flower_dgan.tasks.instances.regions import fit_mask_rcnn

        begin = fit_mask_rcnn if config.encoder == MASK_RCNN else fit_dense
        return begin(pairs, config, image_size=image_size, augmentation=augmentation, seed=seed)

    def predict(
        self, model: "nn.Module", pairs: "Pairs", image_size: int, kinds: frozenset[Compared]
    ) -> Iterator[Compare]:
        """Predict objects, see :func:`flower_dgan.tasks.instances.predict.predict_instances`."""
        from flower_dgan.tasks.instances.predict import predict_instances

        return predict_instances(model, pairs)

    def check_truth(self, pairs: "Pairs", kinds: frozenset[Compared]) -> None:
        """Raise ConfigError or DataError if there is no object to find, or what measures them is not installed."""
        from flower_dgan.data.prepare.requirements import require
        from flower_dgan.errors import DataError
        from flower_dgan.tasks.instances.truth import true_objects

        require("faster_coco_eval", "instances", "Average precision")
        if not any(len(objects.without_crowds()) for objects in true_objects(pairs)):
            raise DataError("The images to score against hold no object; pick other test data.")

    def with_truth(
        self, pairs: "Pairs", data: DataConfig, entries: "Sequence[Entry]", kinds: frozenset[Compared]
    ) -> "Pairs":
        """Return the pairs with the objects that a folder keeps, whole."""
        from flower_dgan.data.whole_objects import with_objects

        return with_objects(pairs, data, entries)

    def calibrate(self, model: "nn.Module", pairs: "Pairs") -> str:
        """Choose from which score on an object counts, see :mod:`flower_dgan.tasks.instances.threshold`."""
        from flower_dgan.tasks.instances.threshold import calibrate

        return calibrate(model, pairs)

    def look_at(self, model: "nn.Module", image: "Pixels", image_size: int) -> "ObjectMasks":
        """Return the objects in an image, see :func:`flower_dgan.tasks.instances.predict.find_objects`."""
        from flower_dgan.tasks.instances.predict import find_objects

        return find_objects(model, image)

    def remark_found(self, model: "nn.Module", found: "Sequence[ObjectMasks]") -> str:
        """Say how large the objects are that the model learned, and whether those that it found are not."""
        from flower_dgan.tasks.instances.learned_scale import scale_remark

        return scale_remark(model, found)

    def remark(self, pairs: "Pairs", kinds: frozenset[Compared]) -> str:
        """Say what the true objects were."""
        return instances_are(whole=pairs.objects is not None, classes=pairs.classes)


TASK = Instances()
