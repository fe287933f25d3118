"""What the gateway adds to the time of a request: the same request to a real service, straight and through it, in turns.

Requests are due at a fixed rate. Each is timed from when it was due, not from when it was sent: a slow answer makes the next
ones late, and that counts (coordinated omission).
"""

import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

from bench.figures import Figure, NothingMeasured, against, limit, percentile
from bench.gateway.processes import LOOPBACK
from bench.gateway.stage import Door
from bench.gateway.throughput import COUNT
from bench.timing import MILLISECONDS, ROUNDS
from libs.common import clock

CLIENTS = 4
A_SECOND = 50
"""Requests of one client: a tenth of what one replica can answer, and no queue of its own making."""
LONGER = 12
"""A p99 needs many requests: the rate is kept that many times as long as was asked for, in turns."""
WARM_UP = 25
READ_SIZE = 65_536
ADDED_P50, ADDED_P99 = "added by the gateway, p50", "added by the gateway, p99"


class Client:
    """One client with a connection to each of the two, which it asks in turns."""

    def __init__(self, ports: Sequence[int], token: str) -> None:
        self._connections = [socket.create_connection((LOOPBACK, port)) for port in ports]
        for each in self._connections:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = f"GET {COUNT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()

    def ask(self, seconds: float, first: float) -> list[list[float]]:
        """Milliseconds of each request by connection; the first is due at `first`."""
        took: list[list[float]] = [[] for _ in self._connections]
        pause = threading.Event()
        for number in range(int(seconds * A_SECOND)):
            due = first + number / A_SECOND
            pause.wait(max(0.0, due - clock.monotonic()))
            which = number % len(self._connections)
            self._one(self._connections[which])
            if number >= WARM_UP:
                took[which].append((clock.monotonic() - due) * MILLISECONDS)
        return took

    def close(self) -> None:
        """Hang up."""
        for each in self._connections:
            each.close()

    def _one(self, connection: socket.socket) -> None:
        connection.sendall(self._request)
        answer = b""
        while not complete(answer):
            part = connection.recv(READ_SIZE)
            if not part:
                raise NothingMeasured("A connection was closed in the middle of an answer.")
            answer += part
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise NothingMeasured(f"A request was answered {answer[:40]!r}.")


def complete(answer: bytes) -> bool:
    """Whether this is a whole answer; its length is announced."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        return False
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    length = next((int(value) for name, _, value in lines if name.lower() == b"content-length"), 0)
    return len(body) >= length


def measure(door: Door, straight: int, seconds: float) -> list[Figure]:
    """Straight to the port of the one replica, and through the gateway: the median of what ROUNDS turns say."""
    turns = [_turn(door, straight, LONGER * seconds / ROUNDS) for _ in range(ROUNDS)]
    rate = f"at {CLIENTS * A_SECOND}/s"
    p50 = limit(f"a read of a real service, straight, {rate}, p50", median(each.alone_p50 for each in turns), "ms")
    p99 = limit(f"a read of a real service, straight, {rate}, p99", median(each.alone_p99 for each in turns), "ms")
    return [
        p50,
        against(p50, "the same through the gateway, p50", median(each.through_p50 for each in turns)),
        p99,
        against(p99, "the same through the gateway, p99", median(each.through_p99 for each in turns)),
        Figure(ADDED_P50, median(each.through_p50 - each.alone_p50 for each in turns), "ms"),
        Figure(ADDED_P99, median(each.through_p99 - each.alone_p99 for each in turns), "ms"),
    ]


@dataclass(frozen=True, slots=True)
class Turn:
    """Milliseconds, of the same moments."""

    alone_p50: float
    alone_p99: float
    through_p50: float
    through_p99: float


def _turn(door: Door, straight: int, seconds: float) -> Turn:
    clients = [Client((straight, door.port), token) for token in door.tokens(CLIENTS)]
    try:
        begun = clock.monotonic() + 0.1
        with ThreadPoolExecutor(CLIENTS) as pool:
            # Their requests fall between each other's.
            jobs = [pool.submit(each.ask, seconds, begun + number / CLIENTS / A_SECOND) for number, each in enumerate(clients)]
            took = [job.result() for job in jobs]
    finally:
        for each in clients:
            each.close()
    alone, through = ([value for client in took for value in client[which]] for which in (0, 1))
    return Turn(percentile(alone, 50), percentile(alone, 99), percentile(through, 50), percentile(through, 99))
