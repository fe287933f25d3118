"""The numbers of production, counted on a real HAProxy: the last permitted request passes, the next does not."""

import re
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from gateway import limits
from gateway.compiler import compile_configuration
from gateway.limits import LIMITS
from gateway.manifest import ROOT, read
from gateway.tests.running import ROUTES, UUID_TEXT, RunningGateway, eventually, route
from libs.common import clock
from libs.common.auth.policy import Rate, Role


def spend(client: httpx.Client, method: str, path: str, count: int, headers: dict[str, str]) -> list[int]:
    """So many requests, one after another."""
    return [client.request(method, path, headers=headers).status_code for _ in range(count)]


def test_a_subject_has_its_number_of_writes_and_everybody_else_theirs(production: RunningGateway) -> None:
    quota, path = LIMITS[Rate.WRITE].subject, f"/api/v1/things/{UUID_TEXT}/claim"
    headers, other = production.bearer(Role.CONTRIBUTOR), production.bearer(Role.CONTRIBUTOR)
    with httpx.Client(base_url=production.url) as client:
        assert set(spend(client, "POST", path, quota, headers)) == {200}
        refused = client.post(path, headers=headers)

        assert refused.status_code == 429
        assert refused.headers["retry-after"] == str(limits.WINDOW_SECONDS)
        assert refused.headers["ratelimit"] == f'"write";r=0;t={limits.WINDOW_SECONDS}'
        assert refused.headers["ratelimit-policy"] == f'"write";q={quota};w={limits.WINDOW_SECONDS}'
        assert refused.json()["type"] == "https://lumiere.film/problems/too-many-requests"
        assert client.post(path, headers=other).status_code == 200
        assert client.get("/api/v1/mine", headers=headers).status_code == 200


def test_an_address_has_its_number_of_credentials_whoever_it_says_it_is(production: RunningGateway) -> None:
    quota = LIMITS[Rate.CREDENTIALS].address
    assert set(spend_anew(production, quota)) == {200}

    assert spend_anew(production, 1) == [429]
    assert httpx.get(f"{production.url}/api/v1/echo").status_code == 200


def spend_anew(gateway: RunningGateway, count: int) -> list[int]:
    """Each from a new connection with another forwarded address: neither makes a new person."""
    headers = [{"X-Forwarded-For": f"203.0.113.{number}"} for number in range(count)]
    return [httpx.post(f"{gateway.url}/api/v1/login", headers=each).status_code for each in headers]


def test_tokens_that_do_not_hold_are_counted_against_the_address(production: RunningGateway) -> None:
    before = remaining(httpx.get(f"{production.url}/api/v1/mine"))

    for _ in range(5):
        httpx.get(f"{production.url}/api/v1/mine", headers={"Authorization": "Bearer a.b.c"})

    assert remaining(httpx.get(f"{production.url}/api/v1/mine")) <= before - 5


def remaining(answer: httpx.Response) -> int:
    """What is left, by the RateLimit header."""
    return int(answer.headers["ratelimit"].split("r=")[1].split(";")[0])


CLASSES = {
    Rate.CREDENTIALS: ("POST", "/api/v1/guarded"),
    Rate.WRITE: ("POST", "/api/v1/written"),
    Rate.READ: ("GET", "/api/v1/mine"),
    Rate.STREAM: ("GET", "/api/v1/listened"),
    Rate.UPLOAD: ("POST", "/api/v1/upload"),
    Rate.PUBLIC: ("GET", "/api/v1/seen"),
}
MORE = [
    route("POST", "/api/v1/guarded", "signed_in", rate="credentials"),
    route("POST", "/api/v1/written", "signed_in", rate="write"),
    route("GET", "/api/v1/listened", "signed_in", rate="stream"),
    route("GET", "/api/v1/seen", "signed_in", rate="public"),
]


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """The numbers of production, a route of every class, and nobody behind: what is permitted is told so at once, by a 503."""
    running = RunningGateway(tmp_path_factory.mktemp("counted"), "production", [*ROUTES, *MORE])
    try:
        running.publish_key()
        running.start()
        yield running
    finally:
        running.close()


def pipelined(gateway: RunningGateway, address: str, request: bytes, count: int) -> list[bytes]:
    """The statuses of so many requests from one address, sent one after another without waiting in between."""
    with socket.create_connection(("127.0.0.1", gateway.port), 30, (address, 0)) as wire:
        sender = threading.Thread(target=wire.sendall, args=(request * count,))
        sender.start()
        answers = b""
        statuses: list[bytes] = []
        while len(statuses) < count and (part := wire.recv(1_048_576)):
            answers += part
            statuses = re.findall(rb"HTTP/1.1 ([0-9]{3}) ", answers)
        sender.join()
    return statuses


