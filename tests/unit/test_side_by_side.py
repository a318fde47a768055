"""Trainings side by side: the results, models and random state are those of one after the other."""

import time
from concurrent.futures import CancelledError
from threading import Barrier, Event, Lock, current_thread

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flower_dgan.config import DownstreamConfig
from flower_dgan.data.pairs import Pairs
from flower_dgan.data.views import Views
from flower_dgan.steps import step_done, steps_told_to
from flower_dgan.tasks.on_views import ViewTraining
from flower_dgan.tasks.side_by_side import side_by_side

_STEPS = 6
CONFIG = DownstreamConfig(
    encoder="resnet18",
    encoder_weights=None,
    steps=_STEPS,
    batch_size=2,
    learning_rate=0.1,
    seeds=1,
    rows=(),
    metrics=("dice",),
    dist_fid=0,
)


def training(seed: int) -> ViewTraining:
    images = tuple(np.random.default_rng(seed).integers(0, 256, (8, 8, 1), np.uint8) for _ in range(4))
    pairs = Pairs(images, tuple((image[..., 0] > 127).astype(np.uint8) for image in images), 2)

    def loss(model: nn.Module, images: Tensor, views: Views) -> Tensor:
        made: Tensor = model(images)
        return made.square().mean()

    def build() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Dropout(0.5), nn.Conv2d(4, 1, 3))

    return ViewTraining(pairs, CONFIG, image_size=8, augmentation="flips", seed=seed, build=build, loss=loss)


def learned(seed: int) -> list[Tensor]:
    fitted = training(seed)
    fitted.run(_STEPS)
    return [value.clone() for value in fitted.model.state_dict().values()]


def test_models_with_dropout_are_those_of_one_after_the_other_bit_by_bit() -> None:
    before = torch.default_generator.get_state()
    apart, together = (list(side_by_side(learned, range(5), workers)) for workers in (1, 2))
    for one, other in zip(apart, together, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(apart[0][0], apart[1][0])
    assert torch.equal(torch.default_generator.get_state(), before)


def test_as_many_at_a_time_as_workers_and_no_more() -> None:
    meet, lock = Barrier(2, timeout=60), Lock()
    running: list[int] = []
    most = 0

    def work(value: int) -> tuple[int, str]:
        nonlocal most
        with lock:
            running.append(value)
            most = max(most, len(running))
        meet.wait()  # which nobody passes alone
        with lock:
            running.remove(value)
        return 10 * value, current_thread().name

    found = list(side_by_side(work, range(4), 2))
    assert [result for result, _ in found] == [0, 10, 20, 30]
    assert most == 2
    assert all(name.startswith("training") for _, name in found)


def test_one_worker_is_the_thread_of_the_caller() -> None:
    here = current_thread().name
    assert list(side_by_side(lambda value: (value, current_thread().name), range(2), 1)) == [(0, here), (1, here)]


def test_every_step_is_told_to_whoever_listens() -> None:
    steps: list[None] = []
    with steps_told_to(lambda: steps.append(None)):
        list(side_by_side(learned, range(3), 2))
    assert len(steps) == 3 * _STEPS


def test_an_error_comes_out_and_ends_what_else_is_trained() -> None:
    begun, ended = Event(), Event()

    def work(value: int) -> None:
        if value == 0:
            assert begun.wait(60)
            raise ValueError("of the first")
        begun.set()
        try:
            for _ in range(6000):  # a minute at most, were it not ended
                step_done()
                time.sleep(0.01)
        except CancelledError:
            ended.set()
            raise

    with pytest.raises(ValueError, match="of the first"):
        list(side_by_side(work, range(2), 2))
    assert ended.is_set()
