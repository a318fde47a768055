"""DP-MERF: features, the distance that the generator minimises, and what settings contradict it."""

import numpy as np
import pytest
import torch

from flower_dgan.algorithms.dpmerf import MEANS, DpMerf, gap
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.errors import ConfigError
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.networks.build import ImageShape
from flower_dgan.privacy.fourier_features import FourierFeatures
from flower_dgan.resolve import resolve
from flower_dgan.synthesis import draw_for
from flower_dgan.wiring import bundle_settings, server_state

MOMENTS = "privacy=moments data.condition=class data.classes=2 downstream=none"


def test_features_have_length_one_and_approach_the_kernel() -> None:
    """Of black and white, 1 apart in each of 4 pixels: exp(-4 / (2 h^2)), h^2 = 4 x 0.5^2."""
    phi = FourierFeatures(4, 20_000, 0.5)(torch.stack([-torch.ones(1, 2, 2), torch.ones(1, 2, 2)]))
    assert phi.shape == (2, 40_000)
    assert phi.norm(dim=1).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    assert float(phi[0] @ phi[1]) == pytest.approx(np.exp(-2), abs=0.02)


def test_the_gap_by_hand() -> None:
    """Two unit vectors at right angles have no pair that is alike, (2 x 1/2 - 1) / 1 = 0; two equal ones 1."""
    drawn = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]])
    means = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert float(gap(drawn, means)) == pytest.approx((0 - 2 * 0.5) + (1 - 0))


def test_a_generator_learns_two_levels_from_their_means() -> None:
    """Class 0 is grey 64, class 1 grey 192; nothing else is known of them."""
    config = resolve(
        f"{MOMENTS} data.image_size=4 algorithm.frequencies=200 exchange.rounds=2 exchange.exchanges=150 "
        "exchange.generator_steps=150 model.generator_width=16 algorithm.generator_learning_rate=0.01"
    )
    algorithm = algorithm_of(config)
    assert isinstance(algorithm, DpMerf)
    grey = torch.tensor([64.0, 192.0]) / 127.5 - 1
    means = algorithm.features(1, 4)(grey[:, None, None, None].expand(-1, 1, 4, 4)).numpy()
    maps = tuple(np.full((4, 4), index, np.uint8) for index in (0, 1))
    labels = ClientLabels("a", maps, 2, 0)
    state = server_state(config, ImageShape(2, 1, 4, ("a",)), {"a": labels})
    state.parameters = {MEANS: {"means": means.astype(np.float32), "seen": np.ones(2, np.float32)}}
    algorithm.learn(state, 1, {}, {}, {})
    drawn = draw_for(state.generator.network, labels, bundle_settings(config), 40)
    levels = {index: [] for index in (0, 1)}  # type: ignore[var-annotated]
    for image, label_map in zip(drawn.images, drawn.label_maps, strict=True):
        levels[int(label_map[0, 0])].append(float(image.mean()))
    assert [np.mean(levels[index]) for index in (0, 1)] == pytest.approx([64, 192], abs=15)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("algorithm=dpmerf", "data.label_maps=drawn"),
        ("data.label_maps=drawn", "privacy=moments"),
        ("privacy=moments", "data.condition=class or none"),
        ("privacy=moments data.condition=class downstream=none", "data.classes=10"),
        (f"{MOMENTS} model=small model.site_condition=true", "model.site_condition=false"),
        (f"{MOMENTS} algorithm.replay=target algorithm.target_step=0.1", "algorithm.replay=gradient"),
        (f"{MOMENTS} data.image_size=1024 algorithm.frequencies=2500", "algorithm.frequencies=2500"),
        (f"{MOMENTS} data.image_size=4 data.classes=256 algorithm.frequencies=30000", "a sum of 15,360,256 numbers"),
        (f"{MOMENTS} exchange.batch_size=1", "exchange.batch_size=2"),
        (f"{MOMENTS} downstream=classification downstream.rows=[Syn-All,DGAN]", "Syn-All"),
        (f"{MOMENTS} downstream=classification downstream.member_folds=2", "downstream.member_folds"),
        (f"{MOMENTS} algorithm.epsilon=0", "algorithm.epsilon"),
        (f"{MOMENTS} algorithm.bandwidth=1e-9", "algorithm.bandwidth"),
        (f"{MOMENTS} algorithm.honest_sites=3", "algorithm.largest_share=1"),
        (f"{MOMENTS} algorithm.honest_sites=0 algorithm.largest_share=1", "algorithm.honest_sites"),
    ],
)
def test_settings_that_contradict_it_are_named(overrides: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(overrides)
