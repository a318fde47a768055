"""The GAN on pooled data and on one client's."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from flower_dgan.baselines.rows import open_federation, table_rows, train_here
from flower_dgan.resolve import resolve

TINY = (
    "exchange.rounds=3 exchange.exchanges=2 exchange.generator_steps=1 exchange.batch_size=2 "
    "model.generator_width=4 model.discriminator_width=4 output.synthetic_images=3"
)

SCORES = ("uagan", "dgan-average", "gman")


def drawn_by(overrides: str, clients: int = 2) -> NDArray[np.uint8]:
    """Return what the generator of Syn-All draws."""
    config = resolve(f"{overrides} {TINY}")
    return np.stack(train_here(config, open_federation(config, clients), "Syn-All").images)


def test_rules_of_scores_are_all_the_loss_of_the_one_discriminator() -> None:
    """Where all clients share one their scores are equal, and so are the mean, the odds and the softmax of them."""
    drawn = [drawn_by(f"algorithm={each} algorithm.generator_learning_rate=1e-2") for each in SCORES]
    # up to the last bits of float32, which a pixel may round to the next level
    assert max(int(np.abs(drawn[0].astype(int) - other).max()) for other in drawn[1:]) <= 1
    other = drawn_by("algorithm=uagan algorithm.generator_learning_rate=2e-2")
    assert int(np.abs(drawn[0].astype(int) - other).max()) > 1


@pytest.mark.parametrize("algorithm", ["mdgan", "dgan-sequential"])
def test_the_row_is_the_runs_own_algorithm_with_one_discriminator(algorithm: str) -> None:
    """Whose clients do other things than AsynDGAN's, and so draws other images."""
    assert (drawn_by(f"algorithm={algorithm}") != drawn_by("algorithm=dgan")).any()


def test_there_is_no_other_discriminator_to_swap_with() -> None:
    swapping = drawn_by("algorithm=mdgan algorithm.swap_interval=1")
    assert (swapping == drawn_by("algorithm=mdgan")).all()


def test_discriminators_that_are_copies_of_the_servers_see_the_data_of_all() -> None:
    config = resolve(f"algorithm=dgan-selective partition=label {TINY}")
    federation = open_federation(config, 2)
    drawn = train_here(config, federation, "Syn-All").images
    for changed in (0, 1):
        real = list(federation.real)
        real[changed] = replace(real[changed], images=tuple(image * 0 for image in real[changed].images))
        other = train_here(config, replace(federation, real=tuple(real)), "Syn-All").images
        assert (np.stack(drawn) != np.stack(other)).any()


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
