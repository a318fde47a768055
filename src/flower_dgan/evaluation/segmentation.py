"""The segmentation model that measures how useful a labelled dataset is."""

import segmentation_models_pytorch as smp  # type: ignore[import-untyped]
import torch
from torch import nn

from flower_dgan.config import AugmentationName, DownstreamConfig
from flower_dgan.data.augmentation import apply_to_images, draw_views
from flower_dgan.data.pairs import Pairs
from flower_dgan.data.views import sizes_of
from flower_dgan.errors import DataError
from flower_dgan.evaluation.deeplab import build_deeplab, check_segmentation
from flower_dgan.evaluation.scoring import class_ids


class SegmenterTraining:
    """The training of DeepLabV3+ on random views of pairs, in one go or in several.

    The loss is cross-entropy plus the multiclass Dice loss, both over all classes; Adam's rate falls to zero along
    a cosine over ``config.steps`` steps, whose calls of :meth:`run` go on along it and each begin with no moments, as a
    client does that keeps no optimizer between rounds. The same arguments and calls give the same model on the same
    machine, and the caller's global RNG is left as it was.

    Parameters
    ----------
    pairs : Pairs
        What to learn from; at least one pair and two classes.
    config : DownstreamConfig
        Encoder, steps, batch size and learning rate.
    image_size : int
        Height and width in pixels of a view; a multiple of 16.
    augmentation : {"none", "flips", "rotations", "colour", "all"}
        How views are drawn.
    seed : int
        Fixes the initial weights, dropout and the views.

    Attributes
    ----------
    model : nn.Module
        On the CPU; float32 (batch, channels, image_size, image_size) in [-1, 1] to logits (batch, classes, image_size,
        image_size).

    Raises
    ------
    ConfigError
        The encoder, its weights or a number cannot be used.
    DataError
        There is nothing to learn from, or the pretrained weights cannot be had.
    """

    def __init__(
        self, pairs: Pairs, config: DownstreamConfig, *, image_size: int, augmentation: AugmentationName, seed: int
    ) -> None:
        if not len(pairs):
            raise DataError("There is no pair to train a segmentation model on.")
        if pairs.classes < 2:
            raise DataError(f"Segmentation needs the background and at least one more class, not {pairs.classes}.")
        check_segmentation(config, image_size)
        self._pairs, self._batch_size, self._image_size = pairs, config.batch_size, image_size
        self._augmentation = augmentation
        self._sizes = sizes_of(pairs.label_maps)
        self._views = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.model = build_deeplab(config, channels=pairs.images[0].shape[2], classes=pairs.classes)
            self._dropout = torch.default_generator.get_state()
        self._optimizer = torch.optim.Adam(self.model.parameters(), config.learning_rate, fused=True)
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, config.steps)
        self._dice_loss = smp.losses.DiceLoss("multiclass")

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._pairs)

    def run(self, steps: int) -> None:
        """Take the next optimizer steps, and leave the model in evaluation mode."""
        self.model.train()
        self._optimizer.state.clear()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.set_state(self._dropout)
            for _ in range(steps):
                self._step()
            self._dropout = torch.default_generator.get_state()
        self.model.eval()

    def _step(self) -> None:
        views = draw_views(self._sizes, self._batch_size, self._image_size, self._augmentation, self._views)
        logits = self.model(apply_to_images(self._pairs.images, views, self._image_size))
        truth = class_ids(self._pairs, views, self._image_size)
        loss = nn.functional.cross_entropy(logits, truth) + self._dice_loss(logits, truth)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._schedule.step()


def train_segmenter(
    pairs: Pairs, config: DownstreamConfig, *, image_size: int, augmentation: AugmentationName, seed: int
) -> nn.Module:
    """Run a :class:`SegmenterTraining` from beginning to end, and return its model in evaluation mode."""
    training = SegmenterTraining(pairs, config, image_size=image_size, augmentation=augmentation, seed=seed)
    training.run(config.steps)
    return training.model
