"""The client's half: step the discriminator, answer with feedback."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flower_dgan.gan.exchange import Batch, Feedback
from flower_dgan.gan.losses import AdversarialLoss


@dataclass(frozen=True)
class PixelLosses:
    """Distances to the real image in the generator's loss. They let the server read the real image.

    Attributes
    ----------
    l1_weight, perceptual_weight : float
        Their weights lambda_1 and lambda_p, at least 0.
    perceptual : callable or None
        ``(synthetic, real) -> (batch,)``; needed where ``perceptual_weight`` is positive.
    """

    l1_weight: float
    perceptual_weight: float
    perceptual: Callable[[Tensor, Tensor], Tensor] | None

    def __call__(self, synthetic: Tensor, real: Tensor) -> Tensor:
        """Return the weighted distance (batch,) of two batches of images."""
        distance = self.l1_weight * (synthetic - real).abs().flatten(1).mean(1)
        if self.perceptual is not None:
            distance = distance + self.perceptual_weight * self.perceptual(synthetic, real)
        return distance


def discriminator_loss(
    network: nn.Module, loss: AdversarialLoss, weight: float, real: Batch, synthetic: Batch
) -> Tensor:
    """Return L_D = lambda_D mean_i [ l(D(y_i, x_i), real) + l(D(y~_i, x~_i), fake) ].

    Parameters
    ----------
    network : nn.Module
        D; called as ``network(label_maps, images)``.
    loss : AdversarialLoss
        l.
    weight : float
        lambda_D.
    real : Batch
        Real images x with their label maps y.
    synthetic : Batch
        As many synthetic images x~ with their label maps y~, which are y where each client has batches of its own.
    """
    on_real = loss.real(network(real.label_maps, real.images))
    on_fake = loss.fake(network(synthetic.label_maps, synthetic.images))
    return weight * (on_real + on_fake).mean()


def generator_losses(
    network: nn.Module,
    loss: AdversarialLoss,
    weight: float,
    pixel_losses: PixelLosses | None,
    synthetic: Batch,
    paired: Tensor | None = None,
) -> Tensor:
    """Return lambda_G [ l(D(y_i, x~_i), real) + pixel losses ] of each sample, (batch,); parameters as above.

    ``paired`` are the real images x_i, which the pixel losses want.
    """
    losses = loss.generator(network(synthetic.label_maps, synthetic.images))
    if pixel_losses is not None and paired is not None:
        losses = losses + pixel_losses(synthetic.images, paired)
    return weight * losses


def scores(network: nn.Module, synthetic: Batch) -> Tensor:
    """Return what D says of each sample, (batch,): the mean of its logits where it judges patches."""
    logits: Tensor = network(synthetic.label_maps, synthetic.images)
    return logits.flatten(1).mean(1)


@dataclass(frozen=True)
class DiscriminatorHalf:
    """The discriminator of one client with its optimizer and losses.

    Attributes
    ----------
    network : nn.Module
        D; called as ``network(label_maps, images)``.
    optimizer : torch.optim.Optimizer
        Over D's parameters.
    loss : AdversarialLoss
        l.
    discriminator_weight, generator_weight : float
        lambda_D and lambda_G.
    pixel_losses : PixelLosses or None
        None unless the owner of the real images allows them.
    steps : int
        Optimizer steps for each synthetic batch, at least 1.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    loss: AdversarialLoss
    discriminator_weight: float
    generator_weight: float
    pixel_losses: PixelLosses | None
    steps: int

    def flat_weights(self) -> Tensor:
        """Return a copy of all parameters of D, one after the other, (entries,)."""
        return torch.cat([parameter.detach().flatten() for parameter in self.network.parameters()])

    def step(self, real: Batch, synthetic: Batch) -> float:
        """Step D on real images and one synthetic batch; return the loss before the last step."""
        for _ in range(self.steps):
            self.optimizer.zero_grad(set_to_none=True)
            loss = discriminator_loss(self.network, self.loss, self.discriminator_weight, real, synthetic)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        return float(loss.detach())

    def feedback(self, synthetic: Batch, paired: Tensor | None = None) -> Feedback:
        """Return each sample's generator loss and its gradient with respect to the image.

        ``paired``, the real images of the same views, are what the pixel losses compare with.
        """
        return self._differentiate(
            lambda judged: generator_losses(
                self.network, self.loss, self.generator_weight, self.pixel_losses, judged, paired
            ),
            synthetic,
        )

    def scores(self, synthetic: Batch) -> Feedback:
        """Return each sample's score, of which the server makes a loss, and its gradient with respect to the image."""
        return self._differentiate(lambda judged: scores(self.network, judged), synthetic)

    def _differentiate(self, judge: Callable[[Batch], Tensor], synthetic: Batch) -> Feedback:
        images = synthetic.images.detach().requires_grad_(True)
        self.network.requires_grad_(False)
        values = judge(Batch(images, synthetic.label_maps))
        (gradients,) = torch.autograd.grad(values.sum(), images)
        self.network.requires_grad_(True)
        return Feedback(values.detach(), gradients)
