"""Everything that computes on a device, on a pretended one: equal to the CPU bit by bit, and nothing is forgotten."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.pretended.paths import PATHS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "flower_dgan"

ELSEWHERE = {
    "cli/main.py": "test_cli",
    "exactness.py": "it compares on the CPU",
    "cli/models.py": "a command: what its option says is the device of the whole process",
}
"""Files with transfers that no path takes, and why; of the others each has to be taken."""

OF_INCEPTION = 2
"""Transfers of feature_networks.py that no path takes: Inception's weights are a download."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run all paths in a process of its own, as the device is registered for the whole of it."""
    pytest.importorskip("torch.utils.backend_registration")
    home = tmp_path_factory.mktemp("pretended")
    places = {f"XDG_{kind}_HOME": str(home / kind) for kind in ("STATE", "CACHE", "DATA")}
    environment = {**os.environ, **places, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    command = [sys.executable, "-m", "tests.pretended.check"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    if "ImportError" in done.stderr and "_setup_privateuseone" in done.stderr:
        pytest.skip("this torch takes no device from Python (2.11 and later do)")
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_every_path_is_that_of_the_cpu_bit_by_bit(found: dict[str, Any]) -> None:
    assert found["failed"] == {}
    assert found["differences"] == dict.fromkeys(PATHS, 0.0)


def test_no_transfer_can_be_left_away(found: dict[str, Any]) -> None:
    missed = [site for site, error in found["forgotten"].items() if error is None]
    assert missed == [], "each of these transfers was replaced by one that does nothing, and no path noticed"


def test_every_transfer_of_the_package_is_on_a_path(found: dict[str, Any]) -> None:
    calls = set()
    for file in PACKAGE.rglob("*.py"):
        name = str(file.relative_to(PACKAGE))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if called in ("to_device", "to_cpu", "place") and name not in ELSEWHERE:
                calls.add(f"{name}:{node.lineno}")
    left = calls - set(found["forgotten"])
    inception = {call for call in left if call.startswith("comparison/feature_networks.py:")}
    assert left - inception == set()
    assert len(inception) == OF_INCEPTION


def test_the_cpu_waits_for_the_device_a_fixed_number_of_times_a_bundle(found: dict[str, Any]) -> None:
    """Two rounds of two clients, with 2 or 6 exchanges in a bundle and two generator steps a round.

    A client waits for its bundle's losses of D, losses and gradients; the server for the images that it draws for each
    client, for each generator step to hear whether its gradient is finite, and once whether G is. No exchange adds any.
    """
    clients, rounds, steps = 2, 2, 2
    expected = {"ask": clients * rounds, "answer": 3 * clients * rounds, "learn": (steps + 1) * rounds}
    assert found["waits"] == {"2": expected, "6": expected}
