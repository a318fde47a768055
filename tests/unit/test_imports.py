"""Who may import whom."""

import json
import subprocess
import sys

APART = {
    "flower_dgan.report, flower_dgan.plugins": ("flwr", "hydra", "torch"),
    "flower_dgan.algorithms.find": ("flwr", "hydra", "torch"),
    "flower_dgan.algorithms.in_process, flower_dgan.gan.learning": ("flwr", "hydra", "ray", "sklearn"),
    "flower_dgan.data, flower_dgan.evaluation.tstr, flower_dgan.networks.small": ("flwr", "flwr_datasets", "hydra"),
    "flower_dgan.client_app, flower_dgan.node.moments": ("hydra", "omegaconf", "flower_dgan.resolve"),
    "flower_dgan.server_app": ("flower_dgan.cli",),
}


def test_modules_stay_apart() -> None:
    """In one fresh interpreter, one after the other: what is not there after several was imported by none of them."""
    lines = ["import json, sys", "found = []"]
    for modules, foreign in APART.items():
        lines += [f"import {modules}", f"found.append([name for name in {foreign} if name in sys.modules])"]
    code = "\n".join([*lines, "print(json.dumps(found))"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert dict(zip(APART, json.loads(done.stdout), strict=True)) == {modules: [] for modules in APART}
