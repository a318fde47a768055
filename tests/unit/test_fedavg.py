"""Tests of the federated baseline: averages made by hand, and one client against plain training."""

import logging

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flower_dgan.baselines.averaging import average, rounds_within
from flower_dgan.baselines.fedavg import rounds_of, train_federated
from flower_dgan.baselines.rows import LocalFederation
from flower_dgan.config import Config
from flower_dgan.data.pairs import Pairs
from flower_dgan.flower.ledger import FROM_NODE, TO_NODE
from flower_dgan.networks.build import ImageShape
from flower_dgan.resolve import resolve
from flower_dgan.tasks.best_moment import BestMoment
from flower_dgan.tasks.on_views import ViewTraining
from flower_dgan.tasks.segmentation.fit import fit_segmenter


class Descent:
    """One weight w, loss (w - target)^2 / 2, gradient descent at rate 0.5: a step goes half of the way."""

    def __init__(self, start: float, target: float, samples: int) -> None:
        self.model = nn.Linear(1, 1, bias=False)
        self.model.register_buffer("mean", torch.tensor([target]))
        self.model.register_buffer("batches", torch.tensor(samples))
        nn.init.constant_(self.model.weight, start)
        self._target = target
        self._samples = samples
        self.steps: list[int] = []

    def __len__(self) -> int:
        return self._samples

    def run(self, steps: int) -> None:
        self.steps.append(steps)
        with torch.no_grad():
            for _ in range(steps):
                self.model.weight += 0.5 * (self._target - self.model.weight)
            self.model.mean.fill_(self._target)


def weight(training: Descent) -> float:
    return training.model.weight.item()


def test_one_step_of_two_clients_is_averaged_by_their_samples() -> None:
    first, second = Descent(0.0, 8.0, samples=3), Descent(100.0, -4.0, samples=1)
    average([first, second], steps=1, rounds=1)
    # From the first client's 0: to 4 and to -2; (3 * 4 + 1 * -2) / 4 = 2.5. Buffers: (3 * 8 + 1 * -4) / 4 = 5.
    assert weight(first) == weight(second) == pytest.approx(2.5)
    assert float(first.model.mean) == float(second.model.mean) == pytest.approx(5.0)
    # Counters are the client's own.
    assert (int(first.model.batches), int(second.model.batches)) == (3, 1)


def test_every_round_begins_with_the_average() -> None:
    first, second = Descent(0.0, 8.0, samples=1), Descent(0.0, 0.0, samples=1)
    average([first, second], steps=2, rounds=2)
    # 4 and 0 make 2; then 5 and 1 make 3. Without the first average it would have been 6 and 0.
    assert weight(first) == weight(second) == pytest.approx(3.0)


def test_steps_are_shared_by_the_rounds() -> None:
    training = Descent(0.0, 1.0, samples=1)
    average([training], steps=23, rounds=10)
    assert training.steps == [2, 2, 2, 3, 2, 2, 3, 2, 2, 3]
    assert [rounds_of(steps) for steps in (1, 9, 10, 200)] == [1, 9, 10, 10]


def test_bytes_are_those_of_the_weights_that_crossed() -> None:
    ledger = average([Descent(0.0, 1.0, samples=1), Descent(0.0, 1.0, samples=2)], steps=3, rounds=3)
    arrays = {
        (node, way, key): (count.messages, count.bytes)
        for node, way, record, key, count in ledger.rows()
        if record == "arrays"
    }
    # numpy's header is 128 bytes, and a float 4; the counter does not travel
    once = (3, 3 * (128 + 4))
    assert arrays == {
        (node, way, key): once for node in (1, 2) for way in (TO_NODE, FROM_NODE) for key in ("weight", "mean")
    }


@pytest.mark.parametrize(("crossed", "rounds"), [(0, 1), (15, 1), (25, 2), (16 * 3 + 7, 3), (16 * 3 + 9, 4), (1e9, 5)])
def test_rounds_at_equal_bytes_are_the_nearest_number(crossed: float, rounds: int) -> None:
    """A weight and a mean of 4 bytes, both ways: 16 bytes a round; and no more rounds than the five steps."""
    assert rounds_within(Descent(0.0, 1.0, samples=1).model, crossed, steps=5) == rounds


def test_a_client_that_fails_ends_the_training() -> None:
    class Failing(Descent):
        def run(self, steps: int) -> None:
            raise ValueError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        average([Descent(0.0, 1.0, samples=1), Failing(0.0, 1.0, samples=1)], steps=1, rounds=1)


