"""Kill every kind of process of a deployment at random moments, and see that the training ends where it should.

    python benchmarks/chaos.py --output chaos.json

starts a SuperLink (TLS, registered keys, database) and two warm SuperNodes on loopback, and one synchronous training.
Then one process after the other gets ``kill -9``: the ServerApp, the SuperLink, a SuperNode, its executor, a ClientApp.
A ClientApp is the process that stays at a node between the messages of a run, amid one or idle; ``--kinds ClientApp``
kills nothing else, and ``--resident-workers 0`` gives each message a process of its own.
With ``--unregistered`` the SuperNodes have no keys, so that one that is started again is a new node for Flower; with
``--rate`` and ``--latency`` they are behind a link of so many bytes a second and so many seconds.
What a service manager would start again is started again; a training whose ServerApp is gone is resumed by
``flwr run`` with ``resume=<run directory>``. At the end the generator is held against that of the same training in one
process, which nobody disturbs, and the exchanges of every client in every round are counted.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import torch
import typer

from common import family
from flower_dgan.client_app import app as client_app
from flower_dgan.exactness import largest_relative_difference
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.generator_file import load_generator
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from local_flower import write_app

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script it finds only what is beside it
from tests.slow_link import SlowLink

CLIENTS = 2
KINDS = {
    "ServerApp": "flwr-serverapp",
    "SuperLink": "flower-superlink",
    "SuperNode": "run_fast_supernode",
    "executor": "flower-dgan supernode",
    "ClientApp": "flower-dgan supernode",
}
BIN = Path(sys.executable).parent


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Machine:
    """The processes of a deployment, started again as a service manager would."""

    def __init__(
        self,
        home: Path,
        threads: int = 1,
        *,
        registered: bool = True,
        link: tuple[float, float] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.home = home
        self.port, control = free_port(), free_port()
        self.environment = os.environ | {
            "FLWR_HOME": str(home / "flwr"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": str(threads),
        }
        self._make_keys()
        tls = ["--ssl-ca-certfile", "ca.pem", "--ssl-certfile", "server.pem", "--ssl-keyfile", "server.key"]
        more = ["--database", "superlink.db", "--disable-runtime-dependency-installation"]
        more += ["--enable-supernode-auth"] if registered else []
        address = ["--host", "127.0.0.1", "--port", str(self.port), "--control-api-address", f"127.0.0.1:{control}"]
        self.link = SlowLink(f"127.0.0.1:{self.port}", *link) if link else None
        server = self.link.address if self.link else f"127.0.0.1:{self.port}"
        self.commands = {"superlink": ["flower-superlink", *tls, *more, *address]}
        for client in range(CLIENTS):
            key = ["--auth-supernode-private-key", f"node-{client}"] if registered else []
            self.commands[f"node-{client}"] = [
                "flower-dgan", "supernode", "--superlink", server, "--port", str(free_port()),
                "--root-certificates", "ca.pem", *key, *options,
                "--node-config", f"partition-id={client} num-partitions={CLIENTS}",
            ]  # fmt: skip
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def _make_keys(self) -> None:
        new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        commands = [
            f"openssl req -x509 {new} -subj /CN=authority -keyout ca.key -out ca.pem",
            f"openssl req {new} -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout server.key -out s.csr",
            "openssl x509 -req -in s.csr -CA ca.pem -CAkey ca.key -CAcreateserial -copy_extensions copy"
            " -out server.pem",
            *(f"ssh-keygen -q -t ecdsa -b 384 -N '' -f node-{client}" for client in range(CLIENTS)),
        ]
        subprocess.run(["bash", "-euc", "\n".join(commands)], cwd=self.home, check=True, capture_output=True)
        (self.home / "flwr").mkdir()
        (self.home / "flwr/config.toml").write_text(
            f'[superlink.chaos]\naddress = "127.0.0.1:{self.port}"\nroot-certificates = "{self.home}/ca.pem"\n'
        )

    def start(self) -> None:
        """Start what does not run."""
        for name, command in self.commands.items():
            if name not in self.running or self.running[name].poll() is not None:
                log = (self.home / f"{name}.txt").open("a")
                self.running[name] = subprocess.Popen(
                    [str(BIN / command[0]), *command[1:]],
                    cwd=self.home,
                    env=self.environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

    def flwr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``flwr``."""
        command = [str(BIN / "flwr"), *arguments]
        return subprocess.run(command, cwd=self.home, env=self.environment, capture_output=True, text=True, check=False)

    def processes(self, kind: str) -> list[int]:
        """Return the ids of the processes of a kind."""
        executors = {process.pid for name, process in self.running.items() if name.startswith("node")}
        found = []
        for pid, (parent, command) in family(self.environment["FLWR_HOME"]).items():
            if KINDS[kind] not in command:
                continue
            if (kind == "executor" and pid not in executors) or (kind == "ClientApp" and parent not in executors):
                continue
            found.append(pid)
        return found

    def end(self) -> None:
        """End everything."""
        while ours := family(self.environment["FLWR_HOME"]):
            for pid in ours:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for process in self.running.values():
                process.wait()
        if self.link:
            self.link.close()


