"""Schedules: how rates fall, when a round closes, and what feedback on the bundle of an earlier round is worth.

A synchronous round waits for every client. An asynchronous one closes when a quorum has answered, or some have at the
deadline; those that are still at work answer into a later round. Their feedback weighs (1 + s)^(-1/2) then, with s the
rounds between sending the bundle and using its feedback (Xie, Koyejo, Gupta: "Asynchronous Federated Optimization",
2019, section 5, the polynomial discount with a = 1/2), and nothing where s is beyond a bound.
"""

import math

from flower_dgan.config import ScheduleConfig


def replies_needed(schedule: ScheduleConfig, clients: int) -> int:
    """Return how many of so many clients close a round: at least one."""
    return max(1, math.ceil(schedule.quorum * clients - 1e-9))


def discount(schedule: ScheduleConfig, staleness: int) -> float:
    """Return the factor of a client's weight for feedback that is ``staleness`` rounds old; 0 beyond the bound."""
    return 0.0 if staleness > schedule.max_staleness else (1 + staleness) ** -0.5


def scheduled_rate(round_number: int, rounds: int, final_rate: float) -> float:
    """Return 1 for the first half of the rounds, then a line down to ``final_rate`` in the last one."""
    progress = max(0.0, 2 * round_number / rounds - 1)
    return 1 + progress * (final_rate - 1)
