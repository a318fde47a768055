"""Pairs of image and label map: sources, partitions among clients, augmentation and lossless packing."""

from flower_dgan.data.augmentation import (
    apply_to_images,
    apply_to_label_maps,
    draw_views,
    grid_views,
    to_one_hot,
)
from flower_dgan.data.digits import DigitsSource
from flower_dgan.data.folder_source import FolderSource
from flower_dgan.data.label_map_folder import LabelMaps, read_foreign_label_maps, read_label_maps, write_label_maps
from flower_dgan.data.label_maps import PackedLabelMaps, check_label_map_sizes, content_hash, pack, unpack
from flower_dgan.data.mnist import MnistSource
from flower_dgan.data.pairs import Entry, Pairs, Pixels, Source
from flower_dgan.data.partition import named_clients, partition, require_batch
from flower_dgan.data.source import open_source
from flower_dgan.data.views import Views, sizes_of

__all__ = [
    "DigitsSource",
    "Entry",
    "FolderSource",
    "LabelMaps",
    "MnistSource",
    "PackedLabelMaps",
    "Pairs",
    "Pixels",
    "Source",
    "Views",
    "apply_to_images",
    "apply_to_label_maps",
    "check_label_map_sizes",
    "content_hash",
    "draw_views",
    "grid_views",
    "named_clients",
    "open_source",
    "pack",
    "partition",
    "read_foreign_label_maps",
    "read_label_maps",
    "require_batch",
    "sizes_of",
    "to_one_hot",
    "unpack",
    "write_label_maps",
]