def training(rounds: int, directory: Path) -> str:
    """Return the overrides of a training."""
    return (
        f"partition=iid downstream=none exchange=single exchange.rounds={rounds} exchange.min_nodes={CLIENTS} "
        f"exchange.image_format=uint8 exchange.feedback_format=float16 output.checkpoint_interval=0 "
        f"output.synthetic_images=2 output.directory='{directory}'"
    )


def count_rounds(directory: Path) -> int:
    """Return how many rounds of a training are written down."""
    metrics = directory / "metrics.jsonl"
    return sum('"kind": "round"' in line for line in metrics.open()) if metrics.is_file() else 0


def disturb(
    machine: Machine, app: Path, directory: Path, overrides: str, kills: int, seed: int, kinds: Sequence[str]
) -> Counter[str]:
    """Run the training to its end, killing so many processes on the way, and return how many of each kind."""
    draw = random.Random(seed)
    killed: Counter[str] = Counter()
    machine.start()
    next_kill, last_kill = 1, 0.0
    started, seen = -1000.0, False
    while not (directory / "report.md").is_file():
        machine.start()
        alive = bool(machine.processes("ServerApp"))
        seen = seen or alive
        if not alive and time.monotonic() - started > (5 if seen else 45):
            begun = (directory / "training.json").is_file()
            wanted = f"{overrides} resume='{directory}'" if begun else overrides
            machine.flwr("run", str(app), "chaos", "--run-config", f'overrides="{wanted}"')
            started, seen = time.monotonic(), False
        # A few rounds after the last one, or where no round ends any more.
        rounds = count_rounds(directory)
        if sum(killed.values()) < kills and (rounds >= next_kill or (last_kill and time.monotonic() - last_kill > 100)):
            time.sleep(draw.uniform(0, 2))
            kind = draw.choice([kind for kind in kinds if killed[kind] == min(killed[each] for each in kinds)])
            if targets := machine.processes(kind):
                os.kill(draw.choice(sorted(targets)), signal.SIGKILL)
                killed[kind] += 1
                print(f"{time.strftime('%X')} killed {kind} ({sum(killed.values())}) after round {rounds}", flush=True)
                next_kill, last_kill = rounds + draw.randint(1, 3), time.monotonic()
        time.sleep(0.1)
    return killed


def main(
    output: Annotated[Path, typer.Option(help="JSON file of the result.")],
    kills: Annotated[int, typer.Option(min=0, help="Processes to kill.")] = 30,
    rounds: Annotated[int, typer.Option(min=1)] = 100,
    seed: Annotated[int, typer.Option(help="Of the moments and the victims.")] = 0,
    registered: Annotated[
        bool, typer.Option("--registered/--unregistered", help="Whether SuperNodes have keys.")
    ] = True,
    rate: Annotated[float | None, typer.Option(min=1, help="Bytes a second of the link before the SuperLink.")] = None,
    latency: Annotated[float, typer.Option(min=0, help="Seconds that this link takes.")] = 0.0,
    kinds: Annotated[str, typer.Option(help="What is killed.")] = ",".join(KINDS),
    resident_workers: Annotated[int, typer.Option(min=0, help="As for `flower-dgan supernode`.")] = 2,
) -> None:
    """Kill processes of a deployment and hold its generator against that of an undisturbed training."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        directory, app, undisturbed = home / "run", write_app(home / "app"), home / "undisturbed"
        overrides = training(rounds, undisturbed)
        run_job(InProcessGrid(client_app, simulated_contexts(CLIENTS, overrides)), resolve(overrides), 0)
        machine = Machine(
            home,
            registered=registered,
            link=None if rate is None else (rate, latency),
            options=["--resident-workers", str(resident_workers)],
        )
        try:
            machine.start()
            for client in range(CLIENTS if registered else 0):
                while machine.flwr("supernode", "register", f"node-{client}.pub", "chaos").returncode:
                    time.sleep(1)
            begin = time.monotonic()
            killed = disturb(machine, app, directory, training(rounds, directory), kills, seed, kinds.split(","))
            seconds = time.monotonic() - begin
        finally:
            machine.end()
        networks = [load_generator(path / "generator.safetensors")[0] for path in (directory, undisturbed)]
        metrics = read_metrics(directory)
        found = {
            "machine": {"cpus": os.cpu_count(), "torch": torch.__version__},
            "registered": registered,
            "resident_workers": resident_workers,
            "link": {"bytes_a_second": rate, "latency_seconds": latency},
            "killed": dict(killed),
            "attempts": json.loads((directory / "training.json").read_text())["attempt"],
            "seconds": seconds,
            "largest_relative_difference": largest_relative_difference(*networks),
            "rounds_once_each": [each.round for each in metrics.rounds] == list(range(1, rounds + 1)),
            "exchanges": {
                join.site: sum(join.site in each.clients for each in metrics.rounds) for join in metrics.joins
            },
            "sent_again": sum(sum(each.repeats.values()) for each in metrics.rounds),
        }
    print(json.dumps(found, indent=2))
    output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
