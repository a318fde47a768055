"""Server and nodes of different versions of this package: one sentence says which node, and what to do."""

import pytest
from flwr.app import Context, Message

from flower_dgan.errors import FederationError
from flower_dgan.wire import join_messages, protocol

from .conftest import Federation, Reply, TamperedApp

NEWER = protocol.PROTOCOL_VERSION + 1


class Node2:
    """Of a newer version: in what it accepts, in what it says, or in both, as a real one is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *modules: object) -> None:
        self._monkeypatch, self._modules = monkeypatch, modules

    def __call__(self, message: Message, context: Context, answer: Reply) -> Message:
        if context.node_id != 2:
            return answer(message, context)
        with self._monkeypatch.context() as patch:
            for module in self._modules:
                patch.setattr(module, "PROTOCOL_VERSION", NEWER)
            return answer(message, context)


@pytest.mark.parametrize(
    "modules", [(protocol, join_messages), (join_messages,)], ids=["a real one", "one that guesses"]
)
def test_a_node_of_another_version_is_named(
    federation: Federation, monkeypatch: pytest.MonkeyPatch, modules: tuple[object, ...]
) -> None:
    app = TamperedApp(Node2(monkeypatch, *modules))
    with pytest.raises(FederationError) as error:
        federation.run("exchange.min_nodes=2", client_app=app)
    versions = {protocol.PROTOCOL_VERSION, NEWER}
    assert str(error.value).count("node 2: ") == 1
    assert all(f"version {each}" in str(error.value) for each in versions)
    assert "install the same flower-dgan everywhere" in str(error.value)
