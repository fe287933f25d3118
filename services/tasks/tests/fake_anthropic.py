"""A fake Anthropic: answers a request for a score as it is told."""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

KEY: Final = "fake-anthropic-key-of-the-tests"  # pragma: allowlist secret


def scored(score: Any, tool: str = "advise") -> dict[str, Any]:
    """An answer that uses the tool."""
    return {"type": "message", "role": "assistant", "content": [{"type": "tool_use", "name": tool, "input": {"score": score}}]}


@dataclass
class FakeAnthropic:
    """What it was asked, and what it answers next."""

    document: Any = field(default_factory=lambda: scored(90))
    status: int = 200
    asked: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0
    _server: ThreadingHTTPServer | None = None

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
                fake.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                known = self.path == "/v1/messages" and self.headers["x-api-key"] == KEY and self.headers["anthropic-version"]
                data = json.dumps(fake.document if known else {"type": "error"}).encode()
                self.send_response(fake.status if known else 401)
                self.send_header("Content-Length", str(len(data)))
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
