"""What a release with noise costs and is worth, in words for its owner: in the ledger, and before approval."""

from collections.abc import Iterator

from flower_dgan.algorithms.dpmerf import DpMerf
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import TrainingConfig
from flower_dgan.node.book import Book
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.node.privacy_book import RELEASE, name_of_request, spent
from flower_dgan.privacy.class_sums import Layout
from flower_dgan.privacy.gaussian_mechanism import METHOD, epsilon_of, sigma_of

USELESS = 0.3
"""Signal to noise below which a release says next to nothing."""

_PATIENTS = (100, 1_000, 10_000)


def spent_at(node: str, config: TrainingConfig, policy: ReleasePolicy) -> dict[str, str]:
    """Return what a ledger says of a release, and of what was spent in all releases together."""
    algorithm = algorithm_of(config)
    return {
        RELEASE: name_of_request(node, config).hex(),
        "release": f"epsilon {epsilon_of(algorithm.release_cost, policy.delta):.4g} at delta {policy.delta:g}",
        "spent": f"epsilon {epsilon_of(spent(Book()), policy.delta):.4g} at delta {policy.delta:g}",
        "unit": "patient, add or remove one",
        "accountant": METHOD,
        "noise": f"Gaussian, {1 / algorithm.release_cost:.4f} times what a patient adds at most",
    }


def release_in_words(config: TrainingConfig) -> Iterator[tuple[str, str, str]]:
    """Yield what leaves in a training that asks once, what it could reveal at worst, and what stands against that."""
    algorithm = algorithm_of(config)
    if not isinstance(algorithm, DpMerf):
        return
    settings = algorithm.settings
    layout = Layout(algorithm.classes_of(config), 2 * settings.frequencies, settings.count_share)
    sigma = sigma_of(settings.epsilon, settings.delta)
    worth = ", ".join(f"{layout.expected_signal_to_noise(n, sigma):.2g} with {n:,}" for n in _PATIENTS)
    yield (
        f"once: a sum over your patients of {settings.frequencies * 2:,} fixed features and a count for each class, "
        f"with noise of {sigma:.4f} times what one patient adds at most",
        f"of any one patient no more than epsilon {settings.epsilon:g}, delta {settings.delta:g} allows, whatever else "
        "is known; what is true of many patients, it tells",
        f"the noise, which your node draws; epsilon and delta of the policy. Signal to noise: about {worth} patients; "
        f"below {USELESS:g} it says next to nothing, and is better not spent",
    )
