"""Pairs with the objects that their folder keeps, each whole."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flower_dgan.config import DataConfig
from flower_dgan.data.instances import mask_classes, with_instances
from flower_dgan.data.object_files import KeptObjects, whole_objects
from flower_dgan.data.object_masks import of_numbers
from flower_dgan.data.pairs import Entry, Pairs


def with_objects(pairs: Pairs, config: DataConfig, entries: Sequence[Entry]) -> Pairs:
    """Return pairs with the objects that their folder keeps, in whichever way.

    Parameters
    ----------
    pairs : Pairs
        The pairs of ``entries``.
    config : DataConfig
        ``source``, ``root`` and ``masks`` are used.
    entries : sequence of Entry
        In the same order.

    Returns
    -------
    Pairs
        As given where the source is no folder, or keeps no objects.

    Raises
    ------
    DataError
        They are kept in two ways, or those of a pair are missing, unreadable, of another size than its mask, or do
        not fit that.
    """
    if config.source != "folder" or config.root is None:
        return pairs
    root = Path(config.root).expanduser()
    if not whole_objects(root):
        numbered = with_instances(pairs, config, entries).instances
        return pairs if numbered is None else replace(pairs, objects=tuple(map(of_numbers, numbered)))
    found = KeptObjects(root).fitting([entry.name for entry in entries], pairs.label_maps, mask_classes(pairs, config))
    return replace(pairs, objects=tuple(found))
