"""The one-process oracle of FedGAN, as a plain loop with the paper's average.

As ``reference``; but both networks are one client's own, so that automatic differentiation goes through both.
"""

from collections.abc import Sequence

import torch

from flower_dgan.algorithms.fedgan import LocalGan
from flower_dgan.gan.bundle import draw_bundle
from flower_dgan.gan.discriminator import discriminator_loss, generator_losses
from flower_dgan.gan.exchange import Batch


def train_reference_fedgan(gans: Sequence[LocalGan], *, steps: int, interval: int) -> None:
    """Train all networks in place, from the parameters of the first client's.

    Parameters
    ----------
    gans : sequence of LocalGan
        The clients; of each its networks, optimizers, losses, data and draws are used, and one batch a step.
    steps, interval : int
        Steps of every client, and K.
    """
    images = sum(map(len, gans))
    shares = [len(gan) / images for gan in gans]
    for gan in gans:
        gan.model.load_state_dict(gans[0].model.state_dict())
    for step in range(1, steps + 1):
        for gan in gans:
            half, generator = gan.client.half, gan.generator
            views, inputs = draw_bundle(gan.client.labels, gan.settings, step)
            session = gan.client.session(gan.settings)
            real = session.draw_real(step, 0)
            synthetic = Batch(generator.network(inputs), inputs.label_maps)
            fixed = Batch(synthetic.images.detach(), inputs.label_maps)
            for _ in range(half.steps):
                half.optimizer.zero_grad()
                discriminator_loss(half.network, half.loss, half.discriminator_weight, real, fixed).backward()  # type: ignore[no-untyped-call]
                half.optimizer.step()
            generator.optimizer.zero_grad()
            if half.pixel_losses is not None:
                real = session.paired(views)
            losses = generator_losses(
                half.network, half.loss, half.generator_weight, half.pixel_losses, real, synthetic
            )
            losses.mean().backward()  # type: ignore[no-untyped-call]
            generator.optimizer.step()
        if step % interval == 0:
            states = [gan.model.state_dict() for gan in gans]
            mean = {
                name: torch.stack([share * state[name] for share, state in zip(shares, states, strict=True)]).sum(0)
                for name in states[0]
            }
            for gan in gans:
                gan.model.load_state_dict(mean)
