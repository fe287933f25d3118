"""The access log: a JSON line a request whatever was sent, with the decision and the times, and nothing about anybody."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import access_log, limits
from gateway.tests.running import UUID_TEXT, RunningGateway, eventually
from libs.common.auth.policy import Role
from libs.common.ids import new_id

KERNEL = ("timestamp", "level", "service", "process", "event", "request_id", "trace_id")
KERNEL_REQUEST = ("operation", "method", "status", "milliseconds")
HAPROXY_ITSELF = "Proxy "
"""How HAProxy's own remarks begin: it says when a configuration is left behind, and in no other format."""


def entries(gateway: RunningGateway) -> Iterator[dict[str, Any]]:
    """Every whole line so far."""
    whole = gateway.log.rpartition("\n")[0]
    yield from (json.loads(line) for line in whole.splitlines() if not line.startswith(HAPROXY_ITSELF))


def line_of(gateway: RunningGateway, request_id: str) -> dict[str, Any]:
    """The line of one request."""

    def here() -> dict[str, Any] | None:
        return next((each for each in entries(gateway) if each.get("request_id") == request_id), None)

    found: dict[str, Any] = eventually(here)
    return found


def logged(shared: RunningGateway, client: httpx.Client, method: str, path: str, **changes: Any) -> dict[str, Any]:
    """The line of a request made now."""
    request_id = new_id().hex
    client.request(method, path, headers={**changes.pop("headers", {}), "X-Request-Id": request_id}, **changes)
    return line_of(shared, request_id)


@pytest.mark.parametrize(
    ("method", "path", "roles", "expected"),
    [
        ("GET", "/api/v1/echo", None, ("public", "public", 200)),
        ("HEAD", "/api/v1/echo", None, ("public", "public", 200)),
        ("GET", "/health/live", None, ("public", "public", 200)),
        ("GET", "/api/v1/mine", (), ("permitted", "signed_in", 200)),
        ("GET", f"/api/v1/things/{UUID_TEXT}", (Role.ARTIST,), ("permitted", "ADMIN,ARTIST", 200)),
        ("PATCH", f"/api/v1/things/{UUID_TEXT}", (Role.ARTIST,), ("role_missing", "ADMIN", 403)),
        ("GET", "/api/v1/mine", None, ("token_missing", "signed_in", 401)),
        ("GET", "/api/v1/nowhere", None, ("not_found", "-", 404)),
        ("DELETE", "/api/v1/echo", None, ("method_not_allowed", "-", 405)),
        ("GET", "/api/v1//echo", None, ("path_not_canonical", "-", 400)),
    ],
)
def test_a_line_says_what_was_decided_and_for_whom_in_general(
    method: str, path: str, roles: Any, expected: tuple[str, str, int], shared: RunningGateway, client: httpx.Client
) -> None:
    headers = {} if roles is None else shared.bearer(*roles)

    line = logged(shared, client, method, path, headers=headers)

    assert (line["decision"], line["access"], line["status"]) == expected
    assert line["method"] == ("-" if line["decision"] == "path_not_canonical" else method)


def test_a_line_has_the_members_of_the_kernel_and_the_times_in_milliseconds(
    shared: RunningGateway, client: httpx.Client
) -> None:
    line = logged(shared, client, "POST", "/api/v1/small", content=b"12345")

    assert [name for name in KERNEL + KERNEL_REQUEST if name not in line] == []
    assert set(line) == {*json.loads(_example()), *access_log.REQUEST}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])
    assert all(isinstance(line[name], int) for name in line if name.endswith(("milliseconds", "_in", "_out", "number")))
    assert (line["backend"], line["protocol"], line["tls"]) == ("echo-web", "HTTP/1.1", "-")
    assert line["bytes_in"] > 5
    assert line["server"] in {each.address.replace(":", "_") for each in shared.upstreams}


def _example() -> str:
    return access_log.log_format("request", {}).strip("'")


def test_numbers_follow_each_other(shared: RunningGateway, client: httpx.Client) -> None:
    first, second = (logged(shared, client, "GET", "/api/v1/echo") for _ in range(2))

    assert second["worker"] == first["worker"]
    assert second["number"] > first["number"]