def asking(method: str, path: str, headers: dict[str, str]) -> bytes:
    """One request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", "Host: lumiere.test", "Content-Length: 0", *(f"{n}: {v}" for n, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize("rate", list(Rate))
def test_a_subject_has_exactly_its_number_of_every_class(rate: Rate, counted: RunningGateway) -> None:
    """The one too many comes from elsewhere: it is the person who is counted."""
    limit, number = LIMITS[rate], list(Rate).index(rate)
    request = asking(*CLASSES[rate], counted.bearer())
    statuses = pipelined(counted, f"127.0.20.{number + 1}", request, limit.subject)
    statuses += pipelined(counted, f"127.0.21.{number + 1}", request, 1)

    assert statuses == [b"503"] * limit.subject + [b"429"]


@pytest.mark.parametrize("rate", list(Rate))
def test_an_address_has_exactly_its_number_of_every_class(rate: Rate, counted: RunningGateway) -> None:
    """Without a valid token, which is judged after the address: what is permitted is told that it lacks one."""
    limit, number = LIMITS[rate], list(Rate).index(rate)

    statuses = pipelined(counted, f"127.0.22.{number + 1}", asking(*CLASSES[rate], {}), limit.address + 1)

    assert statuses == [b"401"] * limit.address + [b"429"]
    assert pipelined(counted, f"127.0.23.{number + 1}", asking(*CLASSES[rate], {}), 1) == [b"401"]


def test_an_address_is_neither_logged_nor_kept(counted: RunningGateway) -> None:
    """Wherever somebody comes from: not in a log, a file, a table of counters or an answer, in no spelling."""
    address = "127.77.66.55"
    good, refused, broken = asking("GET", "/api/v1/echo", {}), asking("GET", "/api/v1/mine", {}), b"NO HTTP\r\n\r\n"
    forwarded = asking("GET", "/api/v1/echo", {"X-Forwarded-For": address, "Forwarded": f"for={address}"})
    for request in (good, refused, forwarded, broken):
        pipelined(counted, address, request, 1)
    with socket.create_connection(("127.0.0.1", counted.port), 30, (address, 0)) as wire:
        wire.sendall(forwarded)
        answer = wire.recv(65_536)
    eventually(lambda: counted.log.count('"event":"refused"') >= 1)

    command = counted.gateway.haproxy.command
    tables = [line.split()[2].rstrip(",") for line in command("show table").splitlines() if line.startswith("# table")]
    kept = [answer, counted.log.encode(), (counted.root / "haproxy.err").read_bytes()]
    kept += [command(f"show table {table}").encode() for table in tables]
    kept += [command(f"show {each}").encode() for each in ("servers state", "map maps/address_keys.map")]
    kept += [path.read_bytes() for path in counted.folder.root.rglob("*") if path.is_file()]
    octets = [int(part) for part in address.split(".")]
    spellings = [address, bytes(octets).hex(), str(int.from_bytes(bytes(octets), "big")), f"::ffff:{address}", "127.77.66"]
    assert len(tables) >= 4
    for spelling in spellings:
        assert not [text for text in kept if spelling.encode() in text.lower()], spelling


def test_every_class_has_a_limit_and_only_addresses_are_raised_for_development() -> None:
    raised = limits.limits("development")

    assert set(limits.limits("production")) == set(raised) == set(Rate)
    assert limits.limits("production") == LIMITS
    for rate, limit in raised.items():
        assert limit.subject == LIMITS[rate].subject
        assert limit.address == LIMITS[rate].address * limits.DEVELOPMENT_ADDRESS_FACTOR


def test_address_keys_change_with_the_day_and_come_from_the_secret(shared: RunningGateway) -> None:
    manifests = read([ROOT / "gateway" / "policy.json"])
    today = clock.now().date()

    def keys(door: object) -> dict[str, str]:
        files = compile_configuration(manifests, door, (), {}, today)  # type: ignore[arg-type]
        return dict(line.split() for line in files["maps/address_keys.map"].decode().splitlines())

    from dataclasses import replace

    ours, again, others = keys(shared.door), keys(shared.door), keys(replace(shared.door, secret=b"another"))
    assert ours == again
    assert len(set(ours.values())) == len(ours) == 4
    assert not set(ours.values()) & set(others.values())


@pytest.mark.parametrize("rate", list(Rate))
def test_the_production_numbers_are_what_is_compiled(rate: Rate, production: RunningGateway) -> None:
    maps = production.folder.current / "maps"

    assert f"{rate} {LIMITS[rate].subject}\n" in (maps / "subject_limits.map").read_text(encoding="utf-8")
    assert f"{rate} {LIMITS[rate].address}\n" in (maps / "address_limits.map").read_text(encoding="utf-8")


def test_the_classes_leave_in_the_order_that_is_written_down() -> None:
    order = sorted(Rate, key=limits.priority)

    assert order[0] is Rate.CREDENTIALS
    assert order.index(Rate.WRITE) < order.index(Rate.READ) < order.index(Rate.PUBLIC)
    assert [LIMITS[rate].queue for rate in order] == sorted((limit.queue for limit in LIMITS.values()), reverse=True)


def test_one_caller_cannot_fill_a_service() -> None:
    assert limits.FAIR_SHARE_SUBJECT < limits.FAIR_SHARE_ADDRESS < limits.REPLICA_REQUESTS_MAX
