"""What is known of each client of a training, from its events."""

from collections.abc import Mapping
from typing import Any

Fields = Mapping[str, Any]

_STATES = {"refused": "refused", "left out": "left out", "away": "away"}
_OF_A_ROUND = ("discriminator_loss", "generator_loss", "weight", "rounds_late", "bounded", "capped", "sendings")


class Clients:
    """The clients of a training, each as the last events say."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, Any]] = {}

    def _of(self, name: object) -> dict[str, Any]:
        fresh = {
            "name": str(name),
            "state": "unknown",
            "why": "",
            "images": None,
            "channels": None,
            "policy": None,
            "device": None,
            "last_round": None,
            "last_time": None,
            "late": 0,
            "answers": 0,
            "rejected": 0,
            "repeats": 0,
            "busy": None,
            "compute": None,
            "sent": 0,
            "received": 0,
            "memory": None,
        }
        return self._found.setdefault(str(name), fresh)

    def join(self, fields: Fields) -> None:
        """Take that a client joined."""
        client = self._of(fields.get("site"))
        told = {name: fields.get(name) for name in ("images", "channels", "policy")}
        client.update(state="connected", why="", **told)

    def change(self, fields: Fields) -> None:
        """Take that a client came, left, or was refused."""
        state = _STATES.get(str(fields.get("change")), "connected")
        why = str(fields.get("what")) if state != "connected" else ""
        self._of(fields.get("who")).update(state=state, why=why)

    def round(self, fields: Fields) -> None:
        """Take a round: who answered, whose answer was rejected and why, who is still at work."""
        number = fields.get("round")
        for name, done in _items(fields, "clients"):
            client = self._of(name)
            client.update(state="connected", why="", last_round=number, last_time=fields.get("time"))
            client["memory"] = done.get("peak_memory_mib", client["memory"])
            client["answers"] += 1
            client.update(busy=done.get("busy_seconds"), compute=done.get("compute_seconds"))
            client["sent"] += done.get("bytes_sent", 0)
            client["received"] += done.get("bytes_received", 0)
            client.update({key: done[key] for key in _OF_A_ROUND if key in done})
        for name, why in _items(fields, "rejected"):
            client = self._of(name)
            client["rejected"] += 1
            client.update(state="rejected", why=str(why))
        for name in fields.get("late", ()):
            self._of(name)["late"] += 1
            self._of(name).update(state="late", why=f"still at work when round {number} ended")
        for name, count in _items(fields, "repeats"):
            self._of(name)["repeats"] += count

    def device(self, fields: Fields) -> None:
        """Take where the networks of a client are."""
        if (who := str(fields.get("who"))) in self._found:
            self._found[who]["device"] = fields.get("what")

    def memory(self, fields: Fields) -> None:
        """Take the peak of a client's memory."""
        if (who := str(fields.get("who"))) in self._found:
            self._found[who]["memory"] = fields.get("peak_mib")

    def shown(self) -> list[dict[str, Any]]:
        """Return them, in the order in which they came."""
        return list(self._found.values())


def _items(fields: Fields, name: str) -> list[tuple[str, Any]]:
    found = fields.get(name)
    return list(found.items()) if isinstance(found, Mapping) else []
