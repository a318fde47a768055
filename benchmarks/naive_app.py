"""The ServerApp that anyone would write first, around Flower's own ``send_and_receive``; ``deployed.py`` runs it."""

import json
import secrets
import time
from pathlib import Path

from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp

from flower_dgan.federation.join import image_shape, join
from flower_dgan.federation.round_report import RoundReport
from flower_dgan.federation.run_directory import label_map_cache
from flower_dgan.federation.strategy import DganStrategy
from flower_dgan.resolve import resolve
from flower_dgan.wire.protocol import Training
from flower_dgan.wiring import generator_half, threads

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train, and write images and end of each round into ``rounds.jsonl``."""
    config = resolve(str(context.run_config["overrides"]))
    directory = Path(str(config.output.directory))
    directory.mkdir()

    def write_down(report: RoundReport) -> None:
        with (directory / "rounds.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"images": report.images, "time": time.time()}) + "\n")

    training = Training(secrets.token_hex(8), 1)
    with threads(config.threads):
        clients = join(grid, config, label_map_cache(), training)
        half = generator_half(config, image_shape(config, clients))
        DganStrategy(half, clients, config, training, write_down).start(
            grid=grid, initial_arrays=ArrayRecord(), num_rounds=config.exchange.rounds, timeout=config.exchange.timeout
        )
