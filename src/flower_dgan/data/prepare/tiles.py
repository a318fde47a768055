"""Square tiles of pairs."""

from collections.abc import Iterator
from itertools import pairwise

from flower_dgan.data.prepare.original import OriginalPair


def cut(pair: OriginalPair, tile: int | None, stride: int | None) -> Iterator[tuple[str, OriginalPair]]:
    """Cut a pair into square tiles from its top left, the last of a row or column flush with the edge.

    Parameters
    ----------
    pair : OriginalPair
        At least as large as a tile.
    tile, stride : int or None
        Side of a tile and way to the next, in pixels; None for the whole image, and for tiles side by side.

    Yields
    ------
    name : str
        ``<top>-<left>`` in pixels; empty for a whole image.
    pair : OriginalPair
        The tile.
    """
    if tile is None:
        yield "", pair
        return
    for place, _ in places(pair, tile, stride):
        yield tile_of(pair, place, tile)


def tile_of(pair: OriginalPair, place: tuple[int, int], side: int) -> tuple[str, OriginalPair]:
    """Return name and pixels of the tile of this side whose first row and column are given."""
    top, left = place
    window = slice(top, top + side), slice(left, left + side)
    mask = None if pair.mask is None else pair.mask[window]
    instances = None if pair.instances is None else pair.instances[window]
    return f"{top}-{left}", OriginalPair(pair.image[window], mask, instances)


def places(pair: OriginalPair, tile: int, stride: int | None) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the first row and column of each tile, and how many of its own the tiles before have too."""
    tops, lefts = (_starts(side, tile, stride or tile) for side in pair.image.shape[:2])
    for above, top in pairwise([-tile, *tops]):
        for before, left in pairwise([-tile, *lefts]):
            yield (top, left), (max(above + tile - top, 0), max(before + tile - left, 0))


def _starts(side: int, tile: int, stride: int) -> list[int]:
    starts = list(range(0, side - tile + 1, stride))
    return starts if starts[-1] == side - tile else [*starts, side - tile]
