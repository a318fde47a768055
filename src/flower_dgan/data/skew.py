"""How differently the pairs of the clients are distributed over classes and sites."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from flower_dgan.data.drawn_partition import foreground_shares
from flower_dgan.data.pairs import Entry, Source


@dataclass(frozen=True)
class Distribution:
    """How many pairs of each kind the clients hold.

    Attributes
    ----------
    what : str
        What the kinds are, such as ``"site"``.
    kinds : tuple of str
        Their names.
    counts : int64 array (clients, kinds)
        Pairs; at least one a client.
    ordered : bool
        Whether the kinds go from little to much.
    """

    what: str
    kinds: tuple[str, ...]
    counts: NDArray[np.int64]
    ordered: bool = False

    @property
    def distances(self) -> NDArray[np.float64]:
        """Return the total variation distance between the clients' distributions (clients, clients).

        With the share ``p_ic`` of kind ``c`` among the pairs of client ``i`` it is ``d_ij = sum_c |p_ic - p_jc| / 2``
        in [0, 1]: the share of one client's pairs that would have to be of another kind to have the other client's
        distribution; 0 for equal distributions, 1 for clients that have no kind in common.
        """
        shares = self.counts / self.counts.sum(axis=1, keepdims=True)
        return np.stack([np.abs(shares - own).sum(axis=1) / 2 for own in shares])

    @property
    def mean_distance(self) -> float:
        """Return the mean distance of two different clients; 0 where there is one client."""
        clients = len(self.counts)
        return float(self.distances.sum() / (clients * (clients - 1))) if clients > 1 else 0.0


def distributions(
    source: Source, parts: Mapping[str, Sequence[Entry]], class_names: Sequence[str] = ()
) -> tuple[Distribution, ...]:
    """Count the classes and the sites of each client's pairs.

    The class is the label of the image where there is one. Otherwise it is the quarter of the pairs by the foreground's
    share of the mask, for which all masks are read; where there are no masks either, sites alone are counted. Sites
    that are the labels by another name, or a single site, are not counted beside the classes.

    Parameters
    ----------
    source : Source
        Where the pairs come from.
    parts : mapping of str to sequence of Entry
        At least one pair of each client.
    class_names : sequence of str
        What class 0, 1, ... of whole images are called; none for the names of the sites that they are, or numbers.
    """
    entries = [entry for part in parts.values() for entry in part]
    sites = sorted({entry.site for entry in entries})
    by_site = _count("site", sites, parts, lambda entry: sites.index(entry.site))
    if any(entry.label < 0 for entry in entries):
        if source.classes == 1:
            return (by_site,)
        by_class = _by_foreground(source, entries, parts)
    else:
        labels = sorted({entry.label for entry in entries})
        together = sorted({(entry.label, entry.site) for entry in entries})
        same = len(together) == len(labels) == len(sites)
        names = [site for _, site in together] if same else list(map(str, labels))
        if class_names:
            names = [class_names[label] for label in labels]
        by_class = _count("class", names, parts, lambda entry: labels.index(entry.label))
        if same:
            return (by_class,)
    return (by_class, by_site) if len(sites) > 1 else (by_class,)


def _by_foreground(source: Source, entries: Sequence[Entry], parts: Mapping[str, Sequence[Entry]]) -> Distribution:
    share_of = dict(zip([entry.name for entry in entries], foreground_shares(source, entries), strict=True))
    edges = np.unique(np.quantile(list(share_of.values()), [0, 0.25, 0.5, 0.75, 1]))
    kinds = [f"{100 * low:.3g}-{100 * high:.3g} %" for low, high in pairwise(edges)] or [f"{100 * edges[0]:.3g} %"]

    def quarter(entry: Entry) -> int:
        return int(np.searchsorted(edges[1:-1], share_of[entry.name], side="right"))

    return _count("foreground", kinds, parts, quarter, ordered=True)


def _count(
    what: str,
    kinds: Sequence[str],
    parts: Mapping[str, Sequence[Entry]],
    kind_of: Callable[[Entry], int],
    *,
    ordered: bool = False,
) -> Distribution:
    """Count the pairs of each client by the number of their kind."""
    counts = [np.bincount([kind_of(entry) for entry in part], minlength=len(kinds)) for part in parts.values()]
    return Distribution(what, tuple(kinds), np.stack(counts), ordered)
