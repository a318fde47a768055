"""A node's answer to ``query.noisy_sum``: one sum over its patients with noise, charged for in its owner's book."""

import logging
import os
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from flwr.app import RecordDict
from numpy.typing import NDArray

from flower_dgan.algorithms.dpmerf import DpMerf
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.comparison.image_sets import cut_windows
from flower_dgan.config import TrainingConfig
from flower_dgan.data import Pairs, Pixels, sizes_of
from flower_dgan.data.augmentation import grid_views
from flower_dgan.errors import ProtocolError
from flower_dgan.node.asked_once import check_attempt
from flower_dgan.node.book import Book
from flower_dgan.node.node import settings_at
from flower_dgan.node.own_policy import check_code, is_guarded, release_policy
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.node.privacy_book import Patient, name_of_request, patients_of, release
from flower_dgan.node.privacy_words import USELESS
from flower_dgan.node.simulation import NodeConfig
from flower_dgan.node.state import ClientState
from flower_dgan.privacy.class_sums import Layout
from flower_dgan.privacy.fourier_features import FourierFeatures
from flower_dgan.privacy.gaussian_mechanism import sigma_of
from flower_dgan.privacy.noise import noisy, seeded_bytes
from flower_dgan.randomness import derive_seed
from flower_dgan.wire.noisy_sum_messages import ASKED, NoisySumAnswer
from flower_dgan.wire.protocol import Training
from flower_dgan.wiring import computing

logger = logging.getLogger("flwr")

_PART = 256  # windows whose features are computed at a time
_WEAK = 1.0  # signal to noise below which a release says little


def give_noisy_sum(content: RecordDict, state: ClientState, node_config: NodeConfig) -> RecordDict:
    """Return the sum of what the node's patients add, with noise.

    A node with an owner draws the noise from the operating system, and keeps in the owner's book what it released: who
    asks for the same gets the same bytes, in this training and in any other, and they cost nothing.
    In a simulation the noise follows from the run's seed, and nobody is charged.

    Parameters
    ----------
    content : RecordDict
        The request.
    state : ClientState
        What the node knows of the training.
    node_config : NodeConfig
        Names the policy.

    Raises
    ------
    PolicyError
        If the policy is against it, or more would be spent than the owner allows.
    ProtocolError
        If the request does not follow the protocol, or the training asks for no such sum.
    StorageError
        If the book cannot be read or written.
    """
    training = Training.from_records(content, ASKED)
    pairs, config, policy, algorithm = asked_of(training, state, node_config, masked=False)
    settings, patients = algorithm.settings, patients_of(state.groups(len(pairs)))
    sigma = sigma_of(settings.epsilon, settings.delta)
    layout = layout_of(algorithm, config)
    with computing(config):
        total = sum_of(algorithm, layout, pairs, patients, config)
    say_signal(layout, total, sigma, len(patients))
    if not is_guarded(node_config):
        seed = derive_seed(config.seed, "noise", state.node)
        return NoisySumAnswer(noisy(total, sigma, seeded_bytes(seed))).to_records()

    def make() -> bytes:
        return noisy(total, sigma, os.urandom).astype("<i8").tobytes()

    kept, is_new = release(Book(), name_of_request(state.node, config), 1 / sigma, policy.check_spent, make)
    if not is_new:
        logger.info("The sum that this node released before is sent again: what came or went since is not in it.")
    return NoisySumAnswer(np.frombuffer(kept, "<i8").astype(np.int64).reshape(layout.shape)).to_records()


def asked_of(
    training: Training, state: ClientState, node_config: NodeConfig, *, masked: bool
) -> tuple[Pairs, TrainingConfig, ReleasePolicy, DpMerf]:
    """Return what a node goes by when it is asked for a sum, of the form that its training has; raises as above."""
    check_attempt(training, state.attempt())
    _, pairs, config = state.joined(partial(check_code, node_config))
    config = settings_at(config, node_config)
    policy = release_policy(config, node_config)
    policy.check_settings(config)
    algorithm = algorithm_of(config)
    if not isinstance(algorithm, DpMerf) or algorithm.releases.masked != masked:
        raise ProtocolError("a request for a sum of another kind than the training has, or in one that has none")
    return pairs, config, policy, algorithm


def rehearse(algorithm: DpMerf, config: TrainingConfig, pairs: Pairs) -> None:
    """Compute a sum with noise over pairs that are nobody's, as a node does; nothing is released or charged for."""
    settings, layout = algorithm.settings, layout_of(algorithm, config)
    patients = [(index,) for index in range(len(pairs))]
    with computing(config):
        total = sum_of(algorithm, layout, pairs, patients, config)
    noisy(total, sigma_of(settings.epsilon, settings.delta), os.urandom)


def layout_of(algorithm: DpMerf, config: TrainingConfig) -> Layout:
    """Return how the sum lies."""
    settings = algorithm.settings
    return Layout(algorithm.classes_of(config), 2 * settings.frequencies, settings.count_share)


def sum_of(
    algorithm: DpMerf, layout: Layout, pairs: Pairs, patients: Sequence[Patient], config: TrainingConfig
) -> NDArray[np.int64]:
    """Return the sum without noise.

    The features of an image that is larger than ``data.image_size`` are the mean of those of the windows that tile it.
    One that is smaller, of other channels, or of a class that the training has not, is left out: a refusal would tell
    that it is there.
    """
    side, channels = config.data.image_size, config.data.channels
    classes = np.array([int(label_map.flat[0]) for label_map in pairs.label_maps])
    fits = [
        image.shape[2] == channels and min(image.shape[:2]) >= side and of < layout.classes
        for image, of in zip(pairs.images, classes.tolist(), strict=True)
    ]
    phi = algorithm.features(channels, side)

    def of_patients() -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64]]]:
        for patient in patients:
            if chosen := [index for index in patient if fits[index]]:
                yield _features(phi, [pairs.images[index] for index in chosen], side), classes[chosen]

    return layout.add_up(of_patients())


def _features(phi: FourierFeatures, images: Sequence[Pixels], side: int) -> NDArray[np.float64]:
    """Return the features of images, (images, features)."""
    ids = grid_views(sizes_of(images), side).ids
    windows, found = cut_windows("a node", images, side), []
    for start in range(0, len(windows), _PART):
        pixels = np.stack(windows[start : start + _PART]).transpose(0, 3, 1, 2)
        found.append(phi(torch.from_numpy(np.ascontiguousarray(pixels)).float() / 127.5 - 1).double().numpy())
    features = np.concatenate(found)
    return np.stack([features[ids == index].mean(axis=0) for index in range(len(images))])


def say_signal(layout: Layout, total: NDArray[np.int64], sigma: float, patients: int) -> None:
    """Log, at the node, what the release is worth, before it leaves."""
    ratio = layout.signal_to_noise(total, sigma)
    verdict = "good"
    if ratio < USELESS:
        verdict = (
            "next to nothing will be learned from it alone, and this node's owner is advised against spending epsilon "
            "on it: it grows with the square of the number of patients; fewer of algorithm.frequencies enlarge it, but "
            "tell less"
        )
    elif ratio < _WEAK:
        verdict = "weak"
    told = "The release of %d patients in %d numbers with noise of %.4g has a signal to noise of %.2g: %s."
    log = logger.warning if ratio < USELESS else logger.info
    log(told, patients, total.size, sigma, ratio, verdict)
