"""A replica that keeps what it is asked until the test lets go, so that a service can be full for as long as somebody looks."""

import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from gateway.tests.running import RunningGateway

PATIENCE_SECONDS = 30


class HeldUpstream:
    """Answers at once, except what says `hold` in its query: that waits."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.go = threading.Event()
        self.go.set()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.path != "/health/ready":
                    owner.seen.append(self.path)
                if "hold" in self.path:
                    owner.go.wait(PATIENCE_SECONDS)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = answer  # noqa: N815 — names of the library

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """A connection that is cut is no fault here."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        """Let go of everything and end."""
        self.go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Crowd:
    """People who ask at the same time, each from an address and over a connection of their own."""

    def __init__(self, gateway: RunningGateway, upstream: HeldUpstream) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self._pool = ThreadPoolExecutor(64)
        self._people = 0

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, address: str | None = None
    ) -> httpx.Response:
        """Ask and wait for the answer."""
        self._people += 1
        own = address or f"127.0.{1 + self._people // 250}.{1 + self._people % 250}"
        with httpx.Client(transport=httpx.HTTPTransport(local_address=own), timeout=PATIENCE_SECONDS) as client:
            return client.request(method, f"{self.gateway.url}{path}", headers=headers)

    def begin(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, address: str | None = None
    ) -> Future[httpx.Response]:
        """Ask, and do not wait."""
        return self._pool.submit(self.ask, method, path, headers, address)

    def waiting(self, backend: str = "echo-web") -> int:
        """How many requests wait for a place."""
        return self.gateway.waiting(backend)

    def working(self, backend: str = "echo-web") -> int:
        """How many requests have a place."""
        return self.gateway.working(backend)

    @contextmanager
    def held(self) -> Iterator[None]:
        """While this lasts, what says `hold` is kept; afterwards all of it is answered."""
        self.upstream.seen.clear()
        self.upstream.go.clear()
        try:
            yield
        finally:
            self.upstream.go.set()

    def close(self) -> None:
        """Wait for everybody."""
        self.upstream.go.set()
        self._pool.shutdown()


@contextmanager
def crowd(gateway: RunningGateway) -> Iterator[Crowd]:
    """This gateway before one held replica."""
    upstream = HeldUpstream()
    try:
        addresses = {"web": [upstream.address], "stream": [upstream.address]}
        gateway.targets.write_text(json.dumps({"echo": addresses}), encoding="utf-8")
        gateway.publish_key()
        gateway.start()
        people = Crowd(gateway, upstream)
        yield people
        people.close()
    finally:
        gateway.close()
        upstream.close()
