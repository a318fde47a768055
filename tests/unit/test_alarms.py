"""Alarms of a training: both sides of each threshold, once when one begins and once when it ends."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from flower_dgan.config import Config
from flower_dgan.federation.alarm_log import AlarmLog
from flower_dgan.federation.announcement import begin_of
from flower_dgan.federation.join import JoinedClient
from flower_dgan.federation.samples import look_of, plan_samples
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.gan.losses import LOSSES
from flower_dgan.resolve import resolve
from flower_dgan.run.alarms import UNDECIDED, Watch, alarms_of
from flower_dgan.run.event_log import EventLog
from flower_dgan.run.event_reader import Event, read_events
from flower_dgan.run.events import KIND_OF
from flower_dgan.run.member_records import Change, Join
from flower_dgan.run.outcome_records import Alarm, End
from flower_dgan.run.round_records import ClientRound, Round
from flower_dgan.run.status_records import Begin, Heartbeat, Look, Samples, StageBegin

CLIENT = ClientRound(1.0, 1.0, 1.0, 1.0, 10, 10, 0, 0.5)
PLAIN = Look(10.0, 0.1, (127.0,), (50.0,))


def begin(overrides: str = "", attempt: int = 1) -> Begin:
    return begin_of(configuration(overrides), attempt, 0, None)


def configuration(overrides: str = "") -> Config:
    return resolve(f"downstream=none exchange.rounds=8 {overrides}")


def event(record: Any, time: float | None = None) -> Event:
    return Event(KIND_OF[type(record)], time, {"kind": KIND_OF[type(record)], **asdict(record)})


def found(*records: Any) -> list[Alarm]:
    return alarms_of(map(event, records))


def found_kinds(*records: Any) -> list[str]:
    return [alarm.name for alarm in found(*records)]


def report_of(round_number: int, **losses: float) -> Round:
    return round_of(round_number, **{name: {"discriminator_loss": loss} for name, loss in losses.items()})


def round_of(round_number: int, rejected: dict[str, str] | None = None, **clients: dict[str, Any]) -> Round:
    made = {name: replace(CLIENT, **values) for name, values in clients.items()}
    return Round(round_number, {"generator": 1.0}, 8, made, rejected or {}, 0, (), {})


def samples_of(round_number: int, **looks: Look) -> Samples:
    return Samples(round_number, "grid.png", (), looks)


def when(alarms: Sequence[Alarm]) -> list[tuple[str, str, int, int, bool]]:
    return [(alarm.name, alarm.site, alarm.since, alarm.round, alarm.begins) for alarm in alarms]


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
    start = begin(f"algorithm.loss={loss} algorithm.discriminator_weight={weight}")
    assert when(found(start, *(report_of(number, a=below, b=above) for number in (1, 2, 3)))) == [
        ("D has won", "a", 1, 3, True)
    ]


def test_wasserstein_has_no_loss_that_is_a_win() -> None:
    start = begin("algorithm.loss=wasserstein model.discriminator=my_package.critics:Lipschitz")
    assert found(start, *(report_of(number, a=0.0, b=-50.0) for number in range(1, 6))) == []


def test_three_answers_in_a_row_raise_it_and_one_ends_it() -> None:
    losses = [0.01, 0.01, 1.0, 0.02, 0.01, 0.03, 0.001, 0.5, 0.01, 0.01]
    alarms = found(begin(), *(report_of(number, a=loss) for number, loss in enumerate(losses, start=1)))
    assert when(alarms) == [("D has won", "a", 4, 6, True), ("D has won", "a", 4, 8, False)]
    assert [alarm.figure for alarm in alarms] == [0.03, 0.5]
    assert alarms[0].said == "discriminator loss 0.03, where one that cannot tell has 1.39"
    assert "algorithm.discriminator_learning_rate" in alarms[0].help_by


@pytest.mark.parametrize(
    ("loss", "score", "spread", "raised"),
    [
        ("bce", -6.61, 1.0, True),  # two deviations above the mean: -4.61, less than one chance in a hundred
        ("bce", -6.59, 1.0, False),
        ("minimax", -9.0, 2.21, False),  # as sure on average, and not of all
        ("least-squares", 0.05, 0.024, True),
        ("least-squares", 0.05, 0.026, False),
        ("hinge", -1.5, 0.24, True),
        ("hinge", -1.5, 0.26, False),
        ("bce", None, None, True),  # something was added to the loss, so that no score follows from it
    ],
)
def test_who_still_likes_some_images_better_has_not_won(
    loss: str, score: float | None, spread: float | None, raised: bool
) -> None:
    told = {"discriminator_loss": 0.001, "score": score, "score_spread": spread}
    kinds = found_kinds(begin(f"algorithm.loss={loss}"), *(round_of(number, a=told) for number in (1, 2, 3)))
    assert kinds == (["D has won"] if raised else [])


def test_a_round_without_an_answer_changes_nothing() -> None:
    """As in an asynchronous schedule, where a client answers every other round."""
    rounds = [report_of(number, **({"a": 0.01} if number % 2 else {"b": 1.0})) for number in range(1, 7)]
    assert when(found(begin(), *rounds)) == [("D has won", "a", 1, 5, True)]


def test_advice_is_of_settings_that_the_run_does_not_have_yet() -> None:
    for replay, named in (("target", True), ("gradient", False)):
        start = begin(f"algorithm=dgan-images algorithm.replay={replay} algorithm.passes=1")
        (alarm,) = found(start, *(report_of(number, a=0.0) for number in (1, 2, 3)))
        assert ("replay=gradient" in alarm.help_by) == named


def test_a_discriminator_that_scores_all_alike_knows_nothing() -> None:
    """0.98 of 1.3863 is 1.3586, the standard deviation 0.02; after the first quarter of 40 rounds, five in a row."""
    start = begin("exchange.rounds=40")
    idle = {"discriminator_loss": 1.359, "score": 0.1, "score_spread": 0.0199}
    sharp, spread = {**idle, "discriminator_loss": 1.358}, {**idle, "score_spread": 0.0201}
    rounds = [round_of(number, a=idle, b=sharp, c=spread) for number in range(1, 41)]
    alarms = found(start, *rounds)
    assert when(alarms) == [("D knows nothing", "a", 11, 15, True)]
    assert when(found(begin(), *rounds[:10])) == [("D knows nothing", "a", 6, 10, True)]  # of 8 rounds
    assert alarms[0].said.endswith("cannot tell has 1.39, and scores synthetic images 0.1 (deviation 0.02)")


def test_what_held_before_a_restart_goes_on_and_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = EventLog(tmp_path)
    AlarmLog(log)
    with caplog.at_level(logging.INFO, logger="flwr"):
        log.write(begin())
        for number in (1, 2, 3):
            log.write(report_of(number, a=0.01, b=0.01))
        log.write(report_of(4, b=1.0))
        log = EventLog(tmp_path)
        AlarmLog(log)
        log.write(begin(attempt=2))
        log.write(report_of(5, a=0.01, b=0.01))
        log.write(report_of(6, a=1.0, b=1.0))
    assert when([each.record for each in read_events(tmp_path) if each.kind == "alarm"]) == [
        ("D has won", "a", 1, 3, True),
        ("D has won", "b", 1, 3, True),
        ("D has won", "b", 1, 4, False),
        ("D has won", "a", 1, 6, False),
    ]
    assert [(record.levelname, record.getMessage().split(":")[0]) for record in caplog.records] == [
        ("WARNING", "D has won at a since round 1"),
        ("WARNING", "D has won at b since round 1"),
        ("INFO", "D has won at b since round 1 is over in round 4"),
        ("INFO", "D has won at a since round 1 is over in round 6"),
    ]


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
    good = look_of(images_of(0))
    alarms = found(begin(), *(samples_of(n, a=look_of(images), b=good) for n in (1, 2)), samples_of(3, a=good, b=good))
    both = [("images saturate", "a", 1, 1, True), ("images saturate", "a", 1, 3, False)]
    assert when(alarms) == (both if raised else [])


def test_label_maps_as_images_are_black_and_white() -> None:
    start = begin("data.target=label-maps data.condition=none")
    assert found(start, samples_of(1, a=look_of(images_of(100)))) == []


@pytest.mark.parametrize(("apart", "raised"), [(0.0, True), (0.00784, True), (0.00785, False), (-0.00785, False)])
def test_draws_collapse_below_one_grey_level(apart: float, raised: bool) -> None:
    """One of 127.5 grey levels to a unit is 0.007843."""
    good = look_of(images_of(0))
    alarms = found(begin(), samples_of(6, a=look_of(images_of(0, apart=apart)), b=good), samples_of(7, a=good, b=good))
    both = [("draws collapse", "a", 6, 6, True), ("draws collapse", "a", 6, 7, False)]
    assert when(alarms) == (both if raised else [])


def test_a_look_has_the_numbers_of_the_images() -> None:
    """A quarter of the values differ by 0.016, so that the root of their mean square is 0.008, and their mean 0.004."""
    look = look_of(images_of(75, value=0.25, apart=0.016))
    assert look.draws_differ == pytest.approx(0.008 * 127.5, rel=1e-5)
    assert look.saturated == 0
    assert look.mean == (pytest.approx(127.5 * (1 + 0.75 * 0.25 + 0.25 * 0.008), rel=1e-5),)
    two = torch.stack([torch.full((1, 1, 2, 2), -1.0), torch.ones(1, 1, 2, 2)])
    assert look_of(two) == Look(255.0, 1.0, (127.5,), (127.5,))
    assert look_of(two[:1]).draws_differ is None


class SiteAndNoise(nn.Module):
    """A generator whose images are the site's number in tenths, plus a hundredth of the first noise."""

    def forward(self, inputs: GeneratorInput) -> Tensor:
        values = inputs.sites / 10 + inputs.noise[:, 0] / 100
        return values.reshape(-1, 1, 1, 1).expand(-1, 1, *inputs.label_maps.shape[2:])


