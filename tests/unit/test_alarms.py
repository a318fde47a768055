"""Alarms of a training: both sides of each threshold, once when one begins and once when it ends."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flower_dgan.config import Config
from flower_dgan.federation.alarms import UNDECIDED, Alarms
from flower_dgan.federation.join import JoinedClient
from flower_dgan.federation.round_report import ClientRound, RoundReport
from flower_dgan.federation.samples import plan_samples
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.gan.losses import LOSSES
from flower_dgan.resolve import resolve
from flower_dgan.run.run_records import Alarm

Lines = list[dict[str, Any]]


def configuration(overrides: str = "") -> Config:
    return resolve(f"downstream=none exchange.rounds=8 {overrides}")


def alarms_of(config: Config, before: Sequence[Alarm] = ()) -> tuple[Alarms, Lines]:
    lines: Lines = []
    return Alarms(config, lambda kind, **values: lines.append({"kind": kind, **values}), before), lines


def report_of(round_number: int, **losses: float) -> RoundReport:
    clients = {name: ClientRound(loss, 1.0, 1.0, 1.0, 1.0, 0, 0.5, 0, False) for name, loss in losses.items()}
    return RoundReport(round_number, 8, 0, 1.0, clients, {}, (), 0)


def when(lines: Lines) -> list[tuple[str, str, int, int, bool]]:
    return [(line["name"], line["site"], line["since"], line["round"], line["begins"]) for line in lines]


@pytest.mark.parametrize("name", LOSSES)
def test_an_undecided_discriminator_has_the_loss_that_is_named(name: str) -> None:
    """Over all scores that it can give real and synthetic images alike, from -10 to 10 by a hundredth."""
    scores = torch.arange(-1000, 1001, dtype=torch.float64).reshape(-1, 1, 1, 1) / 100
    lowest = float((LOSSES[name].real(scores) + LOSSES[name].fake(scores)).min())
    if name == "wasserstein":  # 0 with equal scores, and below it without end otherwise
        assert (UNDECIDED[name], lowest) == (None, 0)
    else:
        assert UNDECIDED[name] == pytest.approx(lowest, abs=1e-9)


@pytest.mark.parametrize(
    ("loss", "weight", "below", "above"),
    [  # a twentieth of 2 ln 2 = 1.3863, 0.5 and 2, times the weight
        ("bce", 1.0, 0.0693, 0.0694),
        ("minimax", 0.5, 0.0346, 0.0347),
        ("least-squares", 1.0, 0.0249, 0.0251),
        ("hinge", 2.0, 0.1999, 0.2001),
    ],
)
def test_a_loss_below_a_twentieth_of_the_undecided_one_is_a_win(
    loss: str, weight: float, below: float, above: float
) -> None:
    config = configuration(f"algorithm.loss={loss} algorithm.discriminator_weight={weight}")
    alarms, lines = alarms_of(config)
    for number in (1, 2, 3):
        alarms.judge_round(report_of(number, a=below, b=above))
    assert when(lines) == [("D has won", "a", 1, 3, True)]


def test_wasserstein_has_no_loss_that_is_a_win() -> None:
    alarms, lines = alarms_of(
        configuration("algorithm.loss=wasserstein model.discriminator=my_package.critics:Lipschitz")
    )
    for number in range(1, 6):
        alarms.judge_round(report_of(number, a=0.0, b=-50.0))
    assert not lines


def test_three_answers_in_a_row_raise_it_and_one_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    alarms, lines = alarms_of(configuration())
    with caplog.at_level(logging.INFO, logger="flwr"):
        for number, loss in enumerate([0.01, 0.01, 1.0, 0.02, 0.01, 0.03, 0.001, 0.5, 0.01, 0.01], start=1):
            alarms.judge_round(report_of(number, a=loss))
    assert when(lines) == [("D has won", "a", 4, 6, True), ("D has won", "a", 4, 8, False)]
    assert [line["figure"] for line in lines] == [0.03, 0.5]
    assert [(record.levelname, record.getMessage().split(":")[0]) for record in caplog.records] == [
        ("WARNING", "D has won at a since round 4"),
        ("INFO", "D has won at a since round 4 is over in round 8"),
    ]
    assert "discriminator loss 0.03, where one that cannot tell has 1.39" in caplog.messages[0]
    assert "algorithm.discriminator_learning_rate" in caplog.messages[0]


def test_a_round_without_an_answer_changes_nothing() -> None:
    """As in an asynchronous schedule, where a client answers every other round."""
    alarms, lines = alarms_of(configuration())
    for number in range(1, 7):
        alarms.judge_round(report_of(number, **({"a": 0.01} if number % 2 else {"b": 1.0})))
    assert when(lines) == [("D has won", "a", 1, 5, True)]


def test_advice_is_of_settings_that_the_run_does_not_have_yet() -> None:
    for replay, named in (("target", True), ("gradient", False)):
        alarms, lines = alarms_of(configuration(f"algorithm=dgan-images algorithm.replay={replay} algorithm.passes=1"))
        for number in (1, 2, 3):
            alarms.judge_round(report_of(number, a=0.0))
        assert ("replay=gradient" in lines[0]["help_by"]) == named


def test_what_held_before_a_restart_goes_on() -> None:
    alarms, lines = alarms_of(configuration())
    for number in (1, 2, 3):
        alarms.judge_round(report_of(number, a=0.01, b=0.01))
    alarms.judge_round(report_of(4, b=1.0))
    before = [Alarm(**{key: value for key, value in line.items() if key != "kind"}) for line in lines]
    alarms, lines = alarms_of(configuration(), before)
    alarms.judge_round(report_of(5, a=0.01, b=0.01))
    assert not lines
    alarms.judge_round(report_of(6, a=1.0, b=1.0))
    assert when(lines) == [("D has won", "a", 1, 6, False)]


def images_of(at_the_ends: int, *, value: float = 1.0, apart: float = 0.5) -> Tensor:
    """Return two draws of one image of 10 x 10 with so many values at an end, which differ by ``apart`` elsewhere."""
    images = torch.zeros(2, 100)
    images[1] += apart
    images[:, :at_the_ends] = value
    return images.reshape(2, 1, 1, 10, 10)


@pytest.mark.parametrize(
    ("images", "raised"),
    [
        (images_of(95), True),
        (images_of(94), False),
        (images_of(95, value=-1.0), True),
        (images_of(95, value=0.9961), True),  # times 127.5, plus 127.5, is 254.503: white
        (images_of(95, value=0.9960), False),  # 254.49: the grey before it
    ],
)
def test_images_saturate_from_nineteen_twentieths_on(images: Tensor, raised: bool) -> None:
    alarms, lines = alarms_of(configuration())
    alarms.judge_samples(1, {"a": images, "b": images_of(0)})
    alarms.judge_samples(2, {"a": images, "b": images_of(0)})
    assert when(lines) == ([("images saturate", "a", 1, 1, True)] if raised else [])
    alarms.judge_samples(3, {"a": images_of(0), "b": images_of(0)})
    assert when(lines[1:]) == ([("images saturate", "a", 1, 3, False)] if raised else [])


def test_label_maps_as_images_are_black_and_white() -> None:
    alarms, lines = alarms_of(configuration("data.target=label-maps data.condition=none"))
    alarms.judge_samples(1, {"a": images_of(100)})
    assert not lines


@pytest.mark.parametrize(("apart", "raised"), [(0.0, True), (0.00784, True), (0.00785, False), (-0.00785, False)])
def test_draws_collapse_below_one_grey_level(apart: float, raised: bool) -> None:
    """2 / 255 = 0.007843."""
    alarms, lines = alarms_of(configuration())
    alarms.judge_samples(3, {"a": images_of(0, apart=apart), "b": images_of(0)})
    assert when(lines) == ([("draws collapse", "a", 3, 3, True)] if raised else [])
    alarms.judge_samples(4, {"a": images_of(0), "b": images_of(0)})
    assert when(lines[1:]) == ([("draws collapse", "a", 3, 4, False)] if raised else [])


def test_the_difference_of_draws_is_a_root_mean_square() -> None:
    """A quarter of the values differ by 0.016, so that the root is 0.008 and the mean 0.004."""
    images = images_of(75, value=0.25, apart=0.016)
    alarms, lines = alarms_of(configuration())
    alarms.judge_samples(3, {"a": images})
    assert not lines


class SiteAndNoise(nn.Module):
    """A generator whose images are the site's number in tenths, plus a hundredth of the first noise."""

    def forward(self, inputs: GeneratorInput) -> Tensor:
        values = inputs.sites / 10 + inputs.noise[:, 0] / 100
        return values.reshape(-1, 1, 1, 1).expand(-1, 1, *inputs.label_maps.shape[2:])


