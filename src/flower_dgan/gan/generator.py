"""The server's half: propose synthetic images, apply the clients' feedback."""

import copy
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from flower_dgan.data.channels import held
from flower_dgan.device import device_of, to_cpu, to_device
from flower_dgan.errors import DivergedError
from flower_dgan.gan.exchange import Feedback, GeneratorInput, Proposal, join_inputs
from flower_dgan.gan.kept_graphs import KeptGraphs
from flower_dgan.gan.merge import MergeRule, Weights, as_given
from flower_dgan.gan.replay import Replay, redraw, scaled
from flower_dgan.gan.snapshot import restore_snapshot, take_snapshot
from flower_dgan.placing import compute
from flower_dgan.randomness import derive_generator

_INSPECTED = 16
_AT_A_TIME = 64  # samples of one pass, of one client or more
_LARGEST_GRADIENT = 1e18  # Adam keeps its square, in float32
_NOT_FINITE = (
    "The generator's {} not finite: its steps are too large. Lower algorithm.generator_learning_rate or "
    "algorithm.generator_weight, and begin a new training. The checkpoints are from before and are kept."
)

T = TypeVar("T")
R = TypeVar("R")

Task = tuple[Proposal, Feedback, float, float]
"""What a client was sent, what it said, its weight, and the factor of its gradients."""

AddedLoss = Callable[[nn.Module, int], Tensor]
"""Makes of G and the number of its step, from 0, a scalar with its graph that is added to the loss."""


