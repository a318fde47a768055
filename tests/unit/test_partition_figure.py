"""How differently clients are made up: counts, distances, the figure and the command."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.data import Entry, Pairs
from flower_dgan.data.skew import Distribution, distributions
from flower_dgan.errors import ConfigError, DataError, FederationError
from flower_dgan.report.partition_figure import partition_figure
from tests.pairs import make_folder

THREE = Distribution("class", ("a", "b", "c", "d"), np.array([[2, 2, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]))


@dataclass(frozen=True)
class _Source:
    """Entries whose mask of 10 pixels has as many of foreground as the last digit of the name says."""

    train: Sequence[Entry] = ()
    test: Sequence[Entry] = ()
    classes: int = 2
    image_classes: int = 0

    def load(self, entries: Sequence[Entry]) -> Pairs:
        masks = [(np.arange(10) < int(entry.name[-1])).astype(np.uint8).reshape(2, 5) for entry in entries]
        return Pairs(tuple(np.zeros((2, 5, 1), np.uint8) for _ in masks), tuple(masks), 2)


def _parts(**clients: Sequence[tuple[str, str, int]]) -> dict[str, list[Entry]]:
    return {
        client: [Entry(name, site, name, label, 2, 5) for name, site, label in pairs]
        for client, pairs in clients.items()
    }


def test_total_variation_distance() -> None:
    assert THREE.distances.tolist() == [[0.0, 0.5, 1.0], [0.5, 0.0, 1.0], [1.0, 1.0, 0.0]]
    assert THREE.mean_distance == pytest.approx(5 / 6)
    assert Distribution("site", ("a",), np.array([[3]])).mean_distance == 0.0


def test_labels_and_sites_are_counted() -> None:
    parts = _parts(one=[("a", "x", 3), ("b", "y", 1), ("c", "x", 3)], two=[("d", "y", 1), ("e", "x", 1)])
    by_class, by_site = distributions(_Source(), parts)
    assert (by_class.what, by_class.kinds, by_class.counts.tolist()) == ("class", ("1", "3"), [[1, 2], [2, 0]])
    assert (by_site.what, by_site.kinds, by_site.counts.tolist()) == ("site", ("x", "y"), [[2, 1], [1, 1]])


def test_sites_that_are_the_labels_name_them() -> None:
    parts = _parts(one=[("a", "shirt", 0), ("b", "coat", 4)], two=[("c", "coat", 4)])
    (only,) = distributions(_Source(), parts)
    assert (only.what, only.kinds, only.counts.tolist()) == ("class", ("shirt", "coat"), [[1, 1], [0, 1]])


def test_without_labels_the_quarters_by_foreground_are_counted() -> None:
    # Foreground 0, 1, ..., 8 tenths: the quarters end at 2, 4, 6 and 8 tenths, the upper bound is the next one's.
    parts = _parts(few=[(f"a{k}", "all", -1) for k in (0, 1, 2, 3)], many=[(f"b{k}", "all", -1) for k in range(4, 9)])
    (only,) = distributions(_Source(), parts)
    assert only.kinds == ("0-20 %", "20-40 %", "40-60 %", "60-80 %")
    assert only.counts.tolist() == [[2, 2, 0, 0], [0, 0, 2, 3]]
    same = _parts(one=[("a5", "all", -1)], two=[("b5", "all", -1), ("c5", "all", -1)])
    assert distributions(_Source(), same)[0].kinds == ("50 %",)


def test_the_figure_shows_counts_and_distances() -> None:
    figure = partition_figure(["p", "q", "r"], [THREE])
    bars, heat_map = figure.axes[:2]
    assert [label.get_text() for label in bars.get_yticklabels()] == ["p", "q", "r"]
    drawn = [[(bar.get_x(), bar.get_width()) for bar in kind] for kind in bars.containers]  # type: ignore[attr-defined]
    assert drawn[0] == [(0, 2), (0, 1), (0, 0)]
    assert drawn[1] == [(2, 2), (1, 0), (0, 0)]
    assert drawn[2] == [(4, 0), (1, 1), (0, 0)]
    np.testing.assert_array_equal(heat_map.images[0].get_array(), THREE.distances)
    assert [text.get_text() for text in heat_map.texts][:3] == ["0.00", "0.50", "1.00"]


def _run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["data", "partition", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_draws_and_lists_the_clients(tmp_path: Path) -> None:
    output = tmp_path / "digits.png"
    shown = _run("partition=pathological", "--clients", 3, "--output", output)
    assert shown.count("2 of ") == 3
    assert "of 1438 training pairs are no client's" in shown
    assert Image.open(output).width > 500
    root = make_folder(tmp_path / "data", sites=2)
    shown = _run(f"data=folder data.root='{root}' data.condition=none downstream=none", "--output", tmp_path / "f.png")
    assert all(words in shown for words in ("foreground", "site0 (100%)", "site1 (100%)", "by site: 1.000"))
    assert "no client's" not in shown
    shutil.rmtree(root / "masks")
    shown = _run(f"data=folder data.root='{root}' data.condition=none downstream=none", "--output", tmp_path / "f.png")
    assert "foreground" not in shown
    assert "by site: 1.000" in shown
    with pytest.raises(DataError, match="no folder 'masks'"):
        _run(f"data=folder data.root='{root}'", "--output", tmp_path / "f.png")


@pytest.mark.parametrize("clients", [101, 300, 1438])
def test_of_more_clients_than_can_be_seen_there_is_a_table_and_no_figure(tmp_path: Path, clients: int) -> None:
    shown = _run("partition=iid", "--clients", clients, "--output", tmp_path / "many.png")
    assert shown.count(" of 10 ") == clients
    assert f"No figure: 100 clients can be drawn, and there are {clients:,}." in shown
    assert not list(tmp_path.iterdir())


def test_of_more_clients_than_pairs_there_is_a_word(tmp_path: Path) -> None:
    with pytest.raises(FederationError, match="1439 clients cannot share 1438 training pairs"):
        _run("partition=iid", "--clients", 1439, "--output", tmp_path / "many.png")


def test_the_command_needs_a_number_of_clients(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="partition=iid takes any number of clients: give --clients"):
        _run("partition=iid", "--output", tmp_path / "p.png")
