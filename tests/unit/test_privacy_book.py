"""What was spent of patients' privacy is kept, only grows, and is spent with what is released or not at all."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from flower_dgan.errors import StorageError
from flower_dgan.node.book import Book
from flower_dgan.node.privacy_book import Patient, most_spent, patients_of, release


def images_of(*values: int) -> NDArray[np.uint8]:
    """Return a hash each that is told by its first byte."""
    return np.array([[value] + [0] * 31 for value in values], np.uint8)


def known(values: tuple[int, ...], groups: str, node: str = "a") -> tuple[Patient, ...]:
    return patients_of(images_of(*values), tuple(groups), node)


def spend(patients: tuple[Patient, ...], mu: float, request: bytes, answer: bytes = b"!") -> bytes:
    return release(Book(), request, patients, mu, lambda _: None, lambda: answer)


def test_images_of_a_name_and_names_of_an_image_are_one_patient() -> None:
    """P has 1 and 2; Q has 3; R has 4 and, as a copy, 3: Q and R are one."""
    found = known((1, 3, 2, 4, 3), "PQPRR")
    assert [each.images for each in found] == [(0, 2), (1, 3, 4)]
    assert [len(each.subjects) for each in found] == [3, 4]


def test_a_copy_joins_patients_that_were_apart_before_it() -> None:
    assert [each.images for each in known((1, 2, 3, 2, 1), "PQRPQ")] == [(0, 1, 3, 4), (2,)]


@pytest.mark.parametrize(
    ("values", "groups", "node"),
    [
        ((1,), "P", "a"),  # as it was
        ((1,), "Z", "b"),  # renamed, at a node of another name
        ((9,), "P", "a"),  # all pixels changed
        ((9, 8, 1), "XYZ", "c"),  # one of many
        ((2,), "P", "a"),  # the image that was released is gone
    ],
)
def test_what_was_spent_is_found_by_pixels_or_by_name(values: tuple[int, ...], groups: str, node: str) -> None:
    """3^2 + 4^2 = 5^2."""
    spend(known((1,), "P"), 3.0, b"first")
    spend(known((1, 2), "PP"), 4.0, b"second")
    assert most_spent(Book(), known(values, groups, node)) == pytest.approx(5.0)


def test_who_was_not_there_has_spent_nothing() -> None:
    spend(known((1,), "P"), 3.0, b"first")
    assert most_spent(Book(), known((7,), "Q")) == 0.0
    assert most_spent(Book(), known((7,), "P", "another node")) == 0.0


def test_an_image_that_comes_to_a_patient_is_charged_for_all_that_the_patient_spent() -> None:
    spend(known((1,), "P"), 3.0, b"first")
    spend(known((1, 2), "PP"), 4.0, b"second")
    assert most_spent(Book(), known((2,), "Z")) == pytest.approx(5.0)


def test_the_same_request_gets_the_same_bytes_and_costs_once() -> None:
    patients = known((1, 2), "PQ")
    assert spend(patients, 3.0, b"request", b"noise") == b"noise"
    assert spend(patients, 3.0, b"request", b"other noise") == b"noise"
    assert most_spent(Book(), patients) == pytest.approx(3.0)
    assert spend(patients, 3.0, b"another", b"other noise") == b"other noise"
    assert most_spent(Book(), patients) == pytest.approx(18**0.5)


def test_the_check_sees_who_spent_most_with_this_release() -> None:
    spend(known((1,), "P"), 3.0, b"first")
    seen: list[float] = []
    release(Book(), b"second", known((1, 2), "PQ"), 4.0, seen.append, lambda: b"!")
    assert seen == [pytest.approx(5.0)]


def refuse(_: float = 0.0) -> bytes:
    raise PermissionError("no")


@pytest.mark.parametrize(("check", "make"), [(refuse, lambda: b"!"), (lambda _: None, refuse)])
def test_what_is_refused_or_not_made_costs_nothing(check: Callable[[float], None], make: Callable[[], bytes]) -> None:
    patients = known((1,), "P")
    with pytest.raises((PermissionError, StorageError)):
        release(Book(), b"request", patients, 3.0, check, make)
    assert most_spent(Book(), patients) == 0.0
    assert spend(patients, 3.0, b"request", b"later") == b"later"


@pytest.mark.parametrize("mu", [0.0, -1.0, float("nan")])
def test_what_has_no_noise_is_no_release(mu: float) -> None:
    with pytest.raises(ValueError, match="a release of mu"):
        spend(known((1,), "P"), mu, b"request")
