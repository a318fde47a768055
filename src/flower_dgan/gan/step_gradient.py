"""The gradient of a generator step, in parts of one client each or of several."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from flower_dgan.data.channels import held
from flower_dgan.device import device_of, to_cpu, to_device
from flower_dgan.gan.drawing import AT_A_TIME
from flower_dgan.gan.exchange import Feedback, Proposal, join_inputs
from flower_dgan.gan.kept_graphs import KeptGraphs
from flower_dgan.gan.replay import Replay, redraw, scaled
from flower_dgan.gan.worker_threads import Workers
from flower_dgan.placing import compute
from flower_dgan.randomness import derive_generator

_INSPECTED = 16

Answer = tuple[Proposal, Feedback, float]
"""What a client was sent, what it said, and the factor of its gradients."""

Task = tuple[Proposal, Feedback, float, float]
"""What a client was sent, what it said, its weight, and the factor of its gradients."""


class StepGradient:
    """Makes of what the clients answered the gradient in the generator's parameters.

    Parameters
    ----------
    network : nn.Module
        G.
    parameters : sequence of Tensor
        Those that the optimizer steps.
    replay : Replay
        How feedback becomes a gradient in image space.
    graphs : KeptGraphs
        Of proposals, which save a pass.
    workers : Workers
        Parts that are computed at the same time.
    together : bool
        Whether the parts of several clients are computed in one batch.
    """

    def __init__(
        self,
        network: nn.Module,
        parameters: Sequence[Tensor],
        *,
        replay: Replay,
        graphs: KeptGraphs,
        workers: Workers,
        together: bool,
    ) -> None:
        self._network = network
        self._parameters = parameters
        self._replay = replay
        self._graphs = graphs
        self._workers = workers
        self._together = together

    def inspect(self, answers: Sequence[Answer]) -> Tensor:
        """Return the gradient that each client asks for at the present theta, (clients, parameters).

        It is that of a few of the bundle's samples. Which ones depends on the answers of all clients, so that no client
        knows them while it answers.
        """
        samples = len(answers[0][0])
        size = min(_INSPECTED, samples)
        generator = derive_generator(0, *(each.losses.numpy().tobytes().hex() for _, each, _ in answers))
        start = size * int(torch.randint(samples // size, (), generator=generator))
        part = slice(start, start + size)

        def gradient(answer: Answer) -> Tensor:
            proposal, feedback, factor = answer
            images = redraw(self._network, proposal, part, feedback.channels)
            direction = to_device(scaled(feedback.gradients[part], factor), images.device) / size
            values = torch.autograd.grad(images, self._parameters, direction)
            return to_cpu(torch.cat([value.flatten() for value in values]))

        return torch.stack(list(self._workers.for_each(gradient, answers)))

    def parts(self, tasks: Sequence[Task], turn: tuple[int, int], rate: float) -> Iterator[Sequence[Tensor | None]]:
        """Return the parts that sum to the gradient of a step, of one client each or of several.

        A part is None for parameters that did not draw its images: sub-generators of other clients.
        """
        if not tasks:
            return
        samples = max(1, len(tasks[0][0]) // turn[1])
        at_once = max(1, AT_A_TIME // samples) if self._together else 1
        groups = [tasks[start : start + at_once] for start in range(0, len(tasks), at_once)]
        gradient = partial(self._gradient, turn=turn, rate=rate)
        # No more parts at a time than workers: each is as large as the network.
        for start in range(0, len(groups), self._workers.count):
            yield from self._workers.for_each(gradient, groups[start : start + self._workers.count])

    def _gradient(self, tasks: Sequence[Task], turn: tuple[int, int], rate: float) -> Sequence[Tensor | None]:
        """Return the part of one client or more, each with its weight, of the gradient of a step."""
        step, steps = turn
        sizes = [len(proposal) // steps for proposal, *_ in tasks]
        parts = [slice(step * size, (step + 1) * size) for size in sizes]
        if len(tasks) == 1:
            proposal, feedback, *_ = tasks[0]
            kept = self._graphs.take(self._network, proposal) if steps == 1 else None
            if kept is None:
                drawn = [redraw(self._network, proposal, parts[0], feedback.channels)]
            else:
                drawn = [kept[:, held(feedback.channels)]]
        else:
            drawn = self._redraw_together(tasks, parts)
        directions = []
        for (proposal, feedback, weight, factor), part, images in zip(tasks, parts, drawn, strict=True):
            direction = self._replay.direction(self._network, images.detach(), proposal, feedback, part, rate, factor)
            directions.append(direction * (weight / (part.stop - part.start)))
        return torch.autograd.grad(drawn, self._parameters, directions, allow_unused=True)

    def _redraw_together(self, tasks: Sequence[Task], parts: Sequence[slice]) -> list[Tensor]:
        """Draw the samples of several clients in one pass; return those of each, in the channels that it holds."""
        device = device_of(self._network)
        inputs = join_inputs([task[0].inputs(part, device) for task, part in zip(tasks, parts, strict=True)])
        images = compute(self._network, inputs)
        apart = torch.split(images, [part.stop - part.start for part in parts])
        return [each[:, held(feedback.channels)] for each, (_, feedback, *_) in zip(apart, tasks, strict=True)]
