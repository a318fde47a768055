"""Training, validation and test split, by group: the images of one patient or scene are never on two sides."""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from flower_dgan.config import DataConfig
from flower_dgan.data.pairs import Entry
from flower_dgan.data.text_files import same_value
from flower_dgan.errors import ConfigError, DataError, unknown_name
from flower_dgan.printable import printable


def some(names: Iterable[str]) -> str:
    """Name the first five of a list in alphabetical order, and say how many more there are.

    Parameters
    ----------
    names : iterable of str
        What to list; repetitions count once.

    Returns
    -------
    str
        Such as ``"a, b, c, d, e and 2 more"``, each as :func:`~flower_dgan.printable.printable` shows it.
    """
    ordered = sorted(set(names))
    rest = f" and {len(ordered) - 5:,} more" if len(ordered) > 5 else ""
    return ", ".join(map(printable, ordered[:5])) + rest


def held_out_groups(groups: Iterable[str], fraction: float) -> frozenset[str]:
    """Choose the groups of the test split by the hash of their names: the same on every machine, and no seed to lose.

    Parameters
    ----------
    groups : iterable of str
        All groups; repetitions count once.
    fraction : float
        Share of the groups to hold out, in (0, 1).

    Returns
    -------
    frozenset of str
        The nearest whole number of groups, at least one; one group at least is left for training where there are two.

    Raises
    ------
    ConfigError
        If the fraction is not in (0, 1).
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"data.test_fraction={fraction} is not in (0, 1): set it to 0.2, for example.")
    ordered = sorted(set(groups), key=lambda group: sha256(group.encode("utf-8", "surrogateescape")).digest())
    count = min(max(1, round(fraction * len(ordered))), max(1, len(ordered) - 1))
    return frozenset(ordered[:count])


def validation_groups(parts: Iterable[Sequence[Entry]], fraction: float) -> frozenset[str]:
    """Choose the groups that no client learns from, as they are held out of the training split for validation.

    Of each client's groups it is :func:`held_out_groups`, so that no client is without validation images that has
    images of two groups. One that has a single group keeps that for its training. A group that is held out at one
    client is held out at all, so more than the share may be where several clients have images of one group.

    Parameters
    ----------
    parts : iterable of sequence of Entry
        The training entries of each client, at least one each.
    fraction : float
        Share of the groups of each client, in [0, 1); 0 for no group.
    """
    of_clients = [{entry.group for entry in part} for part in parts] if fraction else []
    return frozenset().union(*(held_out_groups(groups, fraction) for groups in of_clients if len(groups) > 1))


def split_entries(
    entries: Sequence[Entry], splits: Sequence[str] | None, config: DataConfig, *, tested: bool = True
) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """Divide entries into training and test, then keep the chosen sites for training.

    Parameters
    ----------
    entries : sequence of Entry
        All entries of a source.
    splits : sequence of str or None
        The split of each entry as the data give it; None to hold out ``config.test_fraction`` of the groups.
    config : DataConfig
        ``train_splits``, ``test_splits``, ``test_fraction`` (0 for nothing, which no setting can be) and ``sites`` are
        used.
    tested : bool
        Whether there must be test pairs where the data give a split. A node trains, and others test.

    Returns
    -------
    train, test : tuple of Entry
        In the order of ``entries``. ``config.sites`` bounds the training only.

    Raises
    ------
    ConfigError
        If a split is for both sides, a site is unknown or the fraction out of range.
    DataError
        If a split is for neither side, a group is on both, or a side that is needed is left empty.
    """
    if splits is None:
        groups = (entry.group for entry in entries)
        held_out = held_out_groups(groups, config.test_fraction) if config.test_fraction else frozenset()
        is_test = [entry.group in held_out for entry in entries]
    else:
        is_test = _given_sides(entries, splits, config)
    train = tuple(entry for entry, test in zip(entries, is_test, strict=True) if not test)
    test = tuple(entry for entry, test in zip(entries, is_test, strict=True) if test)
    for side, name, key in ((train, "training", "train_splits"), (test, "test", "test_splits")):
        if not side and (side is train or (tested if splits is not None else config.test_fraction)):
            raise DataError(
                f"No {name} pair among {len(entries)} pairs. Where the data give a split, change data.{key} (now "
                f"{list(getattr(config, key))}); otherwise give at least two groups (patients, scenes) of images."
            )
    known, sites = {entry.site for entry in train}, tuple(map(same_value, config.sites))
    for site in sites:
        if site not in known:
            raise ConfigError(f"{unknown_name('training site', site, known)} Change data.sites.")
    return tuple(entry for entry in train if not sites or entry.site in sites), test


def _given_sides(entries: Sequence[Entry], splits: Sequence[str], config: DataConfig) -> list[bool]:
    """Tell for each entry whether it is for the test."""
    for_training, for_test = ({*map(same_value, names)} for names in (config.train_splits, config.test_splits))
    if both := for_training & for_test:
        raise ConfigError(f"data.train_splits and data.test_splits share {some(both)}: name each split once.")
    if neither := set(splits) - for_training - for_test:
        raise DataError(
            f"Split {some(neither)} is in neither data.train_splits={list(config.train_splits)} "
            f"nor data.test_splits={list(config.test_splits)}: add it to one of them."
        )
    is_test = [split in for_test for split in splits]
    trained = {entry.group for entry, test in zip(entries, is_test, strict=True) if not test}
    if shared := trained & {entry.group for entry, test in zip(entries, is_test, strict=True) if test}:
        raise DataError(
            f"Group {some(shared)} has images both in training and in test, so the test would flatter the model: "
            "move all images of a group to one split."
        )
    return is_test
