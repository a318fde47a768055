"""The GAN on pooled data."""

import numpy as np

from flower_dgan.baselines import open_federation, train_centralized
from flower_dgan.resolve import resolve

TINY = (
    "exchange.rounds=3 exchange.exchanges=2 exchange.generator_steps=1 exchange.batch_size=2 "
    "model.generator_width=4 model.discriminator_width=4 output.synthetic_images=3"
)


def test_one_discriminator_teaches_by_losses_where_the_run_merges_scores() -> None:
    """Its loss is that of all rules with one discriminator; its score is none."""
    drawn = []
    for algorithm in ("dgan", "uagan", "dgan-average algorithm.merge=odds"):
        config = resolve(f"algorithm={algorithm} {TINY}")
        drawn.append(np.stack(train_centralized(config, open_federation(config, 2)).images))
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] == drawn[2]).all()
