"""The GAN on pooled data and on one client's."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import nn

from flower_dgan.baselines import choice_here
from flower_dgan.baselines.fedgan_row import train_fedgan
from flower_dgan.baselines.rows import open_federation, table_rows, train_here
from flower_dgan.data import Pairs
from flower_dgan.resolve import resolve
from flower_dgan.synthesis import synthesize
from flower_dgan.wiring import bundle_settings

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


CHOOSING = (
    "partition=iid data.image_size=16 selection=best selection.checks=2 exchange.rounds=4 exchange.exchanges=2 "
    "exchange.generator_steps=1 exchange.batch_size=4 output.synthetic_images=5"
)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[tuple[nn.Module, Pairs]]:
    """Let the first of several generators be the best; return which were scored, and on which validation pairs."""
    found: list[tuple[nn.Module, Pairs]] = []

    def score(_: object, generator: nn.Module, pairs: Pairs, **__: object) -> dict[str, float]:
        found.append((generator, pairs))
        return {"dice": 0.5 - 0.1 * len(found)}

    monkeypatch.setattr(choice_here, "train_on_drawn", lambda generator, *_: generator)
    monkeypatch.setattr(choice_here, "score", score)
    return found


def test_a_gan_that_is_trained_here_is_chosen_as_the_runs(scored: list[tuple[nn.Module, Pairs]]) -> None:
    """Of the generators of rounds 2 and 4; a client alone has its own validation images and no others to choose by."""
    config = resolve(CHOOSING)
    whole = open_federation(config, 2)
    alone = whole.alone(1)
    for federation, held_out in ((whole, whole.validation), (alone, whole.held_out[1])):
        scored.clear()
        drawn = train_here(config, federation, "Syn-All")
        assert held_out is not None
        assert [len(pairs) for _, pairs in scored] == [len(held_out)] * 2
        best, last = (
            synthesize(generator, federation.labels, bundle_settings(config), 5)[0].images for generator, _ in scored
        )
        np.testing.assert_array_equal(drawn.images, best)
        assert (np.stack(best) != np.stack(last)).any()


def test_of_fedgan_an_average_is_chosen(scored: list[tuple[nn.Module, Pairs]]) -> None:
    config = resolve(f"{CHOOSING} exchange.rounds=24")  # of 24 steps, so of two averages
    federation = open_federation(config, 2)
    drawn, _, averages = train_fedgan(config, federation)
    assert (averages, len(scored)) == (2, 2)
    best, _ = synthesize(scored[0][0], federation.labels, bundle_settings(config), 5)
    np.testing.assert_array_equal(drawn.images, best.images)


def test_nothing_is_scored_where_the_last_generator_is_taken(scored: list[tuple[nn.Module, Pairs]]) -> None:
    config = resolve(f"{CHOOSING} selection.take=last")
    train_here(config, open_federation(config, 2), "Syn-All")
    assert scored == []
