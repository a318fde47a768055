"""Train on synthetic, test on real (TSTR; Esteban 2017, "Real-valued (medical) time series generation ...")."""

from collections.abc import Callable, Mapping

from torch import nn

from flower_dgan.config import AugmentationName, DownstreamConfig
from flower_dgan.data.pairs import Pairs
from flower_dgan.errors import DataError
from flower_dgan.evaluation.scoring import check_metrics, compares_objects, segmentation_score
from flower_dgan.evaluation.segmentation import train_segmenter
from flower_dgan.evaluation.tstr_summary import TstrResult, TstrSummary, summarize

__all__ = ["TstrResult", "TstrSummary", "score_on_real", "summarize", "train_on_synthetic_test_on_real"]


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
) -> tuple[TstrResult, ...]:
    """Train one segmentation model a row and seed, and score each on the same real test pairs.

    Training i of every row has the seed ``seed`` + i, so that rows differ by their data alone.

    Parameters
    ----------
    rows : Mapping[str, Pairs]
        Training pairs, real or synthetic, by the name of the row.
    test : Pairs
        Real pairs that no row has seen.
    config : DownstreamConfig
        Settings of each training; ``seeds`` trainings a row, none for 0.
    image_size : int
        Height and width in pixels of what the model sees; a multiple of 16.
    augmentation : {"none", "flips", "rotations", "colour", "all"}
        How training views are drawn; testing has none.
    seed : int
        Seed of the first training of each row.
    on_result : callable
        Called with each result as soon as it is there.
    on_model : callable
        Called with each result and its trained model, for whoever wants to keep that.

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
    check_metrics(config.metrics, test)
    results = []
    for row, pairs in rows.items():
        for training_seed in range(seed, seed + config.seeds):
            model = train_segmenter(pairs, config, image_size=image_size, augmentation=augmentation, seed=training_seed)
            result = score_on_real(model, test, config, row=row, seed=training_seed, image_size=image_size)
            on_result(result)
            on_model(result, model)
            results.append(result)
    return tuple(results)


def score_on_real(
    model: nn.Module, test: Pairs, config: DownstreamConfig, *, row: str, seed: int, image_size: int
) -> TstrResult:
    """Return the result of one trained model, by ``config.metrics``; raises as ``segmentation_score`` does."""
    scores = segmentation_score(model, test, image_size=image_size, metrics=config.metrics)
    if not compares_objects(config.metrics):
        return TstrResult(row, seed, scores)
    return TstrResult(row, seed, scores, "components" if test.instances is None else "instances")


def _kind(pairs: Pairs) -> tuple[int, int]:
    return pairs.images[0].shape[2], pairs.classes
