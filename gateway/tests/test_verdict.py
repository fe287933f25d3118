"""What `explain` says, and that the real HAProxy decides the same: two readings of one declaration."""

import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from gateway.manifest import ROOT, read
from gateway.tests.running import ROUTES, UUID_TEXT, RunningGateway, route
from gateway.verdict import Policy
from libs.common.auth.policy import Role

PROBES = {
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "get", "QUERY"
}  # fmt: skip
PARTS = [
    "api", "v1", "echo", "mine", "admin", "things", "films", "tiles", "pages", "small", "claim", "health", "live", "ready",
    "internal", "list",
    "years", "2026", "months", "last", "openapi.json", "dashboard", "tasks", "events", "stream",
    "notices", "metrics", "7", "0042", "9" * 18,
    "9" * 19, UUID_TEXT, UUID_TEXT.upper(), UUID_TEXT[:-1], "le-voyage_dans.la~lune", "a b", "a%20b", "%61dmin", "..", ".", "",
    "%2f", "a;b", "{uuid}", "{int}", "é", "%", "a'b", "API",
]  # fmt: skip


FREE = {"name": "string"}
MIXED = [
    *(each for each in ROUTES if each["path"] != "/api/v1/slow"),
    route("PUT", "/api/v1/things/{name}", "signed_in", parameters=FREE),
    route("POST", "/api/v1/things/{name}", ["VIEWER"], parameters=FREE),
    route("GET", "/api/v1/things/{name}/parts/{number}", ["CREATOR"], parameters={**FREE, "number": "int"}),
    route("DELETE", "/api/v1/pages/{number}", ["ADMIN"], parameters={"number": "int"}),
    route("POST", "/api/v1/pages/{rest}", "public", parameters={"rest": "path"}),
    route("PUT", "/api/v1/years/{year}/months/{month}", ["CREATOR"], parameters={"year": "string", "month": "string"}),
    route("GET", "/api/v1/years/{year}/months/last", "public", rate="public", parameters={"year": "string"}),
    route("GET", "/api/v1/years/2026", "public", rate="public"),
    route("PUT", "/api/v1/years/{year}", ["ADMIN"], parameters={"year": "string"}),
]


@pytest.fixture(scope="module")
def entrance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway before routes of every shape, some beside each other."""
    running = RunningGateway(tmp_path_factory.mktemp("mixed"), routes=MIXED)
    with running.serving(1):
        yield running


@pytest.fixture(scope="module")
def policy(entrance: RunningGateway) -> Policy:
    """What is declared to it."""
    return Policy(read([ROOT / "gateway" / "policy.json", entrance.manifest]))


def requests(policy: Policy) -> st.SearchStrategy[tuple[str, str]]:
    """Methods and paths close to what is declared: a template filled, perhaps with one segment changed, added or taken away."""
    values = {"uuid": st.just(UUID_TEXT), "int": st.just("7"), "string": st.sampled_from(PARTS), "path": st.sampled_from(PARTS)}

    @st.composite
    def near(draw: st.DrawFn) -> tuple[str, str]:
        _, route = draw(st.sampled_from(policy.exposed))
        segments = [literal if kind is None else draw(values[kind]) for kind, literal in route.kinds]
        change = draw(st.sampled_from(["none"] * 6 + ["replace", "add", "drop"]))
        at = draw(st.integers(0, len(segments) - 1))
        if change == "replace":
            segments[at] = draw(st.sampled_from(PARTS))
        elif change == "add":
            segments.insert(at + 1, draw(st.sampled_from(PARTS)))
        elif change == "drop":
            del segments[at]
        return route.method, "/" + "/".join(segments)

    return near()


def answered(gateway: RunningGateway, method: str, path: str, roles: frozenset[Role] | None) -> tuple[int, str]:
    """Status and Allow header of HAProxy's answer to exactly these bytes."""
    token = "" if roles is None else f"Authorization: {gateway.bearer(roles=' '.join(roles), amr=['mfa'])['Authorization']}\r\n"
    request = f"{method} {path} HTTP/1.1\r\nHost: lumiere.test\r\nConnection: close\r\nContent-Length: 0\r\n{token}\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=15) as connection:
        connection.sendall(request.encode())
        answer = b""
        while b"\r\n\r\n" not in answer and (part := connection.recv(65_536)):
            answer += part
    head = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    allow = next((line.partition(": ")[2] for line in head if line.lower().startswith("allow: ")), "")
    return int(head[0].split()[1]), allow


