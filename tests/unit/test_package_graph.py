"""Who imports whom inside the package: no circle, and only along the arrows of the table in CONTRIBUTING.md."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "flower_dgan"

Arrows = Mapping[tuple[str, str], list[str]]
"""By importing and imported package: where, as ``file:line``."""

REPEATED_NAMES = {
    "__init__.py": "Python's own",
    "columns.py": "each task has one",
    "fit.py": "each task has one",
    "predict.py": "each task has one",
}


def imported(tree: ast.AST, package: str, inside: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Yield each module of ``package`` that a file imports, anywhere in it, as its dotted rest, and the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = ".".join((package, *inside[: len(inside) + 1 - node.level])) if node.level else ""
            module = ".".join(part for part in (start, node.module) if part)
            names = [f"{module}.{each.name}" for each in node.names] if module == package else [module]
        else:
            continue
        for name in names:
            if name.startswith(f"{package}."):
                yield name.removeprefix(f"{package}."), node.lineno


def arrows(root: Path) -> Arrows:
    """Draw the graph of what is directly under a package: packages, and modules at the top."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for file in sorted(root.rglob("*.py")):
        place = file.relative_to(root).with_suffix("").parts
        for name, line in imported(ast.parse(file.read_text(encoding="utf-8")), root.name, place[:-1]):
            if (target := name.split(".")[0]) != place[0]:
                found[place[0], target].append(f"{file.relative_to(root)}:{line}")
    return found


def circles(pairs: Iterable[tuple[str, str]]) -> set[frozenset[str]]:
    """Return the sets of nodes of which each reaches each."""
    following: dict[str, set[str]] = defaultdict(set)
    for start, end in pairs:
        following[start].add(end)
    reached: dict[str, set[str]] = {}
    for start in list(following):
        reached[start], waiting = set(), [start]
        while waiting:
            new = following[waiting.pop()] - reached[start]
            reached[start] |= new
            waiting += new
    return {
        frozenset({node, *(other for other in reached[node] if node in reached.get(other, ()))})
        for node in reached
        if node in reached[node]
    }


def rows(text: str) -> list[tuple[list[str], set[str]]]:
    """Read the table: places of a row, and what its last column lets them import."""
    cells = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return [(_places(row[0]), set(_places(row[-1]))) for row in cells]


def _places(cell: str) -> list[str]:
    return [name.removesuffix(".py") for name in re.findall(r"`([\w.]+)/?`", cell)]


def allowed(text: str) -> dict[str, set[str]]:
    """Return what each place may import: what its row names, the others of its row, and all the first row."""
    table = rows(text)
    ground = set(table[0][0])
    return {place: {*places, *named, *ground} - {place} for places, named in table for place in places}


def nodes(root: Path) -> set[str]:
    return {
        path.stem if path.is_file() else path.name
        for path in root.iterdir()
        if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").is_file()
    }


def test_no_package_imports_in_a_circle() -> None:
    found = arrows(PACKAGE)
    wrong = circles(found)
    where = [
        f"{start} -> {end}: {', '.join(found[start, end])}"
        for circle in wrong
        for start, end in sorted(found)
        if {start, end} <= circle
    ]
    assert not wrong, "\n".join(where)


def test_arrows_are_those_of_the_table() -> None:
    table = allowed((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert set(table) == nodes(PACKAGE), "a row for each package and each module at the top, and for nothing else"
    assert set().union(*table.values()) <= set(table)
    beyond = {pair: places for pair, places in arrows(PACKAGE).items() if pair[1] not in table[pair[0]]}
    assert not beyond, "\n".join(f"{start} may not import {end}: {places}" for (start, end), places in beyond.items())


def test_a_row_of_the_table_names_only_what_stands_above_it() -> None:
    above: set[str] = set()
    for places, named in rows((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        assert named <= above, f"{places} may import {named - above}, which stands below"
        above |= set(places)


def test_no_two_modules_share_a_name() -> None:
    by_name = defaultdict(list)
    for file in sorted((ROOT / "src").rglob("*.py")):
        by_name[file.name].append(str(file.relative_to(ROOT)))
    shared = {name: files for name, files in by_name.items() if len(files) > 1 and name not in REPEATED_NAMES}
    assert not shared
    apart = [name for name in REPEATED_NAMES if len(by_name[name]) < 2]
    assert not apart, "no longer repeated: take them out of REPEATED_NAMES"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    files = {
        "one/__init__.py": "",
        "one/a.py": "def later():\n    from toy.two import b\n",
        "two/__init__.py": "from . import b\n",
        "two/b.py": "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from toy.top import X\n",
        "top.py": "import toy.one.a\nimport os, toyish.two\n",
        "apart.py": "from toy import top\nfrom .one import a\n",
    }
    for name, text in files.items():
        (tmp_path / "toy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "toy" / name).write_text(text)
    (tmp_path / "toy" / "__init__.py").write_text("")
    return tmp_path / "toy"


def test_every_import_is_seen_wherever_it_stands(package: Path) -> None:
    found = arrows(package)
    assert found == {
        ("one", "two"): ["one/a.py:2"],
        ("two", "top"): ["two/b.py:4"],
        ("top", "one"): ["top.py:1"],
        ("apart", "top"): ["apart.py:1"],
        ("apart", "one"): ["apart.py:2"],
    }
    assert circles(found) == {frozenset({"one", "two", "top"})}
    assert circles(pair for pair in found if pair != ("two", "top")) == set()
    assert nodes(package) == {"one", "two", "top", "apart"}


def test_a_table_is_read_as_it_is_meant() -> None:
    text = (
        "| place | what | may import |\n|---|---|---|\n| `low.py`, `sub/` | | |\n| `high/`, `x.py` | | `mid`, torch |\n"
    )
    assert allowed(text) == {
        "low": {"sub"},
        "sub": {"low"},
        "high": {"x", "mid", "low", "sub"},
        "x": {"high", "mid", "low", "sub"},
    }
