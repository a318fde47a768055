"""Nodes with secrets of their own, against one-process references that were given the same ones."""

from dataclasses import replace
from pathlib import Path

import pytest
from flower_dgan.gan.reference import train_reference
from flower_dgan.gan.reference_shared import train_reference_shared
from torch import nn

from flower_dgan.baselines.rows import open_federation
from flower_dgan.client_app import app
from flower_dgan.config import Config
from flower_dgan.exactness import TOLERANCE, exactness_overrides, largest_relative_difference
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.generator_file import load_generator
from flower_dgan.node.secret import derive_secret
from flower_dgan.resolve import resolve
from flower_dgan.wiring import bundle_settings, generator_half, threads

CLIENTS = 3


def secret(client: int) -> bytes:
    return bytes([client]) * 32


def reference(config: Config, *, secrets: bool) -> nn.Module:
    federation = open_federation(config, CLIENTS)
    generator, settings = generator_half(config, federation.shape), replace(bundle_settings(config), exchanges=1)
    clients = federation.clients(config)
    if secrets:  # in the order of their names, part-0 to part-2, which is that of their partitions
        clients = [
            replace(client, secret=derive_secret(secret(index), client.labels.name, config.seed))
            for index, client in enumerate(clients)
        ]
    rounds = config.exchange.rounds
    with threads(config.threads):
        if config.algorithm.shared_batches:
            train_reference_shared(generator, clients, settings, rounds=rounds, algorithm=config.algorithm)
        else:
            train_reference(generator, clients, settings, rounds=rounds, merge=config.algorithm.merge)
    return generator.network


@pytest.mark.parametrize("algorithm", ["dgan", "uagan", "dgan data.augmentation=all data.channels=1"])
def test_secrets_on_both_sides_make_both_the_same(tmp_path: Path, algorithm: str) -> None:
    overrides = exactness_overrides(5, tmp_path / "run", f"algorithm={algorithm}")
    config, contexts = resolve(overrides), simulated_contexts(CLIENTS, overrides)
    for client, context in enumerate(contexts.values()):
        file = tmp_path / f"secret-{client}"
        file.write_bytes(secret(client))
        file.chmod(0o600)
        context.node_config["secret-file"] = str(file)
    run_job(InProcessGrid(app, contexts), config, 0)
    network, _, _ = load_generator(tmp_path / "run/generator.safetensors")
    assert largest_relative_difference(network, reference(config, secrets=True)) <= TOLERANCE
    assert largest_relative_difference(network, reference(config, secrets=False)) > 100 * TOLERANCE
