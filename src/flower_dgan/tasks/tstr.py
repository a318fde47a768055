"""Train on synthetic, test on real (TSTR; Esteban 2017, "Real-valued (medical) time series generation ...")."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np
from torch import nn

from flower_dgan.config import AugmentationName, DataConfig, DownstreamConfig
from flower_dgan.data.pairs import Entry, Pairs
from flower_dgan.errors import DataError, NotFiniteError
from flower_dgan.metrics import NO_NUMBER, Compared, Metric, find_metric
from flower_dgan.metrics.shared.finite import require_finite
from flower_dgan.tasks import find_task
from flower_dgan.tasks.best_moment import BestMoment, chosen_by, run_to_best
from flower_dgan.tasks.results import TstrResult
from flower_dgan.tasks.side_by_side import side_by_side
from flower_dgan.tasks.task import Task


def train_on_synthetic_test_on_real(
    rows: Mapping[str, Pairs],
    test: Pairs,
    config: DownstreamConfig,
    *,
    image_size: int,
    augmentation: AugmentationName,
    seed: int,
    on_result: Callable[[TstrResult], None],
    on_model: Callable[[TstrResult, nn.Module], None] = lambda *_: None,
    validation: Pairs | None = None,
    workers: int = 1,
) -> tuple[TstrResult, ...]:
    """Train one model of the task a row and seed, and score each on the same real test pairs.

    Training i of every row has the seed ``seed`` + i, so that rows differ by their data alone.

    Parameters
    ----------
    rows : Mapping[str, Pairs]
        Training pairs, real or synthetic, by the name of the row.
    test : Pairs
        Real pairs that no row has seen.
    config : DownstreamConfig
        Task, and settings of each training; ``seeds`` trainings a row, none for 0.
    image_size : int
        Height and width in pixels of what the model sees.
    augmentation : {"none", "flips", "rotations", "colour", "all"}
        How training views are drawn; testing has none.
    seed : int
        Seed of the first training of each row.
    on_result : callable
        Called with each result as soon as it is there.
    on_model : callable
        Called with each result and its trained model, for whoever wants to keep that.
    validation : Pairs or None
        Real pairs that no row has and that are none of ``test``: each model is as it was at the best moment of its
        training by the first of ``config.metrics`` on these, the same for all rows. None for the end of the training.
    workers : int
        Trainings at a time, each in a thread. The results do not depend on it.

    Returns
    -------
    tuple of TstrResult
        ``len(rows)`` x ``config.seeds`` results, row by row.

    Raises
    ------
    DataError
        A row has no pair, or its images or classes do not match the test pairs, or these have nothing to find; raised
        before any training.
    ConfigError
        The settings do not make a model, or a metric is not for these data.
    """
    if not len(test):
        raise DataError("There is no real pair to test on.")
    for row, pairs in rows.items():
        if not len(pairs):
            raise DataError(f"The row '{row}' has no pair to train on.")
        ours, theirs = _kind(pairs), _kind(test)
        if ours != theirs:
            raise DataError(f"The row '{row}' has (channels, classes) {ours}, the test pairs have {theirs}.")
    task = find_task(config.task)
    task.check_truth(test, kinds_of(config.metrics))
    if validation is not None:
        task.check_truth(validation, kinds_of(config.metrics[:1]))

    def train(wanted: tuple[str, int]) -> tuple[TstrResult, nn.Module]:
        row, training_seed = wanted
        training = task.fit(rows[row], config, image_size=image_size, augmentation=augmentation, seed=training_seed)
        if validation is None:
            training.run(config.steps)
        else:
            run_to_best(training, config.steps, best_moment(validation, config, image_size))
        result = score_on_real(
            training.model,
            test,
            config,
            row=row,
            seed=training_seed,
            image_size=image_size,
            chosen=validation is not None,
        )
        return result, training.model

    results = []
    for result, model in side_by_side(train, product(rows, range(seed, seed + config.seeds)), workers):
        on_result(result)
        on_model(result, model)
        results.append(result)
    return tuple(results)


def score_on_real(
    model: nn.Module,
    test: Pairs,
    config: DownstreamConfig,
    *,
    row: str,
    seed: int,
    image_size: int,
    chosen: bool = False,
) -> TstrResult:
    """Return the result of one trained model, by ``config.metrics``; raises as :func:`score` does.

    Of a model that is not finite, and of what it makes, there is no figure: each is NaN, and the warning says why. It
    also says where a model has learned nothing. The remark says, if the model was ``chosen``, that it is that of the
    best moment on validation pairs.
    """
    task = find_task(config.task)
    remarks = (task.remark(test, kinds_of(config.metrics)), chosen_by(config) if chosen else "")
    warning = ""
    try:
        for name, tensor in model.state_dict().items():
            require_finite(tensor, f"weights of the model ({name})")
        values, found = judged(task, model, test, image_size, config.metrics)
    except NotFiniteError as error:
        values = dict.fromkeys(config.metrics, math.nan)
        warning = f"{row}, seed {seed}: {NO_NUMBER}, as {error}"
    else:
        if found is not None:
            warning = f"{row}, seed {seed}: the model finds class {found} everywhere: it has learned nothing."
    return TstrResult(row, seed, values, " ".join(filter(None, remarks)), warning)


def best_moment(validation: Pairs, config: DownstreamConfig, image_size: int) -> BestMoment:
    """Return what finds the best moment of a training by the first of ``config.metrics`` on validation pairs.

    A model that is not finite is worse than any.
    """
    task, (main, *_) = find_task(config.task), config.metrics
    best = find_metric(main, Metric).best

    def figure(model: nn.Module) -> float:
        try:
            return score(task, model, validation, image_size=image_size, metrics=(main,))[main]
        except NotFiniteError:
            return -math.inf if best == "highest" else math.inf

    return BestMoment(figure, best)


def score(task: Task, model: nn.Module, pairs: Pairs, *, image_size: int, metrics: Sequence[str]) -> dict[str, float]:
    """Score a trained model on the windows that tile every image of real pairs from its top left.

    Parameters
    ----------
    task : Task
        What it was trained for.
    model : nn.Module
        The model; left in evaluation mode.
    pairs : Pairs
        The images to predict, with the truth.
    image_size : int
        Height and width in pixels of a window.
    metrics : sequence of str
        What to measure.

    Returns
    -------
    dict of str to float
        By name, in the order of ``metrics``; each metric says what its figure means.

    Raises
    ------
    ConfigError, DataError
        A metric is unknown, or the pairs have nothing to find; a NotFiniteError if what the model makes is not finite.
    """
    return judged(task, model, pairs, image_size, metrics)[0]


def judged(
    task: Task, model: nn.Module, pairs: Pairs, image_size: int, metrics: Sequence[str]
) -> tuple[dict[str, float], int | None]:
    """Return what :func:`score` does, and the one class that the model finds everywhere, None for one that learned.

    One class is no sign of anything where the pairs have no other.
    """
    kinds = kinds_of(metrics)
    task.check_truth(pairs, kinds)
    chosen = {name: find_metric(name, Metric) for name in metrics}
    tallies = {name: metric.begin(pairs.classes) for name, metric in chosen.items()}
    there, found = set[int](), set[int]()
    for batch in task.predict(model, pairs, image_size, kinds):
        for name, tally in tallies.items():
            tally.add(*batch[chosen[name].compares])
        for kind in batch.keys() & {"masks", "classes"}:
            true, predicted = batch[kind]
            there.update(np.unique(true).tolist())
            found.update(np.unique(predicted).tolist())
    only = next(iter(found)) if len(found) == 1 < len(there) else None
    return {name: tally.value() for name, tally in tallies.items()}, only


def kinds_of(metrics: Sequence[str]) -> frozenset[Compared]:
    """Return what the metrics compare; raises ConfigError for an unknown one."""
    return frozenset(find_metric(name, Metric).compares for name in metrics)


def with_truth(pairs: Pairs, config: DownstreamConfig, data: DataConfig, entries: Sequence[Entry]) -> Pairs:
    """Return the test pairs of ``entries`` with all that the data know of what ``config.metrics`` compare."""
    return find_task(config.task).with_truth(pairs, data, entries, kinds_of(config.metrics))


def _kind(pairs: Pairs) -> tuple[int, int]:
    return pairs.images[0].shape[2], pairs.classes
