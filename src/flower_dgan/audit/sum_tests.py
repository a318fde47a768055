"""Servers that ask, of a sum with noise, who is in it: they know all else, and what each patient would add."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm  # type: ignore[import-untyped]

from flower_dgan.algorithms.dpmerf import DpMerf
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.audit.attacked_node import AttackedNode, own_state
from flower_dgan.audit.own_sample import Sample
from flower_dgan.config import Config
from flower_dgan.data import Pairs
from flower_dgan.node.noisy_sums import layout_of, sum_of
from flower_dgan.privacy.noise import GRID
from flower_dgan.resolve import resolve
from flower_dgan.wire.noisy_sum_messages import ASKED, NOISY_SUM, NoisySumAnswer
from flower_dgan.wiring import computing

Vector = NDArray[np.float64]


def settings_of_sums(config: Config) -> Config:
    """Return the settings of a run whose nodes send sums with noise, for a node with a folder of images of one class.

    Epsilon, delta, frequencies and bandwidth are the run's.
    """
    data = replace(
        config.data,
        source="folder",
        root=None,
        table=None,
        condition="none",
        masks=None,
        classes=None,
        class_names=(),
        class_colours=(),
        sites=(),
    )
    return replace(config, data=data, downstream=resolve("downstream=none").downstream)


def area_that_theory_allows(config: Config) -> float:
    """Return Phi(1 / (sigma sqrt 2)), the area under the curve of the best test (Neyman & Pearson) for one patient."""
    return float(norm.cdf(_algorithm(config).release_cost / math.sqrt(2)))


def likelihood_ratios(sample: Sample, config: Config, policy: str, scratch: Path, tries: int) -> tuple[Vector, Vector]:
    """Return the best test's scores of so many releases with the first patient, and of as many without.

    Each release is a new node's, with a book of its own, as a node sends what it released once more for nothing. The
    server knows all other patients; the best test looks at the part of the sum along what this one adds.

    Raises
    ------
    NodeRefusedError
        If its owner's policy lets no such sum leave.
    """
    direction = vectors_of(sample[:1], config)[0]
    found = []
    for name, held in (("with", sample), ("without", sample[1:])):
        folder = held.write(scratch / name)
        rest = vectors_of(sample[1:], config).sum(0)
        scores = []
        for _ in range(tries):
            with own_state(scratch):
                scores.append(float((_released(AttackedNode(folder, policy), config) - rest) @ direction))
        found.append(np.array(scores))
    return found[0], found[1]


def canary_scores(
    sample: Sample, canaries: Sample, inside: NDArray[np.bool_], config: Config, policy: str, scratch: Path
) -> Vector:
    """Return, of one release of a node with a sample and some canaries, how much of each canary seems to be in it.

    What is not known of the sum is fitted by least squares with what each canary would add: of a sum without noise it
    is 1 for those inside and 0 for others. Raises NodeRefusedError as :func:`likelihood_ratios`.
    """
    held = Sample(
        np.concatenate([sample.images, canaries.images[inside]]),
        np.concatenate([sample.label_maps, canaries.label_maps[inside]]),
        sample.classes,
    )
    added = vectors_of(canaries, config)
    with own_state(scratch):
        folder = held.write(scratch / "canaries")
        left = _released(AttackedNode(folder, policy), config) - vectors_of(sample, config).sum(0)
    found: Vector = np.linalg.lstsq(added.T, left, rcond=None)[0]
    return found


def canaries_like(sample: Sample, count: int, drawn: np.random.Generator) -> Sample:
    """Return images of black and white noise, which are unlike each other and all else: the worst that one can add."""
    shape = (count, *sample.images.shape[1:])
    images = drawn.integers(0, 2, shape, np.uint8) * np.uint8(255)
    return Sample(images, np.zeros(shape[:3], np.uint8), sample.classes)


def most_canaries(config: Config) -> int:
    """Return how many canaries a sum can tell apart: half as many as it has entries."""
    return max(2, _algorithm(config).settings.frequencies)


def cost_of(config: Config) -> dict[str, float]:
    """Return what the release of a node costs a patient: epsilon, delta, and the noise, sigma."""
    return _algorithm(config).cost


def vectors_of(sample: Sample, config: Config) -> Vector:
    """Return what each image adds to a sum, (images, entries)."""
    algorithm, layout = _algorithm(config), layout_of(_algorithm(config), config)
    with computing(config):
        return np.stack(
            [
                sum_of(algorithm, layout, Pairs((image,), (np.zeros_like(image[..., 0]),), 1), [(0,)], config).ravel()
                for image in sample.images
            ]
        ) / float(GRID)


def _released(node: AttackedNode, config: Config) -> Vector:
    node.join(config)
    content = node.send(node.training.to_records(ASKED), NOISY_SUM)
    shape = layout_of(_algorithm(config), config).shape
    return NoisySumAnswer.from_records(content, shape).steps.ravel() / float(GRID)


def _algorithm(config: Config) -> DpMerf:
    algorithm = algorithm_of(config)
    if not isinstance(algorithm, DpMerf):
        raise TypeError(f"{config.algorithm.name} sends no sum with noise")
    return algorithm
