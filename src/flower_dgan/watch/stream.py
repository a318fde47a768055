"""The stream of a run to a page: server-sent events, each a whole view or the new points of the curves."""

import asyncio
from collections.abc import AsyncIterator

from flower_dgan.watch.board import Watched
from flower_dgan.watch.plain import to_json

_PAUSE = 0.7  # seconds between two looks at a file that does not grow
_SHOWN = 0.4  # seconds of reading between two views of a long file
_SIGN = 2.0  # seconds after which the age of the last event is told again, which also shows that the connection lives


async def events(run: Watched) -> AsyncIterator[str]:
    """Yield the stream of a run, which has no end.

    Yields
    ------
    str
        ``event: view`` with all that the page shows but the curves, whenever it changed; ``event: curves`` with the
        points that are new or no longer what was sent; ``event: pulse`` with the age of the last event.
    """
    clock = asyncio.get_running_loop().time
    sent, sent_at = "", -_SIGN
    edition, stride, have = -1, 0, 0
    while True:
        more, until = True, clock() + _SHOWN
        while more and clock() < until:
            more = await asyncio.to_thread(run.refresh)
        view = await asyncio.to_thread(run.view)
        age = view["status"].pop("age")
        told = await asyncio.to_thread(to_json, view)
        if told != sent:
            same = (edition, stride) == (run.edition, run.story.curves.stride)
            curves = await asyncio.to_thread(run.curves, max(0, have - 1) if same else 0)
            edition, stride, have = run.edition, curves["stride"], curves["since"] + len(curves["rounds"])
            yield f"event: curves\ndata: {to_json(curves)}\n\n"
            yield f"event: view\ndata: {told}\n\n"
        if told != sent or clock() - sent_at > _SIGN:
            yield f"event: pulse\ndata: {to_json({'age': age})}\n\n"
            sent, sent_at = told, clock()
        if not more:
            await asyncio.sleep(_PAUSE)
