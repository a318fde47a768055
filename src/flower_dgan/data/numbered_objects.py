"""Masks that number objects instead of naming classes, which they look like to a program."""

import numpy as np
from scipy import ndimage  # type: ignore[import-untyped]

from flower_dgan.data.folder_scan import FolderScan
from flower_dgan.data.image_files import read_mask

_CONNECTED = np.ones((3, 3), bool)  # diagonal neighbours belong together
# Fewer ids of one piece each may well be classes.
_FEWEST = 4
# An edge of a tile may cut an object into two.
_ALMOST_ALL = 0.9
_MOST_MASKS = 50


def numbered_objects(scan: FolderScan) -> str | None:
    """Say which masks look as if they number objects, and what to do; None if none does.

    They hold four ids or more beside 0, and nine of ten ids are a single connected piece of their mask: the pieces of a
    class, such as buildings, are many. Organs may be single pieces, too; whoever knows that ids are classes sets
    ``data.classes``.

    Parameters
    ----------
    scan : FolderScan
        Of a folder. Of the masks with four ids or more the first 50 are read.
    """
    many = [pair.mask for pair in scan.pairs.values() if pair.mask and len(set(pair.values) - {0}) >= _FEWEST]
    ids = single = 0
    for mask in map(read_mask, many[:_MOST_MASKS]):
        for number, window in enumerate(ndimage.find_objects(mask.astype(np.int32)), start=1):
            if window is not None:
                ids += 1
                single += ndimage.label(mask[window] == number, _CONNECTED)[1] == 1
    if not ids or single < _ALMOST_ALL * ids:
        return None
    others = f" and {len(many) - 1:,} more" if len(many) > 1 else ""
    return (
        f"{many[0]}{others} look as if their values number objects, as almost each is one connected piece. If they "
        f"do: flower-dgan data prepare folder --instances. If they are classes: set data.classes={scan.classes}."
    )
