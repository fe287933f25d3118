"""A fake Resend: takes e-mails by their idempotency key as the real one does, or refuses as it is told."""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

KEY: Final = "re_fake_key_of_the_tests"  # pragma: allowlist secret


@dataclass(frozen=True)
class Refusal:
    """An answer other than success, with Resend's name of the error."""

    status: int
    name: str = ""


@dataclass
class FakeResend:
    """What it took, and how it answers next."""

    taken: dict[str, dict[str, Any]] = field(default_factory=dict)
    """E-mails by idempotency key: each left once."""
    asked: list[str] = field(default_factory=list)
    """The key of every request."""
    refusals: list[Refusal] = field(default_factory=list)
    silent: threading.Event = field(default_factory=threading.Event)
    """Set: takes an e-mail, and is gone before it answers."""
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
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                refusal, document = fake.answer(self.path, dict(self.headers), body)
                if fake.silent.is_set():
                    return
                data = json.dumps(document).encode()
                self.send_response(refusal.status if refusal else 200)
                if refusal and refusal.status in range(300, 400):
                    self.send_header("Location", f"{fake.endpoint}/elsewhere")
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

    def answer(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> tuple[Refusal | None, dict[str, Any]]:
        """As documented at https://resend.com/docs/api-reference/errors."""
        key = headers.get("Idempotency-Key", "")
        self.asked.append(key)
        if path != "/emails" or not headers.get("User-Agent") or headers.get("Authorization") != f"Bearer {KEY}":
            return Refusal(403), {"name": "invalid_api_key"}
        if self.refusals:
            refusal = self.refusals.pop(0)
            return refusal, {"name": refusal.name, "statusCode": refusal.status, "message": "as the test wants"}
        if self.taken.get(key, body) != body:
            return Refusal(409), {"name": "invalid_idempotent_request"}
        self.taken[key] = body
        return None, {"id": key}
