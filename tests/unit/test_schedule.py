import pytest

from flower_dgan.config import ScheduleConfig
from flower_dgan.errors import ConfigError
from flower_dgan.gan.schedule import discount, replies_needed
from flower_dgan.resolve import resolve


@pytest.mark.parametrize(
    ("quorum", "clients", "needed"),
    [(1.0, 3, 3), (0.5, 3, 2), (0.5, 4, 2), (0.51, 4, 3), (0.1, 3, 1), (1 / 3, 3, 1), (2 / 3, 3, 2), (0.7, 10, 7)],
)
def test_a_quorum_is_rounded_up(quorum: float, clients: int, needed: int) -> None:
    assert replies_needed(ScheduleConfig(quorum, None, 0), clients) == needed


def test_old_feedback_weighs_less_and_beyond_the_bound_nothing() -> None:
    schedule = ScheduleConfig(0.5, None, 3)
    assert [discount(schedule, age) for age in range(5)] == pytest.approx([1, 0.5**0.5, 3**-0.5, 0.5, 0])


def test_shipped_schedules() -> None:
    assert resolve("").schedule.is_synchronous
    assert not resolve("schedule=asynchronous").schedule.is_synchronous
    assert not resolve("schedule.deadline=3").schedule.is_synchronous


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ("schedule=asynchronous algorithm=gman", "algorithm=gman wants schedule=synchronous"),
        ("schedule=asynchronous algorithm=uagan", "algorithm=uagan wants schedule=synchronous"),
        ("schedule=asynchronous algorithm=dgan-sequential", "algorithm=dgan-sequential wants schedule=synchronous"),
        ("schedule.deadline=3 algorithm=mdgan algorithm.swap_interval=1", "algorithm=mdgan wants schedule=synchronous"),
        ("exchange.in_flight=2 algorithm=dgan-selective", "what the last round made: set exchange.in_flight=1"),
        ("exchange.in_flight=2 algorithm=mdgan algorithm.swap_interval=1", "set exchange.in_flight=1"),
        ("schedule.quorum=0", r"quorum=0 must be in \(0, 1\]"),
        ("schedule.quorum=1.5", "it is a share"),
        ("schedule.deadline=-1", r"deadline=-1 must be in \(0, 1,000,000,000\], or null: seconds, or none"),
        ("schedule.max_staleness=-1", "must be from 0 to 1,000,000,000"),
        ("schedule=asynchronous exchange.in_flight=2", "wants schedule=synchronous"),
        ("schedule=asynchronus", "Did you mean 'asynchronous'"),
    ],
)
def test_schedules_that_make_no_sense_are_refused(overrides: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        resolve(overrides)
