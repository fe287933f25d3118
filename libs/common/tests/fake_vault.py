"""A fake Vault: the few routes of KV version 2 and AppRole that a starting process asks, in this process."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "token-of-the-fake"
ROLE, SECRET = "role-of-the-fake", "secret-of-the-fake"


class FakeVault:
    """What it holds, and what it was asked."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.forbidden: set[str] = set()
        self.asked: list[str] = []
        self.revoked = 0
        self.broken = False
        self.silent = threading.Event()
        self.address = ""

    def answer(self, method: str, path: str, token: str | None, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body, as Vault's documentation has them."""
        self.asked.append(f"{method} {path}")
        if self.broken:
            return 503, {"errors": ["Vault is sealed"]}
        if path == "/v1/auth/approle/login":
            known = (body.get("role_id"), body.get("secret_id")) == (ROLE, SECRET)
            return (200, {"auth": {"client_token": TOKEN}}) if known else (400, {"errors": ["invalid role or secret ID"]})
        if token != TOKEN:
            return 403, {"errors": ["permission denied"]}
        if path == "/v1/auth/token/revoke-self":
            self.revoked += 1
            return 204, {}
        place = path.removeprefix("/v1/").replace("/data/", "/", 1)
        if place in self.forbidden:
            return 403, {"errors": ["permission denied"]}
        if place not in self.secrets:
            return 404, {"errors": []}
        return 200, {"data": {"data": self.secrets[place], "metadata": {"version": 1}}}


@contextmanager
def fake_vault() -> Iterator[FakeVault]:
    """One that answers for the length of a block."""
    vault = FakeVault()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            if vault.silent.is_set():
                return
            status, answer = vault.answer(self.command, self.path, self.headers.get("X-Vault-Token"), body)
            content = b"" if status == 204 else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _do  # noqa: N815 - the names that the standard library calls

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    vault.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield vault
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
