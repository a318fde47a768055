"""Nothing that a client, a file or a setting is called is markup in a report or a figure."""

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.figure import Figure

from flower_dgan.data.skew import Distribution
from flower_dgan.printable import printable
from flower_dgan.report import write_report
from flower_dgan.report.curves import loss_figure
from flower_dgan.report.markdown import render_report
from flower_dgan.report.partition_figure import partition_figure
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.report.table import table
from flower_dgan.report.text import in_code, in_figure, in_markdown
from flower_dgan.run.run_records import RunMetrics

NASTY = [
    "[x](javascript:alert(1))",
    "![x](http://x.example/x.png)",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "`x` ``y``",
    "**bold** __bold__ ~~gone~~",
    "a | b",
    "\\| a \\",
    "\x1b[2J\u202e",
    "# heading",
    "$\\frac{1}{2}$",
    "</td></table>",
    "&lt;b&gt;",
    "x\n\n# heading\n",
    "Z\udcfcrich",
]
# Markdown's own signs, near each other.
MARKUP = st.text(st.sampled_from("ab1 _*`~[]()!|\\<>&#$:/\"'\n\x1b;"), max_size=20)


class Page(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.cells: list[str] = []
        self.text = ""
        rules = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
        self.feed(rules.render(markdown))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attributes))
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.cells:
            self.cells[-1] += data


@pytest.mark.parametrize("text", NASTY)
def test_a_cell_shows_a_text_as_it_is(text: str) -> None:
    page = Page(table(("a", "b"), [(text, "end")]))
    assert {tag for tag, _ in page.tags} == {"table", "thead", "tbody", "tr", "th", "td"}
    assert [cell.strip() for cell in page.cells] == [printable(" ".join(text.split())), "end"]


def test_a_path_in_a_cell_is_whole() -> None:
    path = "/" + "/".join(["folder" * 30] * 22)
    assert len(path) > 3_900
    assert f"| {path} |" in table(("a",), [(path,)])


@given(MARKUP)
def test_no_text_is_markup(text: str) -> None:
    page = Page(f"before {in_markdown(text)} after")
    assert [tag for tag, _ in page.tags] == ["p"]
    assert page.text.split() == f"before {printable(' '.join(text.split()))} after".split()


@given(MARKUP)
def test_no_text_leaves_a_code_span(text: str) -> None:
    page = Page(f"before {in_code(f'x{text}')} after")
    assert [tag for tag, _ in page.tags] == ["p", "code"]


@given(st.text(st.sampled_from("`~ab\n \x1b<"), max_size=40))
def test_no_setting_leaves_the_fence(text: str) -> None:
    report = render_report(RunMetrics((), (), (), (), (), (), ()), f"seed: 1\nx: {text}\nend: 2")
    page = Page(report)
    assert [tag for tag, _ in page.tags][-3:] == ["h2", "pre", "code"]
    assert page.text.rstrip().endswith("end: 2")
    assert "\x1b" not in report


def run_of(directory: Path, site: str, reason: str) -> Path:
    """Write down a run with one client of a name that gave a reason."""
    client = {
        "discriminator_loss": 1.0,
        "generator_loss": 2.0,
        "busy_seconds": 0.1,
        "compute_seconds": 0.1,
        "bytes_sent": 1,
        "bytes_received": 1,
        "rounds_late": 0,
        "weight": 1.0,
    }
    lines = [
        {"kind": "join", "site": site, "node_id": "1", "images": 3, "channels": "all"},
        {
            "kind": "round",
            "round": 1,
            "seconds": {"generator": 1.0},
            "images": 4,
            "clients": {site: client},
            "rejected": {site: reason},
            "staleness": 0,
            "late": [],
            "repeats": {},
        },
    ]
    (directory / "samples").mkdir(parents=True)
    (directory / "samples" / "x>) <b>.png").touch()
    (directory / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (directory / "config.yaml").write_text("seed: 1\n")
    return directory


@pytest.mark.parametrize("text", NASTY)
def test_a_report_of_any_name_and_reason_is_written(tmp_path: Path, text: str) -> None:
    """Of a run that an earlier version wrote, say: names are checked before they come in."""
    directory = run_of(tmp_path / "run", text, text * 100)
    report = write_report(directory).read_text(encoding="utf-8")
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", report)
    assert len(report) < 20_000
    page = Page(report)
    shown = {"table", "thead", "tbody", "tr", "th", "td", "h1", "h2", "p", "img", "a", "pre", "code"}
    assert {tag for tag, _ in page.tags} <= shown
    links = [dict(attributes) for tag, attributes in page.tags if tag in ("a", "img")]
    places = {str(link.get("href") or link.get("src")) for link in links}
    assert places == {"curves.png", "samples/x%3E%29%20%3Cb%3E.png"}


@pytest.mark.parametrize("text", [r"$\frac{1}$", "$$", "$a$ $b$", "_hidden", r"\$x$", "\x07\x1b[2J", "a\nb"])
def test_figures_draw_any_name(tmp_path: Path, text: str) -> None:
    figure = loss_figure(read_metrics(run_of(tmp_path / "run", text, "")))
    figure.savefig(io.BytesIO())
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 1
    distribution = Distribution("site", (text, "b"), np.array([[1, 2], [2, 1]]), False)
    partition_figure([text, "b"], [distribution]).savefig(io.BytesIO())


def test_a_dollar_is_a_dollar() -> None:
    """``Text`` takes the backslash away again where it draws no formula."""
    for text in (r"$\frac{1}{2}$", "costs $5", "$", "$$x$$"):
        shown = Figure().text(0, 0, "")._preprocess_math(in_figure(text))
        assert shown == (text, False)
