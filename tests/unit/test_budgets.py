"""What is nearly used up of what the owner allows is said in the node's log, once."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from flower_dgan.node import open_sessions
from flower_dgan.node.book import Book
from flower_dgan.node.budgets import EPSILON, warn_of_budgets
from flower_dgan.node.presets import PRESETS
from tests.clinic import BASE, Clinic
from tests.pairs import make_folder


def said(records: Sequence[logging.LogRecord]) -> list[str]:
    lines = [record.getMessage() for record in records if record.levelname == "WARNING"]
    return [line for line in lines if line.startswith("Over 80 % of what this node's policy allows is used up")]


def test_each_limit_is_warned_of_once_whatever_process_asks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    policy = replace(PRESETS["standard"], queries_per_image=100, trainings=5, epsilon=3.0, delta=1e-5)
    book = Book(tmp_path / "book.sqlite")
    with book.changing() as rows:
        rows.executemany("INSERT INTO images VALUES (?, ?, ?, ?)", [(b"a", 80, 3, 1), (b"b", 7, 81, 4)])
    warn_of_budgets(book, policy)
    (drawn,) = said(caplog.records)  # 80 of 100 and 4 of 5 are not over 80 %
    assert "(drawn): 81 of 100. What may help: end trainings that are not wanted any more" in drawn
    with book.changing() as rows:
        rows.execute("INSERT INTO released VALUES (?, ?, ?)", (b"a", 0.41, b""))
        rows.execute("UPDATE images SET asked = 90")
    for _ in range(2):
        warn_of_budgets(Book(tmp_path / "book.sqlite"), policy)
    assert [line.split("(")[1].split(")")[0] for line in said(caplog.records)] == ["drawn", "asked about", EPSILON]
    warn_of_budgets(book, replace(policy, queries_per_image=200))
    assert len(said(caplog.records)) == 3
    warn_of_budgets(book, replace(policy, queries_per_image=95))  # another limit, so another warning
    assert len(said(caplog.records)) == 5


def test_a_policy_without_limits_is_never_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    policy = replace(PRESETS["research"], queries_per_image=None, trainings=None, epsilon=None)
    book = Book(tmp_path / "book.sqlite")
    warn_of_budgets(book, policy)  # which makes none
    assert not book.path.exists()
    with book.changing() as rows:
        rows.execute("INSERT INTO images VALUES (?, ?, ?, ?)", (b"a", 10**9, 10**9, 10**9))
    warn_of_budgets(book, policy)
    assert said(caplog.records) == []


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    open_sessions._OPEN.clear()
    yield Clinic(make_folder(tmp_path / "data", sites=1, images=9, size=24), tmp_path)
    open_sessions._OPEN.clear()


def test_a_node_says_so_as_it_answers(clinic: Clinic, own_home: Path, caplog: pytest.LogCaptureFixture) -> None:
    clinic.policy.write_text(BASE + "queries_per_image: 100\n")
    clinic.join()
    clinic.ask(1)
    assert said(caplog.records) == []
    with Book().changing() as rows:
        rows.execute("UPDATE images SET asked = 85")
    clinic.ask(2)
    (line,) = said(caplog.records)
    assert "(asked about): " in line
    clinic.ask(3)
    assert said(caplog.records) == [line]