def test_samples_are_files_that_are_told_by_site_and_draw(tmp_path: Path) -> None:
    maps = tuple(np.full((32, 32), value, np.uint8) for value in (0, 1))
    names = ("a", "b/c", "d")
    clients = [JoinedClient(n, False, ClientLabels(name, maps, 2, n)) for n, name in enumerate(names)]
    (tmp_path / "samples").mkdir()
    samples = plan_samples(configuration(), clients, None).write(SiteAndNoise(), tmp_path, 7)
    assert (samples.round, samples.grid) == (7, "samples/round-00007.png")
    assert sorted(file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.png")) == sorted(
        [samples.grid, *(each.file for each in samples.files)]
    )
    assert [(each.row, each.site) for each in samples.files if each.column == "draw 2"] == [
        (row, names[row % 3]) for row in range(8)
    ]
    for each in samples.files:
        with Image.open(tmp_path / each.file) as picture:
            assert picture.text["Title"] == f"{each.site}, {each.column}"
            levels = np.asarray(picture)
        assert levels.shape == (32, 32)
        if each.column != "label map":  # a tenth of a unit is 12.75 grey levels, and noise moves less than half of that
            assert abs(levels - 127.5 - 12.75 * names.index(each.site)).max() < 6
    assert list(samples.looks) == list(names)
    assert all(look.draws_differ > 0 for look in samples.looks.values() if look.draws_differ is not None)


