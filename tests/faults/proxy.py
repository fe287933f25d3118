"""A bad network between processes and broker: a TCP proxy on loopback that can be slow, mute, cut and closed."""

import asyncio
import threading
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

from ops.ports import LOOPBACK

CHUNK_BYTES: Final = 65_536
CALL_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Weather:
    """How the network behaves."""

    delay_seconds: float = 0.0
    """Before each piece is passed on."""
    piece_bytes: int = CHUNK_BYTES
    mute: bool = False
    """Connections stay open and are accepted, and nothing passes."""
    closed: bool = False
    """New connections are refused."""


FINE: Final = Weather()


class Proxy:
    """Passes connections on to one port. Runs its own event loop in a thread; every method may be called from any thread."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._weather = FINE
        self._changed = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.passed_bytes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def url(self, amqp_url: str, heartbeat_seconds: int) -> str:
        """The same broker through this proxy, with heartbeats that notice a mute one soon."""
        parts = urlsplit(amqp_url)
        credentials = parts.netloc.rpartition("@")[0]
        return f"{parts.scheme}://{credentials}@{LOOPBACK}:{self.port}{parts.path}?heartbeat={heartbeat_seconds}"

    def weather(self, weather: Weather) -> None:
        """Let the network behave like this from now on."""
        self._call(self._set(weather))

    def cut(self) -> int:
        """Reset every connection; how many there were."""
        connections: int = self._call(self._cut())
        return connections

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_SECONDS)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _set(self, weather: Weather) -> None:
        if weather.closed:
            await self._close()
        elif self._server is None:
            await self._open()
        self._weather = weather
        self._changed.set()
        self._changed = asyncio.Event()

    async def _cut(self) -> int:
        connections = len(self._writers) // 2
        for writer in list(self._writers):
            writer.transport.abort()
        return connections

    async def _end(self) -> None:
        await self._close()
        await self._cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        ends = {writer}
        self._writers.add(writer)
        with suppress(OSError, asyncio.CancelledError):
            other_reader, other_writer = await asyncio.open_connection(LOOPBACK, self._target_port)
            ends.add(other_writer)
            self._writers.add(other_writer)
            await self._first_of(self._pass(reader, other_writer), self._pass(other_reader, writer))
        for end in ends:
            self._writers.discard(end)
            end.transport.abort()

    @staticmethod
    async def _first_of(*directions: Awaitable[None]) -> None:
        tasks = [asyncio.ensure_future(each) for each in directions]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(self._weather.piece_bytes):
            while self._weather.mute:
                await self._changed.wait()
            if self._weather.delay_seconds:
                await asyncio.sleep(self._weather.delay_seconds)
            writer.write(data)
            await writer.drain()
            self.passed_bytes += len(data)
