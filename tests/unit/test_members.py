"""The rows of a member: what they are called, and what they are made of."""

import numpy as np
import pytest

from flower_dgan.data.pairs import Pairs
from flower_dgan.errors import DataError
from flower_dgan.tasks.members import Whose, fewer_real, plus_rows, require_sizes, row_of, whose, with_synthetic


def pairs_of(*levels: int, channels: int = 1, classes: int = 2) -> Pairs:
    images = tuple(np.full((2, 2, channels), level, np.uint8) for level in levels)
    return Pairs(images, tuple(image[:, :, 0] % 2 for image in images), classes)


def levels(pairs: Pairs) -> list[int]:
    assert all(
        (image[:, :, 0] % 2 == label_map).all() for image, label_map in zip(pairs.images, pairs.label_maps, strict=True)
    )
    return [int(image[0, 0, 0]) for image in pairs.images]


@pytest.mark.parametrize(
    ("real", "synthetic", "expected"),
    [
        ((1, 2), (10, 11, 12, 13, 14, 15, 16), [1, 2] * 4),  # 3.5 rounds to the even 4
        ((1, 2), (10, 11, 12, 13, 14), [1, 2] * 2),
        ((1, 2), (10, 11), [1, 2]),
        ((1,), (10, 11, 12), [1] * 3),
    ],
)
def test_real_pairs_are_repeated_to_be_half_of_all(
    real: tuple[int, ...], synthetic: tuple[int, ...], expected: list[int]
) -> None:
    assert levels(with_synthetic(pairs_of(*real), pairs_of(*synthetic))) == [*expected, *synthetic]


def test_synthetic_pairs_are_repeated_where_they_are_fewer() -> None:
    assert sorted(levels(with_synthetic(pairs_of(1, 2, 3, 4), pairs_of(10, 11)))) == [1, 2, 3, 4, 10, 10, 11, 11]


@pytest.mark.parametrize("other", [{"channels": 3}, {"classes": 3}])
def test_other_channels_or_classes_are_refused(other: dict[str, int]) -> None:
    with pytest.raises(DataError, match=r"The real images have \(channels, classes\) \(1, 2\), the synthetic ones \("):
        with_synthetic(pairs_of(1), pairs_of(10, **other))


def test_rows_are_called_by_the_member_and_known_by_what_they_are() -> None:
    members = {"kidney": pairs_of(1, 2), "k": pairs_of(3)}
    assert [row_of(row, "kidney") for row in ("Real-k", "Real-k+DGAN")] == ["Real-kidney", "Real-kidney+DGAN"]
    assert list(plus_rows("Real-k+DGAN", members, pairs_of(9))) == ["Real-kidney+DGAN", "Real-k+DGAN"]
    known = whose(members)
    assert known["Real-kidney+FedGAN"] == Whose("Real-k+FedGAN", "kidney", 2)
    assert known["Real-k"] == Whose("Real-k", "k", 1)
    assert known["FedAvg-equal-bytes"] == Whose("FedAvg-equal-bytes")
    assert "Real-All" not in known


def test_fewer_images_are_among_more_and_depend_on_the_seed() -> None:
    members = {"a": pairs_of(*range(20)), "b": pairs_of(1, 2, 3)}
    chosen = {(name, len(pairs)): set(levels(pairs)) for name, pairs in fewer_real(members, [8, 2, 3, 8], 0)}
    assert list(chosen) == [("a", 2), ("a", 3), ("a", 8), ("b", 2)]  # all three of b are no fewer
    assert all(len(levels) == size for (_, size), levels in chosen.items())
    assert chosen["a", 2] < chosen["a", 3] < chosen["a", 8]
    other = {(name, len(pairs)): set(levels(pairs)) for name, pairs in fewer_real(members, [8], 1)}
    assert other["a", 8] != chosen["a", 8]


def test_a_number_that_nobody_has_more_of_is_refused() -> None:
    members = {"a": pairs_of(1, 2, 3), "b": pairs_of(1, 2)}
    require_sizes(members, [1, 2])
    require_sizes(members, [])
    with pytest.raises(DataError, match="has 3, and no member has more than 3 real images"):
        require_sizes(members, [2, 3])
