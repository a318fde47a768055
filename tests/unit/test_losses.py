import math

import pytest
import torch

from flower_dgan.config import LossName
from flower_dgan.gan.losses import LOSSES

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
        (
            "minimax",
            [(math.log(2) + math.log1p(math.exp(-2))) / 2, (math.log1p(math.exp(2)) + math.log1p(math.exp(0.5))) / 2],
            [(math.log(2) + math.log1p(math.exp(2))) / 2, (math.log1p(math.exp(-2)) + math.log1p(math.exp(-0.5))) / 2],
            [
                (-math.log(2) - math.log1p(math.exp(2))) / 2,
                (-math.log1p(math.exp(-2)) - math.log1p(math.exp(-0.5))) / 2,
            ],
        ),
    ],
)
def test_patch_losses(name: LossName, real: list[float], fake: list[float], generator: list[float]) -> None:
    loss = LOSSES[name]
    torch.testing.assert_close(loss.real(LOGITS), torch.tensor(real))
    torch.testing.assert_close(loss.fake(LOGITS), torch.tensor(fake))
    torch.testing.assert_close(loss.generator(LOGITS), torch.tensor(generator))


@pytest.mark.parametrize(("name", "pull"), [("bce", -1.0), ("minimax", -1 / (1 + math.exp(8)))])
def test_a_discriminator_that_is_sure_pulls_with_one_loss_and_not_with_the_other(name: LossName, pull: float) -> None:
    sure = torch.tensor([[[[-8.0]]]], requires_grad=True)
    (gradient,) = torch.autograd.grad(LOSSES[name].generator(sure).sum(), sure)
    torch.testing.assert_close(gradient.item(), pull, rtol=1e-3, atol=0.0)
