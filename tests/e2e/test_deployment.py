"""The secured federation of docs/deployment.md on loopback: what is typed here stands on that page."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from contextlib import ExitStack
from pathlib import Path

import pytest

from flower_dgan.client_app import app as client_app
from flower_dgan.errors import FederationError
from flower_dgan.exactness import TOLERANCE, largest_relative_difference
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.generator_file import load_generator
from flower_dgan.node.approvals import Approvals
from flower_dgan.node.book import Book
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from local_flower import LocalFlower, superlink, supernode, write_app
from tests.pairs import write_digits

PAGE = (Path(__file__).resolve().parents[2] / "docs/deployment.md").read_text(encoding="utf-8")
PRIVACY = (Path(__file__).resolve().parents[2] / "docs" / "privacy.md").read_text(encoding="utf-8")
(SHOWN_POLICY,) = re.findall(r"^```yaml\n(# --node-config.*?)^```$", PRIVACY, re.MULTILINE | re.DOTALL)
OWNERS = ("clinic-a", "clinic-b", "clinic-c")
SHORT = (
    "exchange.exchanges=2 exchange.generator_steps=2 output.synthetic_images=60 "
    "downstream=digits downstream.rows=[Real-All,DGAN] downstream.steps=40 downstream.seeds=1 downstream.dist_fid=180"
)
PATIENCE = 300.0


def blocks(language: str, containing: str = "") -> list[str]:
    """Return the page's blocks of code in a language."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [block.replace("\\\n", " ") for block in found if containing in block]


