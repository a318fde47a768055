"""Who may import whom."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("modules", "foreign"),
    [
        ("flower_dgan.algorithm.asyndgan, flower_dgan.algorithm.reference", ("flwr", "hydra", "ray", "sklearn")),
        ("flower_dgan.data, flower_dgan.evaluation.tstr, flower_dgan.models.small", ("flwr", "flwr_datasets", "hydra")),
        ("flower_dgan.report, flower_dgan.plugins", ("flwr", "hydra", "torch")),
        ("flower_dgan.server_app", ("flower_dgan.cli",)),
    ],
)
def test_modules_stay_apart(modules: str, foreign: tuple[str, ...]) -> None:
    code = f"import sys, {modules}; print(*[name for name in {foreign!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