def test_equal_draws_mean_nothing_in_the_first_quarter_or_without_noise() -> None:
    """Five rounds at least; draws that do not differ at all mean that no noise reaches the generator, at any time."""
    nearly, same = replace(PLAIN, draws_differ=0.01), replace(PLAIN, draws_differ=0.0)
    assert found(begin(), samples_of(5, a=nearly)) == []
    assert found(begin("exchange.rounds=40"), samples_of(10, a=nearly)) == []
    assert when(found(begin(), samples_of(2, a=same))) == [("draws collapse", "a", 2, 2, True)]
    assert when(found(begin(), samples_of(6, a=nearly))) == [("draws collapse", "a", 6, 6, True)]
    assert when(found(begin("exchange.rounds=40"), samples_of(11, a=nearly))) == [("draws collapse", "a", 11, 11, True)]
    assert found(begin("model.noise_channels=0"), samples_of(8, a=same)) == []


@pytest.mark.parametrize(
    ("mean", "deviation", "raised"),
    [
        (159.9, 20.0, False),  # 100 and 20 said: 2 * 20 + 20 off at most
        (160.1, 20.0, True),
        (39.9, 20.0, True),
        (100.0, 85.1, True),  # (85 - 5) / 20 = 4
        (100.0, 84.9, False),
        (100.0, 0.01, False),  # 20 / 5.01 is less than 4
    ],
)
def test_colours_are_held_against_what_the_site_said(mean: float, deviation: float, raised: bool) -> None:
    joins = Join("a", "1", 9, "all", (100,), (20,)), Join("b", "2", 9, "all")
    look = replace(PLAIN, mean=(mean,), deviation=(deviation,))
    assert found(begin(), *joins, samples_of(5, a=look, b=look)) == []  # of 8 rounds
    assert found(begin("exchange.rounds=40"), *joins, samples_of(10, a=look, b=look)) == []
    alarms = found(begin(), *joins, samples_of(6, a=look, b=look))
    assert when(alarms) == ([("colours are not the site's", "a", 6, 6, True)] if raised else [])