class Machine:
    """Where the page's commands are typed: a home directory, of server and owners alike."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.authority = home / "tls/ca.pem"
        home.mkdir()
        self.run(*blocks("bash", "openssl"))

    def run(self, *commands: str) -> None:
        environment = os.environ | {"HOME": str(self.home)}
        subprocess.run(["bash", "-euc", "\n".join(commands)], env=environment, check=True, capture_output=True)

    def make_key(self, owner: str) -> None:
        self.run(*(block.replace("clinic-a", owner) for block in blocks("bash", "ssh-keygen")))

    def typed(self, start: str, **replaced: str) -> list[str]:
        """Return the arguments of the one command of the page that begins so; ``clinic_a=`` replaces ``clinic-a``."""
        lines = [line for block in blocks("bash") for line in block.splitlines()]
        (line,) = (line for line in lines if line.startswith(start))
        for old, new in {"~/": f"{self.home}/", **replaced}.items():
            line = line.replace(old.replace("_", "-"), new)
        return shlex.split(line)[len(start.split()) :]

    def connect(self, flower: LocalFlower) -> None:
        """Add the page's entry to the configuration of ``flwr``, and one without TLS."""
        (entry,) = blocks("toml")
        entry = entry.replace("server.example.org:8000", flower.address).replace("/home/flower", str(self.home))
        with (Path(flower.environment["FLWR_HOME"]) / "config.toml").open("a") as file:
            file.write(f'{entry}\n[superlink.plain]\naddress = "{flower.address}"\ninsecure = true\n')

    def flwr(self, flower: LocalFlower, start: str, *more: str, **replaced: str) -> str:
        return flower.flwr([*start.split(), *self.typed(f"flwr {start}", **replaced), *more], PATIENCE)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine with the certificates of the page."""
    return Machine(tmp_path / "home")


def as_json(output: str) -> dict[str, object]:
    """Read what ``--format json`` printed after its notices."""
    return json.loads(output[output.index("{") :])


def statuses(flower: LocalFlower, machine: Machine) -> list[str]:
    """Return the status of every SuperNode that the SuperLink knows."""
    nodes = as_json(machine.flwr(flower, "supernode list", "--format", "json"))["nodes"]
    return [node["status"] for node in nodes]


@pytest.mark.slow
def test_three_owners_behind_tls_get_what_one_process_gets(machine: Machine, tmp_path: Path, own_home: Path) -> None:
    everything = tmp_path / "everything"
    write_digits(everything, OWNERS)
    folders = {owner: tmp_path / owner for owner in OWNERS}
    for owner, folder in folders.items():  # each has its own; whoever runs the benchmark has them all
        for file in everything.rglob(f"*_{owner}_*.png"):
            (folder / file.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder / file.parent.name)
    allows_moments = tmp_path / "policy.yaml"
    allows_moments.write_text(SHOWN_POLICY.replace("moments: false", "moments: true"))
    node_configs = {owner: {"data-path": str(folder), "name": owner} for owner, folder in folders.items()}
    node_configs["clinic-c"]["policy"] = str(allows_moments)
    draws = tmp_path / "draws"  # the others make a file each, which the run in one process finds in the same home
    draws.write_bytes(os.urandom(32))
    draws.chmod(0o600)
    node_configs["clinic-c"]["secret-file"] = str(draws)
    (machine.home / "secret").write_bytes(os.urandom(32))
    runtime_options = ["--superexec-auth-secret-file", f"{machine.home}/secret"]
    runtime_options += ["--ssl-ca-certfile", f"{machine.home}/tls/ca.pem"]
    runtime_options += ["--ssl-certfile", f"{machine.home}/tls/server.pem"]
    runtime_options += ["--ssl-keyfile", f"{machine.home}/tls/server.key"]
    app = write_app(tmp_path / "app")
    *_, page_overrides = machine.typed("flwr run .")
    assert page_overrides.endswith('exchange.min_nodes=2"')

    def overrides(directory: str, rounds: int) -> str:
        wanted = page_overrides.removeprefix('overrides="').removesuffix('2"')
        data = f"data.root='{everything}' data.image_size=32 data.channels=1"
        return f"{wanted}3 {SHORT} {data} exchange.rounds={rounds} output.directory='{tmp_path / directory}'"

    def run(directory: str, rounds: int, *options: str) -> str:
        setting = f'overrides="{overrides(directory, rounds)}"'
        return flower.flwr(["run", str(app), "consortium", *options, "--run-config", setting], PATIENCE)

    with superlink(*machine.typed("flower-superlink"), authority=machine.authority) as flower, ExitStack() as nodes:
        machine.connect(flower)
        for owner in OWNERS:
            machine.make_key(owner)
            machine.flwr(flower, "supernode register", clinic_a=owner)
        for owner, folder in folders.items():
            options = machine.typed("flower-dgan supernode", clinic_a=owner, **{"/data/pairs": str(folder)})
            if owner == "clinic-c":
                options[options.index("--node-config") + 1] += f' policy="{allows_moments}" secret-file="{draws}"'
                options += runtime_options
            nodes.enter_context(supernode(flower, owner, *options))

        approving = threading.Thread(target=approve, args=(machine,))
        approving.start()
        stopped = str(as_json(run("stopped", 10_000, "--format", "json"))["run-id"])
        wait_for_a_round(tmp_path / "stopped")
        approving.join()
        machine.flwr(flower, "stop", **{"<run id>": stopped})
        assert "finished:stopped" in machine.flwr(flower, "list", "--format", "json")

        approving = threading.Thread(target=approve, args=(machine,))
        approving.start()
        log = run("run", 3, "--stream")
        approving.join()
        assert statuses(flower, machine) == ["online"] * 3
        finished = re.search(r"started run (\d+)", log)
        assert finished is not None
        assert "round 3/3 | loss G" in machine.flwr(flower, "log", **{"<run id>": finished[1]})
        assert (machine.home / "superlink.db").is_file()

    metrics = read_metrics(tmp_path / "run")
    assert [join.site for join in metrics.joins] == list(OWNERS)
    assert [set(each.clients) for each in metrics.rounds] == [set(OWNERS)] * 3
    assert all(not each.rejected for each in metrics.rounds)

    with Book().changing() as rows:  # the same nodes once more, which have seen one training of this seed
        rows.execute("DELETE FROM trainings")
    for owner in OWNERS:
        Book().begin("stopped", owner, 0)
    (tmp_path / "standard.yaml").write_text("preset: standard\napproval: false\n")
    for owner in ("clinic-a", "clinic-b"):
        node_configs[owner]["policy"] = str(tmp_path / "standard.yaml")
    contexts = simulated_contexts(3, overrides("one-process", 3))
    for context, node_config in zip(contexts.values(), node_configs.values(), strict=True):
        context.node_config = dict(node_config)
    run_job(InProcessGrid(client_app, contexts), resolve(overrides("one-process", 3)), 0)
    ours, theirs = (load_generator(tmp_path / name / "generator.safetensors")[0] for name in ("run", "one-process"))
    assert largest_relative_difference(ours, theirs) <= TOLERANCE
    runs = [read_metrics(tmp_path / name) for name in ("run", "one-process")]
    tables = [{each.row: each.values["dice"] for each in metrics.tstr} for metrics in runs]
    assert tables[0]["Real-All"] > 0.7
    assert tables[0] == pytest.approx(tables[1], abs=1e-3)
    assert {each.site for each in runs[0].missing_moments} == {"clinic-a", "clinic-b"}
    distances = [{(each.site, each.compared): each.distance for each in metrics.distances} for metrics in runs]
    assert distances[0] == pytest.approx(distances[1], rel=1e-3)
    assert ("clinic-c", "synthetic") in distances[0]


def approve(machine: Machine) -> None:
    """Approve, as two of the owners, the training that waits; the third one's policy wants no approval."""
    deadline = time.monotonic() + PATIENCE
    while not (waiting := [each for each in Approvals().all() if each.state == "waiting"]):
        assert time.monotonic() < deadline, "no training asked"
        time.sleep(0.2)
    arguments = machine.typed("flower-dgan policy approve", **{"<hash>": waiting[0].settings})
    command = [str(Path(sys.executable).parent / "flower-dgan"), "policy", "approve", *arguments]
    subprocess.run([*command, "--yes"], check=True, capture_output=True)


