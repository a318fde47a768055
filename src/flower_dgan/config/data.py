"""Settings of the data and of how simulated clients share them."""

from dataclasses import dataclass
from typing import Literal

from flower_dgan.config.import_path import ImportPath

SourceName = Literal["digits", "folder", "mnist", "fashion-mnist"]
PartitionName = Literal["site", "label", "iid", "shards", "dirichlet", "pathological", "size", "foreground", "csv"]
AugmentationName = Literal["none", "flips", "rotations", "colour", "all"]
ConditionName = Literal["label-map", "class", "none"]
TargetName = Literal["images", "label-maps"]


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
        Regular expression over file stems with any of the groups ``split``, ``site`` and ``group``.
    table : str or None
        CSV file with the columns ``name`` and any of ``split``, ``site``, ``group``; instead of ``name_pattern``.
    train_splits, test_splits : tuple of str
        Which values of ``split`` are for training and for the held-out test.
    test_fraction : float
        Share of the groups (patients, scenes) held out where no split is given, in (0, 1).
    sites : tuple of str
        The sites that take part in training; empty for all.
    augmentation : {"none", "flips", "rotations", "colour", "all"}
        What views do besides choosing a window, see ``flower_dgan.data.augmentation``.
    condition : {"label-map", "class", "none"}
        What the generator draws on: the source's own label maps; the class of the whole image, as a label map that is
        constant; or nothing, as a label map of zeros.
    target : {"images", "label-maps"}
        What the generator learns to draw: images, or label maps of two classes as grey images of 0 and 255.
    label_maps : str
        ``clients``: the generator draws from the clients' label maps, which they send to the server; else a folder of
        label maps at the server, which it draws from instead, and no client sends any.
    classes : int or None
        Number of classes, background included: of all label maps, or of the images with ``condition="class"``. A client
        may lack some of them. None for the highest id that the source holds + 1, which clients with data of their own
        may find different.
    class_names, class_colours : tuple of str
        What the classes are called and shown as, ``#rrggbb``, one each; empty for their numbers and grey levels.
    """

    source: SourceName | ImportPath
    root: str | None
    image_size: int
    channels: int
    missing_channels: tuple[tuple[str, tuple[int, ...]], ...]
    name_pattern: str | None
    table: str | None
    train_splits: tuple[str, ...]
    test_splits: tuple[str, ...]
    test_fraction: float
    sites: tuple[str, ...]
    augmentation: AugmentationName
    condition: ConditionName
    target: TargetName
    label_maps: str
    classes: int | None
    class_names: tuple[str, ...]
    class_colours: tuple[str, ...]

    def class_label(self, index: int) -> str:
        """Return what a class is called where people read it: ``2 (road)``, or ``2`` where it has no name."""
        return f"{index} ({self.class_names[index]})" if index < len(self.class_names) else str(index)

    @property
    def foreign_label_maps(self) -> bool:
        """Whether synthetic images are made from other label maps than the clients'."""
        return self.label_maps != "clients"

    @property
    def label_maps_leave(self) -> bool:
        """Whether the clients send theirs to the server, or the classes of their images."""
        return self.condition != "none" and not self.foreign_label_maps


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
    label_groups: tuple[tuple[int, ...], ...]
    shards_per_client: int
    alpha: float
    min_pairs: int
    classes_per_client: int
    exponent: float
    file: str | None
