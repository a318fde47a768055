"""What a task is to everybody else: to the table, to the federated baseline and to the sweep."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from flower_dgan.config import AugmentationName, DataConfig, DownstreamConfig, TrainingConfig
from flower_dgan.errors import ConfigError
from flower_dgan.metrics import Compared, Ids

if TYPE_CHECKING:  # settings are checked without torch
    from torch import nn

    from flower_dgan.data.object_masks import ObjectMasks
    from flower_dgan.data.pairs import Entry, Pairs, Pixels

Compare = Mapping[Compared, tuple[Ids, Ids]]
"""True and predicted ones of a batch, by what they are."""


class Fit(Protocol):
    """The training of a model, in one go or in several.

    Attributes
    ----------
    model : nn.Module
        On the CPU, in evaluation mode after each call; ``predict`` of the same task understands its output.
    """

    model: "nn.Module"

    def __len__(self) -> int:
        """Return the number of pairs that it learns from."""
        ...

    def run(self, steps: int) -> None:
        """Take the next optimizer steps, as a client does that keeps no optimizer between rounds."""
        ...

    def go_on(self, steps: int) -> None:
        """Take the next optimizer steps of one training; any number of calls are as good as one."""
        ...


class Task(ABC):
    """A task; one object, which keeps nothing.

    Attributes
    ----------
    compares : tuple of {"masks", "objects", "classes", "instances"}
        What it predicts, and so which metrics may score it.
    has_encoder : bool
        Whether its models have a submodule ``encoder`` that Dist-FID can look with, see
        :func:`flower_dgan.comparison.feature_networks.open_encoder`.
    whole_images : bool
        Whether it predicts whole images; otherwise windows that tile them.
    calibrates : bool
        Whether something of its models is chosen by validation pairs, see :meth:`calibrate`.
    """

    compares: ClassVar[tuple[Compared, ...]]
    has_encoder: ClassVar[bool] = False
    whole_images: ClassVar[bool] = False
    calibrates: ClassVar[bool] = False

    @abstractmethod
    def check(self, config: TrainingConfig) -> None:
        """Raise ConfigError where the settings promise no data for the task; imports nothing that takes long."""

    @abstractmethod
    def check_model(self, config: DownstreamConfig, image_size: int) -> None:
        """Raise ConfigError if no model can be trained with these settings; before any work."""

    @abstractmethod
    def build(self, config: DownstreamConfig, *, channels: int, classes: int) -> "nn.Module":
        """Return an untrained model, in evaluation mode, for weights that come from elsewhere; nothing is downloaded.

        Parameters
        ----------
        config : DownstreamConfig
            Which model.
        channels, classes : int
            Of the images, and of what it tells apart.

        Raises
        ------
        ConfigError
            The settings make no model.
        """

    @abstractmethod
    def fit(
        self, pairs: "Pairs", config: DownstreamConfig, *, image_size: int, augmentation: AugmentationName, seed: int
    ) -> Fit:
        """Begin the training of a model; the same arguments and runs give the same model on the same machine.

        Parameters
        ----------
        pairs : Pairs
            What to learn from, real or synthetic.
        config : DownstreamConfig
            Model, steps, batch size and learning rate.
        image_size : int
            Height and width in pixels of what the model sees.
        augmentation : {"none", "flips", "rotations", "colour", "all"}
            How views are drawn.
        seed : int
            Fixes the initial weights and all draws.

        Raises
        ------
        ConfigError, DataError
            The settings make no model, or there is nothing to learn from.
        """

    @abstractmethod
    def predict(
        self, model: "nn.Module", pairs: "Pairs", image_size: int, kinds: frozenset[Compared]
    ) -> Iterator[Compare]:
        """Predict real pairs batch by batch.

        Parameters
        ----------
        model : nn.Module
            A trained one, in evaluation mode.
        pairs : Pairs
            The real pairs.
        image_size : int
            Height and width in pixels of a window; windows tile every image from its top left, where ``whole_images``
            is not set.
        kinds : frozenset of {"masks", "objects", "classes", "instances"}
            What is wanted, some of ``compares``.

        Yields
        ------
        Compare
            All of ``kinds``, for the next images, or for the next windows in the order of
            :func:`~flower_dgan.data.augmentation.grid_views`, by which scores of patients know whose they are.

        Raises
        ------
        DataError
            At the end: there was nothing to predict.
        """

    @abstractmethod
    def check_truth(self, pairs: "Pairs", kinds: frozenset[Compared]) -> None:
        """Raise ConfigError or DataError if real pairs do not say what predictions are to be compared with."""

    def with_truth(
        self, pairs: "Pairs", data: DataConfig, entries: "Sequence[Entry]", kinds: frozenset[Compared]
    ) -> "Pairs":
        """Return the test pairs of ``entries`` with all that the data know of what is to be compared."""
        return pairs

    def calibrate(self, model: "nn.Module", pairs: "Pairs") -> str:
        """Set what of a trained model is chosen by validation pairs; return a sentence on it, empty where nothing is.

        Only where ``calibrates`` is set there is anything, and the pairs are as :meth:`with_truth` returns them.
        """
        return ""

    def look_at(self, model: "nn.Module", image: "Pixels", image_size: int) -> "Pixels | ObjectMasks":
        """Return what a model finds in all of one image, where that can be drawn.

        Parameters
        ----------
        model : nn.Module
            A trained one, in evaluation mode.
        image : uint8 array (height, width, channels)
            The image.
        image_size : int
            Height and width in pixels of a window.

        Returns
        -------
        uint8 array (height, width) or ObjectMasks
            The class of each pixel, or the objects.

        Raises
        ------
        ConfigError
            What the task finds is no place in an image.
        DataError
            The image is too small.
        """
        raise ConfigError("The model is of a task that finds nothing that could be drawn: give one of another task.")

    def remark_found(self, model: "nn.Module", found: "Sequence[ObjectMasks]") -> str:
        """Return a sentence on the objects that a model found, those that count; empty where there is none to say."""
        return ""

    def remark(self, pairs: "Pairs", kinds: frozenset[Compared]) -> str:
        """Return a sentence on what the truth in these pairs is, for below the table; empty where it is plain."""
        return ""
