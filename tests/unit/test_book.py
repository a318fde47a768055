"""Counts that outlive trainings, restarts and whatever is done to the files of images."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from flower_dgan.data import Pairs
from flower_dgan.errors import FederationError, PolicyError, StorageError
from flower_dgan.node.book import Book
from flower_dgan.node.counts import Counts
from flower_dgan.node.kept_pairs import hashes
from flower_dgan.node.new_book import begin_new_book
from flower_dgan.node.policy import ReleasePolicy

NONE = np.zeros(0, np.int64)
ANY = ReleasePolicy(True, False, False, False, None)


def pairs_of(*values: int) -> Pairs:
    """Return an image of one grey each, with a label map."""
    images = tuple(np.full((4, 4, 1), value, np.uint8) for value in values)
    return Pairs(images, tuple(np.zeros((4, 4), np.uint8) for _ in values), 2)


def total(images: NDArray[np.uint8]) -> list[list[int]]:
    """Return what is noted of each: how often it was asked about, and drawn."""
    with Book().changing() as rows:
        read = "SELECT asked, drawn FROM images WHERE pixels = ?"
        found = [rows.execute(read, (each.tobytes(),)).fetchone() or (0, 0) for each in images]
    return np.array(found).T.tolist()  # type: ignore[no-any-return]


def test_counts_are_by_pixels_whatever_the_order_and_the_company() -> None:
    """Renaming and reordering reset nothing, and neither does a file that is added: 7 was drawn 2 + 1 times."""
    Counts(Book(), hashes(pairs_of(7, 8)), "").add(np.array([0]), np.array([0, 0, 1]), ANY)
    Counts(Book(), hashes(pairs_of(9, 8, 7)), "").add(NONE, np.array([2]), ANY)
    assert total(hashes(pairs_of(8, 9, 7))) == [[0, 0, 1], [1, 0, 3]]


def test_two_images_of_the_same_pixels_have_one_count() -> None:
    Counts(Book(), hashes(pairs_of(7, 7)), "").add(NONE, np.array([0, 1, 1]), ANY)
    assert total(hashes(pairs_of(7))) == [[0], [3]]


def test_what_would_be_too_much_is_not_counted() -> None:
    counts, policy = Counts(Book(), hashes(pairs_of(7, 8)), ""), ReleasePolicy(True, False, False, False, 2)
    counts.add(NONE, np.array([0, 0]), policy)
    with pytest.raises(PolicyError, match=r"allows 2 queries on one image in all trainings.*image 0 would have 3"):
        counts.add(NONE, np.array([1, 0]), policy)
    assert total(hashes(pairs_of(7, 8))) == [[0, 0], [2, 0]]


def test_trainings_are_counted_by_image_and_by_seed() -> None:
    """The seed's count is the node's own: under another name it starts at 0, and its images' counts do not."""
    seven, both = hashes(pairs_of(7)), hashes(pairs_of(7, 8))
    assert [Book().begin(identity, "a", seed) for identity, seed in (("1", 4), ("2", 4), ("3", 5))] == [0, 1, 0]
    assert Book().begin("4", "b", 4) == 0
    assert Book().most_trainings(both) == 0  # nothing left yet
    told: list[int] = []
    for token, images in (("1", seven), ("2", seven), ("3", seven), ("3", seven), ("4", both)):
        Book().count_training(token, lambda images=images: images, told.append)  # type: ignore[misc]
    assert told == [1, 2, 3, 4]  # 3 once: it was counted already
    assert (Book().most_trainings(both), Book().most_trainings(hashes(pairs_of(8)))) == (4, 1)


def test_moments_are_of_the_same_windows_in_every_training() -> None:
    """Of 96 and of 95 windows would tell of the one between; by whatever network, and in whatever order of files."""
    Book().keep_to_windows(hashes(pairs_of(7, 8)), 16, 96)
    Book().keep_to_windows(hashes(pairs_of(8, 7)), 16, 96)
    for size, windows in ((16, 95), (32, 96)):
        with pytest.raises(
            FederationError, match=rf"96 windows of 16 pixels .*, and {windows} of {size} are asked for"
        ):
            Book().keep_to_windows(hashes(pairs_of(8, 7)), size, windows)


@pytest.mark.parametrize("other", [(7, 8), (7, 8, 9, 10), (9, 10)])
def test_moments_are_never_of_another_set_of_images_that_shares_one(other: tuple[int, ...]) -> None:
    """The difference of two such sets is a single patient, where a server says how many are held out."""
    Book().keep_to_windows(hashes(pairs_of(7, 8, 9)), 16, 96)
    with pytest.raises(FederationError, match="together with others, or without these"):
        Book().keep_to_windows(hashes(pairs_of(*other)), 16, 96)
    Book().keep_to_windows(hashes(pairs_of(10, 11)), 16, 40)  # which shares none: nothing was noted of 10


def test_the_book_knows_of_rounds_that_a_directory_has_forgotten() -> None:
    """Round 5 was answered: 4 is going back, and so is 5 with another bundle; 5 with the same, or 6, is not."""
    counts = Counts(Book(), hashes(pairs_of(7)), "token")
    assert counts.returns(4, "a", 0) == 0
    counts.add(NONE, np.array([0]), ANY, (5, "a", 1))
    assert [counts.returns(n, of, 1) for n, of in ((4, "a"), (5, "b"), (5, "a"), (6, "b"))] == [2, 2, 1, 1]
    assert counts.returns(6, "b", 0) == 1  # what a directory forgot of going back
    assert counts.returns(4, "a", 2) == 2  # which the directory has counted itself
    assert Counts(Book(), hashes(pairs_of(7)), "other").returns(4, "a", 0) == 0


def test_a_lost_book_is_not_begun_anew_by_itself(own_home: Path) -> None:
    """Each of the traces will do; the owner may begin another, whose trainings repeat no draws."""
    state = own_home / "state/flower-dgan"
    Book().begin("1", "a", 4)
    for trace in ("secrets/a", "ledger/a.jsonl", "clients/1/a/hashes.npy"):
        (state / trace).parent.mkdir(parents=True)
        (state / trace).write_text("x")
        Book().path.unlink()
        with pytest.raises(StorageError, match=r"book\.sqlite is missing, and .*policy new-book"):
            Book().begin("2", "a", 4)
        Book().path.touch()
        with pytest.raises(StorageError, match=r"is missing"):
            Book().most_trainings(hashes(pairs_of(7)))
        (state / trace).unlink()
        assert Book().begin("2", "a", 4) == 0
    (state / "secrets/a").write_text("x")
    Book().path.unlink()
    begin_new_book(state)
    assert Book().begin("2", "a", 4) > 1000


def test_the_book_is_its_owners_alone_whatever_the_umask(own_home: Path) -> None:
    before = os.umask(0)
    try:
        Book().begin("1", "a", 4)
    finally:
        os.umask(before)
    path = own_home / "state/flower-dgan/book.sqlite"
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)] == [0o600, 0o700]


def test_a_damaged_book_is_named_and_nothing_goes_on_without_it() -> None:
    Book().begin("1", "a", 4)
    Book().path.write_bytes(b"no book at all, and long enough to be read as one" * 20)
    with pytest.raises(StorageError, match=r"book\.sqlite cannot be read or written.*answers nothing without it"):
        Counts(Book(), hashes(pairs_of(7)), "").add(NONE, np.array([0]), ANY)
