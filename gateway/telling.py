"""What the control process alone knows, told on a Unix socket that only this gateway's user may open.

`/metrics` for Prometheus, `/status` for the pages. Made with the standard library: a framework and its server would be a third
of this process's memory.
"""

import json
import socket
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn, UnixStreamServer
from threading import Event
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from gateway import limits, sockets
from gateway.folder import Folder
from libs.common.telemetry import logger

METRICS, STATUS = "/metrics", "/status"
BACKLOG = 16
POLL_SECONDS = 0.5
ASK_SECONDS = 5
Told = Callable[[], bytes]

log = logger(__name__)


class ControlAway(Exception):
    """The control process does not answer: nobody counts."""


class Teller:
    """A small server. Each answer is made when somebody asks."""

    def __init__(self, folder: Folder, status: Callable[[], Mapping[str, Any]], metrics: Told) -> None:
        self._folder = folder
        self._documents: Mapping[str, tuple[str, Told]] = {
            METRICS: (CONTENT_TYPE_LATEST, metrics),
            STATUS: ("application/json", lambda: json.dumps(status()).encode()),
        }

    def run(self, stopped: Event) -> None:
        """Answer until told to stop."""
        with _Server(sockets.listening(self._folder, sockets.CONTROL, BACKLOG), self._documents) as server:
            server.timeout = POLL_SECONDS
            while not stopped.is_set():
                server.handle_request()


def ask(folder: Folder, path: str) -> bytes:
    """A document of the control process that runs on this folder. Raises ControlAway."""
    connection = HTTPConnection("gateway", timeout=ASK_SECONDS)
    try:
        with sockets.short_path(folder.run / sockets.CONTROL) as name, socket.socket(socket.AF_UNIX) as opened:
            opened.settimeout(ASK_SECONDS)
            opened.connect(name)
            connection.sock = opened
            connection.request("GET", path)
            answer = connection.getresponse()
            if answer.status != 200:
                raise ControlAway(f"the control process answers {answer.status}")
            return answer.read()
    except (HTTPException, OSError) as error:
        raise ControlAway(f"the control process does not answer: {error}") from None


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket, documents: Mapping[str, tuple[str, Told]]) -> None:
        super().__init__("", _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.documents = documents

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 — the base class's names
        """Whoever asked may be gone, and what cannot be told today may be tomorrow: neither ends this process."""
        log.warning("gateway.telling.failed", exc_info=True)  # noqa: LOG014 — called where one is handled


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = limits.HEAD_SECONDS

    def do_GET(self) -> None:
        content_type, told = self.server.documents.get(self.path, ("", None))
        if told is None:
            self.send_error(404)
            return
        body = told()
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — the base class's name
        """Nothing: HAProxy and the pages ask again and again."""