def test_the_log_has_none_of_its_lines(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="flwr"):
        average([Descent(0.0, 1.0, samples=1)], steps=2, rounds=2)
        logging.getLogger("flwr").info("afterwards")
    assert [record.message for record in caplog.records] == ["afterwards"]


def squares(count: int, seed: int) -> Pairs:
    """Grey images whose bright pixels are the mask."""
    generator = np.random.default_rng(seed)
    label_maps = [np.zeros((32, 32), dtype=np.uint8) for _ in range(count)]
    for label_map in label_maps:
        top, left = generator.integers(0, 16, 2)
        label_map[top : top + 16, left : left + 12] = 1
    images = (60 + 140 * m + generator.integers(0, 40, (32, 32)) for m in label_maps)
    return Pairs(tuple(image.astype(np.uint8)[:, :, None] for image in images), tuple(label_maps), 2)


def federation_of(*real: Pairs) -> LocalFederation:
    return LocalFederation(ImageShape(2, 1, 32, tuple(f"site-{k}" for k in range(len(real)))), (), real)


def config_of(steps: int) -> Config:
    return resolve(f"downstream.steps={steps} downstream.batch_size=4 downstream.seeds=5")


def floats(model: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in model.state_dict().items() if value.is_floating_point()}


def training_of(pairs: Pairs, config: Config, seed: int) -> ViewTraining:
    return fit_segmenter(pairs, config.downstream, image_size=32, augmentation="none", seed=seed)


def test_one_client_in_one_round_trains_as_without_a_server() -> None:
    config, pairs = config_of(6), squares(6, seed=0)
    federated, plain = training_of(pairs, config, 3), training_of(pairs, config, 3)
    average([federated], steps=6, rounds=1)
    plain.run(6)
    torch.testing.assert_close(floats(federated.model), floats(plain.model), rtol=0, atol=0)
    assert not federated.model.training


def test_one_client_in_several_rounds_trains_as_in_several_goes() -> None:
    config, pairs = config_of(12), squares(6, seed=0)
    model, ledger = train_federated(federation_of(pairs), config, seed=3)
    plain = training_of(pairs, config, 3)
    for steps in (1, 1, 1, 1, 2, 1, 1, 1, 1, 2):
        plain.run(steps)
    torch.testing.assert_close(floats(model), floats(plain.model), rtol=0, atol=0)
    assert {count.messages for *_, count in ledger.rows()} == {10}


def test_one_step_of_two_segmenters_is_averaged_by_their_pairs() -> None:
    config, north, south = config_of(1), squares(6, seed=0), squares(2, seed=1)
    model, _ = train_federated(federation_of(north, south), config, seed=3)
    trained = []
    for pairs, seed in ((north, 3), (south, 3 + 5)):
        training = training_of(pairs, config, seed)
        training.model.load_state_dict(training_of(north, config, 3).model.state_dict())
        training.run(1)
        trained.append(floats(training.model))
    expected = {name: 0.75 * trained[0][name] + 0.25 * trained[1][name] for name in trained[0]}
    torch.testing.assert_close(floats(model), expected)


def test_a_training_can_be_repeated() -> None:
    config, real = config_of(3), [squares(3, seed=seed) for seed in range(3)]
    first, _ = train_federated(federation_of(*real), config, seed=0)
    again, _ = train_federated(federation_of(*real), config, seed=0)
    other, _ = train_federated(federation_of(*real), config, seed=1)
    torch.testing.assert_close(floats(again), floats(first), rtol=0, atol=0)
    assert not torch.equal(next(first.parameters()), next(other.parameters()))


def test_of_the_averages_the_best_on_validation_pairs_is_kept() -> None:
    """The second of three, which is what a training of two rounds ends with."""
    config, parts = config_of(3), (squares(6, seed=0), squares(2, seed=1))
    figures = iter([0.4, 0.6, 0.5])
    moment = BestMoment(lambda _: next(figures), "highest")
    three, two = ([training_of(pairs, config, seed) for seed, pairs in enumerate(parts)] for _ in range(2))
    average(three, steps=3, rounds=3, on_average=moment.look)
    last = floats(three[0].model)["encoder.model.conv_stem.weight"].clone()
    moment.put_back(three[0].model)
    average(two, steps=2, rounds=2)
    torch.testing.assert_close(floats(three[0].model), floats(two[0].model), rtol=0, atol=0)
    assert not torch.equal(floats(three[0].model)["encoder.model.conv_stem.weight"], last)
