"""What the owner of a node sees: what left, how much of the images is used up, which trainings wait for approval."""

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from flower_dgan.errors import DganError, one_line
from flower_dgan.node.approvals import WAITING
from flower_dgan.node.budgets import Used, budgets
from flower_dgan.node.own_policy import check_code, own_policy
from flower_dgan.node.owner_ledger import OwnerLedger, ledgers_in
from flower_dgan.node.plain_words import in_plain_words
from flower_dgan.node.privacy_book import epsilon_spent
from flower_dgan.node.training_file import read_noted

_LAST = 100  # messages that are shown of each ledger


class NodeView:
    """The state directory of a node's user, which is read and never changed.

    Parameters
    ----------
    directory : Path
        The state directory.
    rules : str
        The policy, as ``policy`` of ``--node-config``.

    Raises
    ------
    ConfigError
        If the policy cannot be read.
    """

    def __init__(self, directory: Path, rules: str) -> None:
        self._directory = directory
        self._config = {"policy": rules}
        self._policy = own_policy(self._config)
        self._verdicts: dict[Path, tuple[tuple[int, int], dict[str, Any]]] = {}

    def shown(self) -> dict[str, Any]:
        """Return everything, as values for JSON."""
        problems: list[str] = []
        try:
            ledgers = [self._ledger(each) for each in ledgers_in(self._directory)]
        except DganError as error:
            ledgers = []
            problems.append(one_line(error))
        approvals, used = self._book(problems)
        return {
            "policy": self._config["policy"],
            "rules": {name: _rule(value) for name, value in asdict(self._policy).items()},
            "ledgers": ledgers,
            "trainings": approvals,
            "budgets": [asdict(each) | {"nearly": each.nearly} for each in budgets(self._policy, used)],
            "problems": problems,
        }

    def _ledger(self, ledger: OwnerLedger) -> dict[str, Any]:
        """Return what a ledger says; it is verified anew only where its file has changed."""
        found = ledger.path.stat()
        state = found.st_size, found.st_mtime_ns
        if self._verdicts.get(ledger.path, (None,))[0] != state:
            verdict = ledger.verify()
            left, refused = Counter[str](), Counter[str]()
            for line in verdict.lines:
                if "refusal" in line:
                    refused[str(line["refusal"])] += 1
                elif "part" not in line:  # the parts of an answer are counted with the whole
                    left.update({str(each["record"]): int(each["bytes"]) for each in line.get("records", ())})
            shown = {
                "node": ledger.path.stem,
                "messages": len(verdict.lines),
                "problems": list(verdict.problems),
                "head": verdict.head,
                "left": dict(left),
                "refused": dict(refused),
                "last": [_line(line) for line in verdict.lines[-_LAST:]],
            }
            self._verdicts[ledger.path] = state, shown
        return self._verdicts[ledger.path][1]

    def _book(self, problems: list[str]) -> tuple[list[dict[str, Any]], Used]:
        """Read the owner's book without the lock that its writers take."""
        file = self._directory / "book.sqlite"
        if not file.is_file():
            return [], Used()
        try:
            with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as rows:
                asked = rows.execute(
                    "SELECT settings, identity, state, since, description FROM approvals ORDER BY since DESC LIMIT 200"
                ).fetchall()
                used = rows.execute("SELECT MAX(asked), MAX(drawn), MAX(trainings) FROM images").fetchone()
                spent = 0.0
                with suppress(sqlite3.OperationalError):  # a book of a version that knew no such releases
                    spent = epsilon_spent(rows, self._policy.delta)
        except sqlite3.Error as error:
            problems.append(f"The owner's book cannot be read: {error}.")
            return [], Used()
        return [self._training(*each) for each in asked], Used(used[0] or 0, used[1] or 0, used[2] or 0, spent)

    def _training(self, settings: str, identity: str, state: str, since: float, description: str) -> dict[str, Any]:
        words = ""
        if state == WAITING:
            try:
                words = in_plain_words(self._policy, read_noted(description, partial(check_code, self._config)))
            except (DganError, ValueError) as error:
                words = f"Its settings cannot be read: {one_line(error)}"
        return {"settings": settings, "identity": identity, "state": state, "since": since, "words": words}


def _line(line: Mapping[str, Any]) -> dict[str, Any]:
    records = ", ".join(f"{each.get('record')} ({each.get('bytes')})" for each in line.get("records", ()))
    what = f"refused ({line['refusal']})" if "refusal" in line else records
    if "part" in line:
        what = f"part {line['part'].get('number', '')} of {line['part'].get('count', '')}"
    told = {name: line.get(name, "") for name in ("number", "time", "training", "purpose", "bytes")}
    return {**told, "what": what, "digest": str(line.get("digest", ""))[:16]}


def _rule(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(f"{name} {each}" for name, each in value.items() if each is not None) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "any number" if value is None else str(value)
