"""What HTTP/2 can say and HTTP/1 cannot must not become another request on the way to a service."""

import json
import socket
from collections.abc import Iterator, Sequence

import h2.config
import h2.connection
import h2.events
import pytest

from gateway import limits
from gateway.tests.recorder import Recorder
from gateway.tests.running import ROUTES, RunningGateway, route
from gateway.tests.test_smuggling import HIDDEN, forbidden

Fields = Sequence[tuple[bytes, bytes]]
GOOD: Fields = ((b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"lumiere.test"), (b":path", b"/api/v1/echo"))
POST: Fields = ((b":method", b"POST"), *GOOD[1:3], (b":path", b"/api/v1/received"))


def changed(name: bytes, value: bytes) -> Fields:
    """A good request but for one pseudo-header field."""
    return [(field, value if field == name else content) for field, content in GOOD]


ATTACKS: dict[str, tuple[Fields, bytes]] = {
    "a transfer encoding": ([*POST, (b"transfer-encoding", b"chunked")], b"0\r\n\r\n" + HIDDEN + b"\r\n\r\n"),
    "a transfer encoding by another spelling": ([*POST, (b"transfer-encoding ", b"chunked")], b"0\r\n\r\n"),
    "a connection field": ([*GOOD, (b"connection", b"keep-alive")], b""),
    "an upgrade": ([*GOOD, (b"upgrade", b"websocket")], b""),
    "a proxy connection": ([*GOOD, (b"proxy-connection", b"keep-alive")], b""),
    "a TE that is not trailers": ([*GOOD, (b"te", b"gzip")], b""),
    "a length below the body": ([*POST, (b"content-length", b"1")], HIDDEN),
    "a length above the body": ([*POST, (b"content-length", b"500")], HIDDEN),
    "a length of zero": ([*POST, (b"content-length", b"0")], HIDDEN + b"\r\n\r\n"),
    "two lengths": ([*POST, (b"content-length", b"5"), (b"content-length", b"6")], b"hello"),
    "a length that is none": ([*POST, (b"content-length", b"+5")], b"hello"),
    "lines in a value": ([*POST, (b"x", b"a\r\nTransfer-Encoding: chunked")], b"0\r\n\r\n" + HIDDEN),
    "a request in a value": ([*GOOD, (b"x", b"a\r\n\r\n" + HIDDEN + b"\r\n\r\n")], b""),
    "a line feed in a value": ([*GOOD, (b"x", b"a\nx-user-id: root")], b""),
    "a carriage return in a value": ([*GOOD, (b"x", b"a\rx-user-id: root")], b""),
    "NUL in a value": ([*GOOD, (b"x", b"a\x00b")], b""),
    "lines in a name": ([*GOOD, (b"x: a\r\nx-user-id", b"root")], b""),
    "a colon in a name": ([*GOOD, (b"x-user-id: root", b"a")], b""),
    "capitals in a name": ([*GOOD, (b"X-User-Id", b"root")], b""),
    "no name": ([*GOOD, (b"", b"root")], b""),
    "a path with a space": (changed(b":path", b"/api/v1/echo HTTP/1.1\r\nX: "), b""),
    "a path that goes on": (changed(b":path", b"/api/v1/echo /internal/list"), b""),
    "a path with a request": (changed(b":path", b"/api/v1/echo HTTP/1.1\r\n\r\n" + HIDDEN), b""),
    "a path without a slash": (changed(b":path", b"api/v1/echo"), b""),
    "an empty path": (changed(b":path", b""), b""),
    "a path that is an address": (changed(b":path", b"http://other.test/internal/list"), b""),
    "a path with a fragment": (changed(b":path", b"/api/v1/echo#/internal/list"), b""),
    "a method with a request": (changed(b":method", b"GET /internal/list HTTP/1.1\r\nX:"), b""),
    "a method with a space": (changed(b":method", b"GET /internal/list"), b""),
    "an empty method": (changed(b":method", b""), b""),
    "CONNECT": ([(b":method", b"CONNECT"), (b":authority", b"other.test:443")], b""),
    "an extended CONNECT": ([*changed(b":method", b"CONNECT"), (b":protocol", b"websocket")], b""),
    "a scheme with a path": (changed(b":scheme", b"http://lumiere.test/internal/list?"), b""),
    "a name with lines": (changed(b":authority", b"lumiere.test\r\nx-user-id: root"), b""),
    "a name with a path": (changed(b":authority", b"lumiere.test/internal/list?"), b""),
    "a host that differs": ([*GOOD, (b"host", b"other.test")], b""),
    "two paths": ([*GOOD, (b":path", b"/internal/list")], b""),
    "no path": ([each for each in GOOD if each[0] != b":path"], b""),
    "a pseudo-header after the others": ([GOOD[0], (b"x", b"a"), *GOOD[1:]], b""),
    "an unknown pseudo-header": ([*GOOD, (b":forwarded", b"root")], b""),
    "an answer's pseudo-header": ([*GOOD, (b":status", b"200")], b""),
    "an underscore in a name": ([*GOOD, (b"x_user_id", b"root")], b""),
    "an identity": ([*GOOD, (b"x-user-id", b"root")], b""),
}


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    opened = Recorder()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def gateway(recorder: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    streaming = route("POST", "/api/v1/received", "public", rate="upload", body_limit=1_000_000, consumes=["*/*"])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(limits, "CLIENT_IDLE_SECONDS", 1)
        running = RunningGateway(tmp_path_factory.mktemp("http2"), routes=[*ROUTES, streaming])
        try:
            running.targets.write_text(json.dumps({"echo": {"web": [recorder.address]}}), encoding="utf-8")
            running.publish_key()
            running.start()
            yield running
        finally:
            running.close()


def answered(gateway: RunningGateway, fields: Fields, body: bytes) -> str:
    """Say this over HTTP/2 as no careful client would: the status, or `reset` of a stream or `closed` of a connection."""
    loose = h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding=None)
    connection = h2.connection.H2Connection(loose)
    connection.initiate_connection()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as wire:
        connection.send_headers(1, fields, end_stream=not body)
        wire.sendall(connection.data_to_send())
        if body:
            connection.send_data(1, body, end_stream=True)
            wire.sendall(connection.data_to_send())
        while data := wire.recv(65_536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    return dict(event.headers)[b":status"].decode()
                if isinstance(event, h2.events.StreamReset):
                    return "reset"
                if isinstance(event, h2.events.ConnectionTerminated):
                    return "closed"
    return "closed"


@pytest.mark.parametrize("name", ATTACKS)
def test_what_http_1_cannot_say_is_refused_or_passed_on_in_one_reading(
    name: str, gateway: RunningGateway, recorder: Recorder
) -> None:
    recorder.forget()
    outcome = answered(gateway, *ATTACKS[name])

    assert outcome in {"reset", "closed", "200", "400", "401", "403", "404", "405", "408", "411", "413"}, outcome
    assert not recorder.faults
    assert len(recorder.requests) <= 1
    assert not [request for request in recorder.requests if forbidden(request)]
    # A body after a length of zero resets the stream of a request that may have been passed on by then, whole without it.
    assert len(recorder.requests) == (outcome == "200") or outcome == "reset"
    assert answered(gateway, GOOD, b"") == "200"


def test_a_good_request_passes_with_and_without_a_body(gateway: RunningGateway, recorder: Recorder) -> None:
    recorder.forget()

    assert answered(gateway, GOOD, b"") == answered(gateway, [*POST, (b"content-length", b"5")], b"hello") == "200"
    assert [request.body for request in recorder.requests] == [b"", b"hello"]
    assert recorder.requests[0].fields[b"host"] == b"lumiere.test"


@pytest.mark.parametrize(
    ("count", "taken"),
    [(limits.HEADER_COUNT_MAX - 1, True), (limits.HEADER_COUNT_MAX, True), (limits.HEADER_COUNT_MAX + 1, False)],
)
def test_a_request_has_so_many_header_fields_and_no_more(count: int, taken: bool, gateway: RunningGateway) -> None:
    lines = ["GET /api/v1/echo HTTP/1.1", "Host: lumiere.test", "Connection: close", *(f"X-{n}: a" for n in range(count - 2))]
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as wire:
        wire.sendall("\r\n".join([*lines, "", ""]).encode())
        assert wire.recv(65_536).startswith(b"HTTP/1.1 200 ") is taken
