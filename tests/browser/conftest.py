"""A training in a process, the page's server in another, and a browser that looks at it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).parents[2]
_NAMES = ("chromium", "chromium-browser", "google-chrome")
WAIT = 240_000  # milliseconds; a machine that runs other tests too takes a minute to import torch


class Training:
    """The training, which can be killed and started again."""

    def __init__(self, directory: Path, home: Path) -> None:
        self.directory = directory
        paths = {f"XDG_{name.upper()}_HOME": str(home / name) for name in ("data", "cache", "state")}
        self._environment = {**os.environ, **paths, "OMP_NUM_THREADS": "1"}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *resume: str) -> None:
        command = [sys.executable, "-m", "tests.browser.slow_training", str(self.directory), *resume]
        with (self.directory.parent / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=WAIT)
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def training(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Training]:
    scratch = tmp_path_factory.mktemp("watched")
    found = Training(scratch / "run", scratch / "home")
    found.start()
    yield found
    found.kill()


@pytest.fixture(scope="module")
def address(training: Training) -> Iterator[str]:
    training.directory.mkdir(exist_ok=True)
    code = "from flower_dgan.cli.main import main; main()"
    command = [sys.executable, "-c", code, "watch", str(training.directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()


@pytest.fixture(scope="module")
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The page of the training, as it was opened once and never loaded again."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
    opened.set_default_timeout(WAIT)
    opened.asked = []  # type: ignore[attr-defined]
    opened.wrong = []  # type: ignore[attr-defined]
    opened.on("request", lambda request: opened.asked.append(request.url))  # type: ignore[attr-defined]
    opened.on("console", lambda said: said.type == "error" and opened.wrong.append(said.text))  # type: ignore[attr-defined]
    opened.on("pageerror", lambda error: opened.wrong.append(str(error)))  # type: ignore[attr-defined]
    opened.goto(address)
    yield opened
    opened.close()
