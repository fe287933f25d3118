"""A Redis of a test's own that asks for a password."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from redis import Redis
from redis.exceptions import ConnectionError as NotThere

from ops.demo.client import wait_for
from ops.ports import free_range

PASSWORD = "a-password-of-a-redis-in-tests"
PORTS_FROM = 23_000


@contextmanager
def redis_server() -> Iterator[str]:
    """Its address, with the password that it asks for."""
    port = free_range(PORTS_FROM, 1)
    with TemporaryDirectory() as folder:
        line = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        server = subprocess.Popen([*line, "--requirepass", PASSWORD], stdout=subprocess.DEVNULL)
        address = f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
        try:
            wait_for("Redis listens", lambda: _answers(address), seconds=10)
            yield address
        finally:
            server.terminate()
            server.wait(10)


def _answers(address: str) -> bool:
    try:
        with Redis.from_url(address) as client:
            return bool(client.ping())
    except NotThere:
        return False
