"""Messages in parts: what is cut is joined bit by bit, and whatever is lost on the way is sent anew."""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.app.message import array
from flwr.clientapp import ClientApp
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from hypothesis import given, settings
from hypothesis import strategies as st

from flower_dgan.errors import FederationError, ProtocolError
from flower_dgan.flower.flower_chunks import cut_arrays_small
from flower_dgan.flower.grid import FastGrid
from flower_dgan.flower.journey import BROKEN, Journey
from flower_dgan.flower.ledger import FROM_NODE, TO_NODE, Ledger
from flower_dgan.node.kept_parts import KeptParts, answer_in_parts
from flower_dgan.node.state import ClientState
from flower_dgan.resolve import resolve
from flower_dgan.wire.join_messages import JOIN
from flower_dgan.wire.packing import pack_content, unpack_content
from flower_dgan.wire.parcels import LARGEST, PARCEL, PART, Parcel, Whole, kept, missing, room
from tests.superlink import SuperLink
from tests.unit.test_client_state import some_pairs

TRAINING = "0123456789abcdef"
LIMIT = 100_000
ENVELOPE = Parcel(TRAINING, LIMIT)
HASH = "a" * 64

names = st.text(max_size=9)
scalars = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
values = scalars | st.text(max_size=9) | st.binary(max_size=9) | st.booleans()
lists = st.lists(st.integers(-9, 9)) | st.lists(st.binary(max_size=3)) | st.lists(st.text(max_size=3))
arrays = st.builds(
    lambda dtype, shape: Array(np.arange(np.prod(shape, dtype=int)).astype(dtype).reshape(shape)),
    st.sampled_from(["u1", "i2", "f2", "f4", "f8", "?"]),
    st.lists(st.integers(0, 3), max_size=3).map(tuple),
)
records = (
    st.dictionaries(names, arrays, max_size=3).map(ArrayRecord)
    | st.dictionaries(names, values | lists, max_size=3).map(ConfigRecord)
    | st.dictionaries(names, scalars | st.lists(st.floats(allow_nan=False), max_size=3), max_size=3).map(MetricRecord)
)
contents = st.dictionaries(names, records, max_size=4).map(RecordDict)


def large(size: int, fill: int = 0) -> RecordDict:
    """Return a content with an array of so many bytes, no two parts of which are equal."""
    data = np.random.default_rng(fill).integers(0, 256, size, dtype=np.uint8)
    return RecordDict({"settings": ConfigRecord({"round": fill}), "values": ArrayRecord({"x": Array(data)})})


def message(content: RecordDict, kind: str = "query.double", node: int = 1) -> Message:
    return Message(content, dst_node_id=node, message_type=kind, group_id="1")


@pytest.fixture(autouse=True)
def link() -> Iterator[SuperLink]:
    """Return a SuperLink of a run; its nodes end with the test."""
    link = SuperLink()
    yield link
    link.close()


@pytest.fixture
def state() -> ClientState:
    """Return what a node keeps of a training that it has joined."""
    state = ClientState(TRAINING, "north")
    state.join("north", some_pairs(), resolve(""), 1)
    return state


@given(content=contents)
def test_what_is_packed_comes_back_as_it_was(content: RecordDict) -> None:
    found = unpack_content(pack_content(content))
    assert list(found) == list(content)
    for name, record in content.items():
        assert type(found[name]) is type(record)
        assert list(found[name]) == list(record)
        for key, value in record.items():
            got = found[name][key]
            assert type(got) is type(value)
            assert got == value if not isinstance(value, Array) else vars(got) == vars(value)


@settings(max_examples=300)
@given(content=contents, data=st.data())
def test_whatever_else_is_read_is_refused_or_a_content(content: RecordDict, data: st.DataObject) -> None:
    packed = bytearray(pack_content(content))
    if data.draw(st.booleans()):
        packed = packed[: data.draw(st.integers(0, len(packed)))] + data.draw(st.binary(max_size=3))
    else:
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert isinstance(unpack_content(bytes(packed)), RecordDict)
    except ProtocolError:
        return


