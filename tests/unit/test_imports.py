"""Who may import whom."""

import json
import subprocess
import sys

APART = {
    "flower_dgan.tasks.segmentation, flower_dgan.tasks.classification": ("flwr", "hydra", "scipy", "torch"),
    "flower_dgan.metrics.aji, flower_dgan.metrics.f1, flower_dgan.metrics.hd95": ("flwr", "hydra", "torch"),
    "flower_dgan.report, flower_dgan.plugins": ("flwr", "hydra", "torch"),
    "flower_dgan.watch.server, flower_dgan.watch.serve, flower_dgan.watch.page_file": ("flwr", "hydra", "torch"),
    "flower_dgan.algorithms.find": ("flwr", "hydra", "torch"),
    "flower_dgan.algorithms.in_process, flower_dgan.gan.learning": ("flwr", "hydra", "ray", "sklearn"),
    "flower_dgan.data, flower_dgan.tasks.tstr, flower_dgan.networks.small": ("flwr", "flwr_datasets", "hydra"),
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


HEAVY = (
    "fastapi",
    "torch",
    "torchvision",
    "ray",
    "flwr",
    "matplotlib",
    "segmentation_models_pytorch",
    "sklearn",
    "numpy",
    "scipy",
    "pandas",
    "datasets",
)
ABSENT = ("fcntl", "resource")
COMMANDS = {
    (): "data policy verify audit clean compare config evaluate export gain init invite ledger predict preflight "
    "report supernode synthesize train-model watch",
    ("data",): "check download edit-masks partition prepare",
    ("policy",): "approve check counts init key new-book revoke waiting",
    ("verify",): "exactness",
}


def test_help_and_settings_come_without_what_is_heavy() -> None:
    """Each command's help, and a checked configuration: in a fresh interpreter, with all that exist.

    Without what Windows' Python lacks, too.
    """
    helps = [
        [*group, *([name] if name else []), "--help"]
        for group, names in COMMANDS.items()
        for name in ("", *names.split())
    ]
    asked = [*helps, ["config"], ["config", "experiment=asyndgan-nuclei-cpu data.root=/data"]]
    code = f"""
import json, sys
sys.modules.update(dict.fromkeys({ABSENT!r}))  # to import one raises ImportError
from typer.main import get_command
from typer.testing import CliRunner
from flower_dgan.cli.main import app

def names(group):
    return sorted(group.commands)

found = {{}}
for arguments in {asked!r}:
    result = CliRunner().invoke(app, arguments)
    heavy = [name for name in {HEAVY!r} if name in sys.modules]
    found[" ".join(arguments)] = [result.exit_code, len(result.output) > 100, heavy]
top = get_command(app)
print(json.dumps([found, names(top), {{name: names(top.commands[name]) for name in ("data", "policy", "verify")}}]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found, top, inner = json.loads(done.stdout)
    for arguments, (_, _, heavy) in found.items():
        if arguments.startswith("config") and "--help" not in arguments:
            assert heavy in ([], ["numpy"])  # the metrics that settings name are files with numpy in them
            heavy.clear()
    assert found == {" ".join(arguments): [0, True, []] for arguments in asked}
    assert top == sorted(COMMANDS[()].split())
    assert inner == {name: sorted(COMMANDS[name,].split()) for name in ("data", "policy", "verify")}
