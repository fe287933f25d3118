"""In a child of the control process: serve the pages on a socket that it handed over (gateway/on_demand.py)."""

import signal
import socket
from collections.abc import Callable, Iterable
from threading import Event
from typing import Any

from gevent import sleep
from gevent.pywsgi import WSGIServer
from gevent.socket import socket as gevent_socket

from gateway import limits
from gateway.children import end_with_parent
from gateway.containment import Containment
from gateway.folder import Folder
from gateway.pages import Pages
from gateway.settings import GatewaySettings
from libs.common import clock

POLL_SECONDS = 0.1
Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Idle:
    """Around a WSGI application: since when nobody has asked."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._under_way = 0
        self._last = clock.monotonic()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer; the answers are whole when this returns."""
        self._under_way += 1
        try:
            return self._application(environ, start_response)
        finally:
            self._under_way -= 1
            self._last = clock.monotonic()

    @property
    def seconds(self) -> float:
        """How long nobody has asked."""
        return 0 if self._under_way else clock.monotonic() - self._last


def serve(settings: GatewaySettings, handed: int, idle_seconds: float) -> None:
    """Serve until nobody asked for so long, the parent let go, or SIGTERM."""
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    end_with_parent(stopped.set)
    idle = Idle(Pages(Containment(Folder(settings.gateway_folder)), settings).app)
    server = WSGIServer(gevent_socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=handed), idle, log=None, error_log=None)
    server.start()
    while not stopped.is_set() and idle.seconds < idle_seconds:
        sleep(POLL_SECONDS)
    server.stop(limits.PAGES_END_SECONDS)
