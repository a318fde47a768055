"""Whether the data say who is a patient, and patients dealt into folds."""

from collections.abc import Mapping, Sequence
from hashlib import sha256

from flower_dgan.data.pairs import Entry, Source


def patients_known(source: Source) -> bool:
    """Return whether the data say which images are of one patient (or scene), not only that each is one of its own.

    Several images of a group do, and so does a group that is called otherwise than its image.
    """
    return any(entry.group != entry.name for entry in (*source.train, *source.test))


def deal_into_folds(members: Mapping[str, Sequence[Entry]], folds: int) -> dict[str, int]:
    """Deal the patients of all members into folds, so that each member's are spread as evenly as can be.

    A patient with images at several members is in one fold at all of them: nobody is to learn from the images of a
    patient that another one is tested on.

    Parameters
    ----------
    members : mapping of str to sequence of Entry
        The images of each member.
    folds : int
        How many, at least 2.

    Returns
    -------
    dict of str to int
        The fold of each group, 0 .. ``folds`` - 1: member after member in the order of their names, its groups in the
        order of the hashes of theirs, each into the first of the folds with the fewest groups of this member. The same
        on every machine, and no seed to choose.
    """
    fold_of: dict[str, int] = {}
    for member in sorted(members):
        groups = sorted({entry.group for entry in members[member]}, key=_hash)
        held = [sum(fold_of.get(group) == fold for group in groups) for fold in range(folds)]
        for group in groups:
            if group not in fold_of:
                fold_of[group] = held.index(min(held))
                held[fold_of[group]] += 1
    return fold_of


def _hash(group: str) -> bytes:
    return sha256(group.encode("utf-8", "surrogateescape")).digest()
