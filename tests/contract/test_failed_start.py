"""A start that fails leaves no real images at the nodes, and what a run writes is its user's alone."""

import logging
import os
from pathlib import Path

import pytest
from flwr.app import Context, Error, Message

from flower_dgan.errors import ConfigError, DganError, FederationError
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.wire.join_messages import JOIN, LABEL_MAPS, LEAVE
from tests.contract.conftest import TINY, Federation, Reply, TamperedApp


def kept_at_nodes(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "state").rglob("*") if path.is_file())


def test_nodes_forget_where_one_of_them_refuses(federation: Federation, own_home: Path) -> None:
    seen = []

    def refuse(message: Message, context: Context, answer: Reply) -> Message:
        if context.node_id == 2 and message.metadata.message_type == JOIN:
            return Message(Error(code=1000, reason="no \x1b[31m" + "x" * 100_000), reply_to=message)
        reply = answer(message, context)
        seen.append((message.metadata.message_type, kept_at_nodes(own_home)))
        return reply

    with pytest.raises(FederationError, match=r"node 2: no \\x1b\[31mxxx") as caught:
        federation.run(client_app=TamperedApp(refuse))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    assert seen[0][1] == ["groups.json", "images.npy", "label_maps.npy", "lock", "node.json", "shapes.npy"]
    assert [kind for kind, _ in seen].count(LEAVE) == 2  # the one that refused may have kept something too
    assert kept_at_nodes(own_home) == []


def test_nodes_forget_where_their_label_maps_are_refused(federation: Federation, own_home: Path) -> None:
    def lie(message: Message, context: Context, answer: Reply) -> Message:
        reply = answer(message, context)
        if message.metadata.message_type == LABEL_MAPS and context.node_id == 1:
            reply.content.array_records["label-maps"]["shapes"].shape = (0, 2)
        return reply

    with pytest.raises(FederationError, match="node 1: "):
        federation.run(client_app=TamperedApp(lie))
    assert kept_at_nodes(own_home) == []


