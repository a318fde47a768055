"""Settings of the data and of how simulated clients share them."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from flower_dgan.config.import_path import ImportPath
from flower_dgan.config.ranges import Because, Count, Fraction, NonNegative, ProperFraction, Side, SizeOrNone, Text

SourceName = Literal["digits", "folder", "mnist", "fashion-mnist"]
PartitionName = Literal["site", "label", "iid", "shards", "dirichlet", "pathological", "size", "foreground", "csv"]
AugmentationName = Literal["none", "flips", "rotations", "colour", "all"]
ConditionName = Literal["label-map", "class", "none"]
TargetName = Literal["images", "label-maps"]
MasksName = Literal["classes", "binary", "objects"]

DRAWN_LABEL_MAPS = "drawn"
"""Of :attr:`DataConfig.label_maps`."""
MOST_CHANNELS = 255
PICTURED = (1, 3)
"""Numbers of channels of grey and RGB images, which PNG holds and a picture shows as they are."""
COLOURED: frozenset[AugmentationName] = frozenset({"colour", "all"})
"""The augmentations whose views say what happens to the colours."""
# Class ids end here: a mask with higher values is a photograph, instance ids, or smoothed by JPEG or a resize.
MOST_CLASSES = 64
COLOUR = re.compile("#?([0-9a-fA-F]{6})")
"""How the colour of a class is written; its group are red, green and blue in hexadecimal digits."""

_Channel = Annotated[int, Interval(ge=0, le=MOST_CHANNELS - 1)]


@dataclass(frozen=True)
class DataConfig:
    """Where the pairs of image and label map come from.

    Attributes
    ----------
    source : {"digits", "folder", "mnist", "fashion-mnist"} or import path
        The embedded handwritten digits, a folder with ``images/`` and ``masks/``, or one with the files of MNIST or
        Fashion-MNIST.
    root : str or None
        The folder; None for embedded data.
    image_size : int
        Height and width in pixels of what the networks see.
    channels : int
        Channels of the images, 1 to 255: 1 is grey, 3 is RGB.
    missing_channels : tuple of (str, tuple of int)
        In simulation, names of clients and the channels, from 0, that each lacks. A deployed node says in its node
        configuration which channels its files hold.
    name_pattern : str or None
        What file stems say: a template such as ``{split}_{site}_{patient}_{*}``, or a regular expression with any of
        the groups ``split``, ``site`` and ``group``.
    table : str or None
        CSV file with the columns ``name`` and any of ``split``, ``site``, ``group``; instead of ``name_pattern``.
    train_splits, test_splits : tuple of str
        Which values of ``split`` are for training and for the held-out test.
    test_fraction : float
        Share of the groups (patients, scenes) held out where no split is given, in (0, 1).
    sites : tuple of str
        The sites that take part in training; empty for all.
    augmentation : {"none", "flips", "rotations", "colour", "all"}
        What views do besides choosing a window, see ``flower_dgan.data.augmentation``. Colours are changed for the
        model of the task alone, whose images are all real or all synthetic: a discriminator that was shown changed
        colours on real images only would teach them to the generator, so the GAN's views are those of :attr:`geometry`.
    condition : {"label-map", "class", "none"}
        What the generator draws on: the source's own label maps; the class of the whole image, as a label map that is
        constant; or nothing, as a label map of zeros.
    target : {"images", "label-maps"}
        What the generator learns to draw: images, or label maps of two classes as grey images of 0 and 255.
    label_maps : str
        ``clients``: the generator draws from the clients' label maps, which they send to the server; else a folder of
        label maps at the server, which it draws from instead, and no client sends any. ``drawn``: the server makes
        them, from what clients say with noise or of all classes alike, for algorithms that want it, and clients do not
        even say how many images they have.
    classes : int or None
        Number of classes, background included: of all label maps, or of the images with ``condition="class"``. A client
        may lack some of them. None for the highest id that the source holds + 1, which clients with data of their own
        may find different.
    class_names, class_colours : tuple of str
        What the classes are called and shown as, ``#rrggbb``, one each; empty for their numbers and grey levels.
    masks : {"classes", "binary", "objects"} or None
        What the values of mask files say: ids of classes; background and foreground, 0 and 255 or 0 and 1; or the
        number of the object that a pixel belongs to, 0 for none, all of which are one class. None to find out, which
        fails where the files can be read as classes and as objects.
    foreground_windows : float
        Share of the windows, synthetic and real, that are placed on a random pixel of the foreground in a training, in
        [0, 1]; see ``flower_dgan.data.foreground``. The others lie anywhere, and so do those of the published set.
    """

    source: SourceName | ImportPath
    root: Text | None
    image_size: Side
    channels: Annotated[int, Interval(ge=1, le=MOST_CHANNELS)]
    missing_channels: tuple[tuple[Text, tuple[_Channel, ...]], ...]
    name_pattern: Text | None
    table: Text | None
    train_splits: tuple[str, ...]
    test_splits: tuple[str, ...]
    test_fraction: Annotated[ProperFraction, Because("a share of the groups of images, such as 0.2")]
    sites: tuple[Text, ...]
    augmentation: AugmentationName
    condition: ConditionName
    target: TargetName
    label_maps: Text
    classes: Annotated[int, Interval(ge=2, le=256), Because("the background and another, or more")] | None
    class_names: tuple[str, ...]
    class_colours: tuple[str, ...]
    masks: MasksName | None = None
    foreground_windows: Fraction = 0.0

    def class_label(self, index: int) -> str:
        """Return what a class is called where people read it: ``2 (road)``, or ``2`` where it has no name."""
        return f"{index} ({self.class_names[index]})" if index < len(self.class_names) else str(index)

    @property
    def placed_windows(self) -> float:
        """The share of windows that are placed on the foreground: none where there are no masks."""
        return self.foreground_windows if self.condition == "label-map" else 0.0

    @property
    def geometry(self) -> AugmentationName:
        """The augmentation without what it does to colours."""
        without: dict[AugmentationName, AugmentationName] = {"colour": "none", "all": "rotations"}
        return without.get(self.augmentation, self.augmentation)

    @property
    def foreign_label_maps(self) -> bool:
        """Whether synthetic images are made from the label maps of a folder, and not from the clients'."""
        return self.label_maps not in ("clients", DRAWN_LABEL_MAPS)

    @property
    def from_own_label_maps(self) -> bool:
        """Whether a client's synthetic images are made from its own label maps, of which it need only be told which."""
        return self.label_maps == "clients"

    @property
    def label_maps_leave(self) -> bool:
        """Whether the clients send theirs to the server, or the classes of their images."""
        return self.condition != "none" and self.label_maps == "clients"

    @property
    def counts_leave(self) -> bool:
        """Whether the clients say how many images they have, and of what sizes."""
        return self.label_maps != DRAWN_LABEL_MAPS