def test_sample_images_are_told_by_whose_label_map_they_were_drawn_on(tmp_path: Path) -> None:
    maps = tuple(np.full((32, 32), value, np.uint8) for value in (0, 1))
    names = ("a", "b", "c")
    clients = [JoinedClient(n, False, ClientLabels(name, maps, 2, n)) for n, name in enumerate(names)]
    plan = plan_samples(configuration(), clients, None)
    drawn = plan.write(SiteAndNoise(), tmp_path / "grid.png")
    assert {name: images.shape for name, images in drawn.items()} == {
        "a": (2, 3, 1, 32, 32),
        "b": (2, 3, 1, 32, 32),
        "c": (2, 2, 1, 32, 32),
    }
    for number, name in enumerate(names):
        of_site = (drawn[name] * 10).round().unique().tolist()
        assert of_site == [number], "the noise moves an image by less than half of what tells two sites apart"
        assert (drawn[name][0] != drawn[name][1]).all()
    assert (tmp_path / "grid.png").is_file()


def test_equal_draws_mean_nothing_in_the_first_quarter_or_without_noise() -> None:
    alarms, lines = alarms_of(configuration())
    alarms.judge_samples(2, {"a": images_of(0, apart=0.0)})  # of 8 rounds
    assert not lines
    alarms.judge_samples(3, {"a": images_of(0, apart=0.0)})
    assert when(lines) == [("draws collapse", "a", 3, 3, True)]
    alarms, lines = alarms_of(configuration("model.noise_channels=0"))
    alarms.judge_samples(8, {"a": images_of(0, apart=0.0)})
    assert not lines
