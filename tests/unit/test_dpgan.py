"""DP-GAN: its step against numbers by hand, what a patient can change, and what is refused beside it."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from torch import nn

from flower_dgan.algorithms.dpgan import DpGan
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import Config
from flower_dgan.data import Pairs
from flower_dgan.errors import ConfigError
from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.gan.drawn_patients import DrawnPatients
from flower_dgan.gan.exchange import Question
from flower_dgan.gan.losses import HINGE
from flower_dgan.gan.session import Session
from flower_dgan.networks.build import ImageShape, build_discriminator
from flower_dgan.privacy.accountant import METHOD, Release, epsilon_of_all, method_of_all, noise_of_steps
from flower_dgan.privacy.clipped_sum import clipped_sum, whole_clipped
from flower_dgan.privacy.gaussian_mechanism import METHOD as EXACT
from flower_dgan.privacy.noise import GRID, seeded_bytes
from flower_dgan.resolve import resolve

BASE = "privacy=dp-sgd data.condition=class data.classes=3 downstream=none data.image_size=8 threads=1"
TOLERANCE = 2.0**-9  # what is held free for rounding, and the grid


class Linear(nn.Module):
    """D(x) = w . x of images of one row."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(weights))

    def forward(self, label_maps: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        return (images[:, 0, 0] * self.weights).sum(1)[:, None, None, None]


def images(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows)[:, None, None]


def blank(count: int) -> torch.Tensor:
    return torch.ones(count, 1, 1, 2)


def test_gradients_are_clipped_one_by_one() -> None:
    """Of hinge loss at D = 0 each is -x: (3, 4) is 5 long and becomes (0.6, 0.8) of C; (0.1, 0) is half of C."""
    found = clipped_sum(Linear(0.0, 0.0), HINGE.real, (blank(2), images((3.0, 4.0), (0.1, 0.0))), 0.2)
    assert (found / GRID).tolist() == pytest.approx([-(0.6 + 0.5), -0.8], abs=TOLERANCE)
    assert (found == found.round()).all()


@pytest.mark.parametrize("broken", [math.inf, -math.inf, math.nan])
def test_a_gradient_that_is_not_finite_adds_nothing(broken: float) -> None:
    """Whose image it is cannot be told: the others' sum is as if it were not there."""
    others = (blank(1), images((3.0, 4.0)))
    both = (blank(2), images((3.0, 4.0), (broken, 1.0)))
    alone = clipped_sum(Linear(0.0, 0.0), HINGE.real, others, 0.2)
    assert torch.equal(clipped_sum(Linear(0.0, 0.0), HINGE.real, both, 0.2), alone)


def test_of_nobody_the_sum_is_nothing() -> None:
    assert clipped_sum(Linear(1.0, 2.0), HINGE.real, (blank(0), torch.zeros(0, 1, 1, 2)), 0.2).tolist() == [0.0, 0.0]


@settings_of_hypothesis(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-30, 1e30), st.floats(1e-6, 1e6))
def test_nobody_adds_more_than_the_bound(seed: int, scale: float, bound: float) -> None:
    gradients = torch.from_numpy(np.random.default_rng(seed).standard_t(1.5, (5, 40))).float() * scale
    found = whole_clipped(gradients, bound).double()
    assert (found.norm(dim=1) <= GRID).all()
    assert (found == found.trunc()).all()
    short = gradients.double().norm(dim=1) <= bound
    expected = gradients.double()[short] / bound * GRID
    assert torch.allclose(found[short], expected, rtol=2**-9, atol=1.0)


@pytest.mark.parametrize("network", ["mlp", "mlp-by-class", "small", "dcgan", "patchgan"])
def test_sums_of_sets_that_differ_in_a_patient_differ_by_the_bound_at_most(network: str) -> None:
    """Of each shipped discriminator, activations in place and instance normalisation among them."""
    config = resolve(f"{BASE} model.discriminator={network} model.discriminator_width=4 data.image_size=32")
    torch.manual_seed(0)
    judge = build_discriminator(config.model, ImageShape(3, 1, 32, ()))
    one_hot = torch.nn.functional.one_hot(torch.arange(6) % 3, 3).float()[:, :, None, None].expand(-1, -1, 32, 32)
    pictures = torch.rand(6, 1, 32, 32) * 2 - 1
    pictures[5] *= 1e4  # who stands out
    whole = clipped_sum(judge, HINGE.real, (one_hot, pictures), 0.1)
    without = clipped_sum(judge, HINGE.real, (one_hot[:5], pictures[:5]), 0.1)
    assert 0 < (whole - without).norm() <= GRID
    (loss,) = HINGE.real(judge(one_hot[:1], pictures[:1]))
    plain = torch.cat([each.flatten() for each in torch.autograd.grad(loss, list(judge.parameters()))])
    alone = clipped_sum(judge, HINGE.real, (one_hot[:1], pictures[:1]), 1e3)
    assert torch.allclose(alone / GRID * 1e3, plain.double(), rtol=2**-9, atol=2e3 / GRID)