@pytest.mark.parametrize("place", ["image_shape", "server_state", "begin"])
def test_nodes_forget_where_the_start_fails_after_the_join(
    federation: Federation, own_home: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Whatever it is: networks that do not fit, another task before, too few clients for the merge rule."""

    def fail(*arguments: object) -> None:
        assert kept_at_nodes(own_home)
        raise FederationError("They do not fit.")

    monkeypatch.setattr(f"flower_dgan.federation.job.{place}", fail)
    with pytest.raises(FederationError, match="They do not fit"):
        federation.run()
    assert kept_at_nodes(own_home) == []


def test_the_first_error_is_told_where_leaving_fails_too(
    federation: Federation, own_home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("flwr"), "propagate", True)

    def fail(message: Message, context: Context, answer: Reply) -> Message:
        if message.metadata.message_type == LEAVE or context.node_id == 2:
            return Message(Error(code=1000, reason="no"), reply_to=message)
        return answer(message, context)

    with pytest.raises(FederationError, match="The run cannot start: node 2: no"):
        federation.run(client_app=TamperedApp(fail))
    assert "No answer to leaving from node 1, 2: what it kept of the training stays there." in caplog.text


def test_a_training_that_has_begun_stays_at_the_nodes(
    federation: Federation, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its next start fails, as a node is away: with those that are there it goes on later."""

    def stop(*_: object, **__: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as broken:
        # after the last round and its checkpoint
        broken.setattr("flower_dgan.federation.training.peak_memory_mib", stop)
        with pytest.raises(InterruptedError):
            federation.run()
    kept = kept_at_nodes(own_home)
    assert any(name.startswith("round-") for name in kept)

    def refuse(message: Message, context: Context, answer: Reply) -> Message:
        assert message.metadata.message_type != LEAVE
        if context.node_id == 2:
            return Message(Error(code=1000, reason="not now"), reply_to=message)
        return answer(message, context)

    with pytest.raises(FederationError, match="node 2: not now"):
        federation.run(f"resume={federation.directory}", client_app=TamperedApp(refuse))
    assert kept_at_nodes(own_home) == kept


def test_a_node_that_cannot_describe_itself_keeps_nothing(
    federation: Federation, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The join is refused after the pairs were written: by the node itself, so that no server need let it go."""

    def fail(*_: object) -> None:
        assert kept_at_nodes(own_home)
        raise DganError("Too many label maps.")

    monkeypatch.setattr("flower_dgan.client_app.pack", fail)

    def without_leaving(message: Message, context: Context, answer: Reply) -> Message:
        if message.metadata.message_type == LEAVE:
            return Message(Error(code=0, reason="away"), reply_to=message)
        return answer(message, context)

    with pytest.raises(FederationError, match="node 1: "):
        federation.run(client_app=TamperedApp(without_leaving))
    assert kept_at_nodes(own_home) == []


@pytest.mark.parametrize("name", ["../../../elsewhere", "St Mary/Ward 3", "x\x1b[2J", "[x](javascript:alert(1))"])
def test_a_name_that_is_none_ends_the_start(federation: Federation, own_home: Path, tmp_path: Path, name: str) -> None:
    def lie(message: Message, context: Context, answer: Reply) -> Message:
        reply = answer(message, context)
        if message.metadata.message_type == JOIN and context.node_id == 2:
            reply.content.config_records["node"]["name"] = name
        return reply

    with pytest.raises(FederationError, match="node 2: The client's name, '") as caught:
        federation.run(client_app=TamperedApp(lie))
    assert str(caught.value).isprintable()
    assert not list(tmp_path.rglob("*elsewhere*"))
    assert kept_at_nodes(own_home) == []


def test_names_that_differ_by_a_sign_share_no_file(federation: Federation) -> None:
    """Half of the synthetic set of ``clinic_a`` and ``clinic a`` was overwritten."""
    names = {1: "clinic_a", 2: "clinic a", 3: "Clinic-A"}

    def rename(message: Message, context: Context, answer: Reply) -> Message:
        reply = answer(message, context)
        if message.metadata.message_type == JOIN:
            reply.content.config_records["node"]["name"] = names[context.node_id]
        return reply

    directory = federation.run("output.synthetic_images=9", clients=3, client_app=TamperedApp(rename)).path
    for folder in ("images", "masks"):
        files = {path.name.casefold() for path in (directory / "synthetic" / folder).iterdir()}
        assert len(files) == 9
    assert {join.site for join in read_metrics(directory).joins} == set(names.values())


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_what_shows_label_maps_is_its_users_alone(federation: Federation, own_home: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        directory = federation.run().path
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o777 for path in (directory, *directory.rglob("*"))}
    for folder in (".", "samples", "checkpoints", "synthetic"):
        assert modes[directory / folder] == 0o700
    files = [directory / "label_maps.npz", *(directory / "checkpoints").iterdir()]
    assert {modes[file] for file in files} == {0o600}
    for path in (own_home / "cache" / "flower-dgan" / "label-maps").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_was_there_keeps_its_mode(federation: Federation) -> None:
    federation.directory.mkdir(mode=0o755)
    directory = federation.run().path
    assert directory.stat().st_mode & 0o777 == 0o755
    assert (directory / "samples").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("home", ["/dev/null", "/proc/nothing"])
@pytest.mark.parametrize("variable", ["XDG_STATE_HOME", "XDG_CACHE_HOME"])
def test_a_home_that_cannot_be_written_is_named_with_what_moves_it(
    federation: Federation, monkeypatch: pytest.MonkeyPatch, variable: str, home: str
) -> None:
    """The run directory is elsewhere: what the nodes keep and the server's copies of label maps are not."""
    monkeypatch.setenv(variable, home)
    with pytest.raises(DganError, match=f"{home}/flower-dgan/.*: N.* directory. .*{variable}") as caught:
        federation.run()
    assert "\n" not in str(caught.value)
    assert "Free space" not in str(caught.value)


def test_a_home_that_cannot_be_written_and_no_directory_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/dev/null")
    with pytest.raises(ConfigError, match=r"/dev/null/flower-dgan/runs/.* cannot be made.* Set output\.directory"):
        RunDirectory.open(resolve(TINY), 1)
