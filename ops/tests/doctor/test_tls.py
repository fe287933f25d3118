"""What a handshake tells, and which ports are listened on."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from libs.common import clock
from ops.doctor.sockets import listening
from ops.doctor.tls import handshake, place
from tests.certificates import Certificate, certificate


@pytest.fixture
def shown(tmp_path: Path) -> Certificate:
    return certificate(tmp_path)


@contextmanager
def server(shown: Certificate | None) -> Iterator[int]:
    """Takes one connection after the other; with a certificate it shakes hands, without one it talks at once."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if shown is not None:
        context.load_cert_chain(shown.server)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        stopped = threading.Event()

        def serve() -> None:
            while not stopped.is_set():
                try:
                    client, _ = listener.accept()
                except TimeoutError:
                    continue
                try:
                    if shown is None:
                        client.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                    else:
                        context.wrap_socket(client, server_side=True).close()
                except OSError:
                    pass
                finally:
                    client.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stopped.set()
            thread.join()


def test_a_certificate_is_believed_when_its_authority_is(shown: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(shown) as port:
        stranger = handshake("127.0.0.1", port, "localhost")
        monkeypatch.setenv("SSL_CERT_FILE", str(shown.trusted))
        known = handshake("127.0.0.1", port, "localhost")
        other = handshake("127.0.0.1", port, "studio.example.org")
    assert stranger is not None
    assert stranger.disbelief
    assert known is not None
    assert (known.disbelief, known.protocol) == (None, "TLSv1.3")
    assert 0 <= (known.ends - clock.now()).days <= 1
    assert other is not None
    assert "studio.example.org" in (other.disbelief or "")


def test_what_speaks_no_tls_is_nobody_to_shake_hands_with() -> None:
    with server(None) as port:
        assert handshake("127.0.0.1", port, "localhost") is None
    with pytest.raises(OSError, match="refused"):
        handshake("127.0.0.1", port, "localhost")


def test_an_address_names_host_and_port() -> None:
    assert place("https://studio.example.org") == ("studio.example.org", 443)
    assert place("http://gateway:8080") == ("gateway", 8080)


def test_the_kernels_own_list_tells_who_listens_where(tmp_path: Path) -> None:
    head = "  sl  local_address rem_address   st tx_queue\n"
    (tmp_path / "tcp").write_text(
        head + "   0: 0100007F:1F90 00000000:0000 0A 0\n   1: 00000000:1F91 00000000:0000 0A 0\n"
        "   2: 0100007F:1F92 0100007F:0001 01 0\n"
    )
    (tmp_path / "tcp6").write_text(
        head + "   0: 00000000000000000000000001000000:1F93 00000000000000000000000000000000:0000 0A 0\n"
    )
    assert list(listening(tmp_path)) == [(8080, "127.0.0.1"), (8081, "0.0.0.0"), (8083, "127.0.0.1")]  # noqa: S104


def test_a_socket_of_this_process_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        assert (opened.getsockname()[1], "127.0.0.1") in set(listening())
