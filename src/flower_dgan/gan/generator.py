"""The server's half: propose synthetic images, apply the clients' feedback."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from flower_dgan.device import to_cpu
from flower_dgan.errors import DivergedError
from flower_dgan.gan.drawing import AT_A_TIME, NOT_FINITE, draw, is_finite, only_finite
from flower_dgan.gan.exchange import Feedback, GeneratorInput, Proposal
from flower_dgan.gan.kept_graphs import KeptGraphs
from flower_dgan.gan.merge import MergeRule, Weights, as_given
from flower_dgan.gan.replay import Replay
from flower_dgan.gan.snapshot import restore_snapshot, take_snapshot
from flower_dgan.gan.step_gradient import StepGradient
from flower_dgan.gan.worker_threads import Workers

_LARGEST_GRADIENT = 1e18  # Adam keeps its square, in float32
T = TypeVar("T")
R = TypeVar("R")

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
        self._workers = Workers(workers)
        self._graphs = KeptGraphs(graph_bytes)
        self._gradient = StepGradient(
            network, self._parameters, replay=replay, graphs=self._graphs, workers=self._workers, together=together
        )
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
        if self._graphs.most_bytes and len(inputs) <= AT_A_TIME:
            images = only_finite(self._graphs.draw(self.network, inputs))
        else:
            images = draw(self.network, inputs)
        return Proposal.of(inputs, images, self.steps_done)

    def keep(self, proposal: Proposal) -> Proposal:
        """Return what :meth:`apply` wants of a proposal that was sent."""
        return self._replay.keep(proposal)

    def for_each(self, function: Callable[[T], R], values: Iterable[T]) -> Iterator[R]:
        """Apply a function as :func:`map` does, to as many values at a time as there are workers."""
        return self._workers.for_each(function, values)

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
        weights = merge(weights, lambda: self._gradient.inspect(answers))
        tasks = list(zip(proposals, feedback, weights.values(), factors, strict=True))
        for step in range(steps * self._replay.passes):
            self.optimizer.zero_grad(set_to_none=True)
            for part in self._gradient.parts(tasks, (step % steps, steps), rate):
                self._add(part)
            if added is not None:
                self._add(torch.autograd.grad(added(self.network, self.steps_done), self._parameters))
            self._check_gradient()
            self.optimizer.step()
            self._follow()
        if not is_finite(self.network):
            raise DivergedError(NOT_FINITE.format("parameters are"))
        return weights

    def _check_gradient(self) -> None:
        """Raise DivergedError, before the step, if the gradient, or its square in the optimizer, is not finite.

        All entries are asked for at once: each time that a device is asked it has to finish what it was told before.
        """
        of_each = [each.grad.abs().max() for each in self._parameters if each.grad is not None]
        # A comparison with what is no number is false.
        if of_each and not float(torch.stack(of_each).max()) <= _LARGEST_GRADIENT:
            raise DivergedError(NOT_FINITE.format("gradient is"))

    def _add(self, part: Sequence[Tensor | None]) -> None:
        """Add a part of the gradient of a step; a parameter that no part is about stays without, and is not stepped."""
        for parameter, value in zip(self._parameters, part, strict=True):
            if value is None:
                continue
            parameter.grad = value if parameter.grad is None else parameter.grad.add_(value)

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(self._average_decay, (1 + self.steps_done) / (10 + self.steps_done))
        self.steps_done += 1
        self._graphs.forget()
        for mean, parameter in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(parameter, 1 - decay)
