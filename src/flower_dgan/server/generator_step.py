"""The generator's part of a round: what the clients said becomes one gradient, by the algorithm's rule."""

from collections.abc import Sequence

import torch
from torch import Tensor

from flower_dgan.algorithm.generator import GeneratorHalf, scheduled_rate
from flower_dgan.algorithm.losses import LOSSES
from flower_dgan.algorithm.merge import Weights, client_weights, sample_shares
from flower_dgan.algorithm.schedule import discount
from flower_dgan.algorithm.scores import merge_scores, score_rule
from flower_dgan.config import Config
from flower_dgan.server.answer import Answer
from flower_dgan.server.discriminator import ServerDiscriminator


class GeneratorStep:
    """Steps the generator on the answers of a round.

    Parameters
    ----------
    generator : GeneratorHalf
        The server's half; changed in place.
    config : Config
        The run's configuration.
    server_discriminator : ServerDiscriminator or None
        That of the server, which judges in place of the clients; None if there is none.
    """

    def __init__(
        self, generator: GeneratorHalf, config: Config, server_discriminator: ServerDiscriminator | None
    ) -> None:
        self._generator = generator
        self._config = config
        self._server_discriminator = server_discriminator
        self._rule = score_rule(config.algorithm)
        self._loss = LOSSES[config.algorithm.loss].generator

    def take(self, round_number: int, answers: Sequence[Answer]) -> Weights:
        """Step the generator, and return how much each client counted, by name."""
        config = self._config
        weights = self._weights(answers)
        steps, proposals = config.exchange.generator_steps, [answer.proposal for answer in answers]
        rate = scheduled_rate(round_number, config.exchange.rounds, config.algorithm.final_rate)
        feedback = [answer.feedback() for answer in answers]
        if self._server_discriminator is not None:
            self._server_discriminator.learn([each.message.change for each in answers])
            merged = self._server_discriminator.judge(proposals[0])
        elif self._rule is not None:
            labels = [answer.client.labels for answer in answers]
            shares = sample_shares(config.algorithm.merge, labels, weights, proposals[0].inputs().label_maps)
            weight = config.algorithm.generator_weight
            merged = merge_scores(self._rule, feedback, shares, self._loss, weight, config.data.channels)
        else:
            return self._generator.apply(proposals, feedback, weights, steps, rate)
        self._generator.apply(proposals[:1], [merged], {"all": 1.0}, steps, rate)
        return weights

    def losses(self, answer: Answer) -> Tensor:
        """Return the generator's losses that are told of a client."""
        if self._server_discriminator is not None:
            return self._server_discriminator.losses
        losses = torch.from_numpy(answer.message.losses)
        return losses if self._rule is None else self._loss(losses[:, None])

    def _weights(self, answers: Sequence[Answer]) -> Weights:
        """Return what each client counts, late feedback less."""
        images = {answer.client.name: answer.client.images for answer in answers}
        weights = client_weights(self._config.algorithm.merge, images)
        if not any(answer.rounds_late for answer in answers):
            return weights
        late = {answer.client.name: discount(self._config.schedule, answer.rounds_late) for answer in answers}
        total = sum(weight * late[name] for name, weight in weights.items())
        return {name: weight * late[name] / total for name, weight in weights.items()}
