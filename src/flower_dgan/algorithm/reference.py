"""The one-process oracle: AsynDGAN with S = 1 as a plain loop, every loss in one graph.

No feedback, no vector-Jacobian product, no bundle: the generator's gradient comes from automatic differentiation through
the generator and all discriminators at once. Slow and obvious; the distributed runs are held against it.
"""

from collections.abc import Sequence

import torch

from flower_dgan.algorithm.asyndgan import LocalClient
from flower_dgan.algorithm.bundle import BundleSettings, draw_bundle
from flower_dgan.algorithm.discriminator import discriminator_loss, generator_losses
from flower_dgan.algorithm.exchange import SyntheticBatch
from flower_dgan.algorithm.generator import GeneratorHalf
from flower_dgan.algorithm.merge import client_weights
from flower_dgan.config import MergeName
from flower_dgan.data.augmentation import apply_to_images


def train_reference(
    generator: GeneratorHalf,
    clients: Sequence[LocalClient],
    settings: BundleSettings,
    *,
    rounds: int,
    merge: MergeName,
) -> None:
    """Train G and all D_k in place; see :func:`flower_dgan.algorithm.asyndgan.train` for the parameters.

    Raises
    ------
    ValueError
        If ``settings.exchanges`` is not 1.
    """
    if settings.exchanges != 1:
        raise ValueError(f"the reference is defined for one exchange a round, not {settings.exchanges}")
    weights = client_weights(merge, [len(client.images) for client in clients])
    for round_number in range(1, rounds + 1):
        generator_loss = torch.zeros(())
        for client, weight in zip(clients, weights, strict=True):
            half = client.half
            views, inputs = draw_bundle(client.labels, settings, round_number)
            real = apply_to_images(client.images, views, settings.image_size)
            images = generator.network(inputs.label_maps, inputs.noise, inputs.sites)
            for _ in range(half.steps):
                fixed = SyntheticBatch(images.detach(), inputs.label_maps)
                half.optimizer.zero_grad()
                discriminator_loss(half.network, half.loss, half.discriminator_weight, real, fixed).backward()  # type: ignore[no-untyped-call]
                half.optimizer.step()
            losses = generator_losses(
                half.network,
                half.loss,
                half.generator_weight,
                half.pixel_losses,
                real,
                SyntheticBatch(images, inputs.label_maps),
            )
            generator_loss = generator_loss + weight * losses.mean()
        generator.optimizer.zero_grad()
        generator_loss.backward()  # type: ignore[no-untyped-call]
        generator.optimizer.step()
