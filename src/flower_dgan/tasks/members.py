"""The rows that say what each member gains: its own real images, alone and with the federation's synthetic ones."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from flower_dgan.config import Config
from flower_dgan.data import Pairs
from flower_dgan.errors import DataError
from flower_dgan.tasks import find_task
from flower_dgan.tasks.best_moment import run_to_best
from flower_dgan.tasks.by_patient import HeldOut
from flower_dgan.tasks.patient_scores import PLUS, REAL, SHARED, PatientScore, TestedOn
from flower_dgan.tasks.task import Fit
from flower_dgan.tasks.tstr import best_moment


@dataclass(frozen=True)
class Whose:
    """Whose images a row of the table has.

    Attributes
    ----------
    row : str
        As ``downstream.rows`` calls it.
    member : str
        Whose real images; empty for nobody's in particular.
    real : int
        How many real images of the member.
    """

    row: str
    member: str = ""
    real: int = 0


def whose(members: Mapping[str, Pairs]) -> dict[str, Whose]:
    """Return the rows that are scored by patient, by their names in the table, from each member's real pairs."""
    rows = {row: Whose(row) for row in SHARED}
    for name, pairs in members.items():
        rows |= {row_of(row, name): Whose(row, name, len(pairs)) for row in (REAL, *PLUS)}
    return rows


def row_of(row: str, member: str) -> str:
    """Return what a row of one member is called in the table: ``Real-k+DGAN`` of breast is ``Real-breast+DGAN``."""
    kind, _, rest = row.partition("k")
    return f"{kind}{member}{rest}"


def with_synthetic(real: Pairs, synthetic: Pairs) -> Pairs:
    """Return real and synthetic pairs together, each of the two about as often as the other.

    A training draws all pairs alike. As there are most often many more synthetic ones, the smaller set is repeated,
    a whole number of times, so that half of what is learned from is real.

    Raises
    ------
    DataError
        The two have other channels or other classes.
    """
    kinds = [(pairs.images[0].shape[2], pairs.classes) for pairs in (real, synthetic)]
    if kinds[0] != kinds[1]:
        raise DataError(f"The real images have (channels, classes) {kinds[0]}, the synthetic ones {kinds[1]}.")
    small, large = sorted((real, synthetic), key=len)
    times = max(1, round(len(large) / len(small)))
    return together(*[small] * times, large)


def plus_rows(row: str, members: Mapping[str, Pairs], synthetic: Pairs) -> dict[str, Pairs]:
    """Return each member's real pairs with synthetic ones beside them, by the name of the row in the table."""
    return {row_of(row, name): with_synthetic(pairs, synthetic) for name, pairs in members.items()}


def require_sizes(members: Mapping[str, Pairs], sizes: Sequence[int]) -> None:
    """Raise DataError for a number of real images that no member has more than: there is nothing to choose from."""
    most = max(map(len, members.values()))
    if too_many := [size for size in sizes if size >= most]:
        raise DataError(
            f"downstream.member_sizes has {too_many[0]:,}, and no member has more than {most:,} real images: all that "
            "it has is tried anyway, so leave it out."
        )


def fewer_real(members: Mapping[str, Pairs], sizes: Sequence[int], seed: int) -> Iterator[tuple[str, Pairs]]:
    """Yield some of each member's real pairs, for each of the sizes that it has more than.

    Those of a smaller size are among those of a larger one; which, depends on the seed.
    """
    for name, pairs in members.items():
        order = np.random.default_rng(seed).permutation(len(pairs)).tolist()
        for size in sorted(set(sizes)):
            if size < len(pairs):
                chosen = order[:size]
                label_maps = tuple(pairs.label_maps[index] for index in chosen)
                yield name, Pairs(tuple(pairs.images[index] for index in chosen), label_maps, pairs.classes)


def together(*parts: Pairs) -> Pairs:
    """Return the pairs of all parts, of as many classes as those of the first."""
    images = tuple(image for pairs in parts for image in pairs.images)
    label_maps = tuple(label_map for pairs in parts for label_map in pairs.label_maps)
    return Pairs(images, label_maps, parts[0].classes)


def begin(pairs: Pairs, config: Config, seed: int) -> Fit:
    """Begin the training of a model of the task, as each row of the table has it."""
    return find_task(config.downstream.task).fit(
        pairs,
        config.downstream,
        image_size=config.data.image_size,
        augmentation=config.data.augmentation,
        seed=seed,
    )


def trained(pairs: Pairs, config: Config, seed: int, validation: Pairs | None = None) -> nn.Module:
    """Return a model of the task that was trained on pairs, as each row of the table is.

    ``validation`` is as for :func:`~flower_dgan.tasks.tstr.train_on_synthetic_test_on_real`.
    """
    training, downstream = begin(pairs, config, seed), config.downstream
    if validation is None:
        training.run(downstream.steps)
    else:
        run_to_best(training, downstream.steps, best_moment(validation, downstream, config.data.image_size))
    return training.model


def scores_of(
    model: nn.Module, tested: Sequence[HeldOut], config: Config, *, tested_on: TestedOn, whose: Whose, seed: int
) -> list[PatientScore]:
    """Return the scores of a model on every patient, those without a figure left out.

    Parameters
    ----------
    model : nn.Module
        A trained one.
    tested : sequence of HeldOut
        On what; no patient is in two of them.
    config : Config
        The run's configuration.
    tested_on : {"all", "own"}
        What that is.
    whose : Whose
        What it was trained on; its member is the one whose gain it tells of.
    seed : int
        Of its training.
    """
    task = find_task(config.downstream.task)
    return [
        PatientScore(
            tested_on,
            whose.row,
            whose.member,
            whose.real,
            seed,
            each.unit,
            patient,
            images[patient],
            values,
        )
        for each, images in ((each, Counter(each.patients)) for each in tested)
        for patient, values in each.score(task, model, config.data.image_size).items()
        if values
    ]
