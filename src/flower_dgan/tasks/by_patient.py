"""The scores of a trained model patient by patient."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from flower_dgan.data.augmentation import grid_views
from flower_dgan.data.pairs import Pairs
from flower_dgan.data.views import sizes_of
from flower_dgan.metrics import Compared, Metric, find_metric
from flower_dgan.tasks.patient_scores import Unit
from flower_dgan.tasks.task import Task
from flower_dgan.tasks.tstr import kinds_of


@dataclass(frozen=True)
class HeldOut:
    """Real pairs to test on, and whose they are.

    Attributes
    ----------
    pairs : Pairs
        With the truth that the metrics compare.
    patients : tuple of str
        The patient of each.
    unit : {"patient", "image"}
        Whether the data say who is a patient.
    metrics : tuple of str
        What to measure.
    """

    pairs: Pairs
    patients: tuple[str, ...]
    unit: Unit
    metrics: tuple[str, ...]

    def score(self, task: Task, model: nn.Module, image_size: int) -> dict[str, dict[str, float]]:
        """Return :func:`score_by_patient` of a model."""
        return score_by_patient(task, model, self.pairs, self.patients, image_size=image_size, metrics=self.metrics)


def score_by_patient(
    task: Task, model: nn.Module, pairs: Pairs, patients: Sequence[str], *, image_size: int, metrics: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Score a trained model on the windows of each patient's images, as :func:`~flower_dgan.tasks.tstr.score` on all.

    Parameters
    ----------
    task : Task
        What it was trained for.
    model : nn.Module
        The model; left in evaluation mode.
    pairs : Pairs
        The images to predict, with the truth.
    patients : sequence of str
        Whose each of them is.
    image_size : int
        Height and width in pixels of a window.
    metrics : sequence of str
        What to measure.

    Returns
    -------
    dict of str to mapping of str to float
        Figures by name, for each patient in the order in which they first appear. A patient in whose windows there is
        no mask, or no object, has no figure of those metrics: there is nothing to find. Nor has one of a figure that
        is not finite.

    Raises
    ------
    ConfigError, DataError
        A metric is unknown, or nobody has anything to find.
    """
    chosen = {name: find_metric(name, Metric) for name in metrics}
    names = list(dict.fromkeys(patients))
    number = {name: index for index, name in enumerate(names)}
    # in the order in which the task predicts them
    looked_at = (
        range(len(pairs)) if task.whole_images else grid_views(sizes_of(pairs.label_maps), image_size).ids.tolist()
    )
    whose = np.array([number[patients[index]] for index in looked_at], dtype=np.int64)
    tallies = [{name: metric.begin(pairs.classes) for name, metric in chosen.items()} for _ in names]
    to_find: list[set[Compared]] = [set() for _ in names]
    done = 0
    for batch in task.predict(model, pairs, image_size, kinds_of(metrics)):
        size = len(next(iter(batch.values()))[0])
        theirs, done = whose[done : done + size], done + size
        for patient in np.unique(theirs).tolist():
            here = theirs == patient
            to_find[patient] |= {kind for kind, (true, _) in batch.items() if kind == "classes" or true[here].any()}
            for name, tally in tallies[patient].items():
                true, predicted = batch[chosen[name].compares]
                tally.add(true[here], predicted[here])
    found = {}
    for patient, counted, there in zip(names, tallies, to_find, strict=True):
        values = {name: tally.value() for name, tally in counted.items() if chosen[name].compares in there}
        found[patient] = {name: value for name, value in values.items() if math.isfinite(value)}
    return found
