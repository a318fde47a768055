"""TDGAN: one generator learns task after task from clients that are online only then, and does not forget.

H. Qu, Y. Zhang, Q. Chang, Z. Yan, C. Chen, D. Metaxas: "Learn Distributed GAN with Temporary Discriminators", ECCV
2020.

Task t is a group of clients. The generator's loss in it (section 3.2) is the sum of

digesting loss
    AsynDGAN's, with the discriminators of the clients that are there now;
reminding loss
    on the label maps y of all earlier tasks, with G_prev the generator as it was when the task began,

        lambda_1 | G(y, z) - G_prev(y, z) |_1 + lambda_p perceptual(G(y, z), G_prev(y, z)),

    which the server computes alone: the clients of earlier tasks, their images and their discriminators are gone. In
    the first task it is zero.

A task is a training of its own here, which begins with the generator of the one before. Deviation: the generator may
take noise, and both draw the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flower_dgan import gan
from flower_dgan.algorithms.asyndgan import AsynDgan, AsynDganSettings
from flower_dgan.config import TrainingConfig, require_pictures
from flower_dgan.config.ranges import NonNegative, Text
from flower_dgan.device import device_of
from flower_dgan.errors import ConfigError
from flower_dgan.lazily import torch
from flower_dgan.randomness import derive_seed

if TYPE_CHECKING:
    from flower_dgan.gan.generator import AddedLoss


@dataclass(frozen=True, kw_only=True)
class TdGanSettings(AsynDganSettings):
    """What TDGAN's runs choose beside AsynDGAN's settings.

    Attributes
    ----------
    previous : str or None
        Run directory of the task before, whose generator this one begins with; None for the first task.
    reminding_l1_weight, reminding_perceptual_weight : float
        lambda_1 and lambda_p, at least 0.
    """

    previous: Text | None
    reminding_l1_weight: NonNegative
    reminding_perceptual_weight: NonNegative


class TdGan(AsynDgan):
    """AsynDGAN with the reminding loss: its clients are those of one task."""

    name = "tdgan"
    Settings = TdGanSettings
    settings: TdGanSettings

    @property
    def previous_run(self) -> str | None:
        """That of the task before."""
        return self.settings.previous

    @property
    def settings_for_clients(self) -> TdGanSettings:
        """The settings without that run directory."""
        return replace(self.settings, previous=None)

    def check(self, config: TrainingConfig) -> None:
        """Find contradictions."""
        super().check(config)
        perceptual = self.settings.reminding_perceptual_weight
        require_pictures("reminding_perceptual_weight", perceptual, config.data)
        if self.settings.previous is not None and config.model.sites_fixed_by:
            raise ConfigError(
                "algorithm.previous wants model.site_condition=false and a model.generator that is no fusion: the "
                "sites of the next task are not those of this one."
            )

    def begin(self, state: gan.ServerState) -> None:
        """Begin with G_prev, unless the training goes on with a generator of its own."""
        if state.previous is not None and state.generator.steps_done == 0:
            state.generator.begin_with(state.previous.generator)

    def added_loss(self, state: gan.ServerState) -> AddedLoss | None:
        """Return the reminding loss; None in the first task."""
        if state.previous is None:
            return None
        from flower_dgan.placing import place  # settings are read without torch

        weight = self.settings.reminding_perceptual_weight
        return Reminder(
            state.previous.generator,
            state.previous.labels,
            state.bundles,
            self.settings.reminding_l1_weight,
            weight,
            place(gan.pretrained_perceptual_loss(), device_of(state.generator.network)) if weight else None,
        ).loss


@dataclass(frozen=True)
class Reminder:
    """The reminding loss.

    Attributes
    ----------
    previous : nn.Module
        G_prev; not changed.
    labels : sequence of ClientLabels
        The clients of all earlier tasks.
    settings : BundleSettings
        Batch size, views and seed of the label maps that are drawn for each generator step.
    l1_weight, perceptual_weight : float
        lambda_1 and lambda_p, at least 0.
    perceptual : callable or None
        ``(images, images) -> (batch,)``; needed where ``perceptual_weight`` is positive.
    """

    previous: torch.nn.Module
    labels: Sequence[gan.ClientLabels]
    settings: gan.BundleSettings
    l1_weight: float
    perceptual_weight: float
    perceptual: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None

    def loss(self, network: torch.nn.Module, step: int) -> torch.Tensor:
        """Return the loss of G in its generator step of that number, a scalar, with its graph."""
        from flower_dgan.placing import compute  # settings are read without torch

        settings = replace(self.settings, exchanges=1, seed=derive_seed(self.settings.seed, "reminding"))
        inputs = gan.draw_shared(self.labels, settings, step, 0).to(device_of(network))
        with torch.no_grad():
            before = compute(self.previous, inputs)
        images = compute(network, inputs)
        loss: torch.Tensor = self.l1_weight * (images - before).abs().mean()
        if self.perceptual is not None:
            loss = loss + self.perceptual_weight * self.perceptual(images, before).mean()
        return loss
