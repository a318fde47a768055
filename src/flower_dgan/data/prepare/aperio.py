"""Annotations of Aperio ImageScope: layers of regions, some of which are holes, in XML."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from flower_dgan.data.splits import some
from flower_dgan.errors import DataError
from flower_dgan.whole_file import require_file

_MOST = np.iinfo(np.uint16).max
# The attribute Type of a region. Of a rectangle and an ellipse the vertices are corners of what encloses it; an arrow
# and a ruler enclose nothing. Others, and those without it, are polygons.
_RECTANGLE, _ELLIPSE = "1", "2"
_NO_AREA = ("3", "4")


@dataclass(frozen=True, eq=False)
class _Region:
    """An outline, as (x, y) in pixels, and what it means."""

    vertices: NDArray[np.float64]
    kind: str
    hole: bool


@dataclass(frozen=True)
class _Layer:
    """Regions that were drawn into one layer."""

    number: str
    name: str
    regions: tuple[_Region, ...]

    def __str__(self) -> str:
        name = f" '{self.name}'" if self.name else ""
        return f"{self.number}{name} ({len(self.regions):,} regions)"


def require_one_layer(annotations: Iterable[Path], chosen: Sequence[str]) -> None:
    """Raise DataError if a file has regions in several layers and none is chosen; damaged files are left to reading."""
    for path in annotations:
        try:
            layers = _read_layers(path)
        except DataError:
            continue
        _choose(path, layers, chosen)


def draw_regions(annotation: Path, height: int, width: int, chosen: Sequence[str] = ()) -> NDArray[np.uint16]:
    """Draw the regions of an Aperio ImageScope file.

    Parameters
    ----------
    annotation : Path
        XML with ``Annotation`` elements, which are layers, of ``Region`` elements, each with ``Vertex`` elements of
        attributes X (right) and Y (down) in pixels.
    height, width : int
        Of the image.
    chosen : sequence of str
        Names or numbers of the layers to draw; empty where one layer alone has regions.

    Returns
    -------
    uint16 array (height, width)
        1, 2, ... in the order of the file where the pixel's centre is in a region, 0 elsewhere. Where regions overlap
        the later one is seen. A region of ``NegativeROA="1"`` has no number: it is a hole in all others of its
        layer but those that lie within it.

    Raises
    ------
    DataError
        If the file is no such XML, has no region, or several layers of which none is chosen.
    """
    layers = _choose(annotation, _read_layers(annotation), chosen)
    objects = sum(not region.hole for layer in layers for region in layer.regions)
    if not 0 < objects <= _MOST:
        raise DataError(f"{annotation} has {objects:,} regions, not 1 to {_MOST:,}: get the file again.")
    drawn = np.zeros((height, width), np.uint16)
    number = 0
    for layer in layers:
        holes = [_cover(region, height, width) for region in layer.regions if region.hole]
        for region in layer.regions:
            if region.hole:
                continue
            number += 1
            window, inside = _cover(region, height, width)
            for hole in holes:
                _cut_hole(inside, window, *hole)
            drawn[window][inside] = number
    return drawn


def _read_layers(annotation: Path) -> list[_Layer]:
    """Return the layers that have regions; raises DataError if there is none."""
    layers = []
    try:
        for place, element in enumerate(ElementTree.parse(require_file(annotation)).iter("Annotation"), start=1):
            regions = tuple(_read_region(region) for region in element.iter("Region"))
            if regions:
                layers.append(_Layer(element.get("Id", str(place)), element.get("Name", ""), regions))
    except (ElementTree.ParseError, KeyError, ValueError, LookupError, OSError) as error:
        raise DataError(f"{annotation} is no annotation of Aperio ImageScope: {error!r}.") from error
    if not layers:
        raise DataError(f"{annotation} has no region: get the file again.")
    return layers


def _read_region(element: ElementTree.Element) -> _Region:
    """Return a region; raises KeyError or ValueError if it is none."""
    vertices = np.array(
        [(float(vertex.attrib["X"]), float(vertex.attrib["Y"])) for vertex in element.iter("Vertex")]
    ).reshape(-1, 2)
    if not np.isfinite(vertices).all():
        raise ValueError("a vertex that is not finite")
    return _Region(vertices, element.get("Type", "0"), element.get("NegativeROA", "0") == "1")


def _choose(annotation: Path, layers: Sequence[_Layer], chosen: Sequence[str]) -> list[_Layer]:
    if not chosen and len(layers) == 1:
        return list(layers)
    listed = some(map(str, layers))
    if not chosen:
        raise DataError(
            f"{annotation} has regions in {len(layers)} layers, {listed}: name the one that holds the objects, or each "
            f"that does, such as with --layer '{layers[0].name or layers[0].number}'."
        )
    found = [layer for layer in layers if layer.number in chosen or (layer.name and layer.name in chosen)]
    if not found:
        raise DataError(f"{annotation} has none of --layer {some(chosen)}, but {listed}.")
    return found


def _cover(region: _Region, height: int, width: int) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """Return a window of an image, and which of its pixels have their centres in a region."""
    vertices = region.vertices
    boxed = region.kind in (_RECTANGLE, _ELLIPSE) and 2 <= len(vertices) <= 4
    if region.kind in _NO_AREA or len(vertices) < (2 if boxed else 3):  # a point or a line covers no pixel
        return (slice(0, 0), slice(0, 0)), np.zeros((0, 0), bool)
    lowest, highest = vertices.min(0), vertices.max(0)
    left, top = np.clip(np.floor(lowest), 0, (width, height)).astype(int).tolist()
    right, bottom = np.clip(np.ceil(highest), 0, (width, height)).astype(int).tolist()
    window, shape = (slice(top, bottom), slice(left, right)), (bottom - top, right - left)
    if boxed:
        x, y = np.arange(left, right)[None] + 0.5, np.arange(top, bottom)[:, None] + 0.5
        if region.kind == _RECTANGLE:
            return window, (lowest[0] < x) & (x < highest[0]) & (lowest[1] < y) & (y < highest[1])
        centre, radii = (lowest + highest) / 2, np.maximum((highest - lowest) / 2, 1e-9)
        return window, ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 <= 1
    # there a pixel is a point, at its row and column
    inside: NDArray[np.bool_] = polygon2mask(shape, vertices[:, ::-1] - 0.5 - (top, left))  # type: ignore[no-untyped-call]
    return window, inside


def _cut_hole(
    inside: NDArray[np.bool_], window: tuple[slice, slice], its_window: tuple[slice, slice], hole: NDArray[np.bool_]
) -> None:
    """Take a hole out of the pixels of a region, unless that is an island in the hole."""
    starts = [max(mine.start, its.start) for mine, its in zip(window, its_window, strict=True)]
    stops = [min(mine.stop, its.stop) for mine, its in zip(window, its_window, strict=True)]
    if any(start >= stop for start, stop in zip(starts, stops, strict=True)):
        return
    mine, its = (
        tuple(slice(a - part.start, b - part.start) for a, b, part in zip(starts, stops, parts, strict=True))
        for parts in (window, its_window)
    )
    shared = inside[mine] & hole[its]
    if not shared.sum() == inside.sum() < hole.sum():
        inside[mine] &= ~hole[its]
