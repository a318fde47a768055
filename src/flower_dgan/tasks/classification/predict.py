"""What a classifier takes real images for."""

from collections.abc import Iterator

from torch import nn

from flower_dgan.data.pairs import Pairs
from flower_dgan.tasks.classification.fit import labels_of
from flower_dgan.tasks.on_views import likeliest_classes
from flower_dgan.tasks.task import Compare


def predict_classes(model: nn.Module, pairs: Pairs, image_size: int) -> Iterator[Compare]:
    """Predict the windows that tile every image from its top left, each of which has the class of its image.

    Parameters
    ----------
    model : nn.Module
        Float32 (batch, channels, image_size, image_size) in [-1, 1] to logits (batch, classes); left in evaluation
        mode.
    pairs : Pairs
        Images, each with its class as a constant label map.
    image_size : int
        Height and width in pixels of a window.
    """
    labels = labels_of(pairs)
    for views, classes in likeliest_classes(model, pairs, image_size):
        yield {"classes": (labels[views.ids].numpy(), classes.numpy())}
