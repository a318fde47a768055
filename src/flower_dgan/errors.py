"""Errors that a user can act on: each message says what was wrong and what to do."""

import errno
from collections.abc import Iterable
from difflib import get_close_matches

from flower_dgan.printable import printable

_LONGEST_QUOTE = 500
_LONGEST_LINE = 4000


class DganError(Exception):
    """Base of every error that flower-dgan raises on purpose."""


class ConfigError(DganError):
    """The configuration names something unknown or contradicts itself."""


class RangeError(ConfigError):
    """A setting is of the right type, and its value is out of range."""


class DataError(DganError):
    """The data on disk cannot be used as they are."""


class NotFiniteError(DataError):
    """No figure can be made, as something that it would be made of is NaN or infinite."""


class ProtocolError(DganError):
    """A message does not follow the protocol; nothing in it was used.

    Its text quotes what a peer sent: it is kept as :func:`~flower_dgan.printable.printable` shows it.
    """

    def __init__(self, text: str) -> None:
        super().__init__(printable(text, _LONGEST_QUOTE))


class VersionError(ProtocolError):
    """The counterpart has another version of the protocol."""


class FederationError(DganError):
    """The nodes that are present cannot run the job as configured."""


class PolicyError(FederationError):
    """The policy of a node's owner is against what is asked.

    Parameters
    ----------
    rule : str
        Which line of the policy.
    text : str
        What it forbids, for the owner.
    """

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(text)
        self.rule = rule


class ForgottenError(FederationError):
    """A node has not joined a training, or what it kept of it is gone."""


class StorageError(DganError):
    """Something cannot be written, as the disk is full or the place is not the user's own."""


class DeviceMemoryError(DganError):
    """What was asked for does not fit into the memory of a device."""


class DivergedError(FederationError):
    """What the server computed is not finite; its generator is of no use any more."""


def reason_of(error: BaseException) -> str:
    """Return the message of an error, which a library may have written in several lines, in one."""
    return printable(" ".join(str(error).split()), _LONGEST_LINE)


def one_line(error: BaseException) -> str:
    """Return what went wrong in one line: a message that this package wrote, or the kind of error and its message."""
    text = reason_of(error)
    return text if isinstance(error, DganError) else f"{type(error).__name__}: {text}"


def told(error: BaseException) -> str | None:
    """Return what to tell a user of an error, None for a defect: nobody thought of it, and a developer wants to know.

    Parameters
    ----------
    error : BaseException
        Any.

    Returns
    -------
    str or None
        For an error of this package its message; for one of the system which file it is about, and what to do; for a
        lack of memory the same.
    """
    if isinstance(error, DganError):
        return str(error)
    if isinstance(error, MemoryError):
        return "This machine has not enough memory for that: take fewer or smaller images, or other settings."
    before = error.__context__
    if isinstance(error, RuntimeError) and isinstance(before, OSError) and before.errno == errno.ELOOP:
        error = before  # of Path.resolve before Python 3.13, where a link leads to itself
    if not isinstance(error, OSError):
        return None
    reason = error.strerror or printable(str(error))
    where = f"{printable(_text(error.filename), None)}: " if error.filename is not None else ""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            what = "Free space on that disk, then start the same again."
        case errno.EACCES | errno.EPERM | errno.EROFS:
            what = "Let this user read and write it, or name another place."
        case errno.ENOENT | errno.ENOTDIR | errno.EISDIR | errno.ENAMETOOLONG | errno.ELOOP:
            what = "Name a file or folder that is there."
        case _:
            what = "See whether disk and network are sound, then start the same again."
    return f"{where}{reason}. {what}"


def defect(error: BaseException) -> str:
    """Return what to say below the traceback of a defect."""
    return (
        f"{one_line(error)}. This is an error in flower-dgan and not in what you did: report it, with the command and "
        "with the lines above."
    )


def _text(path: object) -> str:
    return path.decode(errors="surrogateescape") if isinstance(path, bytes) else str(path)


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
        One sentence, with the nearest known name first if one is near; names as
        :func:`~flower_dgan.printable.printable` shows them.
    """
    names = sorted(known)
    nearest = get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f" Did you mean '{printable(nearest[0])}'?" if nearest else ""
    return f"Unknown {kind} '{printable(name)}'.{hint} Known: {', '.join(map(printable, names))}."
