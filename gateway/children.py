"""Processes that the control process starts for what is seldom, so that it need not hold for weeks what they hold for seconds.

The child's standard input is its lifeline, a pipe on which nobody writes: it is at its end when the parent closed it or is no
more, however that came about, and then the child ends.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

PYTHON = (sys.executable, "-m", "gateway")


@dataclass(frozen=True, slots=True)
class Child:
    """A process that was started."""

    process: "subprocess.Popen[bytes]"
    _lifeline: IO[Any]

    def let_go(self) -> None:
        """Have it end in its own time."""
        self._lifeline.close()


@contextmanager
def child(
    command: Sequence[str], handed: int, *, stdout: int | None = None, environ: Mapping[str, str] | None = None
) -> Iterator[Child]:
    """A process that is given a file descriptor as its last argument; killed on leaving, unless it ended before."""
    end, lifeline = os.pipe()
    try:
        with os.fdopen(lifeline, "wb") as held:
            process = subprocess.Popen(
                [*command, str(handed)], stdin=end, stdout=stdout, pass_fds=(handed,), env=environ, process_group=0
            )
            with process:
                try:
                    yield Child(process, held)
                finally:
                    if process.poll() is None:  # with whatever it started
                        os.killpg(process.pid, signal.SIGKILL)
    finally:
        os.close(end)


def end_with_parent(end: Callable[[], object]) -> None:
    """In a child: call this once the parent let go, or is no more."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        end()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
