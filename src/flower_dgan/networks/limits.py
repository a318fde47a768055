"""What each shipped network can work with, as plain rules: settings are held against them where there is no torch.

The sizes were found by trying: below them a layer has no pixel left, or an instance normalisation a single one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from flower_dgan.config import ModelConfig


@dataclass(frozen=True)
class Sizes:
    """Sizes of images.

    Attributes
    ----------
    words : str
        What they are, as it follows "wants an image size".
    fits : callable
        Whether a height and width in pixels is one of them.
    """

    words: str
    fits: Callable[[int], bool]


def dcgan_base(image_size: int) -> int:
    """Return the smallest side of DCGAN: what is left when the image's is halved down to 4 .. 7, if it can be."""
    base = image_size
    while base > 7 and base % 2 == 0:
        base //= 2
    return base


_SMALL = Sizes("divisible by 4", lambda size: size % 4 == 0)
_DCGAN = Sizes("of 4, 5, 6 or 7 times 2, 4, 8, ... (28, 32, 64)", lambda size: size >= 8 and dcgan_base(size) <= 7)
_ANY = Sizes("of at least 1", lambda size: size >= 1)

GENERATOR_SIZES: Mapping[str, Sizes] = MappingProxyType(
    {
        "small": _SMALL,
        "fusion-mixture": _SMALL,
        "fusion-gate": _SMALL,
        "unet": Sizes("of 8, 16, 32, ...", lambda size: size >= 8 and size.bit_count() == 1),
        "resnet9": Sizes("divisible by 4, and at least 8", lambda size: size % 4 == 0 and size >= 8),
        "spade": Sizes("divisible by 32", lambda size: size % 32 == 0),
        "mlp": _ANY,
        "mlp-relu": _ANY,
        "dcgan": _DCGAN,
    }
)
DISCRIMINATOR_SIZES: Mapping[str, Sizes] = MappingProxyType(
    {
        "small": Sizes("of at least 4", lambda size: size >= 4),
        "patchgan": Sizes("of at least 24", lambda size: size >= 24),
        "multi-scale": Sizes("divisible by 16", lambda size: size % 16 == 0),
        "mlp": _ANY,
        "mlp-by-class": _ANY,
        "dcgan": _DCGAN,
    }
)

_FROM_NOISE = ("mlp", "mlp-relu", "dcgan")
_IN_UNITS = ("small", "spade")


def require_size(sizes: Sizes, image_size: int) -> None:
    """Raise ValueError for a size that is none of these."""
    if not sizes.fits(image_size):
        raise ValueError(f"it wants an image size {sizes.words}, not {image_size}")


def check_generator(model: ModelConfig, image_size: int) -> None:
    """Raise ValueError, with what to set, if a shipped generator cannot be built; one of the user's own is left alone.

    Parameters
    ----------
    model : ModelConfig
        Which network, and what it is given.
    image_size : int
        Height and width in pixels.
    """
    name = model.generator
    if name == "resnet9" and (model.noise_channels or model.site_condition):
        raise ValueError("it takes neither noise nor site: model.noise_channels=0 model.site_condition=false")
    if name in _FROM_NOISE and not model.noise_channels:
        raise ValueError("it draws from noise alone: set model.noise_channels=100")
    if model.fuses and model.site_condition:
        raise ValueError("its sub-generators have a site each: model.site_condition=false")
    if model.levels == "site" and (name not in _IN_UNITS or not model.site_condition):
        raise ValueError(
            "model.levels=site wants model.generator=small or spade and model.site_condition=true, which draw in units "
            "of each site's own levels: set model.levels=none"
        )
    if name in GENERATOR_SIZES:
        require_size(GENERATOR_SIZES[name], image_size)


def check_discriminator(model: ModelConfig, image_size: int) -> None:
    """Raise ValueError if a shipped discriminator cannot judge images of this height and width in pixels."""
    if model.discriminator in DISCRIMINATOR_SIZES:
        require_size(DISCRIMINATOR_SIZES[model.discriminator], image_size)
