"""The page's server refuses, by name, what is not the page's own."""

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from flower_dgan.watch.board import Board
from flower_dgan.watch.gate import Gate
from flower_dgan.watch.painting import A_MINUTE, Painting
from flower_dgan.watch.server import make_app
from tests.watched import begin_event, end_event, round_event, samples_event, write_events

HOST = "127.0.0.1:8000"
TOKEN = "t" * 32
KNOWN = {"Authorization": f"Bearer {TOKEN}"}
ECHO = """
import json, sys
for line in sys.stdin:
    print(json.dumps({"pictures": [], "asked": json.loads(line)}), flush=True)
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = tmp_path / "runs" / "one"
    write_events(run, [])
    (run / "generators").mkdir()
    (run / "generators" / "00000002.safetensors").write_bytes(b"weights")
    (run / "secret.png").write_bytes(b"no picture of the samples")
    (tmp_path / "outside.png").write_bytes(b"outside")
    (run / "samples").mkdir()
    (run / "samples" / "link.png").symlink_to(tmp_path / "outside.png")
    named = ["../../outside.png", "secret.png", "/etc/passwd", "samples/link.png", "samples/../secret.png", "samples"]
    tricks = [{"row": 0, "site": "north", "column": f"draw {at}", "file": file} for at, file in enumerate(named)]
    generators = ["generators/00000002.safetensors", "../../outside.png", "config.yaml", "generators/gone.safetensors"]
    events = [
        begin_event(),
        round_event(1),
        round_event(2),
        samples_event(run, 2),
        {"kind": "samples", "round": 1, "grid": "", "files": tricks, "looks": {}},
        *({"kind": "generator", "round": 2 + at, "file": file} for at, file in enumerate(generators)),
        {"kind": "ledger", "round": 2, "rows": [{"site": "north", "direction": "from node", "record": "feedback",
         "key": "losses", "dtype": "float32", "shape": "16", "messages": 2, "bytes": 128}]},
        {"kind": "test-pictures", "row": "DGAN", "metric": "dice", "pictures": [
            {"rank": f"worst {at}", "figure": 0.25, "file": file}
            for at, file in enumerate(["samples/round-00002/0-draw-1.png", *named])]},
        end_event(),
    ]  # fmt: skip
    return write_events(run, events)


@pytest.fixture
def page(run: Path) -> Iterator[TestClient]:
    painting = Painting(command=(sys.executable, "-c", ECHO), clock=lambda: 0.0)
    app = Gate(make_app(Board(run.parent), painting), TOKEN, {HOST, "localhost:8000"})
    with TestClient(app, base_url=f"http://{HOST}", raise_server_exceptions=False) as client:
        yield client


def key_of(page: TestClient) -> str:
    (found,) = page.get("/api/runs", headers=KNOWN).json()["runs"]
    key: str = found["key"]
    page.get(f"/api/runs/{key}/summary", headers=KNOWN)  # reads the events
    return key


def mask(**changed: Any) -> dict[str, Any]:
    asked = {"generator": "2", "sites": ["north"], "draws": 1, "seed": 0, "mask": base64.b64encode(bytes(64)).decode()}
    return asked | changed


def test_the_page_and_its_files_need_no_token_and_tell_nothing(page: TestClient) -> None:
    index = page.get("/")
    assert index.status_code == 200
    assert "one" not in index.text.split()
    assert "<script>" not in index.text
    assert "style=" not in index.text
    assert "http" not in index.text  # nothing comes from elsewhere
    assert page.get("/static/style.css").headers["content-type"] == "text/css; charset=utf-8"
    for answer in (index, page.get("/api/runs"), page.get("/static/none.js")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("given", ["", f"Bearer {TOKEN}x", TOKEN, f"Bearer {TOKEN[:-1]}", "Bearer "])
@pytest.mark.parametrize("path", ["/api/runs", "/api/runs/0123456789abcdef/events", "/api/none"])
def test_without_the_token_nothing_is_told(page: TestClient, path: str, given: str) -> None:
    answer = page.get(path, headers={"Authorization": given} if given else {})
    assert answer.status_code == 401
    assert "No token" in answer.text
    assert page.get(f"{path}?token={TOKEN}").status_code == 401


def test_painting_needs_the_token_too(page: TestClient) -> None:
    assert page.post("/api/runs/0123456789abcdef/paint", json=mask()).status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1", "127.0.0.1:9999", "127.0.0.1:8000.evil"]
)
def test_a_wrong_host_is_refused_with_the_token_too(page: TestClient, host: str) -> None:
    for path in ("/", "/static/main.js", "/api/runs"):
        answer = page.get(path, headers={**KNOWN, "Host": host})
        assert answer.status_code == 421
        assert "Wrong host" in answer.text
    assert page.get("/api/runs", headers={**KNOWN, "Host": "LOCALHOST:8000"}).status_code == 200


def test_a_page_of_another_site_is_refused(page: TestClient) -> None:
    key = key_of(page)
    for origin in ("http://evil.example", "null", f"http://{HOST}.evil.example"):
        answer = page.post(f"/api/runs/{key}/paint", json=mask(), headers={**KNOWN, "Origin": origin})
        assert (answer.status_code, answer.text.split(":")[0]) == (403, "Wrong origin")
    own = page.post(f"/api/runs/{key}/paint", json=mask(), headers={**KNOWN, "Origin": f"http://{HOST}"})
    assert own.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/api/runs/..%2f..%2fetc/summary",
        "/api/runs/one/summary",
        "/api/runs/../../../etc/passwd",
        "/api/runs/0123456789abcdef/summary",
        "/api/runs/{key}/samples/..%2f..%2fsecret.png",
        "/api/runs/{key}/samples/-1",
        "/api/runs/{key}/generators/..%2f..%2fgenerator",
        "/api/runs/{key}/generators/3",
        "/api/runs/{key}/generators/%00",
        "/static/..%2fserver.py",
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/page.html",
        "/docs",
        "/openapi.json",
    ],
)
def test_paths_lead_nowhere(page: TestClient, path: str) -> None:
    answer = page.get(path.replace("{key}", key_of(page)), headers=KNOWN)
    assert answer.status_code in (404, 422)
    assert "outside" not in answer.text
    assert "secret" not in answer.text


def test_pictures_are_those_of_the_samples_alone(page: TestClient) -> None:
    """The events of a run may be another's: files that they name outside of samples/ are not read, nor are links."""
    key = key_of(page)
    found = page.get(f"/api/runs/{key}/samples/2", headers=KNOWN).json()["pictures"]
    assert [(each["site"], each["column"]) for each in found] == [
        (site, column) for site in ("north", "south") for column in ("label map", "draw 1", "draw 2")
    ]
    assert all(base64.b64decode(each["png"]).startswith(b"\x89PNG") for each in found)
    assert page.get(f"/api/runs/{key}/samples/1", headers=KNOWN).status_code == 404
    assert page.get(f"/api/runs/{key}/samples", headers=KNOWN).json() == {"rounds": [1, 2]}


