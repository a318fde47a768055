"""Which trainings the owner of a node approved: each once, by the hash of its settings."""

import hashlib
import json
import sqlite3
import time
from dataclasses import asdict, dataclass

from flower_dgan.config import TrainingConfig
from flower_dgan.errors import ConfigError, PolicyError
from flower_dgan.node.book import Book
from flower_dgan.node.policy import ReleasePolicy

HASH_DIGITS = 32  # a server chooses both descriptions of a collision: half as many digits would be too few
_MOST_WAITING = 100  # a server may ask about as many trainings as it likes, and the oldest are forgotten
_ANY = ""  # the identity of a training that the owner approved before it began

_MOST_ENDED = 100  # whose settings, which a server makes as long as it likes, are kept

WAITING, APPROVED, REVOKED, ENDED = "waiting", "approved", "revoked", "ended"
UNASKED = "unasked"
"""A training that began where the policy wants no approval."""


_NOT_ASKED = (None, ENDED, UNASKED)


@dataclass(frozen=True)
class Asked:
    """A training that asked, or was approved before it did.

    Attributes
    ----------
    settings : str
        Hash of its settings, 32 hexadecimal digits.
    identity : str
        Of the training; empty before it began.
    state : str
        ``waiting``, ``approved``, ``unasked``, ``revoked`` or ``ended``.
    since : float
        When it came to that, in seconds since 1970.
    description : str
        Its settings as JSON.
    """

    settings: str
    identity: str
    state: str
    since: float
    description: str


def settings_hash(config: TrainingConfig) -> str:
    """Return what an owner approves a training by, 32 hexadecimal digits: of its settings as its node uses them."""
    return hashlib.sha256(_description(config).encode()).hexdigest()[:HASH_DIGITS]


class Approvals:
    """What an owner said of trainings, in the owner's book.

    Parameters
    ----------
    book : Book or None
        None for this user's.
    """

    def __init__(self, book: Book | None = None) -> None:
        self._book = book or Book()

    def require(self, policy: ReleasePolicy, identity: str, config: TrainingConfig) -> None:
        """Let a training that the owner approved begin, and note one that asks.

        An approval is for one training: another with the same settings asks anew. Where the policy wants none, nothing
        is noted; see :meth:`note_unasked`.

        Parameters
        ----------
        policy : ReleasePolicy
            The owner's.
        identity : str
            Of the training.
        config : TrainingConfig
            Its settings.

        Raises
        ------
        PolicyError
            If the training waits, has waited too long, or was ended by the owner.
        """
        settings = settings_hash(config)
        with self._book.changing() as rows:
            state, since = _state(rows, settings, identity)
            if _is_blocked(rows, settings):
                state = REVOKED
            elif not policy.approval:
                return
            elif state in _NOT_ASKED and _state(rows, settings, _ANY)[0] == APPROVED:
                rows.execute("DELETE FROM approvals WHERE settings = ? AND identity = ?", (settings, _ANY))
                state = _write(rows, settings, identity, APPROVED, config)
            elif state in _NOT_ASKED:
                state, since = _write(rows, settings, identity, WAITING, config), time.time()
                _keep_newest(rows, WAITING, _MOST_WAITING)
        if state == REVOKED:
            raise PolicyError("revoked", f"The owner of this node ended trainings with the settings {settings}.")
        if state == WAITING and time.time() - since > policy.approval_hours * 3600:
            raise PolicyError("approval_hours", f"Training {settings} waited {policy.approval_hours:g} hours in vain.")
        if state == WAITING:
            raise PolicyError("approval", f"Training {settings} waits: flower-dgan policy approve {settings}")

    def note_unasked(self, identity: str, config: TrainingConfig) -> None:
        """Note a training that has begun, of whatever settings, so that the owner can end it.

        That is no approval: where the owner wants one from then on, the training waits for it.
        """
        settings = settings_hash(config)
        with self._book.changing() as rows:
            if _state(rows, settings, identity)[0] in (*_NOT_ASKED, WAITING):
                _write(rows, settings, identity, UNASKED, config)

    def require_still(self, policy: ReleasePolicy, identity: str) -> None:
        """Raise PolicyError if a training that has begun may not go on: the owner has ended it, or wants to be asked.

        The second is so where it began under another policy, which wanted no approval.
        """
        self.require_not_revoked(identity)
        if not policy.approval:
            return
        with self._book.changing() as rows:
            read = "SELECT settings, state FROM approvals WHERE identity = ?"
            states = {state: settings for settings, state in rows.execute(read, (identity,))}
        if APPROVED not in states:
            settings = states.get(UNASKED, states.get(WAITING, ""))
            raise PolicyError("approval", f"A training begun without approval: flower-dgan policy approve {settings}")

    def require_not_revoked(self, identity: str) -> None:
        """Raise PolicyError if the owner has ended a training."""
        with self._book.changing() as rows:
            read = "SELECT settings FROM approvals WHERE identity = ?"
            settings = [each for (each,) in rows.execute(read, (identity,)).fetchall()]
            found = [each for each in settings if _is_blocked(rows, each)]
        if found:
            raise PolicyError("revoked", f"The owner of this node ended this training ({found[0]}).")

    def end(self, identity: str, *, used: bool) -> None:
        """Note that a training was left; one in which nothing was answered leaves its approval to the next."""
        with self._book.changing() as rows:
            begun = rows.execute(
                "SELECT settings, description, state FROM approvals WHERE identity = ? AND state IN (?, ?, ?)",
                (identity, APPROVED, UNASKED, REVOKED),
            ).fetchall()
            used = used or rows.execute("SELECT 1 FROM used WHERE identity = ?", (identity,)).fetchone() is not None
            for settings, description, state in begun:
                if state == REVOKED:
                    rows.execute("INSERT OR IGNORE INTO blocked VALUES (?)", (settings,))
                _put(rows, settings, identity, ENDED, description)
                if not used and state == APPROVED:
                    _put(rows, settings, _ANY, APPROVED, description)
            _keep_newest(rows, ENDED, _MOST_ENDED)

    def note_use(self, identity: str) -> None:
        """Note, before it leaves, that one of this user's nodes answered a training more than its join."""
        with self._book.changing() as rows:
            rows.execute("INSERT OR IGNORE INTO used VALUES (?)", (identity,))

    def approve(self, settings: str, config: TrainingConfig | None = None) -> list[Asked]:
        """Approve the newest training that waits with these settings, or the next that asks; return what they are.

        One that began unasked where none waits. Those that were revoked while they were under way go on, too; one that
        had ended before does not.

        Parameters
        ----------
        settings : str
            The hash.
        config : TrainingConfig or None
            The settings, where the owner has them before a training with them asked.

        Raises
        ------
        ConfigError
            If there is nothing to approve.
        """
        with self._book.changing() as rows:
            alike = [each for each in _all(rows) if each.settings == settings]
            found = [each for each in alike if each.state == REVOKED]
            asking = [[each for each in alike if each.state == state] for state in (WAITING, UNASKED)]
            found += (asking[0] or asking[1])[-1:]
            lifted = rows.execute("DELETE FROM blocked WHERE settings = ?", (settings,)).rowcount
            for each in found:
                _put(rows, settings, each.identity, APPROVED, each.description)
            if config is not None and not found:
                _write(rows, settings, _ANY, APPROVED, config)
        if not found and config is None and not lifted:
            raise ConfigError(
                f"No training {settings} waits for this user. `flower-dgan policy waiting` lists those that do; give a "
                "file with its settings to approve one before it begins."
            )
        return found

    def revoke(self, settings: str) -> list[Asked]:
        """End the trainings with these settings, and let no other begin; raises ConfigError if there is none."""
        with self._book.changing() as rows:
            found = [each for each in _all(rows) if each.settings == settings]
            if found:
                rows.execute("INSERT OR IGNORE INTO blocked VALUES (?)", (settings,))
            for each in found:
                if each.state == WAITING:
                    rows.execute("DELETE FROM approvals WHERE settings = ? AND identity = ?", (settings, each.identity))
                elif each.state in (APPROVED, UNASKED):
                    _put(rows, settings, each.identity, REVOKED, each.description)
        if not found:
            raise ConfigError(f"This user's nodes know no training {settings}: see `flower-dgan policy waiting --all`.")
        return found

    def all(self) -> list[Asked]:
        """Return every training that asked or was approved, the oldest first."""
        with self._book.changing() as rows:
            return _all(rows)


