"""The ServerApp: where the generator lives."""

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from flower_dgan.resolve import resolve
from flower_dgan.server.job import run_job

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the main job with the overrides of the run configuration."""
    run_job(grid, resolve(str(context.run_config["overrides"])), context.run_id)
