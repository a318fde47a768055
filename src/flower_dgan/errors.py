"""Errors that a user can act on: each message says what was wrong and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class DganError(Exception):
    """Base of every error that flower-dgan raises on purpose."""


class ConfigError(DganError):
    """The configuration names something unknown or contradicts itself."""


class DataError(DganError):
    """The data on disk cannot be used as they are."""


class ProtocolError(DganError):
    """A message does not follow the protocol; nothing in it was used."""


class FederationError(DganError):
    """The nodes that are present cannot run the job as configured."""


class DivergedError(FederationError):
    """What the server computed is not finite; its generator is of no use any more."""


def brief(reason: str, most: int = 300) -> str:
    """Return a reason that somebody else gave, cut to so many characters: it may be megabytes long."""
    return reason if len(reason) <= most else f"{reason[:most]}... ({len(reason):,} characters)"


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown and which known name is nearest.

    Parameters
    ----------
    kind : str
        What is named, such as ``"model"``.
    name : str
        The unknown name.
    known : Iterable[str]
        Every valid name.

    Returns
    -------
    str
        One sentence, with the nearest known name first if one is near.
    """
    names = sorted(known)
    nearest = get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
    return f"Unknown {kind} '{name}'.{hint} Known: {', '.join(names)}."
