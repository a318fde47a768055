"""The networks whose features tell generated images from real ones."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from flower_dgan.comparison.by_class import class_agreement
from flower_dgan.comparison.classifier import train_classifier
from flower_dgan.config import Config, DownstreamConfig
from flower_dgan.data.pairs import Pixels, Source
from flower_dgan.device import chosen_device, device_of, to_cpu, to_device
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.metrics.shared.finite import require_finite
from flower_dgan.placing import place
from flower_dgan.tasks.segmentation import TASK
from flower_dgan.tasks.segmentation.deeplab import build_deeplab
from flower_dgan.tasks.segmentation.fit import train_segmenter
from flower_dgan.tasks.tstr import judged

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
"""The file of torch-fidelity: TensorFlow's Inception of 2015, which the figures of papers are about."""

_RELEASE = "https://github.com/toshas/torch-fidelity/releases/tag/v0.2.0"
_BATCH = 32

Features = Callable[[Sequence[Pixels]], Tensor]
"""Takes uint8 images (height, width, channels) of one size, and returns float32 features (images, features)."""


@dataclass(frozen=True)
class FeatureNetwork:
    """A network, and in words how good it is at what it was trained for.

    Attributes
    ----------
    look : Features
        The network.
    quality : str
        How far it can be trusted.
    """

    look: Features
    quality: str


def open_network(name: str, features: int, source: Source, config: Config, weights: Path | None) -> FeatureNetwork:
    """Open a feature network, or train it on the real training split with ``config.seed``.

    Parameters
    ----------
    name : {"inception", "cnn", "segmenter"}
        ``cnn`` wants images with classes, see :mod:`flower_dgan.comparison.classifier`. ``segmenter`` wants masks: the
        segmentation model of ``config.downstream``.
    features : int
        How many it has.
    source : Source
        The real data.
    config : Config
        The settings.
    weights : Path or None
        Inception's, see :func:`~flower_dgan.comparison.feature_networks.inception_features`.

    Raises
    ------
    ConfigError
        The network is not for these data.
    DataError
        The data or the weights cannot be used, or a network diverged in its training.
    """
    if name == "inception":
        return FeatureNetwork(inception_features(features, weights), "Inception-v3 of 2015")
    if name == "cnn" and not source.image_classes:
        raise ConfigError("cnn is a classifier, and these images have no classes: take segmenter or inception.")
    if name == "segmenter" and config.data.condition != "label-map":
        raise ConfigError(
            f"data.condition={config.data.condition} leaves no masks for segmenter: take cnn or inception."
        )
    train, test = source.load(source.train), source.load(source.test)
    if name == "cnn":
        labels, truth = ([entry.label for entry in entries] for entries in (source.train, source.test))
        classifier = train_classifier(train.images, labels, source.image_classes, config.seed)
        accuracy = class_agreement(classifier, test.images, truth)
        quality = f"classifier, accuracy {accuracy:.3f} on the test split"
        if len(set(truth)) > 1 == int((classifier.predict(test.images).bincount() > 0).sum()):
            quality += "; it finds one class everywhere: it has learned nothing, and figures by it say little"
        return FeatureNetwork(classifier.features, quality)
    size, augmentation = config.data.image_size, config.data.augmentation
    model = train_segmenter(train, config.downstream, image_size=size, augmentation=augmentation, seed=config.seed)
    for name, tensor in model.state_dict().items():
        require_finite(
            tensor,
            f"With downstream.learning_rate={config.downstream.learning_rate:g} weights of the segmenter ({name})",
        )
    values, found = judged(TASK, model, test, size, ("dice",))
    quality = f"segmentation model, Dice {values['dice']:.3f} on the test split"
    if found is not None:
        quality += f"; it finds class {found} everywhere: it has learned nothing, and figures by it say little"
    return FeatureNetwork(segmenter_features(model), quality)


