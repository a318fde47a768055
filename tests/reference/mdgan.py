"""MD-GAN's algorithm 1: k batches for N workers, feedback averaged, discriminators that move in a circle.

The server makes X(0) ... X(k-1). Worker n is trained on X((n+1) mod k), and gives feedback on X(n mod k); without
separate batches both are the latter. The gradient of G is sum_n w_n mean_i J_G^T F_n,i. After every E rounds the
workers pass their discriminators on, and have the new ones in the next round.
"""

from collections.abc import Sequence
from copy import deepcopy

from torch import Tensor

from flower_dgan.data.channels import held

from . import draws
from .client import answer, loss_gradient
from .draws import Client, Samples
from .generator import Answered, Generator, draw, learn
from .settings import Settings
from .weights import weights_of
from .wire import received_gradients, received_images


def train(generator: Generator, clients: Sequence[Client], settings: Settings) -> None:
    """Train G and all D_n in place."""
    count = settings.shared_batches
    passed_on: dict[str, dict[str, Tensor]] = {}
    for round_number in range(1, settings.rounds + 1):
        for client in clients:
            if client.labels.name in passed_on:
                client.network.load_state_dict(passed_on[client.labels.name])
        inputs = [draws.common_inputs(clients, settings, round_number, number) for number in range(count)]
        images = [draw(generator, each) for each in inputs]
        answers = []
        for n, client in enumerate(clients):
            judged = n % count
            trained_on = (n + 1) % count if settings.separate_batches else judged
            fake, shown = (
                Samples(
                    received_images(images[number][:, held(client.channels)], settings.image_format),
                    inputs[number].label_maps,
                )
                for number in (trained_on, judged)
            )

            def feedback(batch: Samples, _: int, client: Client = client) -> tuple[Tensor, Tensor]:
                return loss_gradient(client.network, settings, batch, None, None)

            _, gradients = answer(client, settings, round_number, fake, shown, draws.real_batch, feedback)
            received = received_gradients(gradients, settings.feedback_format)
            answers.append(Answered(inputs[judged], images[judged], received, client.channels))
        learn(generator, answers, weights_of(clients, settings, len(clients)), settings, round_number)
        passed_on = {}
        if settings.swap_interval and round_number % settings.swap_interval == 0:
            order = draws.circle([client.labels.name for client in clients], settings, round_number)
            held_by = {client.labels.name: deepcopy(client.network.state_dict()) for client in clients}
            passed_on = {order[(place + 1) % len(order)]: held_by[name] for place, name in enumerate(order)}
