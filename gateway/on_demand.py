"""The pages, served by a process that starts when somebody asks and ends when nobody does any more.

This process listens and never takes a connection: the child takes them. What connects while there is none waits in the socket's
queue, and is why the next one is started.
"""

import select
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence

from gateway import limits, sockets
from gateway.children import PYTHON, Child, child
from gateway.folder import Folder
from libs.common.telemetry import logger

COMMAND = "pages"
BACKLOG = 128
POLL_SECONDS = 0.5

log = logger(__name__)


class OnDemand:
    """Starts the process of the pages, one at a time."""

    def __init__(
        self,
        folder: Folder,
        *,
        command: Sequence[str] = (*PYTHON, COMMAND, str(limits.PAGES_IDLE_SECONDS)),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._command = command
        self._environ = environ
        self.starts = 0
        """How many were started."""
        self.serving = threading.Event()
        """Set while one lives."""

    def run(self, stopped: threading.Event) -> None:
        """Listen until told to stop, then end the process that serves."""
        with sockets.listening(self._folder, sockets.PAGES, BACKLOG) as listener:
            while not stopped.is_set():
                if select.select([listener], [], [], POLL_SECONDS)[0] and not self._served(listener, stopped):
                    stopped.wait(limits.PAGES_AGAIN_SECONDS)

    def _served(self, listener: socket.socket, stopped: threading.Event) -> bool:
        """Serve with one process until it ends. Returns whether it ended as it should."""
        self.starts += 1
        self.serving.set()
        try:
            with child(self._command, listener.fileno(), stdout=subprocess.DEVNULL, environ=self._environ) as started:
                code = _ended(started, stopped)
        except OSError as error:
            log.error("gateway.pages.not_started", reason=str(error))  # noqa: TRY400 — its text says it all
            return False
        finally:
            self.serving.clear()
        if code != 0:
            log.error("gateway.pages.failed", code=code)
        return code == 0


def _ended(started: Child, stopped: threading.Event) -> int:
    while not stopped.is_set():
        try:
            return started.process.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    started.let_go()
    try:
        return started.process.wait(limits.PAGES_END_SECONDS)
    except subprocess.TimeoutExpired:
        return 0  # killed on leaving
