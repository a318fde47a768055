"""What the owner of a node sees is what its ledger, book and policy say, and looking changes nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from flower_dgan.errors import ConfigError
from flower_dgan.node import open_sessions
from flower_dgan.node.approvals import Approvals
from flower_dgan.node.book import Book
from flower_dgan.node.owner_ledger import ledgers_in
from flower_dgan.privacy.gaussian_mechanism import epsilon_of
from flower_dgan.watch.node_view import NodeView
from flower_dgan.watch.painting import Painting
from flower_dgan.watch.server import make_app
from flower_dgan.wire.refusals import Refusal
from tests.clinic import BASE, FIRST, Clinic
from tests.pairs import make_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("clinic"), sites=1, images=9, size=24)


@pytest.fixture
def clinic(folder: Path, tmp_path: Path) -> Iterator[Clinic]:
    open_sessions._OPEN.clear()
    yield Clinic(folder, tmp_path)
    open_sessions._OPEN.clear()


def state(home: Path) -> Path:
    return home / "state/flower-dgan"


def test_a_training_that_waits_is_told_in_plain_words(clinic: Clinic, own_home: Path) -> None:
    clinic.node_config["policy"] = "standard"
    assert clinic.refusal(clinic.join()) is Refusal.APPROVAL
    shown = NodeView(state(own_home), "standard").shown()
    (waiting,) = shown["trainings"]
    assert (waiting["state"], waiting["identity"]) == ("waiting", FIRST.identity)
    assert "What would leave this node:" in waiting["words"]
    assert waiting["settings"] in waiting["words"]
    Approvals().approve(waiting["settings"])
    (approved,) = NodeView(state(own_home), "standard").shown()["trainings"]
    assert (approved["state"], approved["words"]) == ("approved", "")


def test_what_left_is_summed_up_and_looking_changes_nothing(clinic: Clinic, own_home: Path) -> None:
    clinic.join()
    clinic.ask(1)
    files = [own_home / "state/flower-dgan/book.sqlite", *(each.path for each in ledgers_in(state(own_home)))]
    before = [file.read_bytes() for file in files]
    view = NodeView(state(own_home), str(clinic.policy))
    (ledger,) = view.shown()["ledgers"]
    assert ledger["problems"] == []
    lines = [json.loads(line) for line in files[1].read_text().splitlines()]
    records = [each for line in lines for each in line.get("records", ()) if "part" not in line]
    assert ledger["left"]["feedback"] == sum(each["bytes"] for each in records if each["record"] == "feedback") > 0
    assert ledger["messages"] == len(lines)
    assert view.shown()["ledgers"] == [ledger]
    assert [file.read_bytes() for file in files] == before


def test_a_ledger_that_was_changed_is_shown_as_such(clinic: Clinic, own_home: Path) -> None:
    clinic.join()
    view = NodeView(state(own_home), str(clinic.policy))
    assert view.shown()["ledgers"][0]["problems"] == []
    (ledger,) = ledgers_in(state(own_home))
    ledger.path.write_text(ledger.path.read_text().replace('"purpose"', '"purpos3"'))
    assert view.shown()["ledgers"][0]["problems"] != []


def test_a_budget_over_80_percent_is_warned_of(clinic: Clinic, own_home: Path) -> None:
    clinic.policy.write_text(BASE + "queries_per_image: 100\ntrainings: 5\nepsilon: 3\ndelta: 1.0e-5\n")
    book = Book(state(own_home) / "book.sqlite")
    with book.changing() as rows:
        rows.executemany("INSERT INTO released VALUES (?, ?, ?)", [(b"a", 0.25, b""), (b"b", 0.16, b"")])
        rows.executemany("INSERT INTO images VALUES (?, ?, ?, ?)", [(b"a", 80, 3, 1), (b"b", 7, 81, 2)])
    budgets = NodeView(state(own_home), str(clinic.policy)).shown()["budgets"]
    assert [(each["what"], each["used"], each["limit"], each["nearly"]) for each in budgets] == [
        ("asked about", 80, 100, False),
        ("drawn", 81, 100, True),
        ("trainings", 2, 5, False),
        ("epsilon of all releases with noise", pytest.approx(epsilon_of(0.41**0.5, 1e-5)), 3, True),
    ]
    assert all(each["help_by"] for each in budgets)


def test_a_node_without_a_past_shows_its_policy(tmp_path: Path) -> None:
    shown = NodeView(tmp_path, "research").shown()
    assert (shown["ledgers"], shown["trainings"]) == ([], [])
    assert "holds no ledger" in shown["problems"][0]
    assert (shown["rules"]["label_maps"], shown["rules"]["plugins"]) == ("yes", "none")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError):
        NodeView(tmp_path, "none.yaml")


def test_the_owners_page_shows_no_runs_and_a_servers_page_no_node(tmp_path: Path) -> None:
    with TestClient(make_app(None, Painting(), NodeView(tmp_path, "research"))) as owners:
        assert owners.get("/api/runs").json() == {"runs": [], "latest": {}, "node": True}
        assert owners.get("/api/node").json()["policy"] == "research"
        assert owners.get("/api/runs/0123456789abcdef/summary").status_code == 404
    with TestClient(make_app(None, Painting())) as servers:
        assert servers.get("/api/node").status_code == 404
