"""Settings of the two networks."""

from dataclasses import dataclass
from typing import Literal

from flower_dgan.config.import_path import ImportPath
from flower_dgan.config.ranges import NonNegative, Size, SizeOrNone

LevelsName = Literal["none", "site"]
GeneratorName = Literal[
    "small", "unet", "resnet9", "spade", "mlp", "mlp-relu", "dcgan", "fusion-mixture", "fusion-gate"
]
DiscriminatorName = Literal["small", "patchgan", "multi-scale", "mlp", "mlp-by-class", "dcgan"]


@dataclass(frozen=True)
class ModelConfig:
    """The two networks.

    Attributes
    ----------
    generator, discriminator : str
        Names of the networks, see ``flower_dgan.networks``, or import paths.
    generator_width, discriminator_width : int
        Channels of the widest image, or neurons of a layer; see ``flower_dgan.networks``. For a fusion those of one
        sub-generator.
    noise_channels : int
        Values of the noise vector of one image; 0 for none.
    site_condition : bool
        Whether the generator is told which site it draws for. Its images can then be told apart by site.
    levels : {"none", "site"}
        ``site``: both networks work in units of each site's own mean and standard deviation, which the nodes tell when
        they join, see ``flower_dgan.data.levels``.
    published_noise : float
        Standard deviation of the noise vectors of published images; those of training have 1. Above 1 their styles lie
        further apart.
    """

    generator: GeneratorName | ImportPath
    discriminator: DiscriminatorName | ImportPath
    generator_width: Size
    discriminator_width: Size
    noise_channels: SizeOrNone
    site_condition: bool
    levels: LevelsName
    published_noise: NonNegative = 1.0  # files of generators that were written before do not say

    @property
    def fuses(self) -> bool:
        """Whether the generator is made of one a site; see ``flower_dgan.networks.fusion``."""
        return self.generator in ("fusion-mixture", "fusion-gate")

    @property
    def sites_fixed_by(self) -> str | None:
        """The setting that makes the generator one for the sites there are; None if there is none."""
        if self.site_condition:
            return "model.site_condition"
        return f"model.generator={self.generator}" if self.fuses else None
