"""What the documentation's site is made of beside its pages; `make docs` builds it."""

from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

import outside
import packages
import settings_tables
from flower_dgan.config import Config
from flower_dgan.resolve import resolve

ROOT = Path(__file__).resolve().parents[2]
TABLE = """
| place | what | may import |
|---|---|---|
| `errors.py`, `names.py` | ground | |
| `low/` | `not` this | |
| `mid/`, `beside.py` | | `low`, torch |
| `top.py` | | `low`, `mid` |
"""


def test_the_drawing_is_that_of_the_table() -> None:
    drawn = packages.draw((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert packages.DRAWING.read_text(encoding="utf-8") == drawn, "run `python docs/_ext/packages.py`"


def test_arrows_lead_from_storey_to_storey_and_only_where_no_others_do() -> None:
    rows = packages.read_rows(TABLE)
    assert [row.places for row in rows] == [("errors", "names"), ("low",), ("mid", "beside"), ("top",)]
    assert packages.heights(rows) == [0, 1, 2, 3]
    assert packages.direct(rows) == {(2, 1), (3, 2)}  # top reaches low through mid
    drawing = packages.draw(TABLE)
    assert drawing.count("marker-end") == 2
    assert ">mid, beside</text>" in drawing


def test_every_setting_is_in_the_tables_with_what_it_does() -> None:
    default = resolve("")
    names = {
        f"{field.name}.{inner.name}" if is_dataclass(getattr(default, field.name)) else field.name
        for field in fields(Config)
        for inner in (fields(getattr(default, field.name)) if is_dataclass(getattr(default, field.name)) else (field,))
    }
    rows = [line.split(" | ") for line in settings_tables.settings_in_words().splitlines() if line.startswith("| `")]
    settings = {row[0].strip("| `"): row for row in rows if len(row) == 4}
    assert names <= set(settings)
    assert [name for name, row in settings.items() if not row[3].strip("| ")] == []
    assert settings["exchange.rounds"] == [
        "| `exchange.rounds`",
        "int in [1, 1,000,000,000]",
        "`80`",
        "Messages a client. |",
    ]
    assert "algorithm.swap_interval" in settings, "those of one algorithm alone, too"


@pytest.mark.parametrize(
    ("text", "page", "expected"),
    [
        ("[a](../README.md#start)", "data.md", "[a](start.md#start)"),
        ("[a](../../src/flower_dgan/errors.py)", "algorithms/gman.md", "[a](../../src/flower_dgan/errors.py)"),
        ("[the tests](../tests/reference)", "algorithms.md", "the tests (`tests/reference/`)"),
        ("[`conf/`](../conf/)", "settings.md", "`conf/`"),
        ("[a](https://flower.ai) [b](#here)", "data.md", "[a](https://flower.ai) [b](#here)"),
        ("```\n[a](../README.md)\n```", "data.md", "```\n[a](../README.md)\n```"),
    ],
)
def test_links_lead_to_pages_of_the_site(text: str, page: str, expected: str) -> None:
    assert outside.read_page(text, outside.DOCS / page) == expected


def test_a_file_beside_docs_is_included_with_its_links() -> None:
    page = outside.read_page("```{include} ../SECURITY.md\n```", outside.DOCS / "security.md")
    assert page.startswith("# Security")
    assert "[docs/privacy.md](privacy.md)" in page
    with pytest.raises(FileNotFoundError, match=r"links to gone\.md"):
        outside.read_page("[a](gone.md)", outside.DOCS / "data.md")
