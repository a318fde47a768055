"""Pictures of the test images that a model of the table does worst and best on: the server's own, of no client."""

import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn

from flower_dgan.config import DownstreamConfig
from flower_dgan.data.augmentation import grid_views
from flower_dgan.data.pairs import Pairs, Pixels
from flower_dgan.data.views import sizes_of
from flower_dgan.metrics import Ids, Metric, find_metric
from flower_dgan.run.quality_records import RowPicture, RowPictures
from flower_dgan.tasks import find_task
from flower_dgan.tasks.overlays import beside, show_errors
from flower_dgan.whole_file import whole_file

_EACH = 3  # worst ones, and best ones
_MOST_LOOKED_AT = 96  # windows: of more, some at equal distances, so that the table takes no longer for its pictures
_FOLDER = "samples/test"


def write_row_pictures(
    run: Path, config: DownstreamConfig, row: str, model: nn.Module, test: Pairs, image_size: int
) -> RowPictures | None:
    """Write the windows of test images on which a model does worst and best, each beside what it found there.

    Parameters
    ----------
    run : Path
        The run directory; the files are below ``samples/`` there.
    config : DownstreamConfig
        Its first metric that compares masks says what is worst.
    row : str
        The row of the table that the model is of.
    model : nn.Module
        A trained one; left in evaluation mode.
    test : Pairs
        The real pairs on which all rows are tested: those of whoever runs the server.
    image_size : int
        Height and width in pixels of a window.

    Returns
    -------
    RowPictures or None
        None where no metric compares masks.
    """
    task = find_task(config.task)
    name = next((each for each in config.metrics if find_metric(each, Metric).compares == "masks"), None)
    if name is None or "masks" not in task.compares or task.whole_images:
        return None
    metric, some = find_metric(name, Metric), _some(test, image_size)
    views = grid_views(sizes_of(some.label_maps), image_size)
    scored: list[tuple[float, int, Ids, Ids]] = []
    seen = 0
    for batch in task.predict(model, some, image_size, frozenset({"masks"})):
        for true, found in zip(*batch["masks"], strict=True):
            if true.any():  # in others there is nothing to find
                tally = metric.begin(some.classes)
                tally.add(true[None], found[None])
                scored.append((tally.value(), seen, true, found))
            seen += 1
    scored.sort(key=lambda each: each[:2], reverse=metric.best == "lowest")
    last = min(_EACH, len(scored) // 2)
    chosen = [("worst", scored[:last]), ("best", scored[: -last - 1 : -1])]
    (run / _FOLDER).mkdir(parents=True, exist_ok=True)
    pictures = []
    for rank, those in chosen:
        for place, (figure, index, true, found) in enumerate(those, start=1):
            top, left = views.windows[index].tolist()[:2]
            image = some.images[int(views.ids[index])][top : top + image_size, left : left + image_size]
            file = f"{_FOLDER}/{zlib.crc32(row.encode()):08x}-{rank}-{place}.png"
            _write(run / file, beside([show_errors(image, true, true), show_errors(image, true, found)]))
            pictures.append(RowPicture(f"{rank} {place}", figure, file))
    return RowPictures(row, name, tuple(pictures))


def _some(test: Pairs, image_size: int) -> Pairs:
    """Return as many of the pairs as have about 96 windows, at equal distances."""
    windows = len(grid_views(sizes_of(test.label_maps), image_size).ids)
    if windows <= _MOST_LOOKED_AT:
        return test
    count = max(1, len(test) * _MOST_LOOKED_AT // windows)
    there = [index for index in range(len(test)) if test.label_maps[index].any()]
    chosen = [there[at * len(there) // count] for at in range(min(count, len(there)))]
    return Pairs(tuple(test.images[n] for n in chosen), tuple(test.label_maps[n] for n in chosen), test.classes)


def _write(path: Path, picture: Pixels) -> None:
    with whole_file(path, durable=False) as partial:
        Image.fromarray(np.ascontiguousarray(picture)).save(partial, format="PNG")
