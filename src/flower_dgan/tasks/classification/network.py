"""The classifier of small images: two convolutions and two linear layers."""

from torch import nn

FEATURES = 32


def build_classifier(channels: int, classes: int) -> nn.Sequential:
    """Build the whole network: float32 (batch, channels, height, width) to logits (batch, classes)."""
    return nn.Sequential(build_body(channels), nn.Linear(FEATURES, classes))


def build_body(channels: int) -> nn.Sequential:
    """Build the layers before the classes: float32 (batch, channels, height, width) to features (batch, ``FEATURES``).

    There is no batch norm: the features of an image must not depend on the images around it. Dropout keeps those of
    training images near those of test images. The pooled 4 x 4 grid takes images of any size. The random weights come
    from the global RNG of the CPU.
    """
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(4),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(32 * 16, FEATURES),
        nn.ReLU(),
    )
