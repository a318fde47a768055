"""What it costs a message that a client keeps its discriminator: in Flower's ``context.state``, or in a file.

    python benchmarks/state.py --output state.json

Two clients each keep 33 MB, as much as a PatchGAN with Adam's moments, which every message reads, changes and writes.
Beside it are messages without any state; the difference is the cost. Simulated, and deployed with warm SuperNodes.
"""

import json
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from flower_dgan.errors import DganError
from local_flower import LocalFlower, deployed_flower, local_flower, write_app

CLIENTS = 2


def measure(flower: LocalFlower, values: int, messages: int) -> dict[str, float]:
    """Return the median seconds of a message by where the state is."""
    with tempfile.TemporaryDirectory() as scratch:
        app = write_app(Path(scratch) / "app", "state_app:app", "state_app:client")
        shutil.copy(Path(__file__).with_name("state_app.py"), app)
        output = Path(scratch) / "found.json"
        log = flower.run(app, f"{CLIENTS} {values} {messages} {output}", timeout=600)
        if not output.is_file():
            raise DganError(log[-2000:])
        found: dict[str, float] = json.loads(output.read_text(encoding="utf-8"))
        return found


def main(
    output: Annotated[Path, typer.Option(help="JSON file of the result.")],
    megabytes: Annotated[float, typer.Option(help="Size of a client's state.")] = 33.0,
    messages: Annotated[int, typer.Option(min=1)] = 12,
) -> None:
    """Measure the seconds of a message by where a client keeps its state."""
    values = round(megabytes * 1e6 / 4)
    machine = {"cpus": os.cpu_count(), "system": platform.platform(), "torch": torch.__version__}
    found: dict[str, Any] = {"machine": machine, "megabytes": megabytes}
    try:
        with local_flower(CLIENTS) as flower:
            found["simulated"] = measure(flower, values, messages)
        # SuperNodes execute nothing of a bundle: state_app is installed where they run, and named.
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
        node_configs = [f"partition-id={client} num-partitions={CLIENTS}" for client in range(CLIENTS)]
        with deployed_flower(node_configs, options=["--client-app", "state_app:client"]) as flower:
            found["deployed"] = measure(flower, values, messages)
    except DganError as error:
        print(f"Not measured. {error}")
        raise typer.Exit(1) from error
    print(json.dumps(found, indent=2))
    output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
