"""A fake of an outside provider that is asked over HTTP."""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Answered:
    """What a fake says to one request."""

    document: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeProvider:
    """Answers POST requests with JSON until it is stopped; started again, on the same port."""

    port: int = field(default=0, kw_only=True)
    _server: ThreadingHTTPServer | None = field(default=None, kw_only=True)

    def respond(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Answered | None:
        """What to answer; None: the connection ends without an answer."""
        raise NotImplementedError

    @property
    def endpoint(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Answer, on the same port as before."""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answered = fake.respond(self.path, dict(self.headers), body)
                if answered is None:
                    return
                data = json.dumps(answered.document).encode()
                self.send_response(answered.status)
                for name, value in {**answered.headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