@dataclass(frozen=True)
class PartitionConfig:
    """How simulated clients share the training pairs.

    Each setting but the name belongs to one partition, and is empty, 0 or None with all others.

    Attributes
    ----------
    name : str
        See ``flower_dgan.data.partition``.
    label_groups : tuple of tuple of int
        For ``label``: the labels of each client.
    shards_per_client : int
        For ``shards``: runs of pairs in the order of their labels that a client gets.
    alpha : float
        For ``dirichlet``: concentration; each label's pairs go to one client as it nears 0, to all alike as it grows.
    min_pairs : int
        For ``dirichlet``: drawn anew until each client has as many.
    classes_per_client : int
        For ``pathological``: different labels that a client gets.
    exponent : float
        For ``size``: client k = 0, 1, ... has a share of the pairs proportional to ``(k + 1) ** -exponent``.
    file : str or None
        For ``csv``: a CSV file with the columns ``name`` and ``client`` and a row for each training pair.
    """

    name: PartitionName
    label_groups: tuple[tuple[Count, ...], ...]
    shards_per_client: Annotated[Count, Because("at least 1 for partition=shards, 0 for the others")]
    alpha: Annotated[NonNegative, Because("positive for partition=dirichlet, 0 for the others")]
    min_pairs: Annotated[Count, Because("at least 1 for partition=dirichlet, 0 for the others")]
    classes_per_client: Annotated[SizeOrNone, Because("at least 1 for partition=pathological, 0 for the others")]
    exponent: Annotated[NonNegative, Because("positive for partition=size, 0 for the others")]
    file: Text | None
