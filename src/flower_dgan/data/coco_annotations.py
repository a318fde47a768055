"""Files of objects as COCO has them: https://cocodataset.org/#format-data, read with distrust and written whole.

Of an object's ``segmentation`` there are three kinds: polygons, run lengths, and run lengths as text. Centre lines are
written as ``keypoints``, in order from one end to the other.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from flower_dgan.data.centre_lines import POINTS, lines_of
from flower_dgan.data.object_masks import Bits, ObjectMasks, Region, region_of
from flower_dgan.data.pairs import LARGEST_SIDE
from flower_dgan.data.plain_values import read_json
from flower_dgan.data.run_lengths import from_text, lengths_of, mask_of, to_text
from flower_dgan.data.text_files import same_name
from flower_dgan.errors import DataError
from flower_dgan.whole_file import whole_file

_VISIBLE = 2  # of a keypoint
_CATEGORY = 1


@dataclass(frozen=True)
class CocoImage:
    """An image of a file, before its masks are read.

    Attributes
    ----------
    file_name : str
        As the file has it; what is before the last slash does not count.
    height, width : int
        In pixels.
    """

    file_name: str
    height: int
    width: int

    @property
    def stem(self) -> str:
        """The name by which images, masks and objects of a pair agree."""
        return same_name(PurePosixPath(self.file_name.replace("\\", "/")).stem)


class CocoFile:
    """An annotation file; what it lists is read at once, the masks of an image when asked.

    Parameters
    ----------
    path : Path
        The JSON file.

    Attributes
    ----------
    images : mapping of str to CocoImage
        By their stems, in the order of the file.

    Raises
    ------
    DataError
        If it cannot be read, or is no such file; names what is wrong with which image or annotation.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        found = self._read()
        self.images: dict[str, CocoImage] = {}
        by_id: dict[Any, str] = {}
        for entry in found["images"]:
            image = self._image(entry)
            if image.stem in self.images:
                raise self._wrong(f"lists two images called {image.stem}: rename one of them")
            if entry["id"] in by_id:
                raise self._wrong(f"gives the id {entry['id']} to two images: number them anew")
            self.images[image.stem], by_id[entry["id"]] = image, image.stem
        self._annotations: dict[str, list[dict[str, Any]]] = {stem: [] for stem in self.images}
        for entry in found["annotations"]:
            if not isinstance(entry, dict) or not _is_id(entry.get("image_id")) or entry["image_id"] not in by_id:
                raise self._wrong(f"has an annotation of an image that it does not list: {_shown(entry)}")
            self._annotations[by_id[entry["image_id"]]].append(entry)

    def objects(self, stem: str) -> ObjectMasks:
        """Return the objects of an image, in the order of the file; raises DataError if a mask cannot be used."""
        image = self.images[stem]
        regions: list[Region] = []
        crowds: list[bool] = []
        for entry in self._annotations[stem]:
            try:
                regions.append(region_of(_mask(entry.get("segmentation"), image.height, image.width)))
            except ValueError as error:
                raise self._wrong(
                    f"has annotation {entry.get('id')} of {image.file_name}, which is no mask: {error}"
                ) from error
            if (crowd := entry.get("iscrowd", 0)) not in (0, 1):
                raise self._wrong(
                    f"has annotation {entry.get('id')} of {image.file_name} with iscrowd {_shown(crowd)}: write 0 or 1"
                )
            crowds.append(bool(crowd))
        return ObjectMasks(image.height, image.width, tuple(regions), tuple(crowds) if any(crowds) else ())

    def _read(self) -> dict[str, list[Any]]:
        try:
            found = read_json(self._path)
        except (OSError, ValueError) as error:
            raise DataError(f"{self._path} cannot be read as JSON: {error}. Replace it.") from error
        if not isinstance(found, dict) or not all(
            isinstance(found.get(key), list) for key in ("images", "annotations")
        ):
            raise self._wrong("has no lists 'images' and 'annotations': give an annotation file of COCO")
        return found

    def _image(self, entry: Any) -> CocoImage:
        if not isinstance(entry, dict) or not _is_id(entry.get("id")) or not isinstance(entry.get("file_name"), str):
            raise self._wrong(f"has an image without id or file_name: {_shown(entry)}")
        sides = (entry.get("height"), entry.get("width"))
        if not all(type(side) is int and 0 < side <= LARGEST_SIDE for side in sides):
            raise self._wrong(
                f"says that {entry['file_name']} has height and width {sides}: give both in pixels, {LARGEST_SIDE:,} "
                "at most"
            )
        return CocoImage(entry["file_name"], *sides)  # type: ignore[arg-type]

    def _wrong(self, what: str) -> DataError:
        return DataError(f"{self._path} {what}.")


