"""Makes docs/watch-training.png and docs/watch-testing.png: the page of a run as Chromium shows it.

``python benchmarks/watch_pictures.py <run directory> docs`` while the run goes on, or afterwards.
"""

import argparse
import io
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

_PATIENCE = 300_000  # milliseconds


def shoot(run: Path, folder: Path) -> None:
    """Write both pictures of a run into a folder."""
    code = "from flower_dgan.cli.main import main; main()"
    with subprocess.Popen([sys.executable, "-c", code, "watch", str(run)], stdout=subprocess.PIPE, text=True) as server:
        if server.stdout is None:
            raise OSError("no pipe")
        address = server.stdout.readline().strip()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
            page.set_default_timeout(_PATIENCE)
            page.goto(address)
            page.locator("#samples .picture").first.wait_for()
            page.wait_for_timeout(1000)
            _write(page.screenshot(full_page=True), folder / "watch-training.png")
            page.get_by_role("tab", name="Testing").click()
            page.locator(".picture.tiny").nth(1).click()
            page.locator("#paint-draws").fill("4")
            page.locator("#paint").click()
            page.locator("#painted img").first.wait_for()
            page.wait_for_timeout(500)
            _write(page.screenshot(full_page=True), folder / "watch-testing.png")
            browser.close()
        server.terminate()


def _write(picture: bytes, file: Path) -> None:
    """Write a picture in few colours, as it is part of the repository."""
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(160).save(file, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    shoot(given.run, given.folder)
