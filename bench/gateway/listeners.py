"""Thousands of listeners on event streams, in one thread: who is connected, who was dropped, and when each heard what."""

import select
import socket
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.bus.stage import await_
from bench.gateway.processes import LOOPBACK
from libs.common import clock

PATH = "/api/v1/notifications/stream"
AT_ONCE = 16
"""Streams that are being opened at the same time."""
READ_SIZE = 65_536
POLL_SECONDS = 0.05
OPEN_SECONDS = 150.0
STATUS, CONNECTED, NOTICE = b"HTTP/1.1 200 ", b"event: connected\n", b"event: notification\n"
KEPT = 64
"""Bytes that are looked at again with what comes next: what is looked for may be cut in two."""


@dataclass
class Listener:
    """One stream."""

    port: int
    token: str
    connection: socket.socket | None = None
    connected: bool = False
    dropped: bool = False
    heard: list[float] = field(default_factory=list)
    """The moment of each notice."""
    begun: bytes = b""
    """How the answer began."""
    tail: bytes = b""


class Listeners:
    """All of them; closed at the end."""

    def __init__(self, streams: Sequence[tuple[int, str]]) -> None:
        self.all = [Listener(port, token) for port, token in streams]
        self._waiting = deque(self.all)
        self._opening = 0
        self._by_descriptor: dict[int, Listener] = {}
        self._poll = select.epoll()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listeners", daemon=True)
        self._thread.start()

    @property
    def connected(self) -> int:
        """How many were greeted and are still there."""
        return sum(each.connected and not each.dropped for each in self.all)

    @property
    def dropped(self) -> list[Listener]:
        """Those that were refused, or whose stream ended."""
        return [each for each in self.all if each.dropped]

    def await_connected(self) -> None:
        """Return when each has been greeted or refused. Raises NothingMeasured."""
        await_("the streams to open", lambda: self.connected + len(self.dropped) == len(self.all), OPEN_SECONDS)

    def close(self) -> None:
        """Hang up."""
        self._stopped.set()
        self._thread.join()
        for each in self.all:
            if each.connection:
                each.connection.close()
        self._poll.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            while self._waiting and self._opening < AT_ONCE:
                self._open(self._waiting.popleft())
            for descriptor, _ in self._poll.poll(POLL_SECONDS):
                self._read(self._by_descriptor[descriptor])

    def _open(self, listener: Listener) -> None:
        self._opening += 1
        try:
            listener.connection = socket.create_connection((LOOPBACK, listener.port))
            head = ("Host: localhost", "Accept: text/event-stream", f"Authorization: Bearer {listener.token}", "", "")
            listener.connection.sendall("\r\n".join((f"GET {PATH} HTTP/1.1", *head)).encode())
        except OSError:
            self._drop(listener)
            return
        listener.connection.setblocking(False)
        self._by_descriptor[listener.connection.fileno()] = listener
        self._poll.register(listener.connection, select.EPOLLIN)

    def _read(self, listener: Listener) -> None:
        assert listener.connection is not None  # noqa: S101 - it was registered
        try:
            part = listener.connection.recv(READ_SIZE)
        except OSError:
            part = b""
        if not part:
            self._poll.unregister(listener.connection)
            self._drop(listener)
            return
        seen = listener.tail + part
        listener.begun = listener.begun or seen[:KEPT]
        if not listener.begun.startswith(STATUS):
            self._poll.unregister(listener.connection)
            self._drop(listener)
            return
        if not listener.connected and CONNECTED in seen:
            listener.connected = True
            self._opening -= 1
        if NOTICE in seen:
            listener.heard.append(clock.monotonic())
            seen = seen.rpartition(NOTICE)[2]
        listener.tail = seen[-KEPT:]

    def _drop(self, listener: Listener) -> None:
        if not listener.connected:
            self._opening -= 1
        listener.dropped = True
