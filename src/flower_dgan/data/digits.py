"""The 1,797 handwritten 8 x 8 digits that ship with scikit-learn: real images, no download."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from flower_dgan.config import DataConfig
from flower_dgan.data.pairs import Entry, Pairs, Pixels
from flower_dgan.data.splits import split_entries
from flower_dgan.errors import ConfigError

# Half of the full intensity: a stroke of one pixel keeps its width when it is enlarged.
FOREGROUND = 128


class DigitsSource:
    """Enlarged grey digits with the stroke as foreground.

    The label of an entry is its digit, its site ``digit-0`` .. ``digit-9``, and its group its running number.

    Parameters
    ----------
    config : DataConfig
        ``channels`` must be 1; ``root``, ``table`` and ``name_pattern`` must be None.

    Attributes
    ----------
    classes : int
        2: background and stroke.
    image_classes : int
        10, the digits.
    train, test : tuple of Entry
        Split by a share ``config.test_fraction``, the same in every run. Not to be changed.

    Raises
    ------
    ConfigError
        If the settings do not fit embedded grey data, or name an unknown site.
    DataError
        If a split is left without a pair.
    """

    def __init__(self, config: DataConfig) -> None:
        if config.channels != 1:
            raise ConfigError(f"The digits are grey, but data.channels={config.channels}: set data.channels=1.")
        for key in ("root", "table", "name_pattern"):
            if getattr(config, key) is not None:
                raise ConfigError(
                    f"data.source=digits is embedded and reads no data.{key}: "
                    f"set data.{key}=null, or data.source=folder for images of your own."
                )
        # Imported here: scikit-learn takes a second, which a node with its own images need not wait.
        from sklearn.datasets import load_digits  # type: ignore[import-untyped]

        digits = load_digits()
        # 0 .. 16 becomes 0 .. 255.
        self._digits: Pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        self._size = config.image_size
        entries = [
            Entry(f"{index:04d}", f"digit-{label}", f"{index:04d}", int(label), self._size, self._size)
            for index, label in enumerate(digits.target)
        ]
        self.classes, self.image_classes = 2, 10
        self.train, self.test = split_entries(entries, None, config)

    def load(self, entries: Sequence[Entry]) -> Pairs:
        """Enlarge the digits of some entries of this source.

        Parameters
        ----------
        entries : sequence of Entry
            Any of ``train`` and ``test``.

        Returns
        -------
        Pairs
            Images (image_size, image_size, 1) by bicubic interpolation; label maps 1 where the image is at least 128.
        """
        side = (self._size, self._size)
        images = [
            np.asarray(Image.fromarray(self._digits[int(entry.name)]).resize(side, Image.Resampling.BICUBIC))
            for entry in entries
        ]
        label_maps = tuple((image >= FOREGROUND).astype(np.uint8) for image in images)
        return Pairs(tuple(image[:, :, None] for image in images), label_maps, self.classes)
