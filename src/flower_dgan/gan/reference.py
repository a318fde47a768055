"""The one-process oracle: AsynDGAN with S = 1 as a plain loop over a list of discriminators.

No Flower, no messages, no bundles: the distributed runs are held against it. The generator's gradient is that of

    sum_k w_k mean_i l(D_k(y_ki, G(y_ki, z_ki)))

with the chain rule written out at the image, as the algorithm has it. Automatic differentiation through G and all D_k
in one graph gives the same gradient but for rounding, which the tests show in float64. In float32 that rounding
matters: where a gradient is zero but for rounding, Adam makes a whole step of it.

Distributed-GAN's third approach is the same with one client a round, TDGAN's a task with the reminding loss.
"""

from collections.abc import Sequence

import torch

from flower_dgan.algorithms.asyndgan import LocalClient
from flower_dgan.algorithms.distributed_gan import whose_turn
from flower_dgan.algorithms.tdgan import Reminder
from flower_dgan.config import ImportPath, MergeName, TurnsName
from flower_dgan.data.channels import held
from flower_dgan.gan.bundle import BundleSettings, draw_bundle
from flower_dgan.gan.discriminator import discriminator_loss, generator_losses
from flower_dgan.gan.exchange import Batch
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.gan.merge import client_weights
from flower_dgan.gan.shares import bound_shares


def train_reference(
    generator: GeneratorHalf,
    clients: Sequence[LocalClient],
    settings: BundleSettings,
    *,
    rounds: int,
    merge: MergeName | ImportPath,
    largest_share: float = 1.0,
    turns: TurnsName = "together",
    reminder: Reminder | None = None,
) -> None:
    """Train G and all D_k in place; see :func:`flower_dgan.algorithms.asyndgan.train` for the parameters.

    Raises
    ------
    ValueError
        If ``settings.exchanges`` is not 1, or the merge rule is more than a sum.
    """
    if settings.exchanges != 1:
        raise ValueError(f"the reference is defined for one exchange a round, not {settings.exchanges}")
    if merge not in ("samples", "equal"):
        raise ValueError(f"the reference adds the clients' gradients up; it has no merge rule {merge!r}")
    for round_number in range(1, rounds + 1):
        asked = clients if turns == "together" else [whose_turn(clients, round_number)]
        weights = client_weights(merge, {client.labels.name: len(client.images) for client in asked})
        weights = bound_shares(weights, largest_share, len(clients))
        generator.optimizer.zero_grad()
        image_gradients = []
        for client in asked:
            half = client.half
            views, inputs = draw_bundle(client.labels, settings, round_number)
            session = client.session(settings)
            real = session.draw_real(round_number, 0)
            images = generator.network(inputs)[:, held(client.channels)]
            for _ in range(half.steps):
                fixed = Batch(images.detach(), inputs.label_maps)
                half.optimizer.zero_grad()
                discriminator_loss(half.network, half.loss, half.discriminator_weight, real, fixed).backward()  # type: ignore[no-untyped-call]
                half.optimizer.step()
            leaf = images.detach().requires_grad_(True)
            synthetic = Batch(leaf, inputs.label_maps)
            if half.pixel_losses is not None:
                real = session.paired(views)
            losses = generator_losses(
                half.network, half.loss, half.generator_weight, half.pixel_losses, real, synthetic
            )
            image_gradients.append((images, torch.autograd.grad(losses.sum(), leaf)[0]))
        for (images, gradients), weight in zip(image_gradients, weights.values(), strict=True):
            images.backward(gradients * (weight / settings.batch_size))
        if reminder is not None:
            reminder.loss(generator.network, round_number - 1).backward()  # type: ignore[no-untyped-call]
        generator.optimizer.step()