ROLES = st.one_of(st.none(), st.frozensets(st.sampled_from(list(Role)), max_size=3))


def haproxy_decides_as_explained(entrance: RunningGateway, policy: Policy, data: st.DataObject) -> None:
    """One request, judged twice."""
    anything = st.lists(st.sampled_from(PARTS), max_size=5).map(lambda parts: ("GET", "/" + "/".join(parts)))
    method, path = data.draw(st.one_of(requests(policy), requests(policy), requests(policy), anything))
    method, path = data.draw(st.sampled_from([method, method, *sorted(PROBES)])), path.replace(" ", "%20")
    roles = data.draw(ROLES)

    verdict = policy.judge(method, path, roles)
    status, allow = answered(entrance, method, path, roles)

    event(verdict.decision)
    if verdict.passes:
        # The service of the tests answers 200; who would answer the gateway's own pages is not there.
        paged = verdict.route is not None and verdict.route.process == "pages"
        assert status == (503 if paged else 200), verdict
    else:
        assert (status, allow) == (verdict.status, ", ".join(verdict.allowed)), verdict


UNHURRIED = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(data=st.data())
@UNHURRIED
def test_haproxy_decides_as_explained(entrance: RunningGateway, policy: Policy, data: st.DataObject) -> None:
    haproxy_decides_as_explained(entrance, policy, data)


@pytest.mark.long
@pytest.mark.timeout(600)
@given(data=st.data())
@settings(UNHURRIED, max_examples=1_000)
def test_haproxy_decides_thousands_of_requests_as_explained(
    entrance: RunningGateway, policy: Policy, data: st.DataObject
) -> None:
    haproxy_decides_as_explained(entrance, policy, data)


@pytest.mark.parametrize(
    ("method", "path", "roles", "decision", "why"),
    [
        ("GET", "/api/v1/echo", None, "public", "anybody may"),
        ("HEAD", "/api/v1/echo", None, "public", "anybody may"),
        ("GET", "/api/v1/mine", (Role.VIEWER,), "permitted", "anybody who is signed in may"),
        ("GET", "/api/v1/mine", (), "role_withheld", "holds no role"),
        ("GET", "/api/v1/enrolment", (), "permitted", "anybody who is signed in may"),
        ("GET", "/api/v1/mine", None, "token_missing", "no access token"),
        ("GET", f"/api/v1/things/{UUID_TEXT}", (Role.ARTIST, Role.VIEWER), "permitted", "ARTIST may"),
        ("GET", f"/api/v1/things/{UUID_TEXT}", (Role.VIEWER,), "role_missing", "one of ADMIN, ARTIST"),
        ("GET", "/api/v1//mine", None, "path_not_canonical", "doubled slashes"),
        ("GET", "/api/v1/%61", None, "path_not_canonical", "an encoded slash"),
        ("GET", "*", None, "path_not_canonical", "begins with a slash"),
        ("GET", "/" + "x" * 8_000, None, "address_too_long", "longer than 8000"),
        ("GET", "/internal/list", (Role.ADMIN,), "not_found", "no route"),
    ],
)
def test_a_verdict_says_why(method: str, path: str, roles: Any, decision: str, why: str, policy: Policy) -> None:
    verdict = policy.judge(method, path, roles)

    assert verdict.decision == decision
    assert why in verdict.reason


def test_what_is_not_found_names_what_is_near_and_what_is_not_allowed_names_what_is(policy: Policy) -> None:
    assert policy.judge("GET", "/api/v1/ecko", None).nearest[0] == "GET /api/v1/echo"
    assert policy.judge("DELETE", f"/api/v1/things/{UUID_TEXT}", None).allowed == ("GET", "HEAD", "PATCH", "POST", "PUT")
    assert policy.judge("BREW", "/api/v1/echo", None).allowed == ("GET", "HEAD")


def test_an_address_of_the_longest_length_is_looked_up(policy: Policy, entrance: RunningGateway) -> None:
    path = "/" + "x" * 7_999

    assert policy.judge("GET", path, None).status == httpx.get(entrance.url + path).status_code == 404
    assert policy.judge("GET", f"{path}x", None).status == httpx.get(f"{entrance.url}{path}x").status_code == 414
