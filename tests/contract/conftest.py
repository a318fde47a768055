"""The real strategy and the real ClientApp in one process, on tiny runs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from matplotlib.figure import Figure

from flower_dgan.client_app import app
from flower_dgan.config import Config
from flower_dgan.federation.job import run_job
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.resolve import resolve

TINY = (
    "partition=iid downstream=none exchange.rounds=2 exchange.exchanges=2 exchange.generator_steps=1 "
    "exchange.batch_size=4 output.synthetic_images=6 output.sample_interval=1 exchange.join_timeout=0.2"
)

Reply = Callable[[Message, Context], Message]


class TamperedApp:
    """A ClientApp whose answer to chosen messages is replaced."""

    def __init__(self, tamper: Callable[[Message, Context, Reply], Message]) -> None:
        self._tamper = tamper

    def __call__(self, message: Message, context: Context) -> Message:
        return self._tamper(message, context, app)


def configuration(overrides: str, directory: Path) -> Config:
    """Resolve overrides that tests have in common, once, for a run into a directory of its own."""
    config = resolve(overrides)
    return replace(config, output=replace(config.output, directory=str(directory)))


class Federation:
    """Runs the job in process."""

    def __init__(self, scratch: Path) -> None:
        self.directory = scratch / "run"

    def run(self, extra: str = "", *, clients: int = 2, client_app: ClientApp | TamperedApp = app) -> RunDirectory:
        overrides = f"{TINY} {extra}"
        self.grid = InProcessGrid(client_app, simulated_contexts(clients, overrides))
        return run_job(self.grid, configuration(overrides, self.directory), 1)


@pytest.fixture
def drawn_figures() -> None:
    """Ask for figures that are drawn."""


@pytest.fixture(autouse=True)
def undrawn_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs make their figures but not draw them, which takes as long as a tiny training."""
    if "drawn_figures" not in request.fixturenames:
        monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: Path(path).touch())


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    """Return a federation that writes into the test's own directory."""
    return Federation(tmp_path)
