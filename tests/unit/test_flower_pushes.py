"""A reply of which a part was refused, with Flower's own loop over the parts."""

from collections.abc import Callable, Iterable

import pytest
from flwr.supercore.inflatable.inflatable_utils import ObjectPushError, push_object_contents_from_iterable

from flower_dgan.flower.flower_pushes import go_on_after_lost_answers

PARTS = [str(number) for number in range(12)]


def send(refused: Iterable[str]) -> list[str]:
    """Send the parts, of which some are refused, and return those that were offered."""
    offered: list[str] = []

    def push_object(part: str, content: bytes) -> None:
        offered.append(part)
        if part in refused:
            raise ObjectPushError(part, 1, "session")

    def push_messages(*, push_object: Callable[[str, bytes], None], parts: list[str]) -> None:
        push_object_contents_from_iterable(((part, b"x") for part in parts), push_object, max_concurrent_pushes=1)

    go_on_after_lost_answers(push_messages)(push_object=push_object, parts=PARTS)
    return offered


@pytest.mark.parametrize("refused", [[], ["3"], ["3", "4"], ["0", "1", "3", "4", "10", "11"]])
def test_what_is_there_already_ends_nothing(refused: list[str]) -> None:
    assert send(refused) == PARTS


def test_a_reply_that_was_given_up_ends() -> None:
    """Two are under way at once, so that a third refusal in a row is no lost answer."""
    with pytest.raises(ObjectPushError):
        send(PARTS[3:])
