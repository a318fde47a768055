"""From maps to objects: lines are cut where objects cross, joined straight on, and pixels go to the lines beside them.

A centre line is thinned to one pixel and cut at crossings and wherever three ways meet. Its pieces are joined end to
end, those first that lie straight on and near. An object is the foreground nearest to its line, and all of it beside
the line where several lie.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]
from skimage.morphology import skeletonize

from flower_dgan.data import class_maps
from flower_dgan.data.centre_lines import draw, evenly, is_closed, length, longest_way, to_tips
from flower_dgan.data.object_masks import Bits, Line, ObjectMasks, Region, region_of
from flower_dgan.data.pairs import Pixels
from flower_dgan.tasks.instances.scale import LEAST_LONG, Scale
from flower_dgan.tasks.instances.splitting import is_round, measure_round, split, split_class_map

Map = NDArray[np.float32]

logger = logging.getLogger(__name__)

_EIGHT = np.ones((3, 3), int)
_LINE = 0.65  # probability; lines in training weigh more than what is beside them, so that half is too little
_SHORTEST, _LONGEST = 0.38, 1.3  # of the median length of an object
_SPREAD = 0.43  # of it, by which other lengths are less likely
_FARTHEST_JOIN = 11.0  # half widths from an end to the next
_SHARPEST_JOIN = 1.5  # radians, of the turns at both ends
_REACH = 3.0  # half widths, by which it is known where an end leads
_BRIDGED = 0.7  # of the way between two ends that is foreground
_WIDEST, _SURE = 2.4, 0.9  # half widths from its line, of a pixel that is nearest to it, and of any
_FEWEST = 3  # pixels of a piece of a line


@dataclass(frozen=True)
class _Join:
    """Two ends that may be joined: of which pieces, which end (0 or -1) of each, and how unlikely that is."""

    cost: float
    ends: tuple[tuple[int, int], tuple[int, int]]


def trace(foreground: Map, crossing: Map, line: Map | None, scale: Scale, enlarged: int = 1) -> ObjectMasks:
    """Make objects of the maps of an image; round ones as :func:`~flower_dgan.tasks.instances.splitting.split` does.

    Parameters
    ----------
    foreground, crossing : float arrays (height, width)
        Probabilities that an object, and several of them, lie on a pixel.
    line : float array (height, width) or None
        That of a centre line; None to thin the foreground in its place.
    scale : Scale
        Of the objects.
    enlarged : int
        By how much the masks are larger than the maps: 2 for those of an image whose maps are made at half size.

    Returns
    -------
    ObjectMasks
        With scores, and long ones with lines from tip to tip, in the size of the maps times ``enlarged``.
    """
    if scale.is_round:
        return split(foreground, crossing, line, scale, enlarged)
    solid = foreground > 0.5
    thin: Bits = skeletonize(solid if line is None else line > _LINE)  # type: ignore[no-untyped-call]
    pieces = _cut(thin, crossing > 0.5)
    lines = [each for each in _joined(pieces, solid, scale) if length(each) >= _SHORTEST * scale.length]
    sure = foreground if line is None else line
    scores = [_score(each, sure, scale) for each in lines]
    bodies = _bodies(lines, foreground, scale, enlarged)
    kept = [(index, body) for index, body in enumerate(bodies) if body is not None]
    height, width = (enlarged * side for side in foreground.shape)
    return ObjectMasks(
        height,
        width,
        tuple(body for _, body in kept),
        scores=tuple(scores[index] for index, _ in kept),
        lines=tuple(_whole_line(lines[index], body, enlarged) for index, body in kept),
    )


def traced_truth(label_maps: Sequence[Pixels]) -> list[ObjectMasks]:
    """Trace the objects of class maps, uint8 (height, width), which is as near as they come to the true ones."""
    if is_round(label_maps):
        return [split_class_map(drawn) for drawn in label_maps]
    scale = measure(label_maps)
    if scale is None:
        return [ObjectMasks(drawn.shape[0], drawn.shape[1], ()) for drawn in label_maps]
    found = []
    for drawn in label_maps:
        maps = (drawn != class_maps.GROUND, drawn == class_maps.CROSSING, drawn == class_maps.LINE)
        body, crossing, line = (each.astype(np.float32) for each in maps)
        found.append(replace(trace(body, crossing, line, scale), scores=()))
    return found


def measure(label_maps: Sequence[Pixels]) -> Scale | None:
    """Measure how long and wide the objects of class maps are, uint8 (height, width); None where there is no line.

    Where no line is whole, the parts are measured, which the log says.
    """
    if is_round(label_maps):
        return measure_round([split_class_map(drawn) for drawn in label_maps])
    lengths: list[float] = []
    parts: list[float] = []  # of lines that are cut off, which are shorter than their objects
    half_widths: list[float] = []
    for drawn in label_maps:
        crossing: Bits = drawn == class_maps.CROSSING
        thin: Bits = skeletonize(drawn == class_maps.LINE)  # type: ignore[no-untyped-call]
        inside = ndimage.distance_transform_edt(np.pad(drawn > 0, 1))[1:-1, 1:-1]
        half_widths += inside[thin].tolist()
        for piece in _cut(thin, crossing):
            (parts if _cut_off(piece, crossing) else lengths).append(length(piece))
    measured = sorted(lengths or parts)
    if not measured:
        return None
    if not lengths:
        logger.warning(
            "Every centre line of the class maps ends at a crossing or at the edge of its map, so that objects are "
            "taken for as long as the parts between, and longer ones are cut: add images in which some lie alone."
        )
    longer = measured[len(measured) // 4 :]  # the shortest are specks
    half_width = max(1.0, float(np.median(half_widths)))
    return Scale(max(float(np.median(longer)), LEAST_LONG * half_width), half_width)


def _cut_off(piece: Line, crossing: Bits) -> bool:
    """Return whether a piece ends at a crossing or at the edge of its map, so that it is not all of its object."""
    ends = np.rint(piece[[0, -1]]).astype(int)
    height, width = crossing.shape
    if (ends <= 1).any() or (ends >= (height - 2, width - 2)).any():
        return True
    return any(crossing[max(row - 4, 0) : row + 5, max(column - 4, 0) : column + 5].any() for row, column in ends)


def _cut(thin: Bits, crossing: Bits) -> list[Line]:
    """Cut thin lines at crossings and where three ways meet; return the pieces, each from end to end."""
    ways = ndimage.convolve(thin.astype(int), _EIGHT, mode="constant") - 1
    knots = ndimage.binary_dilation(thin & (ways >= 3), _EIGHT)
    labels, _ = ndimage.label(thin & ~knots & ~crossing, _EIGHT)
    found = []
    for number, window in enumerate(ndimage.find_objects(labels), start=1):
        pixels = np.argwhere(labels[window] == number) + np.array([window[0].start, window[1].start])
        if len(pixels) >= _FEWEST:
            found.append(longest_way(pixels))
    return found


def _joined(pieces: Sequence[Line], solid: Bits, scale: Scale) -> list[Line]:
    """Join pieces end to end, the likeliest first, while what results is not too long for an object."""
    chains: dict[int, list[tuple[int, bool]]] = {index: [(index, False)] for index in range(len(pieces))}
    owner = {index: index for index in chains}
    lengths = {index: length(piece) for index, piece in enumerate(pieces)}
    used: set[tuple[int, int]] = set()
    for join in sorted(_joins(pieces, solid, scale), key=lambda each: each.cost):
        (one, end), (other, start) = join.ends
        first, second = owner[one], owner[other]
        way = float(np.hypot(*(pieces[one][end] - pieces[other][start])))
        together = lengths[first] + lengths[second] + way
        if first == second or used & set(join.ends) or together > _LONGEST * scale.length:
            continue
        used |= set(join.ends)
        before, after = chains.pop(first), chains.pop(second)
        if before[-1] != (one, end == 0):
            before = _turned(before)
        if after[0] != (other, start == -1):
            after = _turned(after)
        chains[first], lengths[first] = before + after, together
        owner.update({index: first for index, _ in after})
    return [
        np.vstack([pieces[index][::-1] if turned else pieces[index] for index, turned in chain])
        for chain in chains.values()
    ]


def _turned(chain: list[tuple[int, bool]]) -> list[tuple[int, bool]]:
    return [(index, not turned) for index, turned in reversed(chain)]


def _joins(pieces: Sequence[Line], solid: Bits, scale: Scale) -> list[_Join]:
    farthest = _FARTHEST_JOIN * scale.half_width
    ends = [(index, end) for index in range(len(pieces)) for end in (0, -1)]
    found = []
    for number, (one, end) in enumerate(ends):
        for other, start in ends[number + 1 :]:
            step = pieces[other][start] - pieces[one][end]
            way = float(np.hypot(*step))
            if one == other or way > farthest:
                continue
            out, back = _heading(pieces[one], end, scale), _heading(pieces[other], start, scale)
            on = step / way if way > scale.half_width else None  # of ends that touch, where they lie says nothing
            turn = _angle(out, -back) if on is None else _angle(out, on) + _angle(back, -on)
            between = pieces[one][end] + np.linspace(0, 1, 8)[:, None] * step
            if turn <= _SHARPEST_JOIN and solid[tuple(np.rint(between).astype(int).T)].mean() >= _BRIDGED:
                found.append(_Join(turn + way / farthest, ((one, end), (other, start))))
    return found


def _heading(piece: Line, end: int, scale: Scale) -> NDArray[np.float64]:
    """Return the unit vector that leads out of an end."""
    inner = min(round(_REACH * scale.half_width), len(piece) - 1)
    out = piece[end] - piece[inner if end == 0 else -1 - inner]
    unit: NDArray[np.float64] = out / max(np.hypot(*out), 1e-9)
    return unit


def _angle(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(np.arccos(np.clip(one @ other, -1, 1)))


def _score(line: Line, sure: Map, scale: Scale) -> float:
    """Return how sure the model is of a line, less for one of unusual length."""
    usual = np.exp(-(((length(line) - scale.length) / (_SPREAD * scale.length)) ** 2) / 2)
    return float(sure[tuple(np.rint(line).astype(int).T)].mean() * (1 + usual) / 2)


def _bodies(lines: Sequence[Line], foreground: Map, scale: Scale, enlarged: int) -> list[Region | None]:
    """Return the mask of each line; None for one without a pixel."""
    large = foreground
    if enlarged > 1:
        large = ndimage.zoom(foreground, enlarged, order=1, grid_mode=True, mode="nearest")
    solid = large > 0.5
    half_width = scale.half_width * enlarged
    nearest = np.full(solid.shape, np.inf)
    windows, distances = [], []
    for line in lines:
        window, distance = _distance(_enlarged(line, enlarged), solid.shape, _WIDEST * half_width)
        nearest[window] = np.minimum(nearest[window], distance)
        windows.append(window)
        distances.append(distance)
    found: list[Region | None] = []
    for window, distance in zip(windows, distances, strict=True):
        mask = np.zeros(solid.shape, dtype=bool)
        own = (distance <= nearest[window]) & (distance <= _WIDEST * half_width)
        mask[window] = solid[window] & (own | (distance <= _SURE * half_width))
        found.append(region_of(mask) if mask.any() else None)
    return found


def _whole_line(line: Line, body: Region, enlarged: int) -> Line:
    """Return a line in the size of the masks, on to the tips of its body."""
    large, corner = _enlarged(line, enlarged), np.array([body.top, body.left])
    return large if is_closed(line) else to_tips(large - corner, body.pixels) + corner


def _distance(line: Line, shape: tuple[int, int], farthest: float) -> tuple[tuple[slice, slice], NDArray[np.float64]]:
    """Return the window around a line, and the distance of each of its pixels from the line."""
    margin = int(np.ceil(farthest)) + 1
    low = np.maximum(np.floor(line.min(0)).astype(int) - margin, 0)
    high = np.minimum(np.ceil(line.max(0)).astype(int) + margin + 1, shape)
    window = (slice(low[0], high[0]), slice(low[1], high[1]))
    drawn = draw(line - low, (high[0] - low[0], high[1] - low[1]))
    return window, ndimage.distance_transform_edt(~drawn)


def _enlarged(line: Line, enlarged: int) -> Line:
    """Return a line in an image that is larger by a whole number; the middle of a pixel is at whole coordinates."""
    return evenly(line, max(2, len(line))) * enlarged + (enlarged - 1) / 2
