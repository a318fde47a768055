"""FedGAN through Flower's FedAvg against a plain loop, and as a row of the table."""

from pathlib import Path

import pytest
from torch import nn

from flower_dgan.algorithms.fedgan import rounds_of
from flower_dgan.baselines.averaging import average
from flower_dgan.baselines.fedgan_row import generator_steps, local_gans
from flower_dgan.baselines.rows import open_federation
from flower_dgan.exactness import exactness_overrides
from flower_dgan.flower.ledger import FROM_NODE, TO_NODE
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from tests.reference import fedgan
from tests.reference.runs import TOLERANCE, largest_relative_difference, reference_clients, reference_generator
from tests.reference.settings import settings_of

from .conftest import Federation


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("algorithm", "exact"),
    [
        ("dgan", True),
        ("uagan algorithm.discriminator_steps=2", True),
        ("dgan exchange.exchanges=4 exchange.rounds=11", False),
        ("dgan-images exchange.exchanges=2 exchange.generator_steps=2 exchange.rounds=11", False),
    ],
)
def test_three_clients_of_different_size_are_the_loop(algorithm: str, exact: bool, tmp_path: Path) -> None:
    """22 steps of each: with the papers' one batch a step, and as the presets have their steps, rates and averages."""
    small = "model.generator_width=4 model.discriminator_width=8 data.image_size=16 exchange.batch_size=2"
    chosen = f"algorithm={algorithm} {small} partition=label partition.label_groups=[[0,1,2,3,4],[5,6],[7,8,9]]"
    config = resolve(exactness_overrides(22, tmp_path, chosen) if exact else f"{chosen} downstream=none")
    federation = open_federation(config, 3)
    gans = local_gans(config, federation)
    assert len({len(gan) for gan in gans}) == 3
    assert (generator_steps(config), rounds_of(22)) == (22, 2)
    ledger = average(gans, 22, rounds_of(22))
    settings = settings_of(config)
    plain = [
        (reference_generator(config, federation, settings), client)
        for client in reference_clients(config, federation, settings, {})
    ]
    fedgan.train(plain, settings, interval=11)
    generator, client = plain[0]
    for gan in gans:
        for ours, loop in (
            (gan.state.generator.network, generator.network),
            (gan.session.half.network, client.network),
        ):
            assert largest_relative_difference(ours.state_dict(), loop.state_dict()) <= TOLERANCE
    # twice in each direction 4 bytes a parameter; numpy's header and the settings are little
    size = 2 * 4 * parameters(gans[0].model)
    for node in (1, 2, 3):
        for way in (FROM_NODE, TO_NODE):
            assert size < ledger.bytes(node, way) < 1.1 * size


def test_the_row_has_its_images_and_its_traffic(federation: Federation) -> None:
    asked = "downstream=digits downstream.steps=2 downstream.seeds=1 downstream.rows=[DGAN,FedGAN] partition=label"
    small = "exchange.exchanges=1 exchange.batch_size=2 output.sample_interval=21 data.test_fraction=0.02"
    path = federation.run(f"{asked} {small} exchange.rounds=21").path
    metrics = read_metrics(path)
    assert [t.row for t in metrics.tstr] == ["DGAN", "FedGAN"]
    # 21 generator steps, at most 20 between two averages
    assert [(t.row, t.site, t.rounds) for t in metrics.traffic] == [
        ("FedGAN", "labels 0-4", 2),
        ("FedGAN", "labels 5-9", 2),
    ]
    assert "federated GAN" in {stage.name for stage in metrics.stages}
    (row,) = (line for line in (path / "report.md").read_text().splitlines() if line.startswith("| FedGAN |"))
    assert row.endswith(" 2 |")
