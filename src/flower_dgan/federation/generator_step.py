"""The generator's part of a round: what the clients said becomes one gradient, by the algorithm's rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from flower_dgan.config import Config
from flower_dgan.errors import DivergedError
from flower_dgan.federation.answer import Answer
from flower_dgan.federation.discriminator import ServerDiscriminator
from flower_dgan.gan.exchange import Feedback
from flower_dgan.gan.generator import GeneratorHalf, scheduled_rate
from flower_dgan.gan.guard import GRADIENTS, SCORES, WEIGHTS, Guard, bound_gradients, bound_scores, bound_weights
from flower_dgan.gan.losses import LOSSES
from flower_dgan.gan.merge import Weights, client_weights, sample_shares
from flower_dgan.gan.schedule import discount
from flower_dgan.gan.scores import merge_scores, score_rule
from flower_dgan.gan.shares import bound_shares
from flower_dgan.wire.parameters import Parameters

_TOGETHER = "all"


@dataclass(frozen=True)
class Step:
    """What became of the answers of a round.

    Attributes
    ----------
    weights : mapping of str to float
        How much each client counted, by name.
    bounded : mapping of str to int
        To how many samples of a client the guard's bound applied, or 1 for its weights; only those where it did.
    together : int
        To how many samples it applied after the scores of all had been merged.
    capped : frozenset of str
        Clients whose weight was lowered to the largest share.
    """

    weights: Weights = field(default_factory=dict)
    bounded: Mapping[str, int] = field(default_factory=dict)
    together: int = 0
    capped: frozenset[str] = frozenset()


class GeneratorStep:
    """Steps the generator on the answers of a round, each of which is bounded before.

    Parameters
    ----------
    generator : GeneratorHalf
        The server's half; changed in place.
    config : Config
        The run's configuration.
    server_discriminator : ServerDiscriminator or None
        That of the server, which judges in place of the clients; None if there is none.
    past : mapping of str to Tensor
        What :meth:`snapshot` returned in an earlier attempt; empty for none.
    """

    def __init__(
        self,
        generator: GeneratorHalf,
        config: Config,
        server_discriminator: ServerDiscriminator | None,
        past: Mapping[str, Tensor] = {},
    ) -> None:
        self._generator = generator
        self._config = config
        self._server_discriminator = server_discriminator
        self._rule = score_rule(config.algorithm)
        self._loss = LOSSES[config.algorithm.loss].generator
        self._guards = {
            "gradients": Guard(GRADIENTS),
            "scores": Guard(SCORES),
            "merged": Guard(GRADIENTS),
            "weights": Guard(WEIGHTS),
        }
        for kind, guard in self._guards.items():
            mark = f"past-{kind}:"
            guard.restore({key.removeprefix(mark): past[key] for key in past if key.startswith(mark)})

    def snapshot(self) -> dict[str, Tensor]:
        """Return the past of every client, by what is guarded and name."""
        return {
            f"past-{kind}:{name}": past
            for kind, guard in self._guards.items()
            for name, past in guard.snapshot().items()
        }

    def take(self, round_number: int, answers: Sequence[Answer], clients: int) -> Step:
        """Step the generator.

        Parameters
        ----------
        round_number : int
            The round that closes.
        answers : sequence of Answer
            At least one.
        clients : int
            Clients of the training, of which some may not have answered.

        Raises
        ------
        DivergedError
            If the generator, or the server's own discriminator, is not finite.
        """
        config = self._config
        weights, capped = self._weights(answers, clients)
        steps, proposals = config.exchange.generator_steps, [answer.proposal for answer in answers]
        rate = scheduled_rate(round_number, config.exchange.rounds, config.algorithm.final_rate)
        if self._server_discriminator is not None:
            uploads = {each.client.name: [each.message.change] for each in answers}
            changes, bounded = bound_weights(self._guards["weights"], uploads)
            self._server_discriminator.learn([change for (change,) in changes.values()])
            merged = self._server_discriminator.judge(proposals[0])
        else:
            said = {answer.client.name: answer.feedback() for answer in answers}
            feedback, bounded = bound_gradients(self._guards["gradients"], said)
            if self._rule is None:
                weights = self._generator.apply(proposals, list(feedback.values()), weights, steps, rate)
                return Step(weights, bounded, 0, capped)
            feedback, also = bound_scores(self._guards["scores"], feedback)
            bounded = {name: max(bounded.get(name, 0), also.get(name, 0)) for name in {**bounded, **also}}
            merged = self._merge(answers, feedback, weights)
        bound, together = bound_gradients(self._guards["merged"], {_TOGETHER: merged})
        self._generator.apply(proposals[:1], list(bound.values()), {_TOGETHER: 1.0}, steps, rate)
        return Step(weights, bounded, together.get(_TOGETHER, 0), capped)

    def bound_discriminators(
        self, discriminators: Mapping[str, Parameters]
    ) -> tuple[dict[str, Parameters], Mapping[str, int]]:
        """Bound the clients' discriminators before they move to others; see ``guard.bound_weights``."""
        arrays = {name: list(parameters.values()) for name, parameters in discriminators.items()}
        bounded, acted = bound_weights(self._guards["weights"], arrays)
        moved = {name: dict(zip(discriminators[name], each, strict=True)) for name, each in bounded.items()}
        return dict(moved), acted

    def losses(self, answer: Answer) -> Tensor:
        """Return the generator's losses that are told of a client, in float64, where the square of any is finite."""
        if self._server_discriminator is not None:
            return self._server_discriminator.losses.double()
        losses = torch.from_numpy(answer.message.losses).double()
        return losses if self._rule is None else self._loss(losses[:, None])

    def _merge(self, answers: Sequence[Answer], feedback: Mapping[str, Feedback], weights: Weights) -> Feedback:
        """Return the feedback of all clients on their common images as that of one."""
        assert self._rule is not None
        config, labels = self._config, [answer.client.labels for answer in answers]
        label_maps = answers[0].proposal.inputs().label_maps
        shares = sample_shares(config.algorithm.merge, labels, weights, label_maps, config.algorithm.largest_share)
        weight, channels = config.algorithm.generator_weight, config.data.channels
        merged = merge_scores(self._rule, list(feedback.values()), shares, self._loss, weight, channels)
        if not merged.gradients.isfinite().all():
            raise DivergedError(
                f"algorithm.merge={config.algorithm.merge} made of finite scores something that is not: choose another "
                "rule, or bound what it computes."
            )
        return merged

    def _weights(self, answers: Sequence[Answer], clients: int) -> tuple[Weights, frozenset[str]]:
        """Return what each client counts, late feedback less, and which of them would count more without the bound."""
        images = {answer.client.name: answer.client.images for answer in answers}
        weights = client_weights(self._config.algorithm.merge, images)
        if any(answer.rounds_late for answer in answers):
            late = {answer.client.name: discount(self._config.schedule, answer.rounds_late) for answer in answers}
            total = sum(weight * late[name] for name, weight in weights.items())
            weights = {name: weight * late[name] / total for name, weight in weights.items()}
        bounded = bound_shares(weights, self._config.algorithm.largest_share, clients)
        return bounded, frozenset(name for name in weights if bounded[name] < weights[name])
