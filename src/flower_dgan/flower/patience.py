"""How long a grid waits for a reply before it takes the message for lost."""

from flower_dgan.flower.sent import Sent
from flower_dgan.wire.packing import weigh
from flower_dgan.wire.parcels import PART

_SHORTEST = 10.0
_FIRST = 90.0
_SLOWEST_LINK = 20_000.0


class Patience:
    """Learns from the replies that came: four times the longest wait for a reply to such a message, at least 10 s.

    While there was none it is 90 s, and a second for each 20 kB of the message.
    """

    def __init__(self) -> None:
        self._longest_waits: dict[str, float] = {}

    def note(self, kind: str, seconds: float) -> None:
        """Note how long a reply to a message of that kind took."""
        self._longest_waits[kind] = max(self._longest_waits.get(kind, 0.0), seconds)

    def seconds(self, sent: Sent) -> float:
        """Return the seconds after which silence means that what was sent last is lost."""
        first = _FIRST + weigh(sent.message.content) / _SLOWEST_LINK
        if sent.sent_kind == PART:  # which may have to wait until the node is done with another message
            return max([first, *(4 * wait for wait in self._longest_waits.values())])
        longest = self._longest_waits.get(sent.sent_kind)
        return first if longest is None else max(_SHORTEST, 4 * longest)
