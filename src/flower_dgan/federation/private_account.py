"""What steps of private discriminators cost each client's patients, as the server knows it, for report and page."""

import logging
from collections.abc import Iterable

from flower_dgan.algorithms.dpgan import DpGan
from flower_dgan.config import Config
from flower_dgan.errors import ConfigError, DataError, StorageError
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.privacy.accountant import epsilon_of_all
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.run.crossing_records import PrivateSteps

logger = logging.getLogger("flwr")


def account_of(algorithm: DpGan, config: Config, site: str, bundles: int) -> PrivateSteps:
    """Return what a client was planned to spend, and what answers to so many bundles have cost.

    The noise, and what was spent, are None where the server lacks the accountant: nodes charge by their own.

    Parameters
    ----------
    algorithm : DpGan
        Says the plan.
    config : Config
        The settings of the training.
    site : str
        The client's name.
    bundles : int
        How many of its answers were used.
    """
    chosen, a_bundle = algorithm.settings, algorithm.steps_a_round(config)
    planned, done = config.exchange.rounds * a_bundle, bundles * a_bundle
    sigma, spent = None, None
    try:
        sigma = algorithm.steps_of(config, planned).sigma
        drawn = [algorithm.steps_of(config, done)] if done else []
        spent = epsilon_of_all(algorithm.release_cost, drawn, chosen.delta) if done else 0.0
    except ConfigError as error:
        logger.info("Report and page do not say what clients have spent: %s", error)
    return PrivateSteps(site, chosen.epsilon, chosen.delta, sigma, chosen.share, planned, done, spent)


def say_account(algorithm: DpGan, config: Config, directory: RunDirectory, names: Iterable[str]) -> None:
    """Write it down for clients of these names, and for all whose answers were used; what fails ends no run."""
    try:
        rounds = read_metrics(directory.path).rounds
        known = dict.fromkeys([*names, *(name for each in rounds for name in each.clients)])
        for name in known:
            directory.events.write(account_of(algorithm, config, name, sum(name in each.clients for each in rounds)))
    except (StorageError, DataError) as error:
        logger.warning("What the clients have spent was not written down: %s", error)
