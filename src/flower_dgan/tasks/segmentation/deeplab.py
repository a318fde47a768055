"""DeepLabV3+ with any encoder of segmentation-models-pytorch.

Chen 2018, "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation".
"""

import segmentation_models_pytorch as smp  # type: ignore[import-untyped]
import timm
from torch import nn

from flower_dgan.config import DownstreamConfig
from flower_dgan.errors import ConfigError, DataError, unknown_name

OUTPUT_STRIDE = 16
_BATCH_NORM_MOMENTUM = 0.1


def check_encoder(config: DownstreamConfig) -> None:
    """Raise ConfigError if the encoder or its weights are unknown."""
    encoder, weights = config.encoder, config.encoder_weights
    if encoder.startswith("tu-"):
        if not timm.is_model(encoder.removeprefix("tu-")):
            raise ConfigError(unknown_name("encoder", encoder, (f"tu-{name}" for name in timm.list_models())))
    elif encoder not in smp.encoders.get_encoder_names():
        raise ConfigError(unknown_name("encoder", encoder, smp.encoders.get_encoder_names()))
    elif weights is not None and weights not in (known := smp.encoders.encoders[encoder]["pretrained_settings"]):
        raise ConfigError(unknown_name(f"encoder weights for '{encoder}'", weights, known))


def check_segmentation(config: DownstreamConfig, image_size: int) -> None:
    """Raise ConfigError if a segmentation model cannot be trained with these settings, before any work is done."""
    if image_size < OUTPUT_STRIDE or image_size % OUTPUT_STRIDE:
        raise ConfigError(f"DeepLabV3+ needs data.image_size to be a multiple of {OUTPUT_STRIDE}, not {image_size}.")
    if config.steps < 1 or config.batch_size < 2:
        raise ConfigError("Set downstream.steps to at least 1 and downstream.batch_size to at least 2 (batch norm).")
    check_encoder(config)


def build_deeplab(config: DownstreamConfig, *, channels: int, classes: int) -> nn.Module:
    """Build the model; its random weights come from the global RNG of the CPU.

    Parameters
    ----------
    config : DownstreamConfig
        ``encoder`` is a name of segmentation-models-pytorch, or ``tu-`` and a name of timm, whose only
        ``encoder_weights`` are those that timm has for it.
    channels : int
        Channels of the images.
    classes : int
        Channels of the logits.

    Returns
    -------
    nn.Module
        Float32 (batch, channels, height, width), sides a multiple of ``OUTPUT_STRIDE``, to (batch, classes, height,
        width). Training takes batches of 2 or more (batch norm of pooled features).

    Raises
    ------
    ConfigError
        The encoder or its weights are unknown, or the encoder cannot be dilated as DeepLabV3+ needs.
    DataError
        The weights could not be downloaded.
    """
    check_encoder(config)
    encoder, weights = config.encoder, config.encoder_weights
    requested = weights if weights is None or not encoder.startswith("tu-") else True
    try:
        model: nn.Module = smp.DeepLabV3Plus(encoder, encoder_weights=requested, in_channels=channels, classes=classes)
    except OSError as error:
        raise DataError(
            f"The weights '{weights}' of the encoder '{encoder}' could not be downloaded. Set "
            "downstream.encoder_weights=null to start from random weights, or put the weights in the Hugging Face "
            "cache (HF_HOME) on a machine that is online and copy it here."
        ) from error
    except (AssertionError, TypeError, ValueError) as error:
        raise ConfigError(f"The encoder '{encoder}' does not fit DeepLabV3+ ({error}). Try 'resnet18'.") from error
    for module in model.modules():
        # EfficientNets come with 0.01: after some 60 steps they would predict with the statistics of the first ones.
        if isinstance(module, nn.BatchNorm2d) and module.momentum is not None:
            module.momentum = max(module.momentum, _BATCH_NORM_MOMENTUM)
    return model
