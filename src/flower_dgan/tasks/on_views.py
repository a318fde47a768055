"""Training on random views of pairs, and looking at the windows that tile them: what tasks on images share."""

from collections.abc import Callable, Iterator
from threading import Lock

import torch
from torch import Tensor, nn

from flower_dgan.config import AugmentationName, DownstreamConfig
from flower_dgan.data.augmentation import apply_to_images, draw_views, grid_views
from flower_dgan.data.pairs import Pairs
from flower_dgan.data.views import Views, sizes_of
from flower_dgan.device import chosen_device, device_of, to_cpu
from flower_dgan.metrics.shared.finite import require_finite
from flower_dgan.placing import place
from flower_dgan.steps import step_done

_LOOKING_BATCH = 32
_RANDOM_STATE = Lock()
"""Whose holder alone may change torch's default random state, which is one for all threads."""


class ViewTraining:
    """Adam on random views of pairs, in one go or in several.

    Its rate falls to zero along a cosine over ``config.steps`` steps, after a warm-up. Calls of :meth:`run` go on along
    it and each begin with no moments, as a client does that keeps no optimizer between rounds; those of :meth:`go_on`
    keep them.
    The same arguments and calls give the same model on the same machine, also beside others in other threads, and the
    caller's global RNG is left as it was.

    Parameters
    ----------
    pairs : Pairs
        What to learn from; at least one.
    config : DownstreamConfig
        Steps, batch size and learning rate.
    image_size : int
        Height and width in pixels of a view.
    augmentation : {"none", "flips", "rotations", "colour", "all"}
        How views are drawn.
    seed : int
        Fixes the initial weights, dropout and the views.
    build : callable
        Makes the model, whose random weights come from the global RNG of the CPU.
    loss : callable
        Of the model, of the images that it is to see, and of whose views they are, makes what is to be minimised.
    warm_up : float
        Share of the steps in which the rate first rises, in [0, 1).

    Attributes
    ----------
    model : nn.Module
        On the device that was chosen when this was made; takes float32 (batch, channels, image_size, image_size) in
        [-1, 1].
    """

    def __init__(
        self,
        pairs: Pairs,
        config: DownstreamConfig,
        *,
        image_size: int,
        augmentation: AugmentationName,
        seed: int,
        build: Callable[[], nn.Module],
        loss: Callable[[nn.Module, Tensor, Views], Tensor],
        warm_up: float = 0.0,
    ) -> None:
        self._pairs, self._batch_size, self._image_size = pairs, config.batch_size, image_size
        self._augmentation, self._loss = augmentation, loss
        self._sizes = sizes_of(pairs.label_maps)
        self._views = torch.Generator().manual_seed(seed)
        with _RANDOM_STATE, torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.model = place(build(), chosen_device())
            self._dropout = torch.default_generator.get_state()
        self._optimizer = torch.optim.Adam(self.model.parameters(), config.learning_rate, fused=True)
        self._schedule = _schedule(self._optimizer, config.steps, round(warm_up * config.steps))

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._pairs)

    def run(self, steps: int) -> None:
        """Take the next optimizer steps without the moments of those before, and leave the model in evaluation mode."""
        self._optimizer.state.clear()
        self.go_on(steps)

    def go_on(self, steps: int) -> None:
        """Take the next optimizer steps, and leave the model in evaluation mode."""
        self.model.train()
        for _ in range(steps):
            self._step()
        self.model.eval()

    def _step(self) -> None:
        views = draw_views(self._sizes, self._batch_size, self._image_size, self._augmentation, self._views)
        images = apply_to_images(self._pairs.images, views, self._image_size, device_of(self.model))
        loss = self._loss_of(images, views)
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        self._optimizer.step()
        self._schedule.step()
        step_done()

    def _loss_of(self, images: Tensor, views: Views) -> Tensor:
        """Return the loss, with the dropout that comes next in this training."""
        with _RANDOM_STATE, torch.random.fork_rng(devices=[]):
            torch.default_generator.set_state(self._dropout)
            loss = self._loss(self.model, images, views)
            self._dropout = torch.default_generator.get_state()
        return loss


def _schedule(optimizer: torch.optim.Optimizer, steps: int, rising: int) -> torch.optim.lr_scheduler.LRScheduler:
    """Return what lets the rate rise along a line, then fall along a cosine."""
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps - rising)
    if not rising:
        return falling
    up = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / (rising + 1), 1.0, rising)
    return torch.optim.lr_scheduler.SequentialLR(optimizer, [up, falling], [rising])


def likeliest_classes(model: nn.Module, pairs: Pairs, image_size: int) -> Iterator[tuple[Views, Tensor]]:
    """Return the windows that tile every image from its top left, and the class of highest logit in each.

    Parameters
    ----------
    model : nn.Module
        Makes logits (batch, classes, ...); left in evaluation mode.
    pairs : Pairs
        Whose images to look at; a margin that is left is not.
    image_size : int
        Height and width in pixels of a window.

    Yields
    ------
    views : Views
        Some windows.
    classes : int64 Tensor (batch, ...)
        What the model takes them for; on the CPU.

    Raises
    ------
    NotFiniteError
        The logits are not finite.
    """
    model.eval()
    views = grid_views(sizes_of(pairs.label_maps), image_size)
    for start in range(0, len(views.ids), _LOOKING_BATCH):
        batch = views[slice(start, start + _LOOKING_BATCH)]
        with torch.no_grad():
            logits = model(apply_to_images(pairs.images, batch, image_size, device_of(model)))
        require_finite(logits, "what the model makes of images")  # the largest of NaN is some class
        yield batch, to_cpu(logits.argmax(1))
