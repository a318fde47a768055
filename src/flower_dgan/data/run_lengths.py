"""Masks as run lengths, as COCO's files have them: column by column, and first the pixels that are not in the mask.

Lengths are a list, or text: each in groups of five bits, the lowest first, a sixth bit for "more follows", and 48 added
to make characters; from the fourth length on, the difference to that two before it (``maskApi.c`` of COCO's API).
Text from a file is read here rather than by that API, which trusts it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flower_dgan.data.object_masks import Bits

_MORE, _SIGN, _BITS = 0x20, 0x10, 5
_LONGEST = 7  # characters of a length below 2^31, and of a difference of two


def lengths_of(mask: Bits) -> list[int]:
    """Return the run lengths of a mask (height, width)."""
    flat = np.concatenate([[False], mask.ravel(order="F"), [not mask[-1, -1]]])
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    return [int(each) for each in np.diff(ends, prepend=0)]


def mask_of(lengths: Sequence[int], height: int, width: int) -> Bits:
    """Return the mask (height, width) of run lengths.

    Raises
    ------
    ValueError
        A length is no whole number of at least 0, or together they are not as many as there are pixels.
    """
    if not all(type(each) is int and each >= 0 for each in lengths):
        raise ValueError("its run lengths are not all whole numbers of at least 0")
    if sum(lengths) != height * width:
        raise ValueError(f"its run lengths are {sum(lengths):,} pixels in all, and {height} x {width} are wanted")
    values = np.arange(len(lengths)) % 2 == 1
    flat: NDArray[np.bool_] = np.repeat(values, np.array(lengths, dtype=np.int64))
    return flat.reshape((height, width), order="F")


def to_text(lengths: Sequence[int]) -> str:
    """Write run lengths as text."""
    written = []
    for index, length in enumerate(lengths):
        rest = length - (lengths[index - 2] if index > 2 else 0)
        while True:
            group, rest = rest & (_MORE - 1), rest >> _BITS
            more = rest != (-1 if group & _SIGN else 0)
            written.append(chr((group | (_MORE if more else 0)) + 48))
            if not more:
                break
    return "".join(written)


def from_text(text: str) -> list[int]:
    """Read what :func:`to_text` or COCO's API wrote; raises ValueError for other text."""
    steps: list[int] = []
    value = groups = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 2 * _MORE or groups == _LONGEST:
            raise ValueError("its text is no run length")
        value |= (code & (_MORE - 1)) << _BITS * groups
        groups += 1
        if not code & _MORE:
            steps.append(value - (1 << _BITS * groups) if code & _SIGN else value)
            value = groups = 0
    if groups:
        raise ValueError("its text ends within a run length")
    lengths: list[int] = []
    for index, step in enumerate(steps):
        lengths.append(step + (lengths[index - 2] if index > 2 else 0))
    return lengths
