"""The page as a file holds what the server would have said, and loads nothing."""

import base64
import hashlib
import json
import os
import re
from pathlib import Path

import pytest

from flower_dgan.errors import DataError
from flower_dgan.watch.board import Board
from flower_dgan.watch.page_file import export
from tests.watched import begin_event, end_event, round_event, samples_event, write_events

TRICK = "</script><script>alert(1)</script>"


@pytest.fixture
def page(tmp_path: Path) -> str:
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    events = [begin_event(), *(samples_event(run, number) for number in range(1, 31)), round_event(1, ["north", TRICK])]
    write_events(run, [*events, end_event("failed", TRICK)])
    export(Board(tmp_path / "runs"), tmp_path / "page.html")
    return (tmp_path / "page.html").read_text()


def data(page: str) -> dict[str, dict[str, object]]:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    answers: dict[str, dict[str, object]] = json.loads(found)["answers"]
    return answers


def test_it_holds_what_the_page_asks_for(page: str) -> None:
    answers = data(page)
    (run,) = answers["runs"]["runs"]  # type: ignore[misc]
    base = f"runs/{run['key']}"  # type: ignore[index]
    rounds = answers[f"{base}/samples"]["rounds"]
    assert isinstance(rounds, list)
    assert (len(rounds), rounds[0], rounds[-1]) == (24, 1, 30)  # the first, the last, and some between
    assert all(f"{base}/samples/{number}" in answers for number in rounds)
    assert answers[f"{base}/summary"]["status"]["state"] == "failed"  # type: ignore[index]
    assert answers[f"{base}/records"] == {"records": []}


def test_names_of_clients_are_no_scripts_and_only_its_own_may_run(page: str) -> None:
    assert TRICK not in page
    assert TRICK in json.dumps(data(page))
    assert len(re.findall("<script", page)) == 2
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    for kind, text in (("script", r"<script>(.*?)</script>"), ("style", r"<style>(.*?)</style>")):
        (inner,) = re.findall(text, page, re.DOTALL)
        wanted = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{wanted}'" in policy
    assert "default-src 'none'" in policy
    assert "connect-src" not in policy  # so that it may connect to nothing
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page.split('<script type="application/json"')[0])


def test_only_its_owner_may_read_it(page: str, tmp_path: Path) -> None:
    assert (tmp_path / "page.html").stat().st_mode & 0o077 == 0


def test_of_many_runs_those_written_to_last_are_in_it(tmp_path: Path) -> None:
    """The names of runs begin with their time, so that the first by name are the oldest."""
    for number in range(43):
        run = write_events(tmp_path / "runs" / f"{number:02d}", [begin_event()])
        os.utime(run / "metrics.jsonl", ns=(0, 1_000 * (number if number else 10**6)))
    (tmp_path / "runs" / "42" / "metrics.jsonl").unlink()  # which has measured nothing
    export(Board(tmp_path / "runs"), tmp_path / "page.html")
    answers = data((tmp_path / "page.html").read_text())
    runs, latest = answers["runs"]["runs"], answers["runs"]["latest"]
    assert isinstance(runs, list)
    assert isinstance(latest, dict)
    name_of = {each["key"]: each["name"] for each in runs}
    assert list(name_of.values()) == ["00", *(f"{number:02d}" for number in range(3, 42))]
    assert [name_of[key] for key in latest] == ["00", *(f"{number:02d}" for number in range(41, 2, -1))]
    assert all(f"runs/{key}/summary" in answers for key in latest)


def test_without_a_run_there_is_nothing_to_write(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run to export"):
        export(Board(tmp_path), tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