@pytest.mark.parametrize(
    ("said", "found", "raised"), [(40, 3.9, True), (40, 4.1, False), (39, 0.0, False), (60, 5.9, True)]
)
def test_sites_that_differ_are_to_look_different(said: int, found: float, raised: bool) -> None:
    """In the channel in which they said that they differ most, by a tenth of that."""
    joins = Join("a", "1", 9, "all", (100, 50), (99, 99)), Join("b", "2", 9, "all", (101, 50 + said), (99, 99))
    pictures = [replace(PLAIN, mean=mean, deviation=(99.0, 99.0)) for mean in ((100.0, 50.0), (190.0, 50.0 + found))]
    drawn = dict(zip("ab", pictures, strict=True))
    assert found_kinds(begin(), *joins, samples_of(6, **drawn)) == (["sites look the same"] if raised else [])
    assert found_kinds(begin(), *joins, samples_of(5, **drawn)) == []
    assert found_kinds(begin("exchange.rounds=40"), *joins, samples_of(10, **drawn)) == []
    assert found_kinds(begin(), joins[0], samples_of(6, **drawn)) == []


def test_feedback_is_held_against_that_of_the_others() -> None:
    """Five answers in a row: ten times the median of the others, 0, and a cosine below -0.5; three clients or more."""

    def rounds(**clients: dict[str, Any]) -> list[Round]:
        return [round_of(number, **clients) for number in range(1, 7)]

    usual = {"feedback_length": 1.0, "feedback_direction": 0.1}
    cases = [
        ({"feedback_length": 10.1}, "feedback is long"),
        ({"feedback_length": 9.9}, None),
        ({"feedback_length": 0.0}, "feedback is zero"),
        ({"feedback_length": 0.01}, None),
        ({"feedback_direction": -0.51}, "feedback is against the others'"),
        ({"feedback_direction": -0.49}, None),
        ({"feedback_direction": None, "feedback_length": None}, None),
    ]
    for values, name in cases:
        alarms = found(begin(), *rounds(a={**usual, **values}, b=usual, c=usual))
        assert when(alarms) == ([(name, "a", 1, 5, True)] if name else []), values
    of_two = rounds(a={"feedback_length": 50.0, "feedback_direction": -0.9}, b=usual)
    assert found(begin(), *of_two) == []


