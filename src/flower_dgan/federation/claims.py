"""Whose a client's name is: it belongs to one node until the training ends, also while that node is away.

A node proves that it is the one of before by its id in Flower, which a registered key keeps for it, or by the token
that it showed when it joined the training and keeps in its own state.
"""

import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from flower_dgan.data.plain_values import read_json
from flower_dgan.errors import ConfigError, FederationError
from flower_dgan.whole_file import whole_file
from flower_dgan.wire.join_messages import NodeDescription


@dataclass(frozen=True)
class _Holder:
    """Who has a name: the id of the node, and the hash of its token."""

    node_id: int
    token: str


class Claims:
    """The names of a training's clients and their holders, in a file that outlives the server.

    Parameters
    ----------
    file : Path
        ``members.json`` of the run directory, readable by its user only.

    Raises
    ------
    ConfigError
        If the file is there and cannot be read.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._holders: dict[str, _Holder] = {}
        if file.is_file():
            try:
                for name, each in read_json(file).items():
                    self._holders[name] = _Holder(int(each["node_id"]), str(each["token"]))
            except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
                raise ConfigError(f"{file} cannot be read: {error}. Begin a new training.") from error

    def take(self, node_id: int, description: NodeDescription) -> None:
        """Give a node the name that it goes by.

        Raises
        ------
        FederationError
            If the name is another node's.
        """
        token = hashlib.sha256(description.token.encode()).hexdigest()
        holder = self._holders.get(description.name)
        if holder and holder.node_id != node_id and not hmac.compare_digest(holder.token, token):
            raise FederationError(
                f"the name {description.name} is another node's in this training, and this one shows neither its key "
                "nor its token"
            )
        if holder != (now := _Holder(node_id, token)):
            self._holders[description.name] = now
            with whole_file(self._file, private=True) as partial:
                partial.write_text(json.dumps({n: asdict(h) for n, h in self._holders.items()}), encoding="utf-8")
