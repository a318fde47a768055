"""What each member gains, from a run to its report."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import label

from flower_dgan.baselines import fedgan_row
from flower_dgan.baselines.fedgan_row import train_fedgan
from flower_dgan.baselines.folds import plan_folds
from flower_dgan.baselines.own_patients import held_out
from flower_dgan.baselines.rows import LocalFederation
from flower_dgan.config import Config
from flower_dgan.data import Pairs, open_source
from flower_dgan.data.array_files import write_image
from flower_dgan.data.image_files import read_mask
from flower_dgan.errors import DataError
from flower_dgan.federation import evaluation
from flower_dgan.flower.ledger import Ledger
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.run.run_records import RunMetrics
from flower_dgan.tasks.members import plus_rows

from .conftest import Federation

SMALL = (
    "data.image_size=16 model=small-all-sites model.generator_width=4 model.discriminator_width=4 "
    "downstream=images downstream.steps=2 downstream.batch_size=2 downstream.seeds=1"
)
TILES = {
    "tr": {"east": ("e1", "e2", "e3"), "north": ("n1", "n2", "n3"), "south": ("s1",)},
    "te": {"east": ("e4",), "west": ("w1",)},
}
"""The patients of each site; each has two tiles."""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Return the overrides for three members, of whom south has one patient, and a site with test tiles only."""
    generator = np.random.default_rng(0)
    for split, sites in TILES.items():
        for site, patients in sites.items():
            for name in (f"{split}_{site}_{patient}_{tile}" for patient in patients for tile in range(2)):
                mask = (generator.random((16, 16)) > 0.6).astype(np.uint8)
                image = generator.integers(0, 120, (16, 16, 3), dtype=np.uint8) + mask[..., None] * np.uint8(100)
                write_image(image, tmp_path / "data/images", name)
                write_image(mask[..., None] * np.uint8(255), tmp_path / "data/masks", name)
    return f"data=folder data.root='{tmp_path / 'data'}' algorithm=dgan partition=site exchange.batch_size=2 {SMALL}"


def patients(metrics: RunMetrics, **which: object) -> set[str]:
    return {p.patient for p in metrics.patients if all(getattr(p, name) == value for name, value in which.items())}


