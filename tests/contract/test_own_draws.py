"""Nodes with secrets of their own, against one-process references that were given the same ones."""

from pathlib import Path

import pytest

from flower_dgan.client_app import app
from flower_dgan.exactness import TOLERANCE, exactness_overrides, generator_of_one_process, largest_relative_difference
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.generator_file import load_generator
from flower_dgan.node.secret import derive_secret
from flower_dgan.resolve import resolve

CLIENTS = 3


def secret(client: int) -> bytes:
    return bytes([client]) * 32


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
    names = [f"part-{client}" for client in range(CLIENTS)]
    secrets = {name: derive_secret(secret(client), name, config.seed) for client, name in enumerate(names)}
    assert largest_relative_difference(network, generator_of_one_process(config, CLIENTS, secrets)) <= TOLERANCE
    assert largest_relative_difference(network, generator_of_one_process(config, CLIENTS)) > 100 * TOLERANCE
