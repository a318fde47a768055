"""The ServerApp: where the generator lives."""

import logging

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from flower_dgan.federation.job import run_job
from flower_dgan.federation.run_end import InOneLine
from flower_dgan.resolve import resolve

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the main job with the overrides of the run configuration."""
    logger = logging.getLogger("flwr")
    if not any(isinstance(each, InOneLine) for each in logger.filters):
        logger.addFilter(InOneLine())
    run_job(grid, resolve(str(context.run_config["overrides"])), context.run_id)
