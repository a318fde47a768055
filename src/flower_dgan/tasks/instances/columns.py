"""On which data instance segmentation works, and what is said below its table."""

from flower_dgan.config import DataConfig, DownstreamConfig
from flower_dgan.errors import ConfigError

DENSE, MASK_RCNN = "dense", "mask-rcnn"
SMALLEST = 16
"""Pixels of a side that a model takes."""
CLASS_MAP = 4
"""Classes of a class map, see :mod:`flower_dgan.data.class_maps`."""
_CLASSES = (2, CLASS_MAP)


def check_settings(data: DataConfig, downstream: DownstreamConfig) -> None:
    """Raise ConfigError if synthetic images are not drawn on class maps, or another model is set."""
    if data.condition != "label-map":
        raise ConfigError(
            f"data.condition={data.condition} leaves no class maps to learn instances from: set downstream=none."
        )
    if data.classes is not None and data.classes not in _CLASSES:
        raise ConfigError(
            f"data.classes={data.classes}: instances are learned from class maps of 4 classes (background, body, "
            "crossing, centre line), or from masks of 2."
        )
    if downstream.encoder not in (DENSE, MASK_RCNN) or downstream.encoder_weights is not None:
        raise ConfigError(
            f"Instances have models of their own, and downstream.encoder={downstream.encoder} with "
            f"encoder_weights={downstream.encoder_weights}: set downstream=instances, or downstream.encoder={DENSE} or "
            f"{MASK_RCNN} with downstream.encoder_weights=null."
        )
    if downstream.skeleton_training_only and not downstream.skeleton:
        raise ConfigError(
            "downstream.skeleton_training_only=true wants a head for centre lines in training, and "
            "downstream.skeleton=false has none: set the one to false or the other to true."
        )


def check_numbers(config: DownstreamConfig, image_size: int) -> None:
    """Raise ConfigError if a model cannot be trained with these numbers."""
    if image_size < SMALLEST:
        raise ConfigError(
            f"Models of instances take {SMALLEST} pixels a side or more, not data.image_size={image_size}."
        )
    if config.steps < 1 or config.batch_size < 1:
        raise ConfigError("Set downstream.steps and downstream.batch_size to at least 1.")


def instances_are(*, whole: bool, classes: int) -> str:
    """Say what the true objects are."""
    drawn = "traced in the class maps" if classes == CLASS_MAP else "connected components of the masks"
    truth = "as the folder keeps them" if whole else drawn
    return f"True objects are {truth}; images are scored whole, not in windows."
