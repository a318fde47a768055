"""The ResNet generator of AsynDGAN, as CycleGAN introduced it."""

from torch import Tensor, nn

from flower_dgan.gan.exchange import GeneratorInput


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)  # type: ignore[no-any-return]


class ResnetGenerator(nn.Module):
    """Nine residual blocks between two strided convolutions down and two up.

    Zhu et al. 2017, appendix 7.2: c7s1-64, d128, d256, R256 x 9, u128, u64, c7s1-3, with instance normalisation. With
    3 condition channels, 3 image channels and width 64 it has 11,378,179 parameters. It takes neither noise nor site:
    its first instance normalisation would remove what is constant over the image. One label map gives one image.

    Parameters
    ----------
    classes, channels : int
        Channels of the label maps and of the images.
    width : int
        Channels of the first layer; 64 in the paper.
    blocks : int
        Residual blocks.
    """

    def __init__(self, classes: int, channels: int, width: int, blocks: int = 9) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(classes, width, 7),
            nn.InstanceNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        for size in (width, 2 * width):
            layers += [nn.Conv2d(size, 2 * size, 3, 2, 1), nn.InstanceNorm2d(2 * size), nn.ReLU(inplace=True)]
        layers += [_ResidualBlock(4 * width) for _ in range(blocks)]
        for size in (4 * width, 2 * width):
            layers += [
                nn.ConvTranspose2d(size, size // 2, 3, 2, 1, output_padding=1),
                nn.InstanceNorm2d(size // 2),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: GeneratorInput) -> Tensor:
        """Return images (batch, channels, height, width) in [-1, 1]; height and width divisible by 4."""
        return self.layers(inputs.label_maps)  # type: ignore[no-any-return]