def wait_for_a_round(directory: Path) -> None:
    """Wait until a run has finished a round."""
    deadline = time.monotonic() + PATIENCE
    file = directory / "metrics.jsonl"
    while not (file.is_file() and '"kind": "round"' in file.read_text()):
        assert time.monotonic() < deadline, "no round was finished"
        time.sleep(0.2)


@pytest.mark.slow
def test_strangers_are_refused(machine: Machine, tmp_path: Path) -> None:
    stranger = Machine(tmp_path / "stranger")
    for owner in ("clinic-a", "clinic-b"):
        machine.make_key(owner)
    page = machine.typed("flower-dgan supernode")
    key = page.index("--auth-supernode-private-key")
    refused = {
        "an unknown key": (page, "Failed to activate SuperNode"),
        "a key that was taken back": (
            machine.typed("flower-dgan supernode", clinic_a="clinic-b"),
            "Failed to activate SuperNode",
        ),
        "no key": ([*page[:key], *page[key + 2 :]], "All SuperNodes must be registered via the CLI"),
        "another authority": ([*page, "--root-certificates", str(stranger.authority)], "SSL/TLS handshake error"),
        "no TLS": (["--insecure", "--max-retries", "1"], "Failed to initialize the connection to the SuperLink"),
    }
    with superlink(*machine.typed("flower-superlink"), authority=machine.authority) as flower, ExitStack() as nodes:
        machine.connect(flower)
        node = as_json(machine.flwr(flower, "supernode register", "--format", "json", clinic_a="clinic-b"))["node-id"]
        flower.flwr(["supernode", "unregister", str(node), "consortium"], PATIENCE)
        processes = {
            name: nodes.enter_context(supernode(flower, name, *options, warm=name == "an unknown key"))
            for name, (options, _) in refused.items()
        }
        for name, (_, reason) in refused.items():
            assert processes[name].wait(PATIENCE) == 1, name
            assert reason in flower.log.with_name(f"{name}.txt").read_text(), name
        assert "online" not in statuses(flower, machine)
        with pytest.raises(FederationError, match="Connection to the SuperLink is unavailable"):
            flower.flwr(["supernode", "list", "plain"], PATIENCE)
        assert "Activated node_id" not in flower.log.read_text()


def test_services_have_the_options_of_the_commands() -> None:
    commands = {
        line.split()[0]: shlex.split(line)
        for block in blocks("bash")
        for line in block.splitlines()
        if line.startswith(("flower-superlink ", "flower-dgan supernode "))
    }
    services = [re.search(r"^ExecStart=\S*/(flower-.*)$", unit, re.MULTILINE) for unit in blocks("ini")]
    for text in [service[1] for service in services if service]:
        found = shlex.split(text)
        plain = [re.sub("^/home/flower", "~", argument) for argument in found]
        assert plain == commands[found[0]]
    assert len(services) == 2
    (entry,) = blocks("toml")
    assert set(tomllib.loads(entry)["superlink"]["consortium"]) == {"address", "root-certificates"}