def inception_features(features: int, weights: Path | None) -> Features:
    """Open Inception-v3 with the weights that Fréchet and kernel distances are computed with.

    Parameters
    ----------
    features : {64, 192, 768, 2048}
        Of which layer.
    weights : Path or None
        The file ``WEIGHTS``; None for torch's cache, to which torch-fidelity downloads it.

    Raises
    ------
    ConfigError
        torch-fidelity is not installed.
    DataError
        The weights are not there and cannot be downloaded, or the file does not hold them and nothing else.
    """
    if weights is not None:
        _check_weights(weights)
    path = None if weights is None else str(weights)
    # Imported here: torchmetrics takes a second, which who only trains a table need not wait.
    from torchmetrics.image.fid import FrechetInceptionDistance

    try:
        network = FrechetInceptionDistance(features, feature_extractor_weights_path=path).inception
    except ModuleNotFoundError as error:
        raise ConfigError("Inception needs torch-fidelity: pip install 'flower-dgan[inception]'.") from error
    except OSError as error:  # urllib's
        raise DataError(
            f"Inception's weights could not be downloaded ({error}). On a machine that is online get {WEIGHTS} from "
            f"{_RELEASE}, and put it here as {Path(torch.hub.get_dir()) / 'checkpoints' / WEIGHTS}, or name it with "
            "--inception-weights."
        ) from error
    except RuntimeError as error:  # load_state_dict's
        raise DataError(f"{weights or 'What is in the cache'} is not torch-fidelity's {WEIGHTS}.") from error

    network, device = place(network, chosen_device()), chosen_device()

    @torch.no_grad()
    def look(images: Sequence[Pixels]) -> Tensor:
        batches = (pixels.expand(-1, 3, -1, -1) for pixels in _batches(images, device))
        return torch.cat([to_cpu(network(pixels)) for pixels in batches])

    return look


def _check_weights(path: Path) -> None:
    """Raise DataError unless a file holds nothing but tensors: torch-fidelity would run whatever a pickle says."""
    if not path.is_file():
        raise DataError(f"There is no file {path.absolute()}: get {WEIGHTS} from {_RELEASE}.")
    try:
        torch.load(path, weights_only=True)
    except Exception as error:  # whatever unpickling makes of another file
        raise DataError(f"{path} is not torch-fidelity's {WEIGHTS}: get it from {_RELEASE}.") from error


def segmenter_features(model: nn.Module) -> Features:
    """Take the 256 maps that a segmentation model reads the classes from, each averaged over its pixels.

    DeepLabV3+ makes them of early and of deep maps of its encoder, so that they see texture as well as shapes.

    Parameters
    ----------
    model : nn.Module
        As ``flower_dgan.tasks.segmentation`` trains it, in evaluation mode.
    """
    encoder, decoder = model.get_submodule("encoder"), model.get_submodule("decoder")

    @torch.no_grad()
    def look(images: Sequence[Pixels]) -> Tensor:
        batches = _batches(images, device_of(model))
        return torch.cat([to_cpu(decoder(encoder(pixels / 127.5 - 1)).mean((2, 3))) for pixels in batches])

    return look


def open_encoder(config: DownstreamConfig, channels: int) -> nn.Module:
    """Build the encoder of a segmentation model, in evaluation mode; what it learned is still to be put into it.

    Parameters
    ----------
    config : DownstreamConfig
        Which encoder; nothing is downloaded.
    channels : int
        Channels of the images.

    Raises
    ------
    ConfigError
        The encoder is unknown or does not fit.
    """
    with torch.random.fork_rng(devices=[]):
        model = build_deeplab(replace(config, encoder_weights=None), channels=channels, classes=2)
    return model.get_submodule("encoder").eval()


def encoder_features(encoder: nn.Module) -> Features:
    """Take the deepest maps of a segmentation model's encoder, each averaged over its pixels.

    They are fewer than those of :func:`segmenter_features` where the encoder is small, so that fewer images make a
    covariance, and fewer numbers tell of them.
    """

    @torch.no_grad()
    def look(images: Sequence[Pixels]) -> Tensor:
        batches = _batches(images, device_of(encoder))
        return torch.cat([to_cpu(encoder(pixels / 127.5 - 1)[-1].mean((2, 3))) for pixels in batches])

    return look


def _batches(images: Sequence[Pixels], device: torch.device) -> Iterator[Tensor]:
    """Yield images as uint8 (batch, channels, height, width) on a device."""
    for start in range(0, len(images), _BATCH):
        yield to_device(torch.from_numpy(np.stack(images[start : start + _BATCH])), device).permute(0, 3, 1, 2)
