"""Rounds of more clients than messages may be out: what is learned is the same, and little is in memory at a time."""

from pathlib import Path
from weakref import ref

import pytest
from flwr.app import Context, Message, RecordDict
from safetensors.numpy import load_file

from flower_dgan.wire.question_message import EXCHANGE
from tests.contract.conftest import Federation, Reply, TamperedApp

CLIENTS = 12
MANY = (
    "exchange.rounds=2 exchange.exchanges=1 model.generator_width=4 model.discriminator_width=4 data.image_size=16 "
    "output.synthetic_images=1"
)


class Counted:
    """Counts the contents of exchanges, questions and answers, that are alive while a client works."""

    def __init__(self) -> None:
        self._contents: dict[str, list[ref[RecordDict]]] = {"questions": [], "answers": []}
        self.most_questions = self.most_answers = 0
        self.asked: list[tuple[str, int]] = []

    def __call__(self, message: Message, context: Context, reply: Reply) -> Message:
        answer = reply(message, context)
        if message.metadata.message_type == EXCHANGE:
            self.asked.append((message.metadata.group_id, context.node_id))
            self.most_questions = max(self.most_questions, self._alive("questions", message.content))
            self.most_answers = max(self.most_answers, self._alive("answers", answer.content))
        return answer

    def _alive(self, kind: str, content: RecordDict) -> int:
        self._contents[kind].append(ref(content))
        return sum(each() is not None for each in self._contents[kind])


def run_of(
    scratch: Path, most: int, large: int, extra: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[Counted, dict[str, list[float]]]:
    monkeypatch.setattr("flower_dgan.flower.grid._MOST_OUT", most)
    monkeypatch.setattr("flower_dgan.federation.spill.LARGE", large)
    counted = Counted()
    directory = Federation(scratch).run(f"{MANY} {extra}", clients=CLIENTS, client_app=TamperedApp(counted))
    weights = load_file(directory.path / "generator.safetensors")
    return counted, {name: value.ravel().tolist() for name, value in weights.items()}


@pytest.mark.parametrize("extra", ["", "exchange.in_flight=2"])
def test_few_messages_are_in_memory_at_a_time_and_the_generator_is_the_same(
    extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, generator = run_of(tmp_path / "few", 2, 0, extra, monkeypatch)
    all_out, expected = run_of(tmp_path / "all", 64, 2**28, extra, monkeypatch)
    assert generator == expected  # also where what was drawn and said was in files
    assert sorted(few.asked) == sorted(all_out.asked)
    assert len(few.asked) == 2 * CLIENTS
    # two are out, and one more may be in the hands of the client, of the thread that brought it, and of the round
    assert few.most_answers <= 5
    assert all_out.most_questions >= CLIENTS
    if not extra:  # with two in flight those of the next round are made before this one ends
        assert few.most_questions <= 5
