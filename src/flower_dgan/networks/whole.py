"""A discriminator of whole images before images of which some channels are missing."""

from torch import Tensor, nn


class BlackElsewhere(nn.Module):
    """Judges images that have some of the channels: the others are black, -1, for the network.

    Parameters
    ----------
    network : nn.Module
        A discriminator of images with all channels; called as ``network(label_maps, images)``.
    channels : tuple of int
        Which of its channels the images have.
    count : int
        How many the network sees.
    """

    def __init__(self, network: nn.Module, channels: tuple[int, ...], count: int) -> None:
        super().__init__()
        self.network = network
        self._channels = list(channels)
        self._count = count

    def forward(self, label_maps: Tensor, images: Tensor) -> Tensor:
        """Return the network's logits of images (batch, len(channels), height, width)."""
        whole = images.new_full((len(images), self._count, *images.shape[2:]), -1.0)
        whole[:, self._channels] = images
        logits: Tensor = self.network(label_maps, whole)
        return logits