def _description(config: TrainingConfig) -> str:
    return json.dumps(asdict(config), sort_keys=True)


def _all(rows: sqlite3.Connection) -> list[Asked]:
    return [Asked(*each) for each in rows.execute("SELECT * FROM approvals ORDER BY rowid")]  # whatever the clock said


def _is_blocked(rows: sqlite3.Connection, settings: str) -> bool:
    if rows.execute("SELECT 1 FROM blocked WHERE settings = ?", (settings,)).fetchone():
        return True
    read = "SELECT 1 FROM approvals WHERE settings = ? AND state = ?"
    return rows.execute(read, (settings, REVOKED)).fetchone() is not None


def _keep_newest(rows: sqlite3.Connection, state: str, most: int) -> None:
    """Forget the oldest of a state, by the order in which they came to it: a clock may have been set back since."""
    newest = "SELECT rowid FROM approvals WHERE state = ? ORDER BY rowid DESC LIMIT ?"
    rows.execute(f"DELETE FROM approvals WHERE state = ? AND rowid NOT IN ({newest})", (state, state, most))


def _state(rows: sqlite3.Connection, settings: str, identity: str) -> tuple[str | None, float]:
    read = "SELECT state, since FROM approvals WHERE settings = ? AND identity = ?"
    return rows.execute(read, (settings, identity)).fetchone() or (None, 0.0)


def _write(rows: sqlite3.Connection, settings: str, identity: str, state: str, config: TrainingConfig) -> str:
    _put(rows, settings, identity, state, _description(config))
    return state


def _put(rows: sqlite3.Connection, settings: str, identity: str, state: str, description: str) -> None:
    row = (settings, identity, state, time.time(), description)
    rows.execute("INSERT OR REPLACE INTO approvals VALUES (?, ?, ?, ?, ?)", row)
