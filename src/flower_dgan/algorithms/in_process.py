"""An algorithm in one process: no Flower, no messages. The bounds of the tables are trained so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from flower_dgan import gan
from flower_dgan.algorithms.base import AnyAlgorithm
from flower_dgan.steps import step_done


def train(
    algorithm: AnyAlgorithm,
    state: gan.ServerState,
    sessions: Mapping[str, gan.Session],
    *,
    in_flight: int = 1,
    after_round: Callable[[int], None] = lambda _: None,
) -> None:
    """Run all rounds of a training.

    Parameters
    ----------
    algorithm : Algorithm
        Which.
    state : ServerState
        Of a training that begins; changed in place.
    sessions : mapping of str to Session
        The clients of the state by name; their discriminators are changed in place. Where they share one, it is trained
        on the data of all, and moves to nobody.
    in_flight : int
        Bundles of a client under way at once: with 2, bundle t + 1 is drawn before the feedback on bundle t is applied.
    after_round : callable
        Called with the number of each finished round, from 1.
    """
    algorithm.begin(state)
    names = list(sessions)
    alone = len({id(session.half.optimizer) for session in sessions.values()}) < len(sessions)
    drawn: deque[list[tuple[str, gan.Proposal, gan.Question]]] = deque()
    for round_number in range(1, state.rounds + 1):
        for ahead in range(round_number + len(drawn), min(state.rounds, round_number + in_flight - 1) + 1):
            drawn.append(list(algorithm.ask(state, ahead, algorithm.takes_part(names, ahead))))
        proposals, answers = {}, {}
        for name, proposal, question in drawn.popleft():
            if alone and algorithm.releases.weights:
                question = replace(question, weights=None)
            proposals[name] = proposal
            answers[name] = algorithm.answer(sessions[name], round_number, question)
        algorithm.learn(state, round_number, proposals, answers, dict.fromkeys(answers, 1.0))
        after_round(round_number)
        step_done()
