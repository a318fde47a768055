"""Who may import whom."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "foreign"),
    [
        ("flower_dgan.algorithm.asyndgan", ("flwr", "hydra", "ray", "sklearn")),
        ("flower_dgan.algorithm.reference", ("flwr", "hydra")),
        ("flower_dgan.models.small", ("flwr", "hydra")),
        ("flower_dgan.data", ("flwr", "flwr_datasets", "hydra")),
        ("flower_dgan.evaluation.tstr", ("flwr", "hydra")),
        ("flower_dgan.report", ("flwr", "hydra", "torch")),
        ("flower_dgan.plugins", ("flwr", "hydra", "torch")),
        ("flower_dgan.server_app", ("flower_dgan.cli",)),
    ],
)
def test_modules_stay_apart(module: str, foreign: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*[name for name in {foreign!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
