"""What was spent of patients' privacy is kept, only grows, depends on no image, and is spent with what is released."""

from collections.abc import Callable

import pytest

from flower_dgan.errors import StorageError
from flower_dgan.node.book import Book
from flower_dgan.node.privacy_book import is_released, name_of_request, patients_of, release, spent
from flower_dgan.resolve import resolve

MOMENTS = "privacy=moments data.condition=none downstream=none"


def spend(mu: float, request: bytes, answer: bytes = b"!") -> bytes:
    return release(Book(), request, mu, lambda _: None, lambda: answer)[0]


def test_images_of_a_name_are_one_patient() -> None:
    """P has the images 0 and 2, Q the images 1 and 4, and R one."""
    assert patients_of(("P", "Q", "P", "R", "Q")) == ((0, 2), (1, 4), (3,))


def test_who_comes_changes_nobody_else() -> None:
    """Whatever the others share with whom: a patient more is one sum more, and nothing that merges or moves."""
    before = patients_of(("P", "Q", "P"))
    assert patients_of(("P", "Q", "P", "X"))[:2] == before


def test_the_same_request_gets_the_same_bytes_and_costs_once() -> None:
    assert release(Book(), b"request", 3.0, lambda _: None, lambda: b"noise") == (b"noise", True)
    assert release(Book(), b"request", 3.0, lambda _: None, lambda: b"other noise") == (b"noise", False)
    assert spent(Book()) == pytest.approx(3.0)
    assert spend(4.0, b"another", b"other noise") == b"other noise"
    assert spent(Book()) == pytest.approx(5.0)  # 3^2 + 4^2 = 5^2


def test_the_check_sees_all_that_was_spent_with_this_release() -> None:
    """Of whatever node and whatever patients: of two nodes, as if each patient were at both."""
    spend(3.0, b"of a node")
    seen: list[float] = []
    release(Book(), b"of another", 4.0, seen.append, lambda: b"!")
    assert seen == [pytest.approx(5.0)]


def test_a_book_knows_what_was_released() -> None:
    spend(3.0, b"request")
    assert is_released(Book(), b"request")
    assert not is_released(Book(), b"another")


def test_a_release_is_named_by_node_and_settings_of_the_data_and_of_what_is_added_up() -> None:
    first = name_of_request("a", resolve(MOMENTS))
    assert name_of_request("a", resolve(f"{MOMENTS} seed=5 exchange.rounds=3 model.generator_width=8")) == first
    others = [name_of_request("b", resolve(MOMENTS))] + [
        name_of_request("a", resolve(f"{MOMENTS} {change}"))
        for change in ("data.image_size=16", "algorithm.epsilon=2", "algorithm.frequencies=9", "data.channels=3")
    ]
    assert len({first, *others}) == 6


def refuse(_: float = 0.0) -> bytes:
    raise PermissionError("no")


@pytest.mark.parametrize(("check", "make"), [(refuse, lambda: b"!"), (lambda _: None, refuse)])
def test_what_is_refused_or_not_made_costs_nothing(check: Callable[[float], None], make: Callable[[], bytes]) -> None:
    with pytest.raises((PermissionError, StorageError)):
        release(Book(), b"request", 3.0, check, make)
    assert spent(Book()) == 0.0
    assert spend(3.0, b"request", b"later") == b"later"


@pytest.mark.parametrize("mu", [0.0, -1.0, float("nan")])
def test_what_has_no_noise_is_no_release(mu: float) -> None:
    with pytest.raises(ValueError, match="a release of mu"):
        spend(mu, b"request")