class GeneratorHalf:
    """The generator with its optimizer and the moving average of its parameters.

    Parameters
    ----------
    network : nn.Module
        G; called with a ``GeneratorInput``. Without dropout and without batch statistics, so that a second pass over
        the same input gives the same images.
    optimizer : torch.optim.Optimizer
        Over G's parameters.
    replay : Replay
        How feedback becomes a gradient in image space.
    average_decay : float
        Decay of the moving average a generator step, in [0, 1); 0 copies G. Smaller in the first steps: at most
        (1 + t) / (10 + t) in step t.
    together : bool
        Whether the clients' parts of a gradient are computed in one batch, of about 64 samples at a time, which on a
        device takes less time than one after the other. Their sum is then the same up to rounding.
    workers : int
        Clients whose images are drawn, or whose parts of a gradient are computed, at the same time, each in a thread.
        The result does not depend on it, bit by bit.
    graph_bytes : int
        Memory for the graphs of proposals, which save the pass of a first step that takes a whole proposal while G has
        not moved. The result does not depend on it, bit by bit. 0 for none.

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
        replay: Replay,
        average_decay: float,
        workers: int = 1,
        together: bool = False,
        graph_bytes: int = 0,
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.average = copy.deepcopy(network).requires_grad_(False)
        self._replay = replay
        self._learning_rates = [group["lr"] for group in optimizer.param_groups]
        self._average_decay = average_decay
        self._parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self._workers = workers
        self._together = together
        # Each thread asks first how many threads its operations may use: one whose first operation is a convolution
        # would take all cores for that, and round otherwise.
        self._pool = ThreadPoolExecutor(workers, initializer=torch.get_num_threads) if workers > 1 else None
        self._graphs = KeptGraphs(graph_bytes)
        self.steps_done = 0

    def snapshot(self) -> dict[str, Tensor]:
        """Return everything that changes while G learns, by name, on the CPU; not copied where it is there anyway."""
        tensors = take_snapshot(self.network, self.optimizer)
        tensors |= {f"average:{name}": to_cpu(value) for name, value in self.average.state_dict().items()}
        return tensors | {"steps": torch.tensor(self.steps_done)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put back what :meth:`snapshot` returned.

        Raises
        ------
        KeyError, RuntimeError
            If the tensors are not those of such a generator.
        """
        restore_snapshot(tensors, self.network, self.optimizer)
        mark = "average:"
        self.average.load_state_dict(
            {key.removeprefix(mark): value for key, value in tensors.items() if key.startswith(mark)}
        )
        self.steps_done = int(tensors["steps"])

    def begin_with(self, network: nn.Module) -> None:
        """Take over the parameters of another generator, before the first step."""
        self.network.load_state_dict(network.state_dict())
        self.average.load_state_dict(network.state_dict())

    def propose(self, inputs: GeneratorInput) -> Proposal:
        """Draw synthetic images, without a graph."""
        if self._graphs.most_bytes and len(inputs) <= _AT_A_TIME:
            images = _only_finite(self._graphs.draw(self.network, inputs))
        else:
            images = draw(self.network, inputs)
        return Proposal.of(inputs, images, self.steps_done)

    def keep(self, proposal: Proposal) -> Proposal:
        """Return what :meth:`apply` wants of a proposal that was sent."""
        return self._replay.keep(proposal)

    def for_each(self, function: Callable[[T], R], values: Iterable[T]) -> Iterator[R]:
        """Apply a function as :func:`map` does, to as many values at a time as there are workers."""
        return map(function, values) if self._pool is None else _ahead(self._pool, self._workers, function, values)

    def apply(
        self,
        proposals: Sequence[Proposal],
        feedback: Sequence[Feedback],
        weights: Weights,
        steps: int,
        rate: float = 1.0,
        *,
        merge: MergeRule = as_given,
        added: AddedLoss | None = None,
    ) -> Weights:
        """Step G on the feedback of K clients.

        The gradient of a step is sum_k w_k mean_i J_G(y_ki, z_ki)^T d_ki, a vector-Jacobian product with d_ki the
        direction in image space that ``replay`` makes of the answer, and w_k the weights that the merge rule makes of
        the given ones.

        Parameters
        ----------
        proposals : sequence of Proposal
            What each client was sent.
        feedback : sequence of Feedback
            The answer of each client, for as many samples.
        weights : mapping of str to float
            Each client's name and weight, in the order of the feedback.
        steps : int
            Generator steps of one pass over the bundle; each takes the next ``samples / steps`` samples of every
            client. The replay says how many passes there are.
        rate : float
            Factor of learning rate, target step and diversity, see :func:`scheduled_rate`.
        merge : callable
            Makes of the weights those that the clients get, see ``flower_dgan.gan.merge``.
        added : callable or None
            A loss that the server computes alone, added in each step.

        Returns
        -------
        mapping of str to float
            The weights w_k that the clients got.

        Raises
        ------
        DivergedError
            If the gradient of a step, or a parameter after the last one, is not finite. With feedback that was bounded,
            see ``flower_dgan.gan.guard``, no client can bring that about.
        """
        for group, learning_rate in zip(self.optimizer.param_groups, self._learning_rates, strict=True):
            group["lr"] = learning_rate * rate
        factors = [self._replay.factor(each, rate) for each in feedback]
        answers = list(zip(proposals, feedback, factors, strict=True))
        weights = merge(weights, lambda: self._inspect(answers))
        tasks = list(zip(proposals, feedback, weights.values(), factors, strict=True))
        for step in range(steps * self._replay.passes):
            self.optimizer.zero_grad(set_to_none=True)
            for part in self._parts(tasks, (step % steps, steps), rate):
                self._add(part)
            if added is not None:
                self._add(torch.autograd.grad(added(self.network, self.steps_done), self._parameters))
            self._check_gradient()
            self.optimizer.step()
            self._follow()
        if not is_finite(self.network):
            raise DivergedError(_NOT_FINITE.format("parameters are"))
        return weights

    def _check_gradient(self) -> None:
        """Raise DivergedError, before the step, if the gradient, or its square in the optimizer, is not finite.

        All entries are asked for at once: each time that a device is asked it has to finish what it was told before.
        """
        of_each = [each.grad.abs().max() for each in self._parameters if each.grad is not None]
        # A comparison with what is no number is false.
        if of_each and not float(torch.stack(of_each).max()) <= _LARGEST_GRADIENT:
            raise DivergedError(_NOT_FINITE.format("gradient is"))

    def _add(self, part: Sequence[Tensor | None]) -> None:
        """Add a part of the gradient of a step; a parameter that no part is about stays without, and is not stepped."""
        for parameter, value in zip(self._parameters, part, strict=True):
            if value is None:
                continue
            parameter.grad = value if parameter.grad is None else parameter.grad.add_(value)

    def _inspect(self, answers: Sequence[tuple[Proposal, Feedback, float]]) -> Tensor:
        """Return the gradient that each client asks for at the present theta, (clients, parameters).

        It is that of a few of the bundle's samples. Which ones depends on the answers of all clients, so that no client
        knows them while it answers.
        """
        samples = len(answers[0][0])
        size = min(_INSPECTED, samples)
        generator = derive_generator(0, *(each.losses.numpy().tobytes().hex() for _, each, _ in answers))
        start = size * int(torch.randint(samples // size, (), generator=generator))
        part = slice(start, start + size)

        def gradient(answer: tuple[Proposal, Feedback, float]) -> Tensor:
            proposal, feedback, factor = answer
            images = redraw(self.network, proposal, part, feedback.channels)
            direction = to_device(scaled(feedback.gradients[part], factor), images.device) / size
            values = torch.autograd.grad(images, self._parameters, direction)
            return to_cpu(torch.cat([value.flatten() for value in values]))

        return torch.stack(list(self.for_each(gradient, answers)))

    def _parts(self, tasks: Sequence[Task], turn: tuple[int, int], rate: float) -> Iterator[Sequence[Tensor | None]]:
        """Return the parts that sum to the gradient of a step, of one client each or of several.

        A part is None for parameters that did not draw its images: sub-generators of other clients.
        """
        if not tasks:
            return
        samples = max(1, len(tasks[0][0]) // turn[1])
        at_once = max(1, _AT_A_TIME // samples) if self._together else 1
        groups = [tasks[start : start + at_once] for start in range(0, len(tasks), at_once)]
        gradient = partial(self._gradient, turn=turn, rate=rate)
        # No more parts at a time than workers: each is as large as the network.
        for start in range(0, len(groups), self._workers):
            yield from self.for_each(gradient, groups[start : start + self._workers])

    def _gradient(self, tasks: Sequence[Task], turn: tuple[int, int], rate: float) -> Sequence[Tensor | None]:
        """Return the part of one client or more, each with its weight, of the gradient of a step."""
        step, steps = turn
        sizes = [len(proposal) // steps for proposal, *_ in tasks]
        parts = [slice(step * size, (step + 1) * size) for size in sizes]
        if len(tasks) == 1:
            proposal, feedback, *_ = tasks[0]
            kept = self._graphs.take(self.network, proposal) if steps == 1 else None
            if kept is None:
                drawn = [redraw(self.network, proposal, parts[0], feedback.channels)]
            else:
                drawn = [kept[:, held(feedback.channels)]]
        else:
            drawn = self._redraw_together(tasks, parts)
        directions = []
        for (proposal, feedback, weight, factor), part, images in zip(tasks, parts, drawn, strict=True):
            direction = self._replay.direction(self.network, images.detach(), proposal, feedback, part, rate, factor)
            directions.append(direction * (weight / (part.stop - part.start)))
        return torch.autograd.grad(drawn, self._parameters, directions, allow_unused=True)

    def _redraw_together(self, tasks: Sequence[Task], parts: Sequence[slice]) -> list[Tensor]:
        """Draw the samples of several clients in one pass; return those of each, in the channels that it holds."""
        device = device_of(self.network)
        inputs = join_inputs([task[0].inputs(part, device) for task, part in zip(tasks, parts, strict=True)])
        images = compute(self.network, inputs)
        apart = torch.split(images, [part.stop - part.start for part in parts])
        return [each[:, held(feedback.channels)] for each, (_, feedback, *_) in zip(apart, tasks, strict=True)]

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(self._average_decay, (1 + self.steps_done) / (10 + self.steps_done))
        self.steps_done += 1
        self._graphs.forget()
        for mean, parameter in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(parameter, 1 - decay)


def _ahead(pool: ThreadPoolExecutor, most: int, function: Callable[[T], R], values: Iterable[T]) -> Iterator[R]:
    """Apply a function in threads, to no more values than so many beyond the one whose result was asked for."""
    waiting: deque[Future[R]] = deque()
    for value in values:
        waiting.append(pool.submit(function, value))
        if len(waiting) == most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@torch.no_grad()
def draw(network: nn.Module, inputs: GeneratorInput, batch_size: int = _AT_A_TIME) -> Tensor:
    """Return the images (samples, channels, height, width) of a generator, on the CPU, drawn ``batch_size`` at a time.

    Raises
    ------
    DivergedError
        If they are not finite: as uint8 nobody would see it.
    """
    device, starts = device_of(network), range(0, len(inputs), batch_size)
    parts = [to_cpu(compute(network, inputs[start : start + batch_size].to(device))) for start in starts]
    return _only_finite(torch.cat(parts))


def _only_finite(images: Tensor) -> Tensor:
    if not images.isfinite().all():
        raise DivergedError(_NOT_FINITE.format("images are"))
    return images


def is_finite(network: nn.Module) -> bool:
    """Return whether all that a network has learned is finite; its device is asked once."""
    return bool(torch.stack([value.isfinite().all() for value in network.state_dict().values()]).all())
