"""Servers that ask whether an image is among those of a node: by its answers, or by its label maps."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.audit.attacked_node import NAME, AttackedNode, shape_of
from flower_dgan.audit.own_sample import Sample
from flower_dgan.baselines.rows import federation_of
from flower_dgan.config import Config
from flower_dgan.data import Pairs, unpack
from flower_dgan.data.views import Views
from flower_dgan.gan.exchange import Question
from flower_dgan.node.node import Node
from flower_dgan.resolve import resolve
from flower_dgan.wire.answer_message import read_answer
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.join_messages import label_maps_from_records
from flower_dgan.wiring import computing

Scores = NDArray[np.float64]
"""(candidates,), higher for those that seem to be in."""


@dataclass(frozen=True)
class Candidates:
    """Images of which a server has each, and of which each is at the node by a coin.

    Attributes
    ----------
    sample : Sample
        All.
    inside : bool array (candidates,)
        Which are at the node.
    """

    sample: Sample
    inside: NDArray[np.bool_]

    @classmethod
    def drawn(cls, sample: Sample, drawn: np.random.Generator) -> "Candidates":
        """Draw the coins."""
        return cls(sample, drawn.random(len(sample)) < 0.5)

    @property
    def members(self) -> Sample:
        """Those at the node."""
        return self.sample[self.inside]


def settings_for(config: Config, sample: Sample, rounds: int) -> Config:
    """Return the settings of a run for a node with a sample, in a training of so many rounds.

    Networks, losses, rates, conditions and number formats are the run's. Its algorithm is, where its clients judge
    images of their own label maps (``algorithm=dgan``); of others it is that, with their settings.

    Parameters
    ----------
    config : Config
        The run's.
    sample : Sample
        What a node is to hold; of windows of ``data.image_size``.
    rounds : int
        At least 1.
    """
    plain = resolve("algorithm=dgan exchange=single downstream=none selection=last")
    common = {each.name for each in fields(plain.algorithm)} & {each.name for each in fields(config.algorithm)}
    kept = common - {"name", "replay", "passes", "diversity", "merge", "l1_weight", "perceptual_weight"}
    algorithm = replace(plain.algorithm, **{name: getattr(config.algorithm, name) for name in kept})
    data = replace(
        config.data,
        source="folder",
        root=None,
        table=None,
        condition="none" if config.data.condition == "class" else config.data.condition,
        label_maps="clients",
        masks="classes",
        classes=sample.classes,
        class_names=(),
        class_colours=(),
        missing_channels=(),
        sites=(),
        target="images",
    )
    if data.condition == "none":
        data = replace(data, masks=None, classes=None, foreground_windows=0.0)
    exchange = replace(config.exchange, rounds=rounds, in_flight=1, generator_steps=1)
    return replace(
        plain,
        algorithm=algorithm,
        data=data,
        exchange=exchange,
        model=config.model,
        seed=config.seed,
        threads=config.threads,
        precision=config.precision,
    )


class MembershipServer:
    """A server that trains with one node, and asks it about candidates.

    Parameters
    ----------
    node : AttackedNode
        In a training that is not begun.
    config : Config
        The training's, see :func:`settings_for`.
    candidates : Candidates
        The node holds those that are inside, and the server knows all, but not which.

    Raises
    ------
    NodeRefusedError
        Also from each method, if the node does not answer.
    """

    def __init__(self, node: AttackedNode, config: Config, candidates: Candidates) -> None:
        self._node, self._config, self._sample = node, config, candidates.sample
        node.join(config)
        self._members = candidates.members
        channels = self._sample.images.shape[-1]
        self._shape = shape_of(config, self._classes, channels)
        self._round = 0

    @property
    def _classes(self) -> int:
        return self._sample.classes if self._config.data.condition == "label-map" else 1

    def train(self, rounds: int) -> None:
        """Train a generator as an honest server does."""
        config, held = self._config, self._members
        maps = held.label_maps if config.data.condition == "label-map" else np.zeros_like(held.label_maps)
        pairs = Pairs(tuple(held.images), tuple(maps), self._classes)
        algorithm = algorithm_of(config)
        with computing(config):
            state = federation_of(config, [Node(NAME, pairs)]).state(config)
            algorithm.begin(state)
            for _ in range(rounds):
                self._round += 1
                for name, proposal, question in algorithm.ask(state, self._round, [NAME]):
                    answer, _ = read_answer(self._node.ask(self._round, question, self._shape), self._shape)
                    algorithm.learn(state, self._round, {name: proposal}, {name: answer}, {name: 1.0})

    def show(self, times: int) -> Scores:
        """Ask about each candidate as if it were synthetic, so many times; return minus the loss at it, on average."""
        images = torch.from_numpy(self._sample.floats).float()
        total, asked = np.zeros(len(images)), np.zeros(len(images))
        for chosen in _batches(len(images), self._shape.samples, times, self._config.seed):
            self._round += 1
            question = Question(images[chosen], _spread_views(self._shape, len(self._members)))
            answer, _ = read_answer(self._node.ask(self._round, question, self._shape), self._shape)
            np.subtract.at(total, chosen, answer.feedback.losses.double().numpy())
            np.add.at(asked, chosen, 1)
        return total / np.maximum(1, asked)

    @staticmethod
    def rounds_to_show(candidates: int, config: Config, times: int) -> int:
        """Return how many rounds :meth:`show` takes."""
        samples = config.exchange.exchanges * config.exchange.batch_size
        return -(-candidates * times // samples)


def scores_of_label_maps(node: AttackedNode, config: Config, sample: Sample) -> Scores:
    """Return how well the best of the node's label maps fits each candidate's brightness, in [0, 1].

    The fit is the absolute correlation of grey values and foreground, so that no colour need be known. Raises
    NodeRefusedError where label maps do not leave.
    """
    node.join(config)
    content = node.send(node.training.to_records("request"), "query.label_maps")
    maps = unpack(label_maps_from_records(content))
    published = _standardised(np.stack([each > 0 for each in maps]).reshape(len(maps), -1).astype(float))
    grey = _standardised(sample.images.mean(-1).reshape(len(sample), -1))
    fit: Scores = np.abs(grey @ published.T).max(axis=1)
    return fit


def _standardised(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows of mean 0 and length 1; of one value, of length 0."""
    centred = rows - rows.mean(1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    found: NDArray[np.float64] = centred / np.where(lengths > 0, lengths, 1)
    return found


def _batches(candidates: int, samples: int, times: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield which candidates each message has: all so many times, in a new order each time, filled up at the end."""
    drawn = np.random.default_rng(seed)
    order = np.concatenate([drawn.permutation(candidates) for _ in range(times)])
    order = np.concatenate([order, np.resize(order, -len(order) % samples)])
    yield from order.reshape(-1, samples)


def _spread_views(shape: BundleShape, pairs: int) -> Views:
    return Views(np.arange(shape.samples, dtype=np.int64) % pairs, np.zeros((shape.samples, 4), np.int16))
