"""What a release with noise costs and is worth, in words for its owner: in the ledger, and before approval."""

from collections.abc import Iterator

from flwr.app import RecordDict

from flower_dgan.algorithms.dpgan import COUNT_NOISE, DpGan
from flower_dgan.algorithms.dpmerf import DpMerf
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import TrainingConfig
from flower_dgan.node.book import Book
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.node.privacy_book import CHARGED, RELEASE, name_of_request, spent, spent_in_steps
from flower_dgan.privacy.accountant import epsilon_of_all, method_of_all
from flower_dgan.privacy.class_sums import Layout
from flower_dgan.privacy.gaussian_mechanism import epsilon_of, sigma_of
from flower_dgan.privacy.shared_noise import MOST_SITES
from flower_dgan.wire.masked_sum_messages import MaskedSumRequest

USELESS = 0.3
"""Signal to noise below which a release says next to nothing."""

_PATIENTS = (100, 1_000, 10_000)


def spent_at(node: str, config: TrainingConfig, policy: ReleasePolicy) -> dict[str, str | int]:
    """Return what a ledger says of a sum with noise, and of what was spent in all releases together."""
    algorithm = algorithm_of(config)
    return {
        RELEASE: name_of_request(node, config).hex(),
        "release": f"epsilon {epsilon_of(algorithm.release_cost, policy.delta):.4g} at delta {policy.delta:g}",
        "noise": f"Gaussian, {1 / algorithm.release_cost:.4f} times what a patient adds at most",
        **_spent_by_now(policy),
    }


def spent_together(
    request: RecordDict, node: str, config: TrainingConfig, policy: ReleasePolicy
) -> dict[str, str | int]:
    """Return the same of a vector that was sent behind masks: what it costs if whom the owner trusts, and if nobody."""
    from flower_dgan.node.masked_sums import name_of_masked, roster_of  # imported here: few trainings want it

    algorithm = algorithm_of(config)
    asked = MaskedSumRequest.from_records(request)
    epsilons = {honest: epsilon_of(algorithm.release_cost_if(honest), policy.delta) for honest in (1, MOST_SITES)}
    charged = epsilon_of(algorithm.release_cost_if(policy.peers.honest_sites), policy.delta)
    return spent_at(node, config, policy) | {
        RELEASE: name_of_masked(node, config, roster_of(asked, config)).hex(),
        "release": f"epsilon {charged:.4g} at delta {policy.delta:g}, as {policy.peers.honest_sites} sites are trusted",
        "if enough sites are honest": f"epsilon {epsilons[MOST_SITES]:.4g}",
        "if all others collude": f"epsilon {epsilons[1]:.4g}",
        "sites": str(len(asked.offers)),
        "noise": f"Gaussian, {1 / algorithm.release_cost_if(1):.4f} times what a patient adds at most, at this site",
    }


def spent_in_answer(config: TrainingConfig, policy: ReleasePolicy) -> dict[str, str | int]:
    """Return the same of an answer of a private discriminator."""
    algorithm = algorithm_of(config)
    assert isinstance(algorithm, DpGan)
    steps = algorithm.steps_of(config, algorithm.steps_a_round(config))
    return {
        "steps": steps.steps,
        "noise": f"Gaussian, {steps.sigma:.4f} times what a patient adds to a step at most",
        "share": f"each patient comes to a step with probability {steps.share:g}",
        **_spent_by_now(policy),
    }


def _spent_by_now(policy: ReleasePolicy) -> dict[str, str | int]:
    book = Book()
    drawn = spent_in_steps(book)
    found: dict[str, str | int] = {
        "spent": f"epsilon {epsilon_of_all(spent(book), drawn, policy.delta):.4g} at delta {policy.delta:g}",
        "unit": "patient, add or remove one",
        "accountant": method_of_all(drawn),
    }
    return found | ({CHARGED: sum(each.steps for each in drawn)} if drawn else {})


def release_in_words(config: TrainingConfig) -> Iterator[tuple[str, str, str]]:
    """Yield what leaves in a training that asks once, what it could reveal at worst, and what stands against that."""
    algorithm = algorithm_of(config)
    if isinstance(algorithm, DpGan):
        yield _steps_in_words(algorithm, config)
    if not isinstance(algorithm, DpMerf):
        return
    settings = algorithm.settings
    layout = Layout(algorithm.classes_of(config), 2 * settings.frequencies, settings.count_share)
    sigma = sigma_of(settings.epsilon, settings.delta)
    worth = ", ".join(f"{layout.expected_signal_to_noise(n, sigma):.2g} with {n:,}" for n in _PATIENTS)
    if settings.honest_sites is not None:
        yield (
            f"once: a sum over your patients of {settings.frequencies * 2:,} fixed features and a count for each "
            f"class, with noise of {algorithm.share:.4f} times what one patient adds at most, behind masks: the server "
            "can read what all sites of the sum send together, and nothing of one",
            f"of any one patient no more than epsilon {settings.epsilon:g}, delta {settings.delta:g} allows if "
            f"{settings.honest_sites} sites, yours among them, are honest; if all others tell the server what they "
            f"sent, epsilon {algorithm.cost['alone']:.4g}",
            "the noise, which your node draws; peers of the policy: which sites a sum may have, and how many of them "
            f"you trust, by which epsilon is charged. Signal to noise of the sum: about {worth} patients at "
            f"{settings.honest_sites} sites together; below {USELESS:g} it says next to nothing, and is better not "
            "spent",
        )
        return
    yield (
        f"once: a sum over your patients of {settings.frequencies * 2:,} fixed features and a count for each class, "
        f"with noise of {sigma:.4f} times what one patient adds at most",
        f"of any one patient no more than epsilon {settings.epsilon:g}, delta {settings.delta:g} allows, whatever else "
        "is known; what is true of many patients, it tells",
        f"the noise, which your node draws; epsilon and delta of the policy. Signal to noise: about {worth} patients; "
        f"below {USELESS:g} it says next to nothing, and is better not spent",
    )


def _steps_in_words(algorithm: DpGan, config: TrainingConfig) -> tuple[str, str, str]:
    settings, (steps,) = algorithm.settings, algorithm.drawn_releases(config)
    samples = config.exchange.exchanges * config.exchange.batch_size
    return (
        f"in each of {config.exchange.rounds} rounds: a loss and a gradient at each of {samples} synthetic images, of "
        f"a discriminator that learns by {steps.steps:,} noisy steps in all; to each step a patient comes with "
        f"probability {steps.share:g} and one image",
        f"of any one patient no more than epsilon {settings.epsilon:g}, delta {settings.delta:g} allows, whatever else "
        "is known; what is true of many patients, it tells",
        f"noise of {steps.sigma:.4f} times what one patient adds to a step at most, which your node draws, and of "
        f"{COUNT_NOISE:g} patients on their number; epsilon and delta of the policy; the last step before they would "
        "be crossed is the last one. It wants many patients",
    )