def test_test_images_are_those_below_samples(page: TestClient, run: Path) -> None:
    (shown,) = page.get(f"/api/runs/{key_of(page)}/tested", headers=KNOWN).json()["pictures"]
    assert base64.b64decode(shown.pop("png")) == (run / "samples/round-00002/0-draw-1.png").read_bytes()
    assert shown == {"row": "DGAN", "metric": "dice", "rank": "worst 0", "figure": 0.25}
    assert page.get(f"/api/runs/{key_of(page)}/tested").status_code == 401


def test_generators_are_those_that_are_there(page: TestClient) -> None:
    assert page.get(f"/api/runs/{key_of(page)}/generators", headers=KNOWN).json() == {"generators": ["2"]}


def test_a_mask_is_painted_by_the_generator_that_was_listed(page: TestClient, run: Path) -> None:
    answer = page.post(f"/api/runs/{key_of(page)}/paint", json=mask(seed=7), headers=KNOWN).json()
    path = str(run / "generators" / "00000002.safetensors")
    asked = {"mask": mask()["mask"], "sites": ["north"], "draws": 1, "seed": 7, "path": path}
    assert answer["asked"] == {"paint": asked}
    newest = page.post(f"/api/runs/{key_of(page)}/paint", json=mask(generator="newest"), headers=KNOWN).json()
    assert (newest["generator"], newest["asked"]["paint"]["path"]) == ("2", path)


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        (mask(mask="A" * 1_600_000), 413, "too large"),
        (mask(mask="*"), 422, "not in base64"),
        (mask(sites=[]), 422, "sites"),
        (mask(sites=["north"] * 17), 422, "sites"),
        (mask(sites=["north"] * 5, draws=4), 422, "At most 16"),
        (mask(draws=0), 422, "draws"),
        (mask(draws=10**9), 422, "draws"),
        (mask(draws="1"), 422, "draws"),
        (mask(seed=-1), 422, "seed"),
        (mask(seed=2**31), 422, "seed"),
        (mask(path="/etc/passwd"), 422, "path"),
        (mask(generator="../../outside.png"), 422, "generator"),
        (mask(generator="3"), 404, "no such generator"),
        ([], 422, "request"),
    ],
)
def test_what_cannot_be_painted_is_named(page: TestClient, asked: object, status: int, said: str) -> None:
    answer = page.post(f"/api/runs/{key_of(page)}/paint", json=asked, headers=KNOWN)
    assert answer.status_code == status
    assert said in answer.json()["detail"]


def test_a_body_without_a_length_is_cut_off(page: TestClient) -> None:
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(40):
            sent += 1
            yield b"A" * 100_000

    answer = page.post(f"/api/runs/{key_of(page)}/paint", content=body(), headers=KNOWN)
    assert answer.status_code == 413


def test_of_a_thousand_paints_a_minute_sixty_are_painted(page: TestClient) -> None:
    key = key_of(page)
    found = [page.post(f"/api/runs/{key}/paint", json=mask(), headers=KNOWN) for _ in range(1000)]
    assert [each.status_code for each in found] == [200] * A_MINUTE + [429] * (1000 - A_MINUTE)
    assert "within a minute" in found[-1].json()["detail"]


def test_other_methods_write_nothing(page: TestClient) -> None:
    key = key_of(page)
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        for path in ("/", "/api/runs", f"/api/runs/{key}/summary", f"/api/runs/{key}/samples/2"):
            assert page.request(method, path, headers=KNOWN).status_code == 405


def test_what_left_is_told_record_by_record(page: TestClient) -> None:
    (row,) = page.get(f"/api/runs/{key_of(page)}/records", headers=KNOWN).json()["records"]
    assert (row["site"], row["record"], row["bytes"]) == ("north", "feedback", 128)


def test_numbers_that_are_not_finite_are_none(page: TestClient, run: Path) -> None:
    bad = round_event(3)
    bad["clients"]["north"]["discriminator_loss"] = float("nan")
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(bad) + "\n" + json.dumps({"kind": "tstr", "row": "DGAN", "dice": float("inf")}) + "\n")
    key = key_of(page)
    text = page.get(f"/api/runs/{key}/summary", headers=KNOWN).text
    found = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert found["curves"]["measures"]["discriminator_loss"]["north"] == [1.0, 1.0, None]