@pytest.mark.parametrize(
    ("spread", "others", "raised"),
    [
        (0.5, 0.5, True),  # as sure as the others, so in another unit
        (1.3, 0.1, False),  # 13 times as far apart: 20 / 1.3 is 1.54 times 1 / 0.1
        (0.199, 0.1, True),  # 20 / 0.199 is 10.05 times 1 / 0.1
        (0.201, 0.1, False),
        (None, 0.1, True),  # where scores say nothing
        (0.5, None, True),
        (0.5, 0.0, True),
    ],
)
def test_feedback_is_long_for_what_its_discriminator_has_learned(
    spread: float | None, others: float | None, raised: bool
) -> None:
    usual = {"feedback_length": 1.0, "score": 0.0, "score_spread": others}
    long = {"feedback_length": 20.0, "score": 0.0, "score_spread": spread}
    rounds = [round_of(number, a=long, b=usual, c=usual) for number in range(1, 6)]
    assert when(found(begin(), *rounds)) == ([("feedback is long", "a", 1, 5, True)] if raised else [])


def test_feedback_is_to_follow_the_label_maps_as_that_of_the_others() -> None:
    """The mean of five answers, 0.1, against 0.48 x 0.4 = 0.192; with 0.9 in it, (0.9 + 4 x 0.1) / 5 = 0.26."""

    def rounds(values: Sequence[float | None], b: float = 0.4, c: float = 0.6) -> list[Round]:
        told = ({"a": a, "b": b, "c": c} for a in values)
        return [
            round_of(number, **{name: {"feedback_follows": each} for name, each in row.items()})
            for number, row in enumerate(told, start=6)
        ]

    mismatch = "images and label maps do not match"
    alarms = found(begin(), *rounds([0.1] * 5), *rounds([None] * 5 + [0.9] + [-0.5] * 9)[5:])
    assert when(alarms) == [(mismatch, "a", 10, 10, True), (mismatch, "a", 10, 11, False)]  # who ever followed has them
    assert alarms[0].said == ("its feedback followed the label maps by 0.10 at most, and that of the others by 0.40")
    assert found(begin(), *rounds([0.1] * 4)) == []
    assert found(begin("exchange.rounds=40"), *rounds([0.1] * 9)) == []  # rounds 6 to 14, of which those from 11 count
    assert found_kinds(begin("exchange.rounds=40"), *rounds([0.1] * 10)) == [mismatch]
    assert found(begin(), *rounds([0.193] * 6)) == []
    assert found_kinds(begin(), *rounds([0.191] * 6)) == [mismatch]
    assert found(begin(), *rounds([-0.9] * 6, 0.29, 0.9)) == []  # of the others one does not follow, so nobody can tell
    assert found_kinds(begin(), *rounds([-0.9] * 6, 0.31, 0.9)) == [mismatch]
    later = rounds([0.1] * 12, -0.9)[5:]  # b has 0.14 in round 11, and nobody is told from others any more
    assert len(found(begin(), *rounds([0.1] * 5), *later)) == 1  # so nothing is over
    joined = [replace(each, clients={n: c for n, c in each.clients.items() if n != "a"}) for each in rounds([0.0] * 5)]
    assert found(begin(), *joined, *later) == []  # who joins then is held against what the others do then
    assert found(begin(), *rounds([None] * 6)) == []
    of_two = [round_of(n, a={"feedback_follows": -0.5}, b={"feedback_follows": 0.5}) for n in range(6, 14)]
    assert found(begin(), *of_two) == []


def test_of_six_clients_two_may_have_the_label_maps_of_others() -> None:
    """Of the five others of each the worst is left out, of four none: so both are named of six, and nobody of five."""
    follows = {"a": -0.5, "b": -0.5, "c": 0.4, "d": 0.5, "e": 0.6}
    rounds = [round_of(n, **{name: {"feedback_follows": each} for name, each in follows.items()}) for n in range(6, 11)]
    assert found(begin(), *rounds) == []
    follows |= {"f": 0.4}
    rounds = [round_of(n, **{name: {"feedback_follows": each} for name, each in follows.items()}) for n in range(6, 11)]
    assert [(alarm.site, alarm.round) for alarm in found(begin(), *rounds)] == [("a", 10), ("b", 10)]


