"""The server's half: propose synthetic images, apply the clients' feedback.

Feedback is the gradient g of a sample's loss at the image x~ that the generator made when the bundle was proposed. Each
step runs the generator again on the same input, x = G(y, z), and propagates a gradient in image space, in the channels
that the client holds:

``gradient``
    g itself. Exact for the first step of a bundle, stale for the others, as G has moved.
``target``
    x - (x~ - eta g / rms(g)), with rms over the client's whole bundle: half the squared distance to a target image one
    functional gradient step away (as in CFG-GAN; Johnson and Zhang 2018, algorithm 1). It fades as G reaches the
    target, so that many steps on one bundle cannot run away. A diversity term may be added, at the server alone: the
    colours of two draws on one label map, averaged over blocks of a quarter of the image, are pushed apart while they
    differ by less than 0.2 (the idea of the mode-seeking loss; Mao et al. 2019).
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flower_dgan.algorithm.exchange import Feedback, GeneratorInput, Proposal
from flower_dgan.algorithm.merge import Agreement, MergeRule, Weights, as_given
from flower_dgan.algorithm.randomness import derive_generator
from flower_dgan.algorithm.snapshot import restore_snapshot, take_snapshot
from flower_dgan.algorithm.tdgan import Reminder
from flower_dgan.config import ReplayName
from flower_dgan.data.channels import held

_DIVERSE_ENOUGH = 0.2
_INSPECTED = 16

T = TypeVar("T")
R = TypeVar("R")


class GeneratorHalf:
    """The generator with its optimizer and the moving average of its parameters.

    Parameters
    ----------
    network : nn.Module
        G; called with a ``GeneratorInput``. Without dropout and without batch statistics, so that a second pass over
        the same input gives the same images.
    optimizer : torch.optim.Optimizer
        Over G's parameters.
    replay : {"gradient", "target"}
        How feedback becomes a gradient in image space, see above.
    target_step : float
        eta.
    diversity : float
        For ``target``: how far the diversity term moves the target, in units of [-1, 1]; 0 for none.
    average_decay : float
        Decay of the moving average a generator step, in [0, 1); 0 copies G. Smaller in the first steps: at most
        (1 + t) / (10 + t) in step t.
    merge : MergeRule
        How much each client's feedback counts, see ``flower_dgan.algorithm.merge``.
    reminder : Reminder or None
        The reminding loss of TDGAN, added to each step.
    workers : int
        Clients whose images are drawn, or whose parts of a gradient are computed, at the same time, each in a thread.
        The result does not depend on it, bit by bit.

    Attributes
    ----------
    average : nn.Module
        A copy of G whose parameters follow G's; it draws the results.
    steps_done : int
        Generator steps so far.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        replay: ReplayName,
        target_step: float,
        diversity: float,
        average_decay: float,
        merge: MergeRule = as_given,
        reminder: Reminder | None = None,
        workers: int = 1,
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.average = copy.deepcopy(network).requires_grad_(False)
        self._replay = replay
        self._target_step = target_step
        self._diversity = diversity
        self._learning_rates = [group["lr"] for group in optimizer.param_groups]
        self._average_decay = average_decay
        self._merge = merge
        self._reminder = reminder
        self._parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers) if workers > 1 else None
        self.steps_done = 0

    def snapshot(self) -> dict[str, Tensor]:
        """Return everything that changes while G learns, by name; not copied."""
        tensors = take_snapshot(self.network, self.optimizer)
        tensors |= {f"average:{name}": value for name, value in self.average.state_dict().items()}
        if isinstance(self._merge, Agreement):
            tensors |= {f"score:{name}": torch.tensor(score).double() for name, score in self._merge.scores.items()}
        return tensors | {"steps": torch.tensor(self.steps_done)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put back what :meth:`snapshot` returned.

        Raises
        ------
        KeyError, RuntimeError
            If the tensors are not those of such a generator.
        """
        restore_snapshot(tensors, self.network, self.optimizer)
        self.average.load_state_dict(_marked(tensors, "average"))
        if isinstance(self._merge, Agreement):
            self._merge.scores = {name: float(score) for name, score in _marked(tensors, "score").items()}
        self.steps_done = int(tensors["steps"])

    def propose(self, inputs: GeneratorInput) -> Proposal:
        """Draw synthetic images, without a graph."""
        return Proposal.of(inputs, draw(self.network, inputs), self.steps_done)

    def keep(self, proposal: Proposal) -> Proposal:
        """Return what :meth:`apply` wants of a proposal that was sent: gradients are replayed without the images."""
        return proposal if self._replay == "target" else replace(proposal, images=proposal.images.new_empty(0))

    def for_each(self, function: Callable[[T], R], values: Iterable[T]) -> Iterator[R]:
        """Apply a function as :func:`map` does, to as many values at a time as there are workers."""
        return self._pool.map(function, values) if self._pool else map(function, values)

    def apply(
        self,
        proposals: Sequence[Proposal],
        feedback: Sequence[Feedback],
        weights: Weights,
        steps: int,
        rate: float = 1.0,
    ) -> Weights:
        """Step G on the feedback of K clients.

        The gradient of a step is sum_k w_k mean_i J_G(y_ki, z_ki)^T d_ki, a vector-Jacobian product with d_ki the
        gradient in image space; w_k are the weights that the merge rule makes of the given ones.

        Parameters
        ----------
        proposals : sequence of Proposal
            What each client was sent.
        feedback : sequence of Feedback
            The answer of each client, for as many samples.
        weights : mapping of str to float
            Each client's name and weight, in the order of the feedback.
        steps : int
            Generator steps; each takes the next ``samples / steps`` samples of every client.
        rate : float
            Factor of learning rate, eta and diversity, see :func:`scheduled_rate`.

        Returns
        -------
        mapping of str to float
            The weights w_k that the clients got.
        """
        for group, learning_rate in zip(self.optimizer.param_groups, self._learning_rates, strict=True):
            group["lr"] = learning_rate * rate
        tiny = torch.finfo(torch.float32).tiny
        shifts = [rate * self._target_step / max(_rms(answer.gradients), tiny) for answer in feedback]
        weights = self._merge(weights, lambda: self._inspect(proposals, feedback, shifts))
        tasks = list(zip(proposals, feedback, weights.values(), shifts, strict=True))
        for step in range(steps):
            self.optimizer.zero_grad(set_to_none=True)
            gradient = partial(self._gradient, turn=(step, steps), rate=rate)
            # No more parts at a time than workers: each is as large as the network.
            for start in range(0, len(tasks), self._workers):
                for part in self.for_each(gradient, tasks[start : start + self._workers]):
                    self._add(part)
            if self._reminder is not None:
                self._add(torch.autograd.grad(self._reminder.loss(self.network, self.steps_done), self._parameters))
            self.optimizer.step()
            self._follow()
        return weights

    def _add(self, part: Sequence[Tensor | None]) -> None:
        """Add a part of the gradient of a step; a parameter that no part is about stays without, and is not stepped."""
        for parameter, value in zip(self._parameters, part, strict=True):
            if value is None:
                continue
            parameter.grad = value if parameter.grad is None else parameter.grad.add_(value)

    def _inspect(self, proposals: Sequence[Proposal], feedback: Sequence[Feedback], shifts: Sequence[float]) -> Tensor:
        """Return the gradient that each client asks for at the present theta, (clients, parameters).

        It is that of a few of the bundle's samples. Which ones depends on the answers of all clients, so that no client
        knows them while it answers.
        """
        size = min(_INSPECTED, len(proposals[0]))
        generator = derive_generator(0, *(answer.losses.numpy().tobytes().hex() for answer in feedback))
        start = size * int(torch.randint(len(proposals[0]) // size, (), generator=generator))
        part = slice(start, start + size)

        def gradient(task: tuple[Proposal, Feedback, float]) -> Tensor:
            proposal, answer, shift = task
            images = self.network(proposal.inputs(part))[:, held(answer.channels)]
            direction = answer.gradients[part] * (shift if self._replay == "target" else 1.0)
            values = torch.autograd.grad(images, self._parameters, direction / size)
            return torch.cat([value.flatten() for value in values])

        return torch.stack(list(self.for_each(gradient, zip(proposals, feedback, shifts, strict=True))))

    def _gradient(
        self, task: tuple[Proposal, Feedback, float, float], turn: tuple[int, int], rate: float
    ) -> Sequence[Tensor | None]:
        """Return one client's part, with its weight, of the gradient of step ``turn[0]`` of ``turn[1]``.

        It is None for parameters that did not draw its images: sub-generators of other clients.
        """
        (proposal, feedback, weight, shift), (step, steps) = task, turn
        size = len(proposal) // steps
        part = slice(step * size, (step + 1) * size)
        inputs, channels = proposal.inputs(part), held(feedback.channels)
        images = self.network(inputs)[:, channels]
        direction = feedback.gradients[part]
        if self._replay == "target":
            direction = images.detach() - (proposal.images[part, channels] - shift * direction)
            if self._diversity:
                direction -= rate * self._diversity * self._apart(images.detach(), inputs, channels)
        return torch.autograd.grad(images, self._parameters, direction * (weight / size), allow_unused=True)

    @torch.no_grad()
    def _apart(self, images: Tensor, inputs: GeneratorInput, channels: slice | list[int]) -> Tensor:
        """Return the direction, of -1, 0 and 1, that leads each image's colours away from another draw's."""
        opposite = GeneratorInput(inputs.label_maps, -inputs.noise, inputs.texture, inputs.sites)
        other = self.network(opposite)[:, channels]
        block = images.shape[-1] // 4
        difference = F.avg_pool2d(images - other, block)
        close = difference.abs().mean((1, 2, 3), keepdim=True) < _DIVERSE_ENOUGH
        return F.interpolate(difference.sign() * close, scale_factor=block)

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(self._average_decay, (1 + self.steps_done) / (10 + self.steps_done))
        self.steps_done += 1
        for mean, parameter in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(parameter, 1 - decay)


def _marked(tensors: Mapping[str, Tensor], mark: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{mark}:"): value for key, value in tensors.items() if key.startswith(f"{mark}:")}


def scheduled_rate(round_number: int, rounds: int, final_rate: float) -> float:
    """Return 1 for the first half of the rounds, then a line down to ``final_rate`` in the last one."""
    progress = max(0.0, 2 * round_number / rounds - 1)
    return 1 + progress * (final_rate - 1)


@torch.no_grad()
def draw(network: nn.Module, inputs: GeneratorInput, batch_size: int = 64) -> Tensor:
    """Return the images (samples, channels, height, width) of a generator, drawn ``batch_size`` at a time."""
    return torch.cat([network(inputs[start : start + batch_size]) for start in range(0, len(inputs), batch_size)])


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())
