import math

import pytest
import torch

from flower_dgan.algorithm.losses import LOSSES
from flower_dgan.config import LossName

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
    torch.testing.assert_close(loss.real(LOGITS), torch.tensor(real))
    torch.testing.assert_close(loss.fake(LOGITS), torch.tensor(fake))
    torch.testing.assert_close(loss.generator(LOGITS), torch.tensor(generator))
