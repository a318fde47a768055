"""Distributed-GAN's first way: users train copies of the server's D, and upload some of what changed.

Each user takes the server's weights w, trains on its own real and the common synthetic images, and uploads the entries
of w_k - w that its rule selects. The server takes over, of each entry, the largest change in magnitude, and G steps
against its D on the images as G made them. The moments of a user's optimizer stay with the user.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flower_dgan.data.channels import held

from . import draws
from .client import batch_of, loss_gradient, step_discriminator
from .draws import Client, Samples
from .generator import Answered, Generator, draw, learn
from .settings import Settings
from .wire import received_images


def train(generator: Generator, server: nn.Module, clients: Sequence[Client], settings: Settings) -> None:
    """Train G and the server's D in place."""
    for round_number in range(1, settings.rounds + 1):
        inputs = draws.common_inputs(clients, settings, round_number, 0)
        images = draw(generator, inputs)
        before = nn.utils.parameters_to_vector(server.parameters()).detach().clone()
        uploads = []
        for client in clients:
            client.network.load_state_dict(server.state_dict())
            received = received_images(images[:, held(client.channels)], settings.image_format)
            shown = Samples(received, inputs.label_maps)
            for batch in range(settings.exchanges):
                real = draws.real_batch(client, settings, round_number, batch)
                fake = batch_of(shown, batch, settings.batch_size)
                step_discriminator(client.network, client.optimizer, settings, real, fake)
            after = nn.utils.parameters_to_vector(client.network.parameters()).detach()
            uploads.append(selected(after - before, client, settings, round_number))
        together = torch.stack(uploads)
        kept = together.gather(0, together.abs().argmax(0, keepdim=True))[0]
        nn.utils.vector_to_parameters(before + kept, server.parameters())
        _, gradients = loss_gradient(server, settings, Samples(images, inputs.label_maps), None, None)
        learn(generator, [Answered(inputs, images, gradients)], [1.0], settings, round_number)


def selected(change: Tensor, client: Client, settings: Settings, round_number: int) -> Tensor:
    """Return the change with 0 where it is not uploaded; of equals the first are the largest."""
    magnitudes = change.abs().tolist()
    entries = range(len(magnitudes))
    if settings.upload == "threshold":
        places = [place for place in entries if magnitudes[place] >= settings.upload_threshold]
    else:
        order = (
            draws.upload_places(client, settings, round_number, len(magnitudes))
            if settings.upload == "random"
            else sorted(entries, key=lambda place: -magnitudes[place])
        )
        places = order[: math.ceil(settings.upload_share * len(magnitudes))]
    mask = torch.zeros_like(change)
    mask[places] = 1
    return change * mask
