"""A fake Sentry: takes envelopes (https://develop.sentry.dev/sdk/data-model/envelopes/), or takes them and never answers."""

import gzip
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Self

PUBLIC_KEY: Final = "fakepublickey"
PROJECT: Final = "7"


@dataclass
class FakeSentry:
    """What it was told."""

    mute: bool = False
    envelopes: list[str] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)
    ending: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    _server: ThreadingHTTPServer | None = None

    @property
    def dsn(self) -> str:
        """Where errors are to be reported to."""
        return f"http://{PUBLIC_KEY}@127.0.0.1:{self.port}/{PROJECT}"

    def __enter__(self) -> Self:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            """One envelope."""

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                text = (gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body).decode()
                fake.envelopes.append(f"{self.path} {self.headers['X-Sentry-Auth']}\n{text}")
                fake.asked.set()
                if fake.mute:
                    fake.ending.wait(60)
                with suppress(ConnectionError):  # whoever asked is gone by now
                    self.send_response(200)
                    self.send_header("Content-Length", "2")
                    self.end_headers()
                    self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()
