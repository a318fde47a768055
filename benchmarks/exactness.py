"""Whether Flower changes anything: the generator of a run through it against the same algorithm in one process.

    python benchmarks/exactness.py             # through `flwr run`, in simulation
    python benchmarks/exactness.py --deployed  # through a SuperLink and SuperNodes on loopback, too, warm and cold

S = 1, float32, the embedded digits; ``flower-dgan verify exactness`` does it without a SuperLink.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from flower_dgan.exactness import exactness_overrides, of_run
from local_flower import deployed_flower, local_flower, write_app

TIMEOUT = 600.0


def through_flower(clients: int, rounds: int, algorithms: Sequence[str] = ("",)) -> float:
    """Run through ``flwr run`` on a SuperLink of its own; return the largest relative difference to one process.

    Parameters
    ----------
    clients, rounds : int
        How many.
    algorithms : sequence of str
        Overrides that choose other algorithms than AsynDGAN, one run each.
    """
    differences = []
    with tempfile.TemporaryDirectory() as scratch, local_flower(clients) as flower:
        for number, algorithm in enumerate(algorithms):
            directory = Path(scratch) / f"run-{number}"
            overrides = exactness_overrides(rounds, directory, algorithm)
            flower.run(write_app(Path(scratch) / "app"), overrides, timeout=TIMEOUT)
            differences.append(of_run(directory))
    return max(differences)


def through_supernodes(clients: int, rounds: int, *, warm: bool) -> float:
    """Run through a SuperLink and SuperNodes on loopback; return the largest relative difference to one process.

    ``warm`` chooses ``flower-dgan supernode``; otherwise every message starts a new process.
    """
    node_configs = [f"partition-id={client} num-partitions={clients}" for client in range(clients)]
    with tempfile.TemporaryDirectory() as scratch, deployed_flower(node_configs, warm=warm) as flower:
        overrides = f"{exactness_overrides(rounds, Path(scratch) / 'run')} exchange.min_nodes={clients}"
        flower.run(write_app(Path(scratch) / "app"), overrides, timeout=TIMEOUT)
        return of_run(Path(scratch) / "run")


def main(
    clients: Annotated[int, typer.Option(min=1, max=10)] = 3,
    rounds: Annotated[int, typer.Option(min=1)] = 20,
    deployed: Annotated[bool, typer.Option(help="Also through SuperLink and SuperNodes, warm and cold.")] = False,
) -> None:
    """Print the largest relative differences."""
    print(f"flwr run: {through_flower(clients, rounds):.2e}")
    if deployed:
        print(f"SuperNodes, warm: {through_supernodes(clients, rounds, warm=True):.2e}")
        print(f"SuperNodes, cold: {through_supernodes(clients, rounds, warm=False):.2e}")


if __name__ == "__main__":
    typer.run(main)
