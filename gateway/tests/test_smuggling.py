"""Requests that two programs could read in two ways: refused, or passed on in the one way that every program reads alike.

Behind the gateway stands a replica that records every byte and is stricter than any real one. Whatever a client sends, it
sees one request at most and nothing in it that could be read otherwise; and the next client gets the answer to its own request.
"""

import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from gateway import limits
from gateway.tests.recorder import Recorder, Request
from gateway.tests.running import ROUTES, RunningGateway, route

OPEN = "/api/v1/received"
HIDDEN = b"GET /internal/list HTTP/1.1\r\nHost: lumiere.test\r\nX-Rest: "
HOST = b"Host: lumiere.test"
SETTINGS = b"\x04\x00\x00\x00\x00\x00"
"""Type, flags and stream of the frame that an answer over HTTP/2 begins with, after its length: an HTTP/1 request is none."""
CHUNKED = b"0\r\n\r\n" + HIDDEN + b"\r\n\r\n"


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    opened = Recorder()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def gateway(recorder: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway that waits one second for what does not come."""
    streaming = route("POST", OPEN, "public", rate="upload", body_limit=1_000_000, consumes=["*/*"])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(limits, "REPLICA_REQUESTS_MAX", 1_000)
        patched.setattr(limits, "BULK_REQUESTS_MAX", 1_000)
        patched.setattr(limits, "HEAD_SECONDS", 1)
        patched.setattr(limits, "BODY_WAIT_SECONDS", 1)
        patched.setattr(limits, "CLIENT_IDLE_SECONDS", 1)
        running = RunningGateway(tmp_path_factory.mktemp("smuggling"), routes=[*ROUTES, streaming])
        try:
            running.targets.write_text(f'{{"echo": {{"web": ["{recorder.address}"]}}}}', encoding="utf-8")
            running.publish_key()
            running.start()
            yield running
        finally:
            running.close()


def exchanged(gateway: RunningGateway, sent: bytes) -> bytes:
    """Everything that comes back when nothing more is sent."""
    answer = b""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=15) as connection, suppress(ConnectionResetError):
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65_536):
            answer += part
    return answer


def head(target: str, *fields: bytes, version: bytes = b"HTTP/1.1", method: bytes = b"POST") -> bytes:
    """A request head with its fields as they are."""
    lines = [b"%s %s %s" % (method, target.encode(), version), b"Host: lumiere.test", *fields]
    return b"\r\n".join([*lines, b"", b""])


ENCODINGS = {
    "TE.TE twice chunked": [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
    "TE.TE chunked and identity": [b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"],
    "TE.TE identity and chunked": [b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked"],
    "TE.TE chunked and cow": [b"Transfer-Encoding: chunked", b"Transfer-encoding: cow"],
    "xchunked": [b"Transfer-Encoding: xchunked"],
    "chunked and more": [b"Transfer-Encoding: chunked-false"],
    "trailing comma": [b"Transfer-Encoding: chunked,"],
    "leading comma": [b"Transfer-Encoding: ,chunked"],
    "list with identity": [b"Transfer-Encoding: identity, chunked"],
    "list twice": [b"Transfer-Encoding: chunked, chunked"],
    "gzip before": [b"Transfer-Encoding: gzip, chunked"],
    "gzip after": [b"Transfer-Encoding: chunked, gzip"],
    "mixed case": [b"tRANSFER-eNCODING: ChUnKeD"],
    "tab before": [b"Transfer-Encoding:\tchunked"],
    "tab after": [b"Transfer-Encoding: chunked\t"],
    "vertical tab before": [b"Transfer-Encoding: \x0bchunked"],
    "vertical tab after": [b"Transfer-Encoding: chunked\x0b"],
    "form feed": [b"Transfer-Encoding: \x0cchunked"],
    "no-break space": [b"Transfer-Encoding: \xa0chunked"],
    "NUL": [b"Transfer-Encoding: chunked\x00"],
    "space before the colon": [b"Transfer-Encoding : chunked"],
    "tab before the colon": [b"Transfer-Encoding\t: chunked"],
    "space before the name": [b" Transfer-Encoding: chunked"],
    "folded line": [b"Transfer-Encoding:", b" chunked"],
    "folded into another field": [b"X: y", b" Transfer-Encoding: chunked"],
    "bare line feed before": [b"X: y\nTransfer-Encoding: chunked"],
    "bare carriage return before": [b"X: y\rTransfer-Encoding: chunked"],
    "bare carriage return after": [b"Transfer-Encoding: chunked\r"],
    "underscore": [b"Transfer_Encoding: chunked"],
    "quoted": [b'Transfer-Encoding: "chunked"'],
    "with a parameter": [b"Transfer-Encoding: chunked;q=1"],
    "empty": [b"Transfer-Encoding: "],
    "without a colon": [b"Transfer-Encoding chunked"],
    "named by Connection": [b"Connection: transfer-encoding", b"Transfer-Encoding: chunked"],
    "h2c upgrade": [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"],
    "web socket upgrade": [b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"],
}
LENGTHS = {
    "two that differ": [b"Content-Length: 6", b"Content-Length: 0"],
    "two that differ, the other way": [b"Content-Length: 0", b"Content-Length: 6"],
    "two alike": [b"Content-Length: 5", b"Content-Length: 5"],
    "a list alike": [b"Content-Length: 5, 5"],
    "a list that differs": [b"Content-Length: 0, 6"],
    "plus": [b"Content-Length: +5"],
    "minus": [b"Content-Length: -5"],
    "hexadecimal": [b"Content-Length: 0x5"],
    "a fraction": [b"Content-Length: 5.0"],
    "an exponent": [b"Content-Length: 5e0"],
    "an underscore": [b"Content-Length: 1_0"],
    "leading zeros": [b"Content-Length: 0000005"],
    "empty": [b"Content-Length: "],
    "a space within": [b"Content-Length: 5 6"],
    "a space before the colon": [b"Content-Length : 5"],
    "a quote": [b'Content-Length: "5"'],
    "other digits": ["Content-Length: ٥".encode()],
    "over 64 bits": [b"Content-Length: 18446744073709551621"],
    "far over 64 bits": [b"Content-Length: " + b"9" * 100],
    "below zero in 64 bits": [b"Content-Length: 9223372036854775808"],
    "folded": [b"Content-Length:", b" 5"],
    "vertical tab": [b"Content-Length: \x0b5"],
    "NUL": [b"Content-Length: 5\x00"],
    "a bare carriage return": [b"Content-Length: 0\rContent-Length: 5"],
    "a bare line feed": [b"X: y\nContent-Length: 5"],
    "an underscore in the name": [b"Content_Length: 5"],
    "named by Connection": [b"Connection: content-length", b"Content-Length: 5"],
}
CHUNKS = {
    "a size that is none": b"z\r\nhello\r\n0\r\n\r\n",
    "a minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "a plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "a prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a space before": b" 5\r\nhello\r\n0\r\n\r\n",
    "a size over 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a size near 64 bits": b"fffffffffffffffe\r\nhello\r\n0\r\n\r\n",
    "a size over 32 bits": b"100000005\r\nhello\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "an extension": b"5;name=value\r\nhello\r\n0\r\n\r\n",
    "an extension with a line feed": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "an extension that hides a request": b"2;\nxx\r\n" + CHUNKED,
    "an extension with a carriage return": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "a line feed alone": b"5\nhello\n0\n\n",
    "a line feed after the data": b"5\r\nhello\n0\r\n\r\n",
    "no line after the data": b"5\r\nhello0\r\n\r\n",
    "more data than said": b"4\r\nhello\r\n0\r\n\r\n",
    "less data than said": b"6\r\nhello\r\n0\r\n\r\n",
    "a carriage return before the size": b"\r5\r\nhello\r\n0\r\n\r\n",
    "many zeros": b"0000000000000000000005\r\nhello\r\n0\r\n\r\n",
    "an end with an extension": b"5\r\nhello\r\n0;a=b\r\n\r\n",
    "a trailer": b"5\r\nhello\r\n0\r\nX-User-Id: root\r\n\r\n",
    "a trailer that is a length": b"5\r\nhello\r\n0\r\nContent-Length: 100\r\n\r\n",
    "a trailer that hides a request": b"0\r\nX: y\n\n" + HIDDEN + b"\r\n\r\n",
    "an end without a line": b"5\r\nhello\r\n0\r\n" + HIDDEN + b"\r\n\r\n",
}
HEADS = {
    "two hosts": head("/api/v1/echo", b"Host: other.test", method=b"GET"),
    "two hosts alike": head("/api/v1/echo", b"Host: lumiere.test", method=b"GET"),
    "an absolute address of another host": b"GET http://other.test/api/v1/echo HTTP/1.1\r\nHost: lumiere.test\r\n\r\n",
    "an absolute address with a user": b"GET http://lumiere.test@other.test/api/v1/echo HTTP/1.1\r\nHost: lumiere.test\r\n\r\n",
    "an address without a path": b"GET http://lumiere.test HTTP/1.1\r\nHost: lumiere.test\r\n\r\n",
    "a host with a space": b"GET /api/v1/echo HTTP/1.1\r\nHost: lumiere.test other\r\n\r\n",
    "a host with a path": b"GET /api/v1/echo HTTP/1.1\r\nHost: lumiere.test/other\r\n\r\n",
    "no host": b"GET /api/v1/echo HTTP/1.1\r\n\r\n",
    "a folded field": head("/api/v1/echo", b"X-One: a", b" b: c", method=b"GET"),
    "a folded first field": b"GET /api/v1/echo HTTP/1.1\r\n Host: lumiere.test\r\n\r\n",
    "bare line feeds": b"GET /api/v1/echo HTTP/1.1\nHost: lumiere.test\n\n",
    "bare carriage returns": b"GET /api/v1/echo HTTP/1.1\rHost: lumiere.test\r\r",
    "a carriage return in a value": head("/api/v1/echo", b"X: a\rHost: other.test", method=b"GET"),
    "a line feed in a value": head("/api/v1/echo", b"X: a\nX-User-Id: root", method=b"GET"),
    "NUL in a value": head("/api/v1/echo", b"X: a\x00b", method=b"GET"),
    "NUL in a name": head("/api/v1/echo", b"X\x00Y: a", method=b"GET"),
    "a space in a name": head("/api/v1/echo", b"X-User Id: root", method=b"GET"),
    "a space before the colon": head("/api/v1/echo", b"X-User-Id : root", method=b"GET"),
    "an underscore in a name": head("/api/v1/echo", b"X_User_Id: root", method=b"GET"),
    "no name": head("/api/v1/echo", b": root", method=b"GET"),
    "letters beyond ASCII in a name": head("/api/v1/echo", "X-Usér: a".encode(), method=b"GET"),
    "HTTP/0.9": b"GET /api/v1/echo\r\n\r\n",
    "HTTP/0.9 by name": b"GET /api/v1/echo HTTP/0.9\r\nHost: lumiere.test\r\n\r\n",
    "HTTP/2.0 in words": b"GET /api/v1/echo HTTP/2.0\r\nHost: lumiere.test\r\n\r\n",
    "HTTP/1.2": b"GET /api/v1/echo HTTP/1.2\r\nHost: lumiere.test\r\n\r\n",
    "HTTP/1.10": b"GET /api/v1/echo HTTP/1.10\r\nHost: lumiere.test\r\n\r\n",
    "two spaces": b"GET  /api/v1/echo HTTP/1.1\r\nHost: lumiere.test\r\n\r\n",
    "a tab for a space": b"GET\t/api/v1/echo\tHTTP/1.1\r\nHost: lumiere.test\r\n\r\n",
    "a space in the address": b"GET /api/v1/echo /internal/list HTTP/1.1\r\nHost: lumiere.test\r\n\r\n",
    "a fragment": b"GET /api/v1/echo#/internal/list HTTP/1.1\r\nHost: lumiere.test\r\n\r\n",
    "a method with a line": b"GET\r\n/api/v1/echo HTTP/1.1\r\nHost: lumiere.test\r\n\r\n",
    "a method in small letters": b"get /api/v1/echo HTTP/1.1\r\nHost: lumiere.test\r\n\r\n",
    "CONNECT": b"CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n",
    "CONNECT to a path": b"CONNECT /api/v1/echo HTTP/1.1\r\nHost: lumiere.test\r\n\r\n",
    "TRACE": b"TRACE /api/v1/echo HTTP/1.1\r\nHost: lumiere.test\r\n\r\n",
    "the preface of HTTP/2 and then HTTP/1": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN + b"\r\n\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\nHost: lumiere.test\r\n\r\n",
    "a proxy header": b"PROXY TCP4 203.0.113.9 203.0.113.10 1 2\r\n" + head("/api/v1/echo", method=b"GET"),
    "HTTP/1.0 with an encoding": head(OPEN, b"Transfer-Encoding: chunked", version=b"HTTP/1.0") + CHUNKED,
    "HTTP/1.0 kept alive with both": head(
        OPEN, b"Connection: keep-alive", b"Transfer-Encoding: chunked", b"Content-Length: 5", version=b"HTTP/1.0"
    )
    + CHUNKED,
    "GET with an encoding": head("/api/v1/echo", b"Transfer-Encoding: chunked", method=b"GET") + CHUNKED,
    "GET with a body": head("/api/v1/echo", b"Content-Length: 5", method=b"GET") + b"hello",
    "HEAD with a body": head("/api/v1/echo", b"Content-Length: %d" % len(HIDDEN), method=b"HEAD") + HIDDEN,
    "an expectation and a body": head(OPEN, b"Expect: 100-continue", b"Content-Length: 5") + b"hello" + HIDDEN + b"\r\n\r\n",
    "an expectation twice": head(OPEN, b"Expect: 100-continue", b"Expect: 100-continue", b"Content-Length: 5") + b"hello",
    "an obfuscated expectation": head(OPEN, b"Expect: y 100-continue", b"Content-Length: 5") + b"hello",
    "a body that goes on": head(OPEN, b"Content-Length: 5") + b"hello" + HIDDEN + b"\r\n\r\n",
    "lines before": b"\r\n\r\n" + head("/api/v1/echo", method=b"GET"),
}


def attacks() -> Iterator[tuple[str, bytes]]:
    """Every request of the corpus by name; those with a body at a route that holds it back and at one that lets it pass."""
    yield from HEADS.items()
    for target in (OPEN, "/api/v1/small"):
        for name, fields in ENCODINGS.items():
            yield f"{target}: {name}", head(target, *fields) + CHUNKED
            yield f"{target}: CL.TE {name}", head(target, b"Content-Length: %d" % len(CHUNKED), *fields) + CHUNKED
            yield (
                f"{target}: TE.CL {name}",
                head(target, *fields, b"Content-Length: 4") + b"%x\r\n" % len(HIDDEN) + HIDDEN + b"\r\n0\r\n\r\n",
            )
        for name, fields in LENGTHS.items():
            yield f"{target}: {name}", head(target, *fields) + b"hello" + HIDDEN + b"\r\n\r\n"
        for name, body in CHUNKS.items():
            yield f"{target}: chunks with {name}", head(target, b"Transfer-Encoding: chunked") + body


def suffered(gateway: RunningGateway, number: int, name: str, sent: bytes) -> str | None:
    """Send an attack, marked so that the recorder's copy can be told, and ask as the next client; what is wrong with both."""
    answer = exchanged(gateway, sent.replace(HOST, b"X-Case: %d\r\n%s" % (number, HOST), 1))
    if answer and not answer.startswith(b"HTTP/1.") and answer[3:9] != SETTINGS:
        return f"{name}: answered {answer[:80]!r}"
    own = f"/api/v1/echo?next-to-{number}"
    got = exchanged(gateway, head(own, method=b"GET"))
    return None if got.endswith(b"\r\n\r\n" + own.encode()) else f"{name}: the next client got {got!r}"


def test_whatever_is_sent_a_service_reads_one_request_in_one_way(gateway: RunningGateway, recorder: Recorder) -> None:
    corpus = list(attacks())
    recorder.forget()
    with ThreadPoolExecutor(32) as pool:
        wrong = [each for each in pool.map(lambda one: suffered(gateway, one[0], *one[1]), enumerate(corpus)) if each]

    cases = Counter(request.fields.get(b"x-case") for request in recorder.requests if b"next-to" not in request.target)
    del cases[None]  # without a Host to put the mark beside
    wrong += [f"{corpus[int(case or 0)][0]}: {count} requests" for case, count in cases.items() if count > 1]
    wrong += [f"could be read in two ways: {fault!r}" for fault in recorder.faults]
    wrong += [f"passed on: {request}" for request in recorder.requests if forbidden(request)]
    assert not wrong, "\n".join(wrong)
    assert len(cases) > 20, "the corpus holds requests that are rightly passed on, in one reading"


def forbidden(request: Request) -> bool:
    """Whether a service must never see it."""
    hop = {b"upgrade", b"http2-settings", b"te", b"x-user-id", b"x_user_id", b"transfer_encoding", b"content_length"}
    named = request.fields.get(b"connection", b"keep-alive")
    return (
        request.target.startswith(b"/internal") or bool(hop & request.fields.keys()) or named not in {b"keep-alive", b"close"}
    )
