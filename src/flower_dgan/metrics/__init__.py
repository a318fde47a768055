"""The figures of merit, one file each: the file ``object_dice.py`` is the metric ``object-dice``.

A file states in its ``METRIC`` all that anyone wants to know of it: what it compares, what it is called in a table,
which end is best, and how it is computed. Nothing else lists metrics, so that a new one is one file here. What several
share is in ``shared/``.

Two kinds there are. A :class:`Metric` compares what a model predicts with what is true, for the columns of the TSTR
table (``downstream.metrics``). An :class:`ImageMetric` compares features of real and of synthetic images, for
``flower-dgan compare``.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from numpy.typing import NDArray

from flower_dgan.errors import ConfigError, unknown_name

if TYPE_CHECKING:  # reports and settings read metrics, and torch takes seconds
    from torch import Tensor

Compared = Literal["masks", "objects", "classes", "instances"]
"""What a metric is given, true and predicted: the class of each pixel, int (windows, height, width) with 0 for the
background; the number of the object of each pixel, in the same shape with 0 for none; the class of each image, int
(images,); the objects of each image, :class:`~flower_dgan.data.object_masks.ObjectMasks` (images,)."""

NO_NUMBER = "not a number"
"""What stands in place of a figure of what is not finite."""

Ids = NDArray[Any]
"""Numbers; of instances an array of objects, as :func:`~flower_dgan.data.object_masks.in_array` makes it."""


class Tally(Protocol):
    """What a metric counts while batch after batch comes in."""

    def add(self, true: Ids, predicted: Ids) -> None:
        """Count a batch, both of the same shape."""
        ...

    def value(self) -> float:
        """Return the figure of all that was added."""
        ...


@dataclass(frozen=True)
class Metric:
    """How good predictions are.

    Attributes
    ----------
    title : str
        The head of its column, with the unit if there is one.
    compares : {"masks", "objects", "classes", "instances"}
        What it is given.
    begin : callable
        Makes a tally for so many classes, background included.
    best : {"highest", "lowest"}
        Which end is best.
    form : str
        How a figure is written, as :func:`format` takes it.
    """

    title: str
    compares: Compared
    begin: Callable[[int], Tally]
    best: Literal["highest", "lowest"] = "highest"
    form: str = ".3f"


@dataclass(frozen=True)
class ImageMetric:
    """How far synthetic images are from real ones.

    Attributes
    ----------
    distance : callable
        Compares features of real images with those of synthetic ones, float Tensors (samples, features), as many of
        both.
    wanted : callable
        Number of features to the number of samples below which the figure means little; with 100 samples a share has a
        standard error of up to 0.05.
    best : {"highest", "lowest"}
        Which end is best.
    form : str
        How a figure is written, as :func:`format` takes it.
    """

    distance: "Callable[[Tensor, Tensor], float]"
    wanted: Callable[[int], int]
    best: Literal["highest", "lowest"]
    form: str = ".4g"


KindT = TypeVar("KindT", Metric, ImageMetric)


def find_metric(name: str, kind: type[KindT]) -> KindT:
    """Return the metric of a name.

    Raises
    ------
    ConfigError
        There is no such metric of this kind; names those that there are.
    """
    if name in _names() and isinstance(found := _read(name), kind):
        return found
    raise ConfigError(unknown_name("metric", name, metric_names(kind)))


def metric_names(kind: type[KindT]) -> tuple[str, ...]:
    """Return the names of all metrics of a kind."""
    return tuple(name for name in _names() if isinstance(_read(name), kind))


def shown(name: str, mean: float, deviation: float | None = None) -> str:
    """Write a figure as its metric wants it, with its standard deviation if there is one."""
    form = described(name).form
    return figure(mean, form) if deviation is None else f"{figure(mean, form)} ± {figure(deviation, form)}"


def figure(number: float, form: str) -> str:
    """Write a number in a form that :func:`format` takes; one that is none, or infinite, in words."""
    return format(number, form) if isfinite(number) else NO_NUMBER


def described(name: str) -> Metric:
    """Return the metric of a name; where it is not here, one that can be shown but not measured, for reports."""
    if name in _names() and isinstance(found := _read(name), Metric):
        return found
    return Metric(name, "classes", lambda _: _not_here(name))


def _names() -> list[str]:
    return [found.name.replace("_", "-") for found in pkgutil.iter_modules(__path__) if not found.ispkg]


def _read(name: str) -> Metric | ImageMetric:
    found: Metric | ImageMetric = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").METRIC
    return found


def _not_here(name: str) -> Tally:
    raise ConfigError(unknown_name("metric", name, metric_names(Metric)))
