"""What a training would let leave a node, what that could reveal at worst, and which rule stands against it."""

from collections.abc import Iterator

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import TrainingConfig
from flower_dgan.errors import PolicyError
from flower_dgan.node.approvals import settings_hash
from flower_dgan.node.bounds import Bounds, memory_mib
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.node.privacy_words import release_in_words

_GUARANTEE = (
    "No figure bounds what this tells of one patient: there is no differential privacy in it. The rules are hurdles "
    "against attacks that were seen to work. Whoever runs the server and finds another way may read images."
)
_PROMISE = (
    "Whatever anybody else knows, and whatever is done with it: what leaves is differentially private by patient, with "
    "the epsilon and delta named above. Not so are the node's name, when it answers, and whether its data can be read."
)
_NO_HURDLE = "This policy has no hurdles: whoever starts the run can read the images."


def in_plain_words(policy: ReleasePolicy, config: TrainingConfig) -> str:
    """Return what an owner reads before approving a training, in lines.

    Parameters
    ----------
    policy : ReleasePolicy
        The owner's.
    config : TrainingConfig
        The settings, as the node uses them.
    """
    lines = [f"Training {settings_hash(config)}", "", *_what(config), "", "What would leave this node:"]
    for what, worst, rule in releases_in_words(policy, config):
        lines += [f"- {what}", f"  At worst: {worst}", f"  Against it: {rule}"]
    lines += ["", *_verdict(policy, config)]
    return "\n".join(lines)


def _what(config: TrainingConfig) -> Iterator[str]:
    exchange, data = config.exchange, config.data
    if algorithm_of(config).once:
        yield (
            f"Algorithm {config.algorithm.name}, on images of {data.image_size} x {data.image_size} pixels: your node "
            "is asked once, and the training goes on without it."
        )
        return
    steps = exchange.exchanges * config.algorithm.passes * config.algorithm.discriminator_steps
    yield (
        f"Algorithm {config.algorithm.name}, discriminator {config.model.discriminator} on windows of "
        f"{data.image_size} x {data.image_size} pixels."
    )
    yield (
        f"{exchange.rounds} rounds; in each, {steps} steps on {_how_many(config)} of your images, which your node "
        f"draws itself; about {memory_mib(config):.0f} MiB."
    )


def _how_many(config: TrainingConfig) -> str:
    private = algorithm_of(config).releases.private
    return "some" if private else str(config.exchange.batch_size)


def releases_in_words(policy: ReleasePolicy, config: TrainingConfig) -> Iterator[tuple[str, str, str]]:
    """Yield what would leave, what it could reveal at worst, and which rule stands against that."""
    releases, data = algorithm_of(config).releases, config.data
    if not data.counts_leave:
        yield (
            "once: the node's name, and the channels and classes of the training",
            "that every image can be read as the training wants it, or, by a refusal, that one cannot",
            "nothing",
        )
    else:
        yield (
            "once: the node's name, how many images it has, their channels and classes",
            "that a patient's images are there, to whoever knows all the others",
            "nothing",
        )
    yield from release_in_words(config)
    if data.label_maps_leave:
        yield (
            "once: the label maps of all images, or their classes, exactly",
            "whoever has an image can tell that it is there, as its mask is; pieces of masks "
            + ("are in the published set" if policy.publish_label_maps else "stay with the server, if it is honest"),
            "nothing; label_maps: false would keep them, and refuse this training",
        )
    elif data.counts_leave:
        yield ("once: height and width of each image", "which image it is, where sizes differ", "nothing")
    if config.model.levels == "site":
        yield (
            "once: mean and deviation of all images, a channel, in whole grey levels",
            "little, unless the images are few",
            "nothing; levels: false would refuse this training",
        )
    if releases.feedback and not releases.private:
        yield (
            f"in each of {config.exchange.rounds} rounds: a loss and a gradient at each of "
            f"{config.exchange.exchanges * config.exchange.batch_size} synthetic images",
            "real images, and whether a certain one is there",
            _against_feedback(policy),
        )
        figures = "rounded" if not policy.exact_figures else "as measured"
        yield (
            f"in each round: the discriminator's loss, seconds and memory, {figures}",
            "whether a certain image is there, over many rounds",
            "exact_figures: false" if not policy.exact_figures else "nothing",
        )
    if releases.real_pixels:
        yield ("in each round: gradients of losses on real pixels", "every image, exactly", "nothing if allowed")
    if releases.of_network:
        yield ("weights of the discriminator, or their changes", "images that it remembers", "nothing if allowed")
    if config.selection.checks:
        yield (
            f"{config.selection.checks} times: a score of the server's network on your validation images, rounded",
            "little of one image, much of many networks: one a check",
            "scores: true allows them" if policy.scores else "scores: false; the training goes on without them",
        )
    if config.downstream.dist_fid:
        yield (
            "once: mean and covariance of features of your images",
            "images, where they are few",
            "moments: true allows them" if policy.moments else "moments: false; the training goes on without them",
        )


def _more_leaves(config: TrainingConfig, policy: ReleasePolicy) -> bool:
    """Return whether scores or exact moments leave beside a release with noise."""
    return bool((config.selection.checks and policy.scores) or (config.downstream.dist_fid and policy.moments))


def _has_hurdles(policy: ReleasePolicy) -> bool:
    """Return whether a policy bounds what the attacks that were seen to work need."""
    bounds, free = policy.bounds, Bounds()
    needed = ("discriminators", "loss_weights", "learning_rate", "second_decay", "gradient_penalty")
    return policy.distinct_images > 1 and all(getattr(bounds, each) != getattr(free, each) for each in needed)


def _against_feedback(policy: ReleasePolicy) -> str:
    rules = ["own draws and a start of the discriminator that no server knows"]
    if policy.distinct_images > 1:
        rules.append(f"at least {policy.distinct_images} different images a step")
    if policy.returns is not None:
        rules.append(f"no going back but {policy.returns} times, to what is kept")
    if policy.queries_per_image is not None:
        rules.append(f"an image is used {policy.queries_per_image:,} times in all its trainings at most")
    rules += policy.bounds.words()
    return "; ".join(rules)


def _verdict(policy: ReleasePolicy, config: TrainingConfig) -> Iterator[str]:
    try:
        policy.check_settings(config)
    except PolicyError as error:
        yield f"REFUSED by the rule {error.rule}: {error}"
        return
    if algorithm_of(config).releases.by_noise and not _more_leaves(config, policy):
        yield _PROMISE
    else:
        yield _GUARANTEE if _has_hurdles(policy) else _NO_HURDLE
    if policy.approval:
        hours = f"{policy.approval_hours:g}"
        yield f"The node would wait {hours} hours for: flower-dgan policy approve {settings_hash(config)}"
    else:
        yield "The node would take part without asking (approval: false)."
