"""How a SuperNode goes on with a reply when the answer to one of its requests got lost.

``_push_messages``: Flower makes a request again whose answer did not come within 30 s. Where only the answer got lost,
as when a link is cut, the SuperLink has that part of the reply and refuses it the second time; the SuperNode then drops
the whole reply, and the SuperLink waits three minutes for the rest of it.
"""

import threading
from collections.abc import Callable
from typing import Any

from flwr.supercore.constant import FLWR_PRIVATE_MAX_CONCURRENT_OBJ_PUSHES
from flwr.supercore.inflatable.inflatable_utils import ObjectPushError


def go_on_after_lost_answers(push_messages: Callable[..., None]) -> Callable[..., None]:
    """Let the function by which a SuperNode sends replies take a refused part for one that is there already.

    Whether it is, the server finds out, which sends the message again if parts of the reply are missing. More refusals
    in a row than there are requests at once mean that the SuperLink has given the reply up, and end it as before.
    """

    def push(*, push_object: Callable[..., None], **arguments: Any) -> None:
        refused, lock = 0, threading.Lock()

        def push_or_leave(*ids_and_content: object) -> None:
            nonlocal refused
            try:
                push_object(*ids_and_content)
            except ObjectPushError:
                with lock:
                    refused += 1
                    if refused > FLWR_PRIVATE_MAX_CONCURRENT_OBJ_PUSHES:
                        raise
            else:
                with lock:
                    refused = 0

        push_messages(push_object=push_or_leave, **arguments)

    return push
