"""Who is a patient, and folds of patients."""

from collections import Counter
from dataclasses import dataclass

import pytest

from flower_dgan.data.pairs import Entry
from flower_dgan.data.patients import deal_into_folds, patients_known


def entries(site: str, *groups: str, each: int = 2) -> tuple[Entry, ...]:
    return tuple(Entry(f"{site}_{group}_{n}", site, group, -1, 8, 8) for group in groups for n in range(each))


@dataclass
class Both:
    train: tuple[Entry, ...]
    test: tuple[Entry, ...]


@pytest.mark.parametrize(
    ("group", "known"),
    [("patient", True), ("a", False)],
)
def test_a_group_that_is_no_image_is_a_patient(group: str, known: bool) -> None:
    image = Entry("a", "all", group, -1, 8, 8)
    assert patients_known(Both((image,), ())) is known  # type: ignore[arg-type]
    assert patients_known(Both((), (image,))) is known  # type: ignore[arg-type]


@pytest.mark.parametrize("folds", [2, 3])
def test_each_members_patients_are_spread_evenly(folds: int) -> None:
    members = {"b": entries("b", *"pqrstuv"), "a": entries("a", *"ABCD"), "c": entries("c", "Z")}
    fold_of = deal_into_folds(members, folds)
    for held in members.values():
        groups = {entry.group for entry in held}
        counts = Counter(fold_of[group] for group in groups)
        assert sum(counts.values()) == len(groups)
        assert max(counts.values()) - min(counts[fold] for fold in range(folds)) <= 1
    assert deal_into_folds(dict(reversed(members.items())), folds) == fold_of


def test_a_patient_of_two_members_is_in_one_fold_and_counts_at_both() -> None:
    members = {"a": entries("a", "shared", "x"), "b": entries("b", "shared", "y")}
    fold_of = deal_into_folds(members, 2)
    assert fold_of["x"] == fold_of["y"] == 1 - fold_of["shared"]
