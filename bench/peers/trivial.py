"""What every peer's handler and publisher have in common. Only the standard library: peers have an environment of their own."""

import os
import sys
import time
from collections.abc import Callable

URL = os.environ.get("AMQP_URL", "")
QUEUE = os.environ.get("LUMIERE_BENCH_QUEUE", "bench")
NOTE = "n" * 600
"""Makes the message as long as the data of the event that the bus is measured with."""

_heard = os.open(os.environ.get("LUMIERE_BENCH_HEARD", os.devnull), os.O_WRONLY | os.O_APPEND)


def heard() -> None:
    """The trivial work of a handler: one byte to a file that the benchmark watches."""
    os.write(_heard, b".")


def published(publish: Callable[[int], None]) -> None:
    """Publish as many as the command line says and print the seconds."""
    begun = time.monotonic()
    publish(int(sys.argv[1]))
    sys.stdout.write(f"{time.monotonic() - begun}\n")