def write_coco(path: Path, images: Mapping[str, ObjectMasks], category: str = "object") -> None:
    """Write an annotation file that COCO's API and this module read.

    Parameters
    ----------
    path : Path
        The file.
    images : mapping of str to ObjectMasks
        By file name.
    category : str
        What the objects are called.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    points = [f"point {number}" for number in range(1, POINTS + 1)]
    along = [[number, number + 1] for number in range(1, POINTS)]
    numbered = dict(enumerate(images.items(), start=1))
    annotations = [entry for number, (_, objects) in numbered.items() for entry in _annotations(number, objects)]
    content = {
        "categories": [{"id": _CATEGORY, "name": category, "keypoints": points, "skeleton": along}],
        "images": [
            {"id": number, "file_name": name, "height": objects.height, "width": objects.width}
            for number, (name, objects) in numbered.items()
        ],
        "annotations": [{"id": number, **entry} for number, entry in enumerate(annotations, start=1)],
    }
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def write_results(path: Path, images: Iterable[ObjectMasks]) -> None:
    """Write predicted objects as ``loadRes`` of COCO's API takes them, for images that are numbered from 1."""
    found = [
        {name: entry[name] for name in ("image_id", "category_id", "segmentation", "bbox", "score")}
        for number, objects in enumerate(images, start=1)
        for entry in _annotations(number, objects)
    ]
    with whole_file(path) as partial:
        partial.write_text(json.dumps(found), encoding="utf-8")


def to_segmentation(region: Region, height: int, width: int) -> dict[str, Any]:
    """Return the run lengths of a mask as text, with the size of its image."""
    mask = np.zeros((height, width), dtype=bool)
    mask[region.window] = region.pixels
    return {"size": [height, width], "counts": to_text(lengths_of(mask))}


def _annotations(number: int, objects: ObjectMasks) -> Iterable[dict[str, Any]]:
    each = zip(objects.regions, objects.in_crowds.tolist(), lines_of(objects), strict=True)
    for index, (region, crowd, line) in enumerate(each):
        rows, columns = region.pixels.shape
        entry = {
            "image_id": number,
            "category_id": _CATEGORY,
            "segmentation": to_segmentation(region, objects.height, objects.width),
            "area": region.area,
            "bbox": [region.left, region.top, columns, rows],
            "iscrowd": int(crowd),
            "keypoints": [value for row, column in line.round(2).tolist() for value in (column, row, _VISIBLE)],
            "num_keypoints": POINTS,
        }
        yield {**entry, "score": objects.scores[index]} if objects.scores else entry


def _mask(segmentation: Any, height: int, width: int) -> Bits:
    """Return the mask (height, width) of a ``segmentation``; raises ValueError if it is none."""
    if isinstance(segmentation, list):
        return _filled(segmentation, height, width)
    if not isinstance(segmentation, dict):
        raise ValueError("its segmentation is neither polygons nor run lengths")
    if segmentation.get("size") != [height, width]:
        raise ValueError(f"its run lengths are for height and width {_shown(segmentation.get('size'))}")
    counts = segmentation.get("counts")
    if not isinstance(counts, list | str):
        raise ValueError("its counts are neither a list nor text")
    return mask_of(from_text(counts) if isinstance(counts, str) else counts, height, width)


def _filled(polygons: list[Any], height: int, width: int) -> Bits:
    """Return the pixels of polygons, x and y by turns, as COCO's API fills them."""
    for polygon in polygons or [None]:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise ValueError("a polygon is x and y of three points or more")
        if not all(type(each) in (int, float) and abs(each) <= 2 * max(height, width) for each in polygon):
            raise ValueError("a point of a polygon is no number, or far outside of the image")
    from flower_dgan.data.prepare.requirements import require  # whose package reads such files, too

    api = require("faster_coco_eval.core.mask", "instances", "Filling the polygons of a COCO file")
    parts = api.frPyObjects([[float(each) for each in polygon] for polygon in polygons], height, width)
    mask: Bits = np.asarray(api.decode(api.merge(parts))) > 0
    return mask


def _is_id(value: Any) -> bool:
    return type(value) in (int, str)


def _shown(value: Any) -> str:
    return repr(value)[:80]
