"""A link of so many bytes a second and so many seconds of latency in front of a port, which can be cut."""

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

_CHUNK = 8192
_BUFFER = 65536


class _Way:
    """One direction: its connections share the rate, each piece of data waits for its turn."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free_at = 0.0
        self.bytes = 0

    async def pass_through(self, size: int) -> None:
        self._free_at = max(self._free_at, time.monotonic()) + size / self._rate
        self.bytes += size
        await asyncio.sleep(self._free_at - time.monotonic())


class SlowLink:
    """A TCP proxy on loopback.

    A link that is cut carries nothing; connections stay, and go on where they were when it is restored.

    Parameters
    ----------
    address : str
        ``host:port`` at its other end.
    rate : float
        Bytes a second in each direction, of all connections together.
    latency : float
        Seconds that each byte travels.

    Attributes
    ----------
    address : str
        ``host:port`` of its own.
    """

    def __init__(self, address: str, rate: float, latency: float) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._latency = latency
        self._up, self._down = _Way(rate), _Way(rate)
        self._whole = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread.start()
        self.restore()
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_BUFFER))
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def bytes_up(self) -> int:
        """Bytes that were sent to the other end."""
        return self._up.bytes

    @property
    def bytes(self) -> int:
        """Bytes in both directions."""
        return self._up.bytes + self._down.bytes

    def cut(self) -> None:
        """Carry nothing from now on."""
        self._loop.call_soon_threadsafe(self._whole.clear)

    def restore(self) -> None:
        """Carry everything again."""
        self._loop.call_soon_threadsafe(self._whole.set)

    def close(self) -> None:
        """End all connections."""
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port, limit=_BUFFER)
            try:
                async with asyncio.TaskGroup() as ways:
                    ways.create_task(self._carry(reader, far_writer, self._up))
                    ways.create_task(self._carry(far_reader, writer, self._down))
            finally:
                far_writer.close()
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: _Way) -> None:
        """Pass on what one end says, until it says no more."""
        travelling: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def arrive() -> None:
            while True:
                due, data = await travelling.get()
                await asyncio.sleep(due - time.monotonic())
                await self._whole.wait()
                if not data:
                    writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()

        async with asyncio.TaskGroup() as both:
            both.create_task(arrive())
            while data := await reader.read(_CHUNK):
                await self._whole.wait()
                await way.pass_through(len(data))
                travelling.put_nowait((time.monotonic() + self._latency, data))
            travelling.put_nowait((time.monotonic() + self._latency, b""))


@contextmanager
def slow_link(address: str, rate: float, latency: float) -> Iterator[SlowLink]:
    """Put a link in front of ``host:port``, and end it."""
    link = SlowLink(address, rate, latency)
    try:
        yield link
    finally:
        link.close()
