"""What steps of a private discriminator take from a node's patients, and the charge for them in the owner's book."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cached_property

import numpy as np

from flower_dgan.algorithms.dpgan import COUNT_NOISE, DpGan
from flower_dgan.config import TrainingConfig
from flower_dgan.data import Pairs
from flower_dgan.gan.drawn_patients import DrawnPatients
from flower_dgan.gan.session import Session
from flower_dgan.node.book import Book
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.node.privacy_book import Patient, charge, patients_of, release, require_room
from flower_dgan.privacy.noise import GRID, noisy, seeded_bytes
from flower_dgan.randomness import derive_seed


class PrivateSteps:
    """One node in one training with DP-SGD.

    Whoever comes to a step, and the noise of it, are drawn anew whenever an answer is computed, and it is charged for
    anew, too: what was answered before has its bytes kept, and costs nothing. A node with an owner draws from the
    operating system; in a simulation draws follow from the run's seed, and nobody is charged.

    Parameters
    ----------
    algorithm : DpGan
        Says noise and share.
    config : TrainingConfig
        The settings of the training.
    pairs : Pairs
        The node's images. One that is smaller than the networks', of other channels, or of a class that the training
        has not, never comes: a refusal would tell that it is there.
    groups : sequence of str
        Whose each image is.
    node : str
        What the node is called by its owner.
    seed : int
        What draws follow from in a simulation.
    owned : bool
        Whether the node has an owner.
    """

    def __init__(
        self,
        algorithm: DpGan,
        config: TrainingConfig,
        pairs: Pairs,
        groups: Sequence[str],
        node: str,
        seed: int,
        owned: bool,
    ) -> None:
        self._steps = algorithm.steps_of(config, algorithm.steps_a_round(config))
        self._patients = patients_that_fit(patients_of(groups), pairs, config)
        self._cost, self._seed, self._owned = algorithm.release_cost, seed, owned
        asked = json.dumps(["number of patients", node, asdict(config.data)], sort_keys=True)
        self._request = hashlib.sha256(asked.encode()).digest()

    @contextmanager
    def charged(self, session: Session, round_number: int, policy: ReleasePolicy) -> Iterator[Session]:
        """Give a session whose patients come to steps; what was done with it is charged for when the body ends.

        Raises
        ------
        PolicyError
            If the steps of the bundle could cost more than the owner allows, before any is done.
        StorageError
            If the book cannot be read or written: then nothing may leave.
        """
        read = os.urandom
        count = self._count(policy)
        if self._owned:
            require_room(Book(), self._steps, policy.check_spent)
        else:
            read = seeded_bytes(derive_seed(self._seed, "noise", session.name, round_number, session.returns))
        patients = DrawnPatients(self._patients, read, count)
        yield replace(session, patients=patients, noise=self._steps.sigma)
        if self._owned and patients.taken:
            charge(Book(), replace(self._steps, steps=patients.taken), policy.check_spent)

    def _count(self, policy: ReleasePolicy) -> float:
        if not self._owned:
            return self._noisy_count
        kept, _ = release(Book(), self._request, self._cost, policy.check_spent, self._make)
        return int.from_bytes(kept, "little", signed=True) / GRID

    @cached_property
    def _noisy_count(self) -> float:
        drawn = noisy(self._exact(), COUNT_NOISE, seeded_bytes(derive_seed(self._seed, "count")))
        return float(drawn[0]) / GRID

    def _make(self) -> bytes:
        return int(noisy(self._exact(), COUNT_NOISE, os.urandom)[0]).to_bytes(8, "little", signed=True)

    def _exact(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([len(self._patients) * GRID], np.int64)


def patients_that_fit(patients: Sequence[Patient], pairs: Pairs, config: TrainingConfig) -> tuple[Patient, ...]:
    """Return the patients with those of their images that a training can use, and without those who have none."""
    side, channels = config.data.image_size, config.data.channels
    classes = pairs.classes if config.data.condition == "class" else None
    fits = [
        image.shape[2] == channels and min(image.shape[:2]) >= side and (classes is None or int(of.flat[0]) < classes)
        for image, of in zip(pairs.images, pairs.label_maps, strict=True)
    ]
    chosen = (tuple(index for index in patient if fits[index]) for patient in patients)
    return tuple(each for each in chosen if each)
