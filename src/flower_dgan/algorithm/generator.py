"""The server's half: propose synthetic images, apply the clients' feedback."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flower_dgan.algorithm.exchange import Feedback, GeneratorInput


@dataclass(frozen=True)
class GeneratorHalf:
    """The generator with its optimizer and the moving average of its parameters.

    Attributes
    ----------
    network : nn.Module
        G; called as ``network(label_maps, noise, sites)``, without dropout and without batch statistics, so that a
        second pass over the same input gives the same images.
    optimizer : torch.optim.Optimizer
        Over G's parameters.
    average : nn.Module
        A copy of G whose parameters follow G's; it draws the results.
    average_decay : float
        Decay of the moving average a generator step, in [0, 1); 0 copies G.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: nn.Module
    average_decay: float

    def propose(self, inputs: GeneratorInput) -> Tensor:
        """Return synthetic images (batch, channels, height, width) in [-1, 1], without a graph."""
        return draw(self.network, inputs)

    def apply(
        self,
        inputs: Sequence[GeneratorInput],
        feedback: Sequence[Feedback],
        weights: Sequence[float],
        steps: int,
    ) -> None:
        """Step G on the feedback of K clients.

        The gradient of a step is sum_k w_k mean_i J_G(y_ki, z_ki)^T g_ki, a vector-Jacobian product: G runs again on
        the same input and the feedback is propagated through it.

        Parameters
        ----------
        inputs : sequence of GeneratorInput
            What the images of each client were drawn from, (samples, ...).
        feedback : sequence of Feedback
            The answer of each client, (samples,) and (samples, channels, height, width).
        weights : sequence of float
            w_k.
        steps : int
            Generator steps; each takes the next ``samples / steps`` samples of every client.
        """
        for step in range(steps):
            self.optimizer.zero_grad(set_to_none=True)
            for client_inputs, client_feedback, weight in zip(inputs, feedback, weights, strict=True):
                size = len(client_inputs) // steps
                part = slice(step * size, (step + 1) * size)
                images = self.network(*_arguments(client_inputs[part]))
                images.backward(client_feedback.gradients[part] * (weight / size))
            self.optimizer.step()
            self._follow()

    @torch.no_grad()
    def _follow(self) -> None:
        for mean, parameter in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(parameter, 1 - self.average_decay)


def draw(network: nn.Module, inputs: GeneratorInput, batch_size: int = 64) -> Tensor:
    """Return the images (samples, channels, height, width) of a generator, drawn ``batch_size`` at a time."""
    with torch.no_grad():
        parts = [
            network(*_arguments(inputs[start : start + batch_size])) for start in range(0, len(inputs), batch_size)
        ]
    return torch.cat(parts)


def _arguments(inputs: GeneratorInput) -> tuple[Tensor, Tensor, Tensor]:
    return inputs.label_maps, inputs.noise, inputs.sites