def session(config: Config, pairs: Pairs, network: nn.Module, noise: float, patients: DrawnPatients) -> Session:
    optimizer = torch.optim.SGD(network.parameters(), 1.0)
    half = DiscriminatorHalf(network, optimizer, HINGE, 1.0, 1.0, None, 1)
    side, batch = config.data.image_size, config.exchange.batch_size
    return Session("a", pairs, half, side, batch, "none", 1, 0, patients=patients, noise=noise)


class Brightness(nn.Module):
    """D(x) = w times the mean of x."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, label_maps: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        return images.mean((1, 2, 3), keepdim=True) * self.weight


@cache
def one_step_each() -> Config:
    one = "exchange.batch_size=2 exchange.exchanges=1 algorithm.discriminator_steps=1"
    return resolve(f"{BASE} {one} algorithm.clip=0.5 algorithm.share=1")


def one_step(noise: float, count: float, patients: int = 2, seed: int = 0) -> tuple[float, float]:
    """Return what a step of length 1 makes of w = 0 with white patients and two black synthetic images."""
    config = one_step_each()
    white = tuple(np.full((8, 8, 1), 255, np.uint8) for _ in range(2))
    pairs = Pairs(white, tuple(np.zeros((8, 8), np.uint8) for _ in white), 3)
    network = Brightness()
    here = DrawnPatients([(index,) for index in range(patients)], seeded_bytes(seed), count)
    question = Question(-torch.ones(2, 1, 8, 8), label_maps=np.zeros((2, 8, 8), np.uint8))
    answer = algorithm_of(config).answer(session(config, pairs, network, noise, here), 1, question)
    return network.weight.item(), answer.discriminator_loss


def test_a_step_by_hand() -> None:
    """Both patients' gradients are -1, clipped to -C = -0.5; of synthetic images -1, too: the mean of each is -0.5.

    w = 0 goes to 1. With n~ = 4 of two, the patients' half counts half: 0.75. The loss is that at -w: max(0, 1 - w).
    """
    assert one_step(1e-9, 2.0) == (pytest.approx(1.0, abs=0.01), pytest.approx(0.0, abs=0.01))
    assert one_step(1e-9, 4.0) == (pytest.approx(0.75, abs=0.01), pytest.approx(0.25, abs=0.01))


def test_noise_is_as_large_as_it_is_said_to_be() -> None:
    """Of sigma 3: 3 C / (q n~) = 0.75 of w, over 300 draws to 12 %."""
    found = np.array([one_step(3.0, 2.0, seed=seed)[0] for seed in range(300)])
    assert found.std() == pytest.approx(0.75, rel=0.12)
    assert found.mean() == pytest.approx(1.0, abs=0.15)


def with_and_without(trainings: int) -> float:
    """Return the area under the curve of who guesses whether the second of two patients is there, by what came out."""
    here, away = (
        np.array([one_step(3.0, 2.0, patients, 7 * seed + patients)[0] for seed in range(trainings)])
        for patients in (2, 1)
    )
    return float(np.mean(here[:, None] > away[None]))


def test_a_canary_sees_noise_that_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """At sigma 3 the best guess is right in Phi(1 / (3 sqrt 2)) = 0.59 of pairs; without noise in all."""
    assert with_and_without(200) == pytest.approx(0.593, abs=0.09)

    def off(total: np.ndarray, sigma: float, read: object) -> np.ndarray:
        return total

    monkeypatch.setattr("flower_dgan.algorithms.dpgan.noisy", off)
    assert with_and_without(5) == 1.0


def test_patients_come_by_coins_with_one_image_each() -> None:
    patients = DrawnPatients([(0, 1), (2,), (3, 4, 5)], seeded_bytes(1))
    drawn = [patients.draw(0.3).tolist() for _ in range(3000)]
    assert patients.taken == 3000
    owners = {0: 0, 1: 0, 2: 1, 3: 2, 4: 2, 5: 2}
    assert all(len({owners[each] for each in step}) == len(step) for step in drawn)
    often = np.bincount([image for step in drawn for image in step], minlength=6) / 3000
    assert often.tolist() == pytest.approx([0.15, 0.15, 0.3, 0.1, 0.1, 0.1], abs=0.03)
    assert 0.25 < np.mean([not step for step in drawn]) < 0.43  # 0.7^3: there is no step that nobody may miss
    assert DrawnPatients([(7,)], seeded_bytes(1)).draw(1.0).tolist() == [7]
    assert DrawnPatients([], seeded_bytes(1)).draw(0.5).tolist() == []


def test_several_steps_draw_anew_and_are_all_counted() -> None:
    patients = DrawnPatients([(index,) for index in range(50)], seeded_bytes(2))
    config = resolve(f"{BASE} exchange.batch_size=2 exchange.exchanges=2 algorithm.discriminator_steps=3")
    algorithm = algorithm_of(config)
    assert isinstance(algorithm, DpGan)
    white = tuple(np.full((8, 8, 1), 255, np.uint8) for _ in range(50))
    pairs = Pairs(white, tuple(np.zeros((8, 8), np.uint8) for _ in white), 3)
    question = Question(-torch.ones(4, 1, 8, 8), label_maps=np.zeros((4, 8, 8), np.uint8))
    algorithm.answer(session(config, pairs, Brightness(), 1.0, patients), 1, question)
    assert patients.taken == 6 == algorithm.steps_a_round(config)
    assert len({tuple(patients.draw(0.5)) for _ in range(9)}) == 9


@pytest.mark.parametrize(("enough", "taken"), [(1.0, 3), (0.9, 1)])
def test_steps_on_a_batch_that_is_known_are_left_out_and_not_counted(enough: float, taken: int) -> None:
    """After one step w = 1, and D scores both black images -1."""
    config = one_step_each()
    algorithm = DpGan(replace(config.algorithm, discriminator_steps=3, enough=enough))
    white = tuple(np.full((8, 8, 1), 255, np.uint8) for _ in range(2))
    pairs = Pairs(white, tuple(np.zeros((8, 8), np.uint8) for _ in white), 3)
    patients = DrawnPatients([(0,), (1,)], seeded_bytes(0), 2.0)
    question = Question(-torch.ones(2, 1, 8, 8), label_maps=np.zeros((2, 8, 8), np.uint8))
    algorithm.answer(session(config, pairs, Brightness(), 1e-9, patients), 1, question)
    assert patients.taken == taken


def test_noise_follows_from_epsilon_share_and_steps_and_costs_no_more() -> None:
    sigma = noise_of_steps(3.0, 1e-5, 0.35, 1500, 1 / 20)
    spent = epsilon_of_all(1 / 20, [Release(sigma, 0.35, 1500)], 1e-5)
    assert 2.98 < spent <= 3.0
    assert epsilon_of_all(1 / 20, [Release(sigma, 0.35, 1501)], 1e-5) > spent
    with pytest.raises(ConfigError, match="No noise lets 1,500 steps"):
        noise_of_steps(0.5, 1e-5, 0.35, 1500, 1.0)


def test_one_account_of_sums_and_steps_has_the_figures_of_opacus() -> None:
    """One Gaussian release, then 1,500 steps of 512 of 1,438: 9.929 by RDP."""
    steps = (Release(8.0, 512 / 1438, 1500),)
    assert epsilon_of_all(1 / 1.3906, steps, 1e-5) == pytest.approx(9.929, abs=6e-4)
    assert epsilon_of_all(1 / 1.3906, (), 1e-5) == pytest.approx(3.0, abs=1e-3)
    assert epsilon_of_all(0.0, (), 1e-5) == 0.0
    assert (method_of_all(steps), method_of_all(())) == (METHOD, EXACT)


def test_a_whole_training_is_planned_to_cost_what_is_set() -> None:
    config = resolve(f"{BASE} exchange.rounds=10 algorithm.discriminator_steps=2")
    algorithm = algorithm_of(config)
    assert isinstance(algorithm, DpGan)
    (steps,) = algorithm.drawn_releases(config)
    assert (steps.share, steps.steps) == (0.35, 20)
    assert 2.9 < epsilon_of_all(algorithm.release_cost, [steps], 1e-5) <= 3.0
    assert algorithm.steps_of(config, 2) == replace(steps, steps=2)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("algorithm.gradient_penalty=1", "Set algorithm.gradient_penalty=0"),
        ("algorithm.replay=target algorithm.target_step=0.1", "algorithm.replay=gradient"),
        ("algorithm.discriminator_weight=2", "algorithm.discriminator_weight=1"),
        ("algorithm.merge=samples", "algorithm.merge=equal"),
        ("model.discriminator=mine:Spectral", "batch normalisation.*spectral normalisation"),
        ("model.levels=site", "model.levels=none"),
        ("data.label_maps=clients", "data.label_maps=drawn"),
        ("data.condition=label-map", "data.condition=class or none"),
        ("data.classes=null", "data.classes=10"),
        ("data.missing_channels=[[a,[0]]] data.channels=3", "leave data.missing_channels out"),
        ("selection=best downstream=classification", "selection=last"),
        ("downstream=classification downstream.rows=[Syn-All]", "Syn-All .*leave it out"),
        ("downstream=classification downstream.rows=[FedGAN]", "weights .*FedGAN .*leave it out"),
        ("precision=bfloat16", "precision=float32"),
    ],
)
def test_what_no_noise_covers_is_refused_by_name(override: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        resolve(f"{BASE} {override}")


def test_moments_without_noise_are_refused_by_name() -> None:
    config = resolve(BASE)
    asked = replace(config, downstream=replace(config.downstream, dist_fid=10))
    with pytest.raises(ConfigError, match=r"downstream\.dist_fid=0"):
        algorithm_of(config).check(asked)


@pytest.mark.parametrize("algorithm", ["mdgan", "dgan", "dgan-selective"])
def test_no_other_algorithm_says_it_is_private(algorithm: str) -> None:
    """Swaps of discriminators among them: label maps that are drawn want noise."""
    with pytest.raises(ConfigError, match="privacy=dp-sgd"):
        resolve(f"algorithm={algorithm} data.label_maps=drawn")
