"""Measures the page on a long training: 10,000 rounds of 64 clients, half of them replayed while it is looked at.

``python benchmarks/watch.py`` prints seconds to the first curves, the memory of server and page at every tenth, and the
seconds that the server computed.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

_PATIENCE = 600_000  # milliseconds
_POINTS = "() => Number(/round (\\d+)/.exec(document.querySelector('.chart')?.getAttribute('aria-label'))?.[1] ?? 0)"


def line(number: int, clients: int) -> str:
    """Return a round as a training writes it."""
    each = {
        "discriminator_loss": 1.2 + (number % 97) / 500,
        "generator_loss": 0.9 - (number % 89) / 700,
        "busy_seconds": 0.51234,
        "compute_seconds": 0.41234,
        "bytes_sent": 33350,
        "bytes_received": 14183,
        "rounds_late": 0,
        "weight": 1 / clients,
        "bounded": 0,
        "capped": False,
        "arrived_seconds": 0.61234,
        "sendings": 1,
        "score": -0.25 + (number % 83) / 300,
        "score_spread": 0.5,
        "feedback_length": 0.0123,
        "feedback_direction": 0.876,
    }
    event = {
        "kind": "round",
        "time": time.time(),
        "round": number,
        "seconds": {"generator": 0.4, "discriminator": 0.5, "waiting": 0.1, "flower": 0.2},
        "images": 16 * clients,
        "staleness": 0,
        "clients": {f"client-{index:02d}": each for index in range(clients)},
        "rejected": {},
        "late": [],
        "repeats": {},
        "bounded_together": 0,
        "attempt": 1,
    }
    return json.dumps(event) + "\n"


def memory(pid: int) -> tuple[float, float]:
    """Return MiB in use of a process, and the seconds that it computed."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (resident,) = (int(each.split()[1]) for each in status.splitlines() if each.startswith("VmRSS"))
    times = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return resident / 1024, (int(times[11]) + int(times[12])) / 100


def heap(page: Page) -> float:
    """Return MiB of the page's objects, after those that nobody needs are gone."""
    session: Any = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 2**20


def measure(run: Path, rounds: int, clients: int) -> None:
    """Print what the page of a run takes."""
    run.mkdir()
    (run / "training.json").write_text("{}", encoding="ascii")
    begin = {"kind": "begin", "time": time.time(), "attempt": 1, "rounds": rounds, "done": 0, "heartbeat": 600.0}
    file = run / "metrics.jsonl"
    with file.open("w", encoding="ascii") as lines:
        lines.write(json.dumps(begin) + "\n")
        lines.writelines(line(number, clients) for number in range(1, rounds // 2 + 1))
    print(f"{rounds // 2:,} rounds of {clients} clients are {file.stat().st_size / 2**20:,.0f} MiB")
    code = "from flower_dgan.cli.main import main; main()"
    with subprocess.Popen([sys.executable, "-c", code, "watch", str(run)], stdout=subprocess.PIPE, text=True) as server:
        if server.stdout is None:
            raise OSError("no pipe")
        address = server.stdout.readline().strip()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            start = time.monotonic()
            page.goto(address)
            page.wait_for_function(f"() => ({_POINTS})() > 0", timeout=_PATIENCE)
            print(f"first curves after {time.monotonic() - start:.2f} s")
            wait_for(page, rounds // 2)
            print(f"all of them after {time.monotonic() - start:.2f} s")
            for tenth in range(11):
                if tenth:
                    first = rounds // 2 + (tenth - 1) * rounds // 20
                    with file.open("a", encoding="ascii") as lines:
                        lines.writelines(line(first + each, clients) for each in range(1, rounds // 20 + 1))
                wait_for(page, rounds // 2 + tenth * rounds // 20)
                resident, seconds = memory(server.pid)
                print(
                    f"{rounds // 2 + tenth * rounds // 20:>7,} rounds: server {resident:6.1f} MiB, "
                    f"page {heap(page):6.1f} MiB, {seconds:6.1f} s computed"
                )
            browser.close()
        server.terminate()


def wait_for(page: Page, number: int) -> None:
    """Wait until the page shows a round."""
    page.wait_for_function(f"(number) => ({_POINTS})() >= number", arg=number, timeout=_PATIENCE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=64)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measure(Path(scratch) / "run", given.rounds, given.clients)