def test_nothing_planted_in_a_request_reaches_the_log(shared: RunningGateway, client: httpx.Client) -> None:
    planted = "planted-8c1f"
    token = shared.bearer(Role.ARTIST)["Authorization"]
    subject = new_id()
    headers = {
        "Authorization": shared.bearer(Role.ARTIST, sub=str(subject))["Authorization"],
        "User-Agent": planted,
        "Referer": f"https://{planted}/",
        "Cookie": f"session={planted}",
        "X-Forwarded-For": "203.0.113.77",
        "Idempotency-Key": planted,
        "traceparent": f"00-{planted}",
        "Host": planted,
    }
    request_id = f"safe-{new_id().hex}"
    for path in (f"/api/v1/things/{UUID_TEXT}", f"/api/v1/films/{planted}", f"/{planted}", f"/api/v1/mine?{planted}={planted}"):
        client.get(path, headers=headers)
    client.request(planted.upper(), "/api/v1/echo", headers=headers)
    client.get("/api/v1/echo", headers={**headers, "X-Request-Id": f"no id: {planted}"})
    client.get("/api/v1/echo", headers={"X-Request-Id": request_id})
    line_of(shared, request_id)

    for secret in (planted, planted.upper(), str(subject), UUID_TEXT, "203.0.113.77", token.split(".")[1], "127.0.0.1:"):
        assert secret not in shared.log


HOSTILE = [
    b'GE"T /api/v1/echo HTTP/1.1\r\nHost: x\r\n\r\n',
    b"GE\\T /api/v1/echo HTTP/1.1\r\nHost: x\r\n\r\n",
    b"!#$%&'*+-.^_`|~ /api/v1/echo HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\xff\xfe\x00 / HTTP/1.1\r\n\r\n",
    b'GET / HTTP/1."\r\n\r\n',
    b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET /api/v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    b'GET /api/v1/echo HTTP/1.1\r\nHost: x\r\nX-Request-Id: "},{"a\r\n\r\n',
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x00\x05hello",
    b"POST /api/v1/small HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\ncut",
    b"\r\n\r\n\r\n",
]


def _thrown(shared: RunningGateway, request: bytes) -> None:
    """Send it and go; what is answered is not of interest."""
    with socket.create_connection(("127.0.0.1", shared.port), timeout=5) as connection, suppress(OSError):
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass


def _all_lines_parse(shared: RunningGateway, client: httpx.Client) -> None:
    line_of(shared, logged(shared, client, "GET", "/api/v1/echo")["request_id"])
    for line in shared.log.rpartition("\n")[0].splitlines():
        assert line.startswith(HAPROXY_ITSELF) or isinstance(json.loads(line), dict), line
        assert len(line) < limits.LOG_LINE_MAX


@pytest.mark.parametrize("request_bytes", HOSTILE)
def test_a_hostile_request_leaves_a_line_of_json(request_bytes: bytes, shared: RunningGateway, client: httpx.Client) -> None:
    _thrown(shared, request_bytes)

    _all_lines_parse(shared, client)


@given(
    method=st.binary(max_size=12),
    target=st.one_of(st.binary(max_size=30), st.just(b"/api/v1/echo")),
    version=st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"", b'"']),
    header=st.binary(max_size=40),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_sent_the_log_stays_json(
    shared: RunningGateway, client: httpx.Client, method: bytes, target: bytes, version: bytes, header: bytes
) -> None:
    for request in (
        b" ".join((method, target, version)) + b"\r\nHost: x\r\nX-Request-Id: " + header + b"\r\n\r\n",
        b"GET /api/v1/echo HTTP/1.1\r\nHost: x\r\ntraceparent: " + header + b"\r\n" + method + b": x\r\n\r\n",
    ):
        _thrown(shared, request)

    _all_lines_parse(shared, client)


def test_what_is_no_http_leaves_a_line_with_its_status(own: RunningGateway) -> None:
    _thrown(own, b"this is no HTTP\r\n\r\n")

    line = eventually(lambda: next((each for each in entries(own) if each["event"] == "refused"), None))
    assert (line["reason"], line["status"]) == (access_log.WELL, 400)


def test_haproxy_speaks_of_its_servers_elsewhere(own: RunningGateway) -> None:
    own.upstreams[0].kill()
    eventually(lambda: "is DOWN" in Path(own.root / "haproxy.err").read_text(encoding="utf-8"))

    assert "is DOWN" not in own.log


def test_a_log_that_nobody_takes_waits_instead_of_trying_again_and_again(shared: RunningGateway) -> None:
    rows = shared.gateway.haproxy.statistics()

    (taken,) = [int(row["stot"]) for row in rows if (row["pxname"], row["svname"]) == ("lines", "FRONTEND")]

    assert taken < 20
