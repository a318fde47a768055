"""The drawing of the packages, made of the table in CONTRIBUTING.md: `python docs/_ext/packages.py` writes it anew."""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DRAWING = ROOT / "docs" / "packages.svg"

_WIDTH, _BOX, _LINE, _GAP = 1000, 150, 15, 46
_LETTERS = 19  # of the font that fit into a box
_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"
 font-family="sans-serif" font-size="12">
<title>Which package imports which</title>
<rect width="100%" height="100%" fill="#ffffff"/>
<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 8 4 0 8z" fill="#5f6b7a"/></marker></defs>"""


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes
    ----------
    places : tuple of str
        Packages and modules at the top of the package.
    above : frozenset of int
        Numbers of the rows whose places it may import, but for the first row, which is for everyone.
    """

    places: tuple[str, ...]
    above: frozenset[int]


def read_rows(text: str) -> list[Row]:
    """Read the table of CONTRIBUTING.md, in its order: the first row stands for what everyone may import."""
    cells = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    places = [tuple(re.findall(r"`(\w+)(?:\.py|/)?`", row[0])) for row in cells]
    number = {place: index for index, names in enumerate(places) for place in names}
    may = [frozenset(number[name] for name in re.findall(r"`([\w.]+)`", row[-1])) for row in cells]
    return [Row(names, frozenset(above - {0})) for names, above in zip(places, may, strict=True)]


def direct(rows: Sequence[Row]) -> set[tuple[int, int]]:
    """Return the arrows that say everything: from a row to one above it that no third row between them leads to."""
    reached: dict[int, frozenset[int]] = {}
    for index, row in enumerate(rows):  # a row names only what stands above it
        reached[index] = row.above.union(*(reached[each] for each in row.above))
    return {
        (index, target)
        for index, row in enumerate(rows)
        for target in row.above
        if not any(target in reached[other] for other in row.above - {target})
    }


def heights(rows: Sequence[Row]) -> list[int]:
    """Return the storey of each row: 0 for the first, 1 for those that need no other, one more than what they need."""
    found: list[int] = []
    for index, row in enumerate(rows):
        found.append(1 + max((found[each] for each in row.above), default=0) if index else 0)
    return found


def draw(text: str) -> str:
    """Return the drawing as SVG: what is used below, who uses it above."""
    rows = read_rows(text)
    storeys = heights(rows)
    lines = [textwrap.wrap(", ".join(row.places), 120 if not index else _LETTERS) for index, row in enumerate(rows)]
    by_storey = [[index for index, each in enumerate(storeys) if each == level] for level in range(max(storeys) + 1)]
    tall = [max(len(lines[index]) for index in level) * _LINE + 12 for level in by_storey]
    height = sum(tall) + _GAP * (len(tall) + 1)
    boxes: dict[int, tuple[float, float, float, float]] = {}  # x, y, width, height
    bottom = height - _GAP / 2
    for level, members in enumerate(by_storey):
        wide = _WIDTH - 40 if not level else _BOX
        step = _WIDTH / len(members)
        # every second storey begins elsewhere, so that an arrow over a storey passes between its boxes
        shift = (level % 2 - 0.5) * step / 3 if level and len(members) < 5 else 0
        for place, index in enumerate(members):
            x = (place + 0.5) * step + shift - wide / 2
            boxes[index] = (x, bottom - tall[level], wide, tall[level])
        bottom -= tall[level] + _GAP
    parts = [_HEAD.format(width=_WIDTH, height=round(height))]
    for start, end in sorted(direct(rows)):
        x, y, w, h = boxes[start]
        to_x, to_y, to_w, _ = boxes[end]
        spread = max(-0.45, min(0.45, (x - to_x) / _WIDTH)) * to_w
        line = f"M{x + w / 2:.0f} {y + h:.0f} L{to_x + to_w / 2 + spread:.0f} {to_y:.0f}"
        parts.append(f'<path d="{line}" fill="none" stroke="#5f6b7a" marker-end="url(#tip)"/>')
    for index, (x, y, w, h) in sorted(boxes.items()):
        fill = "#e8edf3" if index else "#f4efe4"
        parts.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="{w}" height="{h}" rx="5" fill="{fill}" stroke="#5f6b7a"/>')
        first = y + h / 2 - (len(lines[index]) - 1) * _LINE / 2 + 4
        for place, words in enumerate(lines[index]):
            at = f'x="{x + w / 2:.0f}" y="{first + place * _LINE:.0f}"'
            parts.append(f'<text {at} text-anchor="middle" fill="#1d2733">{escape(words)}</text>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    DRAWING.write_text(draw((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")), encoding="utf-8")
