import math

import pytest
import torch

from flower_dgan.algorithm.losses import LOSSES
from flower_dgan.config import LossName

NO_MAPS = torch.zeros(2, 1, 1, 2)
# two samples with two patches each
LOGITS = torch.tensor([[[[0.0, 2.0]]], [[[-2.0, -0.5]]]])


@pytest.mark.parametrize(
    ("name", "real", "fake", "generator"),
    [
        ("least-squares", [1.0, (9 + 2.25) / 2], [2.0, (4 + 0.25) / 2], [1.0, (9 + 2.25) / 2]),
        ("hinge", [0.5, (3 + 1.5) / 2], [2.0, 0.25], [-1.0, 1.25]),
        ("wasserstein", [-1.0, 1.25], [1.0, -1.25], [-1.0, 1.25]),
        (
            "bce",
            [(math.log(2) + math.log1p(math.exp(-2))) / 2, (math.log1p(math.exp(2)) + math.log1p(math.exp(0.5))) / 2],
            [(math.log(2) + math.log1p(math.exp(2))) / 2, (math.log1p(math.exp(-2)) + math.log1p(math.exp(-0.5))) / 2],
            [(math.log(2) + math.log1p(math.exp(-2))) / 2, (math.log1p(math.exp(2)) + math.log1p(math.exp(0.5))) / 2],
        ),
    ],
)
def test_patch_losses(name: LossName, real: list[float], fake: list[float], generator: list[float]) -> None:
    loss = LOSSES[name]
    torch.testing.assert_close(loss.real(LOGITS, NO_MAPS), torch.tensor(real))
    torch.testing.assert_close(loss.fake(LOGITS, NO_MAPS), torch.tensor(fake))
    torch.testing.assert_close(loss.generator(LOGITS, NO_MAPS), torch.tensor(generator))


def test_segmentation_loss_balances_the_classes() -> None:
    # one sample of four pixels: three of class 0, one of class 1; uniform logits over the classes and 'synthetic'
    label_maps = torch.tensor([[[[1.0, 1.0, 1.0, 0.0]], [[0.0, 0.0, 0.0, 1.0]]]])
    logits = torch.zeros(1, 3, 1, 4)
    loss = LOSSES["segmentation"]
    # each class has weight 1 / (2 frequency), so both count the same: the mean is log 3
    torch.testing.assert_close(loss.real(logits, label_maps), torch.tensor([math.log(3)]))
    torch.testing.assert_close(loss.fake(logits, label_maps), torch.tensor([math.log(3)]))
    # a network that knows the only pixel of class 1 halves the loss
    logits[0, 1, 0, 3] = 50.0
    torch.testing.assert_close(loss.generator(logits, label_maps), torch.tensor([math.log(3) / 2]))


def test_segmentation_loss_without_foreground_counts_the_background_alone() -> None:
    label_maps = torch.stack([torch.ones(1, 1, 2), torch.zeros(1, 1, 2)], 1)
    torch.testing.assert_close(
        LOSSES["segmentation"].real(torch.zeros(1, 3, 1, 2), label_maps), torch.tensor([math.log(3)])
    )