def test_a_run_says_what_each_member_gains(
    folder: str, federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[int | None, Pairs] = {}
    beside: list[Pairs] = []

    def train(config: Config, members: LocalFederation, rounds: int | None = None) -> tuple[Pairs, Ledger, int]:
        result = train_fedgan(config, members, rounds)
        drawn.setdefault(rounds, result[0])
        return result

    def note(row: str, members: Mapping[str, Pairs], synthetic: Pairs) -> dict[str, Pairs]:
        beside.append(synthetic)
        return plus_rows(row, members, synthetic)

    monkeypatch.setattr(fedgan_row, "train_fedgan", train)
    monkeypatch.setattr(evaluation, "plus_rows", note)
    rows = "[Real-k,Real-k+DGAN,Real-k+FedGAN,DGAN,FedAvg,FedAvg-equal-bytes,FedGAN-equal-bytes]"
    more = "downstream.member_folds=3 'downstream.member_sizes=[2,4]' 'downstream.synthetic_times=[1,2]'"
    path = federation.run(f"{folder} downstream.rows={rows} {more}", clients=3).path
    metrics = read_metrics(path)
    assert len(drawn) == 2
    assert [id(each) for each in beside] == [id(drawn[None])]  # FedGAN as it is, not at equal bytes
    plus = {f"Real-{name}+{gan}" for name in ("east", "north", "south") for gan in ("DGAN", "FedGAN")}
    shared = {"DGAN", "FedAvg", "FedAvg-equal-bytes", "FedGAN-equal-bytes"}
    real = {"Real-east", "Real-north", "Real-south"}
    assert {t.row for t in metrics.tstr} == {*real, *plus, *shared, "DGAN x 1", "DGAN x 2"}
    # the test split, which is the same for all
    for row, member in (("Real-k", "north"), ("Real-k+DGAN", "south"), ("Real-k+FedGAN", "east"), ("FedAvg", "")):
        assert patients(metrics, tested_on="all", row=row, member=member) == {"e4", "w1"}
    # a member's own: one that has test tiles has them too, and one patient cannot be held out
    for row in ("Real-k", "Real-k+DGAN", "Real-k+FedGAN", "DGAN", "FedAvg", "FedAvg-equal-bytes"):
        assert patients(metrics, tested_on="own", row=row, member="east") == {"e1", "e2", "e3", "e4"}
        assert patients(metrics, tested_on="own", row=row, member="north") == {"n1", "n2", "n3"}
        assert patients(metrics, tested_on="own", row=row, member="south") == set()
    assert {(p.unit, p.images) for p in metrics.patients} == {("patient", 2)}
    # six, six and two training tiles: 2 are all that south has
    sizes = {(p.member, p.real) for p in metrics.patients if p.tested_on == "all" and p.row == "Real-k+DGAN"}
    assert sizes == {*((name, n) for name in ("east", "north") for n in (2, 4, 6)), ("south", 2)}
    report = (path / "report.md").read_text()
    section = report.split("## What each member gains\n\n")[1].split("\n\n## ")[0]
    assert "| north | 4 | Real-k+DGAN | 3 | 1 |" in section  # own: four of six tiles in each fold
    assert "| too few patients |" in section
    assert "| all that it has | 3 | 2 | 1 |" in section
    # what peers at equal bytes cost is what it was to be: within a round of theirs, whose messages are larger
    crossed = sum(r.bytes for r in metrics.records if r.site in ("east", "north", "south")) / 3
    for row in ("FedAvg-equal-bytes", "FedGAN-equal-bytes"):
        (cost,) = {(t.bytes_sent + t.bytes_received, t.rounds) for t in metrics.traffic if t.row == row}
        assert cost[1] == 1 or abs(cost[0] - crossed) < cost[0] / cost[1]


def test_what_a_fold_is_tested_on_is_in_none_of_its_trainings(folder: str) -> None:
    config = resolve(f"{folder} downstream.member_folds=2")
    folds = plan_folds(config, 3)
    tested = {"east": set(), "north": set(), "south": set()}
    for fold in folds:
        held = {entry.group for entries in fold.held.values() for entry in entries}
        kept = {entry.group for entries in fold.kept.values() for entry in entries}
        assert held
        assert held | kept == {"e1", "e2", "e3", "e4", "n1", "n2", "n3", "s1"}
        assert not held & kept
        for name, entries in fold.held.items():
            assert not tested[name] & {entry.group for entry in entries}
            tested[name] |= {entry.group for entry in entries}
    assert tested == {"east": {"e1", "e2", "e3", "e4"}, "north": {"n1", "n2", "n3"}, "south": set()}


def test_objects_are_scored_for_patients_whose_tiles_are_all_numbered(folder: str, tmp_path: Path) -> None:
    numbers = {}
    for tile in ("tr_east_e1_0", "tr_east_e1_1", "tr_east_e2_0"):
        numbers[tile] = label(read_mask(tmp_path / "data/masks" / f"{tile}.png"))[0].astype(np.uint8)
        write_image(numbers[tile][..., None], tmp_path / "data/instances", tile)
    config = resolve(f"{folder} downstream.metrics=[dice,aji]")
    source = open_source(config.data)
    east = [entry for entry in source.train if entry.site == "east"]
    numbered, others = held_out(config, source, "east", east)
    assert (numbered.patients, numbered.metrics) == (("e1", "e1"), ("dice", "aji"))
    assert numbered.pairs.instances is not None
    np.testing.assert_array_equal(numbered.pairs.instances[1], numbers["tr_east_e1_1"])
    assert (others.patients, others.metrics) == (("e2", "e2", "e3", "e3"), ("dice",))
    objects = replace(config, downstream=replace(config.downstream, metrics=("aji",)))
    assert [each.patients for each in held_out(objects, source, "east", east)] == [("e1", "e1")]


def test_without_numbers_all_objects_are_components(folder: str) -> None:
    config = resolve(f"{folder} downstream.metrics=[dice,aji]")
    source = open_source(config.data)
    (all_of_them,) = held_out(config, source, "east", source.test)
    assert (all_of_them.patients, all_of_them.metrics) == (("e4", "e4", "w1", "w1"), ("dice", "aji"))
    assert all_of_them.pairs.instances is None


def test_no_folds_are_planned_where_none_are_asked(folder: str) -> None:
    assert plan_folds(resolve(folder), 3) == ()


def test_a_number_that_no_member_has_more_of_is_refused_before_any_work(folder: str, federation: Federation) -> None:
    with pytest.raises(DataError, match="has 6, and no member has more than 6 real images"):
        federation.run(f"{folder} 'downstream.member_sizes=[4,6]'", clients=3)
    assert read_metrics(federation.directory).joins == ()


def test_a_member_that_cannot_fill_a_batch_without_a_fold_is_named_before_any_work(
    folder: str, federation: Federation
) -> None:
    with pytest.raises(DataError, match=r"one of 2 folds, north has 2 images, fewer than a batch of 3"):
        federation.run(f"{folder} data.sites=[east,north] exchange.batch_size=3 downstream.member_folds=2", clients=2)


def test_folds_hold_no_more_out_where_the_table_is_chosen_by_validation_images(
    folder: str, federation: Federation
) -> None:
    rows = "downstream.rows=[Real-k,Real-k+DGAN] downstream.member_folds=3 'downstream.member_sizes=[2]'"
    path = federation.run(f"{folder} {rows} selection.validation_fraction=0.34", clients=3).path
    metrics = read_metrics(path)
    assert all("at the best of 2 moments" in each.remark for each in metrics.tstr)
    assert patients(metrics, tested_on="own", row="Real-k+DGAN", member="north") == {"n1", "n2", "n3"}
    # of north's three patients the table has two, with two images each, and the folds have two of three, too
    real = {p.real for p in metrics.patients if (p.row, p.member) == ("Real-k", "north")}
    assert real == {2, 4}
