"""The client's half: step the discriminator, answer with feedback."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from flower_dgan.device import to_cpu
from flower_dgan.gan.exchange import Batch, Feedback
from flower_dgan.gan.losses import AdversarialLoss
from flower_dgan.placing import as_written, compute


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


def discriminator_loss(loss: AdversarialLoss, weight: float, on_real: Tensor, on_synthetic: Tensor) -> Tensor:
    """Return L_D = lambda_D mean_i [ l(D(y_i, x_i), real) + l(D(y~_i, x~_i), fake) ].

    Parameters
    ----------
    loss : AdversarialLoss
        l.
    weight : float
        lambda_D.
    on_real, on_synthetic : Tensor (batch, 1, height, width)
        D's logits of real images x with their label maps y, and of as many synthetic ones x~ with theirs, y~.
    """
    return weight * (loss.real(on_real) + loss.fake(on_synthetic)).mean()


def gradient_penalty(images: Tensor, logits: Tensor, units: Tensor) -> Tensor:
    """Return |u dD/dx|^2 / P of each real sample, (batch,): R1 (Mescheder 2018, equation 9) without its gamma / 2.

    It holds the discriminator back: one that is steep at real images tells them from synthetic ones by noise, and its
    gradients say little of where to go.

    Parameters
    ----------
    images : Tensor (batch, channels, height, width)
        x, with ``requires_grad``.
    logits : Tensor (batch, 1, height, width)
        D(y, x), with its graph.
    units : Tensor (channels, 1, 1)
        u, the length that counts as 1 in each channel.

    Notes
    -----
    D is the sum of the P patches' logits here, and the square is divided by P, so that the same gamma fits images of
    other sizes. With one logit an image it is the published penalty.
    """
    (slopes,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    patches = logits[0].numel()
    return (units * slopes).square().flatten(1).sum(1) / patches


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
    losses = loss.generator(compute(network, synthetic.label_maps, synthetic.images))
    if pixel_losses is not None and paired is not None:
        losses = losses + pixel_losses(synthetic.images, paired)
    return weight * losses


def scores(network: nn.Module, synthetic: Batch) -> Tensor:
    """Return what D says of each sample, (batch,): the mean of its logits where it judges patches."""
    logits = compute(network, synthetic.label_maps, synthetic.images)
    return logits.flatten(1).mean(1)


def mean_of(losses: Sequence[Tensor]) -> float:
    """Return the mean of what :meth:`DiscriminatorHalf.step` returned in a bundle, which is waited for once."""
    values: list[float] = torch.stack(list(losses)).tolist()
    return sum(values) / len(values)


@dataclass(frozen=True)
class DiscriminatorHalf:
    """The discriminator of one client with its optimizer and losses.

    Batches that it is given are on its device, and so is what it returns.

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
    penalty : float
        gamma of R1, see :func:`gradient_penalty`; 0 for none.
    units : Tensor (channels or 1, 1, 1)
        The length that counts as 1 in each channel: the deviations of the client's levels, or 1.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    loss: AdversarialLoss
    discriminator_weight: float
    generator_weight: float
    pixel_losses: PixelLosses | None
    steps: int
    penalty: float = 0.0
    units: Tensor = field(default_factory=lambda: torch.ones(1, 1, 1))

    def flat_weights(self) -> Tensor:
        """Return a copy of all parameters of D, one after the other, (entries,), on the CPU."""
        return to_cpu(torch.cat([parameter.detach().flatten() for parameter in self.network.parameters()]))

    def step(self, real: Batch, synthetic: Batch) -> Tensor:
        """Step D on real images and one synthetic batch; return the loss, without penalty, before the last step.

        It is a scalar on D's device, so that nobody waits for it: see :func:`mean_of`.
        """
        for _ in range(self.steps):
            self.optimizer.zero_grad(set_to_none=True)
            images = real.images.detach().requires_grad_(self.penalty > 0)
            with as_written(self.network) if self.penalty else nullcontext():
                on_real = compute(self.network, real.label_maps, images)
            on_synthetic = compute(self.network, synthetic.label_maps, synthetic.images)
            loss = discriminator_loss(self.loss, self.discriminator_weight, on_real, on_synthetic)
            total = loss
            if self.penalty:
                total = loss + self.penalty / 2 * gradient_penalty(images, on_real, self.units).mean()
            total.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        return loss.detach()

    def step_along(self, gradient: Tensor) -> None:
        """Step D along a gradient that was made elsewhere, of all parameters, one after the other, (entries,)."""
        parameters = list(self.network.parameters())
        parts = torch.split(gradient, [parameter.numel() for parameter in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter).to(parameter)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

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
