"""How auth's documents are fetched, and what is said when auth answers badly, late or not at all."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gateway.auth_client import AuthClient, AuthError
from gateway.tests.running import free_port
from libs.common.ids import random_token

TOKEN = random_token()
SHOWN: list[tuple[str, str | None]] = []
ANSWERS = {
    "/.well-known/jwks.json": (200, b'{"keys": []}'),
    "/internal/revocations": (200, b'{"sessions": {}}'),
    "/list": (200, b"[]"),
    "/torn": (200, b'{"keys":'),
    "/away": (503, b"{}"),
    "/moved": (302, b"{}"),
}


class Auth(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        SHOWN.append((self.path, self.headers.get("Authorization")))
        status, body = ANSWERS[self.path]
        self.send_response(status)
        self.send_header("Location", "/list")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base class's name
        """Quiet."""


@pytest.fixture(scope="module")
def client() -> Iterator[AuthClient]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Auth) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield AuthClient(f"http://127.0.0.1:{server.server_port}", TOKEN, 2)
        server.shutdown()


def test_the_token_is_shown_only_where_services_read(client: AuthClient) -> None:
    assert client.document("/.well-known/jwks.json") == {"keys": []}
    assert client.document("/internal/revocations") == {"sessions": {}}
    assert SHOWN[-2:] == [("/.well-known/jwks.json", None), ("/internal/revocations", f"Bearer {TOKEN}")]


@pytest.mark.parametrize("path", ["/away", "/moved"])
def test_an_answer_that_is_no_success_is_refused_and_not_followed(client: AuthClient, path: str) -> None:
    with pytest.raises(AuthError, match=f"{path} with {ANSWERS[path][0]}"):
        client.document(path)
    assert SHOWN[-1][0] == path


@pytest.mark.parametrize("path", ["/list", "/torn"])
def test_a_body_that_is_no_json_object_is_refused(client: AuthClient, path: str) -> None:
    with pytest.raises(ValueError, match=r"JSON object|Expecting"):
        client.document(path)


def test_auth_that_is_away_is_a_fault_of_the_network() -> None:
    with pytest.raises(OSError, match="refused"):
        AuthClient(f"http://127.0.0.1:{free_port()}", TOKEN, 2).document("/internal/revocations")


def test_auth_that_says_nothing_is_given_up_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TimeoutError):
        AuthClient(f"http://127.0.0.1:{silent.getsockname()[1]}", TOKEN, 0.05).document("/internal/revocations")


def test_what_speaks_no_http_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as strange:

        def answer() -> None:
            connection, _ = strange.accept()
            with connection:
                connection.recv(4_096)
                connection.sendall(b"220 mail.example ESMTP\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(AuthError, match="BadStatusLine"):
            AuthClient(f"http://127.0.0.1:{strange.getsockname()[1]}", TOKEN, 2).document("/internal/revocations")