def test_no_memory_is_taken_for_what_is_only_announced() -> None:
    header = b'[["r","array",[["x","uint8",[9000000000],"numpy.ndarray",9000000000]]]]'
    with pytest.raises(ProtocolError, match="9000000000 bytes where 0 are left"):
        unpack_content(len(header).to_bytes(8, "big") + header)


def test_parts_are_of_equal_length_but_the_last() -> None:
    whole = Whole(HASH, 10, 3)
    assert [whole.place(number) for number in range(3)] == [slice(0, 4), slice(4, 8), slice(8, 10)]
    for number in (-1, 3):
        with pytest.raises(ProtocolError, match=f"part {number} of 3"):
            whole.place(number)


@given(size=st.integers(1, 10**7), limit=st.integers(LIMIT, 10**7))
def test_parts_make_the_whole_and_none_is_larger_than_there_is_room(size: int, limit: int) -> None:
    count = -(-size // room(limit))
    places = [Whole(HASH, size, count).place(number) for number in range(count)]
    assert [place.start for place in places] == [0, *(place.stop for place in places[:-1])]
    assert places[-1].stop == size
    assert max(place.stop - place.start for place in places) <= room(limit)


@pytest.mark.parametrize(
    ("digest", "size", "count"),
    [("../../x", 1, 1), (HASH + "\n", 1, 1), (HASH, 0, 1), (HASH, LARGEST + 1, 9), (HASH, 5, 6), (HASH, 10**9, 10**6)],
)
def test_a_whole_that_cannot_be_is_refused(digest: str, size: int, count: int) -> None:
    with pytest.raises(ProtocolError):
        Whole(digest, size, count)


@pytest.mark.parametrize("size", [1_000, 90_000, 94_900, 95_100, 400_000])
@pytest.mark.parametrize("arrays", [1, 60])
def test_no_message_of_flower_is_larger_than_the_limit(size: int, arrays: int) -> None:
    """As Flower sends it: the message and every object in it."""
    content = RecordDict(
        {"values": ArrayRecord({str(n): Array(np.zeros(size // arrays, "u1")) for n in range(arrays)})}
    )
    journey, sent = Journey(message(content), ENVELOPE), []
    while True:
        step = journey.step(1)
        sent.append(sum(len(each.deflate()) for each in get_all_nested_objects(step).values()))
        if journey.all_sent:
            break
        assert journey.take(Message(kept(), reply_to=step)) is None
    assert max(sent) <= LIMIT
    assert sum(sent) <= 1.1 * size + 60_000


def test_arrays_travel_in_chunks_that_a_slow_link_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    cut_arrays_small()
    assert [len(each.data) for _, each in Array(np.zeros(600_000, "u1")).slice_array()] == [262_144, 262_144, 75_840]
    monkeypatch.setattr(array, "FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE", 1)
    monkeypatch.setenv("FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE", "1")
    cut_arrays_small()
    assert array.FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE == 1  # the user's own choice


def doubled(whole: Message) -> RecordDict:
    """Answer with the same array and as much again."""
    data = whole.content.array_records["values"]["x"].numpy()
    return RecordDict({"answer": ArrayRecord({"y": Array(np.concatenate([data, data[::-1]]))})})


class Talk:
    """A journey to a node that is called, without a grid."""

    def __init__(self, content: RecordDict, handle: Callable[[Message], RecordDict] = doubled) -> None:
        self.journey = Journey(message(content), ENVELOPE)
        self._handle = handle
        self.steps = 0

    def step(self) -> RecordDict | Error | None:
        """Send one message, and return the whole answer if it is there."""
        self.steps += 1
        asked = self.journey.step(1)
        return self.journey.take(Message(answer_in_parts(asked, "north", self._handle), reply_to=asked))

    def end(self) -> RecordDict | Error:
        while (found := self.step()) is None:
            assert self.steps < 100
        return found


def expect(found: RecordDict | Error, content: RecordDict) -> None:
    assert isinstance(found, RecordDict)
    wanted = doubled(message(content))
    assert found["answer"]["y"].data == wanted.array_records["answer"]["y"].data


@pytest.mark.parametrize(("size", "steps"), [(10, 1), (60_000, 1 + 1), (250_000, 3 + 5)])
@pytest.mark.usefixtures("state")
def test_the_parts_of_message_and_answer(size: int, steps: int) -> None:
    """In 95 kB: whole; a whole message with an answer in two; three parts, and an answer in six with the first."""
    talk = Talk(large(size))
    expect(talk.end(), large(size))
    assert talk.steps == steps


def several(size: int) -> RecordDict:
    """Return a content with three arrays, of so many bytes together."""
    third = np.random.default_rng(size).integers(0, 256, size // 3, dtype=np.uint8)
    arrays = {"x": Array(third), "y": Array(third.astype(np.float16)[: size // 6]), "z": Array(third[::-1].copy())}
    return RecordDict({"settings": ConfigRecord({"round": 1}), "values": ArrayRecord(arrays)})


def objects(asked: Message) -> int:
    return len(get_all_nested_objects(asked))


@pytest.mark.parametrize("size", [600, 90_000])
def test_several_arrays_are_one_object_as_bytes_and_so_is_the_answer(size: int, state: ClientState) -> None:
    """Message, its content, the parcel's record, a record with an array, the array, and its chunk: six objects."""
    given, heard = several(size), []

    def again(whole: Message) -> RecordDict:
        heard.append(whole.content)
        return several(size)

    as_it_is = Journey(message(given), ENVELOPE)
    assert objects(as_it_is.step(1)) == 4 + 1 + 2 * 3  # the records, one of them the parcel's, and arrays with chunks
    journey = Journey(message(given), ENVELOPE, as_bytes=True)
    for copy in range(2):  # a message that comes twice
        asked = journey.step(1)
        assert (objects(asked), asked.metadata.message_type, journey.all_sent) == (6, "query.double", True)
        reply = Message(answer_in_parts(asked, "north", again), reply_to=asked)
        assert objects(reply) == 6
        assert len(heard) == copy + 1
    found = journey.take(reply)
    assert isinstance(found, RecordDict)
    assert pack_content(found) == pack_content(heard[0]) == pack_content(heard[1]) == pack_content(given)
    assert not journey.in_parts
    assert not state.parcels().exists()


@pytest.mark.usefixtures("state")
def test_what_fits_as_bytes_may_have_an_answer_in_parts() -> None:
    journey = Journey(message(several(60_000)), ENVELOPE, as_bytes=True)
    found, steps = None, 0
    while found is None:
        asked = journey.step(1)
        reply = answer_in_parts(asked, "north", lambda _: several(150_000))
        found, steps = journey.take(Message(reply, reply_to=asked)), steps + 1
    assert steps == 2
    assert isinstance(found, RecordDict)
    assert pack_content(found) == pack_content(several(150_000))


@pytest.mark.usefixtures("state")
def test_one_array_travels_as_it_is() -> None:
    journey = Journey(message(large(10)), ENVELOPE, as_bytes=True)
    assert set(journey.step(1).content) == {"settings", "values", PARCEL}


@pytest.mark.usefixtures("state")
def test_bytes_that_are_others_than_they_say_are_found_out() -> None:
    asked = Journey(message(several(600)), ENVELOPE, as_bytes=True).step(1)
    asked.content.array_records["part"]["bytes"] = Array(
        np.zeros_like(asked.content.array_records["part"]["bytes"].numpy())
    )
    with pytest.raises(ProtocolError, match="do not have the hash"):
        answer_in_parts(asked, "north", doubled)


@pytest.mark.usefixtures("state")
def test_every_part_may_come_twice() -> None:
    talk = Talk(large(250_000))
    while True:
        again = talk.journey.step(1)
        answer_in_parts(again, "north", doubled)
        if (found := talk.step()) is not None:
            break
    expect(found, large(250_000))
    assert talk.steps == 8


@pytest.mark.parametrize("lost_at", range(1, 8))
def test_a_node_that_lost_its_files_gets_all_parts_anew(lost_at: int, state: ClientState) -> None:
    talk = Talk(large(250_000))
    for _ in range(lost_at):
        assert talk.step() is None
    for file in [each for each in state.parcels().rglob("*") if each.is_file()]:
        file.unlink()
    expect(talk.end(), large(250_000))


def test_a_node_that_loses_its_files_each_time_is_given_up(state: ClientState) -> None:
    talk, found = Talk(large(250_000)), None
    while found is None:
        found = talk.step()
        for file in [each for each in state.parcels().rglob("*") if each.is_file()]:
            file.unlink()
    assert isinstance(found, Error)
    assert (found.code, found.reason) == (BROKEN, "an answer in parts: parts were lost 4 times")


@pytest.mark.usefixtures("state")
def test_two_messages_are_under_way_at_once() -> None:
    """As with a second bundle in flight: the first answer is fetched after the second was made."""
    first, second = Talk(large(150_000, 1)), Talk(large(150_000, 2))
    for talk in (first, second, first, second):
        assert talk.step() is None
    expect(first.end(), large(150_000, 1))
    expect(second.end(), large(150_000, 2))
    assert first.steps == second.steps == 5


def test_no_more_than_two_are_kept_and_only_the_owner_can_read_them(state: ClientState) -> None:
    for number in range(5):
        expect(Talk(large(150_000, number)).end(), large(150_000, number))
    assert {folder.name: len(list(folder.iterdir())) for folder in state.parcels().iterdir()} == {
        "messages": 2,
        "answers": 2,
    }
    assert {stat.S_IMODE(each.stat().st_mode) for each in state.parcels().rglob("*") if each.is_dir()} == {0o700}
    state.leave()
    assert not state.path.exists()


def test_a_stranger_leaves_no_file(own_home: Path) -> None:
    with pytest.raises(FederationError, match="has not joined"):
        Talk(large(250_000)).step()
    assert [each for each in own_home.rglob("*") if each.is_file()] == []


def first_part(**changed: object) -> RecordDict:
    """Return the first of three parts, with something else in its record."""
    content = Journey(message(large(250_000)), ENVELOPE).step(1).content
    content.config_records[PARCEL].update(changed)
    return content


@pytest.mark.parametrize(
    "changed",
    [
        {"digest": "../../../../x"},
        {"digest": 7},
        {"number": 3},
        {"number": -1},
        {"size": 10**12},
        {"size": 250_001},
        {"count": 2},
        {"count": 10**6},
        {"limit": 0},
        {"limit": 10},
        {"training": "../x"},
        {"training": ""},
        {"more": 1},
    ],
)
def test_a_part_that_is_not_what_it_says_is_refused(changed: dict[str, object], state: ClientState) -> None:
    with pytest.raises(ProtocolError):
        answer_in_parts(message(first_part(**changed), PART), "north", doubled)
    assert [each for each in state.path.rglob("parcels/**/*") if each.is_file()] == []


@pytest.mark.usefixtures("state")
def test_parts_of_another_whole_are_found_out() -> None:
    talk = Talk(large(150_000))
    assert talk.step() is None
    last = talk.journey.step(1).content
    last.array_records["part"]["bytes"] = Array(np.zeros_like(last.array_records["part"]["bytes"].numpy()))
    with pytest.raises(ProtocolError, match="do not have the hash"):
        answer_in_parts(message(last), "north", doubled)


def test_answers_that_make_no_whole_are_errors_and_no_more() -> None:
    other = Parcel("", 0, 1, Whole(HASH, 200_000, 3))
    lies = [
        kept(),
        RecordDict({PARCEL: ConfigRecord()}),
        RecordDict({PARCEL: MetricRecord()}),
        other.records(b"x" * 66_667),
        other.at(0).records(b"x"),
        other.at(0).records(),
        Parcel("", 0, 0, Whole(HASH, 5, 1)).records(b"12345"),
    ]
    for lie in lies:
        asked = message(large(10))
        found = Journey(asked, ENVELOPE).take(Message(lie, reply_to=asked))
        assert isinstance(found, Error), lie
        assert found.code == BROKEN


def test_an_answer_that_was_kept_by_nobody_is_missing(tmp_path: Path) -> None:
    assert KeptParts(tmp_path).part_of_answer(Whole(HASH, 9, 2), 1) == missing()


def app_of(node: str) -> ClientApp:
    """Return an app that doubles whole messages."""
    app = ClientApp()

    def answer(asked: Message, context: Context) -> Message:
        return Message(answer_in_parts(asked, node, doubled), reply_to=asked)

    app.query("double")(answer)
    app.query("part")(answer)
    return app


def joined(link: SuperLink, name: str) -> int:
    ClientState(TRAINING, name).join(name, some_pairs(), resolve(""), 1)
    return link.add(app_of(name), name).node_id


def test_a_grid_sends_and_takes_parts_and_counts_wholes(link: SuperLink) -> None:
    node, grid = joined(link, "north"), FastGrid(link.grid, Ledger(), ENVELOPE)
    (reply,) = grid.send_and_receive([message(large(250_000), node=node)], timeout=60)
    expect(reply.content, large(250_000))
    assert (reply.metadata.src_node_id, reply.metadata.group_id) == (node, "1")
    assert link.nodes[node].taken == {PART: 2 + 5, "query.double": 1}
    assert {(way, record, key): (c.messages, c.bytes) for _, way, record, key, c in grid.ledger.rows()} == {
        (TO_NODE, "settings", "round"): (1, 1),
        (TO_NODE, "values", "x"): (1, 250_128),
        (FROM_NODE, "answer", "y"): (1, 500_128),
    }
    assert grid.repeats == {}
    assert link.asked_in_vain == []


def test_the_node_in_the_place_of_one_gets_all_parts(link: SuperLink) -> None:
    before, after = joined(link, "before"), joined(link, "after")
    grid = FastGrid(link.grid, Ledger(), ENVELOPE)
    taken = link.nodes[before].taken

    def redirect_amid_parts() -> None:
        if taken[PART] >= 1 and not link.nodes[after].taken:
            link.nodes[before].answers.clear()
            grid.redirect(before, after)

    grid.while_waiting = redirect_amid_parts
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flower_dgan.flower.grid._LOOK", 0.0)
        (reply,) = grid.send_and_receive([message(large(900_000), node=before)], timeout=60)
    expect(reply.content, large(900_000))
    assert reply.metadata.src_node_id == after
    assert link.nodes[after].taken["query.double"] == 1


def test_a_part_that_is_lost_is_sent_once_more_and_not_the_whole(
    link: SuperLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flwr.supercore.corestate.in_memory_corestate.OBJECT_PUSH_SESSION_TTL_SECONDS", 0.5)
    node, grid = joined(link, "north"), FastGrid(link.grid, Ledger(), ENVELOPE)
    link.nodes[node].breaks_off = 1
    (reply,) = grid.send_and_receive([message(large(250_000), node=node)], timeout=60)
    expect(reply.content, large(250_000))
    assert link.nodes[node].taken == {PART: 2 + 5 + 1, "query.double": 1}
    assert grid.repeats == {node: 1}
    assert grid.ledger.counts[node, TO_NODE, "values", "x"].messages == 1


def test_what_asks_a_node_to_join_can_be_read_by_one_of_another_version(link: SuperLink) -> None:
    seen: list[set[str]] = []
    app = ClientApp()

    def answer(asked: Message, context: Context) -> Message:
        seen.append(set(asked.content))
        return Message(RecordDict(), reply_to=asked)

    for action in ("join", "double"):
        app.query(action)(answer)
    node, grid = link.add(app, "north").node_id, FastGrid(link.grid, Ledger(), ENVELOPE)
    for kind in (JOIN, "query.double"):
        grid.send_and_receive([message(large(10), kind, node)], timeout=20)
    assert seen == [{"settings", "values"}, {"settings", "values", PARCEL}]
