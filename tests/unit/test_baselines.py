"""The GAN on pooled data and on one client's."""

from dataclasses import replace

import numpy as np

from flower_dgan.baselines.rows import open_federation, table_rows, train_centralized
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
        drawn.append(np.stack(train_centralized(config, open_federation(config, 2), "Syn-All").images))
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] == drawn[2]).all()


def test_a_client_alone_is_a_row_each_and_sees_nothing_of_the_others() -> None:
    config = resolve(f"{TINY} partition=label algorithm.merge=agreement downstream.rows=[Local-k]")
    federation = open_federation(config, 2)
    rows = table_rows(config, federation, federation.real[0])
    assert list(rows) == ["Local-labels 0-4", "Local-labels 5-9"]
    assert [len(pairs) for pairs in rows.values()] == [3, 3]
    dark = replace(federation.real[1], images=tuple(image * 0 for image in federation.real[1].images))
    changed = table_rows(config, replace(federation, real=(federation.real[0], dark)), dark)
    same = [bool((np.stack(rows[row].images) == np.stack(changed[row].images)).all()) for row in rows]
    assert same == [True, False]
