"""Is a port free? Asked before anything starts, so that the answer is a sentence and not a stack trace in a log."""

import socket
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass

from ops.errors import OperationError, PortTaken

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class PortUse:
    """A port that is about to be taken, what for, and the variable that moves it."""

    port: int
    purpose: str
    variable: str = "LUMIERE_PORT_BASE"


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on the port now."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def require_free(uses: Iterable[PortUse]) -> None:
    """Raise PortTaken for the first port that is not free."""
    for use in uses:
        if not is_free(use.port):
            raise PortTaken(use.port, use.purpose, use.variable)


def free_range(start: int, size: int, step: int = 500, end: int = 32_000) -> int:
    """The first base from `start` whose next `size` ports are all free. Raises OperationError when there is none."""
    for base in range(start, end, step):
        if all(is_free(port) for port in range(base, base + size)):
            return base
    raise OperationError(f"No {size} neighbouring ports are free between {start} and {end}: end programs that listen there.")