def test_what_is_not_finite_is_named() -> None:
    refused = round_of(2, {"b": "gradients that are not finite once they are multiplied"}, a={})
    assert when(found(begin(), refused, report_of(3, a=1.0, b=1.0))) == [
        ("not finite", "b", 2, 2, True),
        ("not finite", "b", 2, 3, False),
    ]
    assert found(begin(), round_of(2, {"b": "no reply in time"}, a={})) == []
    ended = found(begin(), report_of(4, a=1.0), End("failed", "The generator is not finite after round 5.", 1))
    assert when(ended) == [("not finite", "", 4, 4, True)]


def test_a_client_is_missing_until_it_is_back() -> None:
    away, back = Change("b", "was not connected for 60 s", 3, "away"), Change("b", "came", 6, "came back")
    assert when(found(begin(), away, report_of(4, a=1.0), back)) == [
        ("a client is missing", "b", 3, 3, True),
        ("a client is missing", "b", 3, 6, False),
    ]
    assert when(found(begin(), away, report_of(5, a=1.0, b=1.0)))[1:] == [("a client is missing", "b", 3, 5, False)]
    assert found(begin(), Change("node 9", "does not take part: its policy", 0, "refused")) == []


def test_no_round_for_three_usual_ones_is_an_alarm_until_there_is_one() -> None:
    watch = Watch()
    watch.take(event(begin("exchange.rounds=40")))
    watch.take(event(StageBegin("training", 1)))
    assert watch.look(1e9) == []  # nothing is usual yet
    for number, time in enumerate((1000.0, 1050.0, 1100.0, 1140.0), start=1):  # 50, 50 and 40 s
        assert watch.take(event(report_of(number, a=1.0), time)) == []
    assert watch.look(1290.0) == []
    assert when(watch.look(1291.0)) == [("no round for long", "", 4, 4, True)]
    assert watch.look(2000.0) == []
    watch.take(event(Heartbeat(1, "training", 4, 40, None), 2000.0))
    assert when(watch.take(event(report_of(5, a=1.0), 2100.0))) == [("no round for long", "", 4, 5, False)]


@pytest.mark.parametrize("came_back", [False, True])
def test_a_hang_that_was_ended_by_a_kill_is_over_with_the_next_round(tmp_path: Path, came_back: bool) -> None:
    """The rounds ended in 1970, so that the clock of any day says that there is none for long."""
    times = iter(range(1, 1000))
    log = EventLog(tmp_path, lambda: float(next(times)))
    AlarmLog(log)
    for record in (begin(), StageBegin("training", 1), *(report_of(number, a=1.0) for number in (1, 2, 3))):
        log.write(record)
    log.write(Heartbeat(1, "training", 3, 8, None))
    if came_back:
        log.write(report_of(4, a=1.0))
    log = EventLog(tmp_path, lambda: float(next(times)))
    AlarmLog(log)
    log.write(begin(attempt=2))
    log.write(StageBegin("training", 2))
    log.write(Heartbeat(2, "training", 3, 8, None))  # nothing is said twice
    log.write(report_of(5, a=1.0))
    assert when([each.record for each in read_events(tmp_path) if each.kind == "alarm"]) == [
        ("no round for long", "", 3, 3, True),
        ("no round for long", "", 3, 4 if came_back else 5, False),
    ]


def test_short_rounds_and_other_stages_are_not_waited_for_in_vain() -> None:
    watch = Watch()
    for record, time in ((begin(), 1.0), (StageBegin("training", 1), 1.0)):
        watch.take(event(record, time))
    for number in range(1, 5):
        watch.take(event(report_of(number, a=1.0), float(number)))
    assert watch.look(64.0) == []  # a minute at least
    assert len(watch.look(64.1)) == 1
    watch.take(event(StageBegin("segmentation", 1), 70.0))
    assert watch.look(1e9) == []


def test_a_run_of_an_earlier_version_has_none() -> None:
    """It says nothing of its loss."""
    assert found(*(report_of(number, a=0.0) for number in range(1, 5))) == []
