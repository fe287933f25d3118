"""Doors for machines: schedulers with their secret, providers with signed bodies. Shut, they cannot be told from nothing."""

import gzip
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from gateway import limits
from gateway.settings import GatewaySettings
from gateway.tests.running import RunningGateway, route
from libs.common.auth.policy import CRON_HEADER, Rate
from libs.common.config import DOOR_SECRET_LENGTH_MIN, load
from libs.common.ids import random_token

SECRET = "a cron secret of the tests: é"  # pragma: allowlist secret
HEADER = CRON_HEADER.encode()
KNOWN = {HEADER: SECRET.encode()}
CRON, WEBHOOK, SHUT, NOWHERE = "/cron/sweep", "/webhooks/provider", "/webhooks/shut", "/webhooks/nowhere"
BODY_LIMIT = 1_000
MACHINES = [
    route("POST", CRON, "cron", rate="credentials", body_limit=100, concealed=True, operation="echo.sweep"),
    *(
        route(
            "POST",
            path,
            "public",
            rate="public",
            body_limit=BODY_LIMIT,
            concealed=True,
            operation=f"echo.{path[10:]}",
            consumes=["*/*"],
        )
        for path in (WEBHOOK, SHUT)
    ),
    route("GET", "/api/v1/mine", "signed_in"),
    route("GET", "/api/v1/echo", "public", rate="public"),
]


def running(root: Path, cron_secret: str | None) -> Iterator[RunningGateway]:
    """With the limits of production."""
    gateway = RunningGateway(root, "production", MACHINES, cron_secret=cron_secret, origins=("https://studio.example.org",))
    with gateway.serving(1):
        yield gateway


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """Schedulers are let in."""
    yield from running(tmp_path_factory.mktemp("opened"), SECRET)


@pytest.fixture(scope="module")
def shut(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """Nobody set a secret."""
    yield from running(tmp_path_factory.mktemp("shut"), None)


def told(answer: httpx.Response) -> tuple[int, dict[str, str], str]:
    """What an answer gives away, but for what differs in any two answers. Whether the connection stays open depends on how much
    of the body had arrived by then, also where nothing is."""
    changing = {answer.headers["x-request-id"]: "id", answer.request.url.path: "path"}
    body = answer.text
    for text, word in changing.items():
        body = body.replace(text, word)
    differing = {"connection", "content-length", "ratelimit", "x-request-id"}
    return answer.status_code, {name: value for name, value in answer.headers.items() if name not in differing}, body


def test_who_knows_the_secret_reaches_the_job_without_a_token(opened: RunningGateway) -> None:
    answer = httpx.post(opened.url + CRON, headers=KNOWN)

    assert answer.status_code == 200
    assert answer.json()["path"] == CRON
    assert answer.json()["headers"][CRON_HEADER.lower()].encode("latin-1").decode() == SECRET
    assert SECRET not in opened.log


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(HEADER, b"")],
        [(HEADER, b"a wrong secret of length")],
        [(HEADER, SECRET.encode()[:-1])],
        [(HEADER, SECRET.encode() + b"x")],
        [(HEADER, SECRET.encode().upper())],
        [(HEADER, SECRET.encode()), (HEADER, b"and another")],
        [(b"Authorization", f"Bearer {SECRET}".encode())],
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "OPTIONS"])
def test_for_everybody_else_there_is_nothing_at_the_address(
    method: str, headers: list[tuple[bytes, bytes]], opened: RunningGateway
) -> None:
    ours = httpx.request(method, opened.url + CRON, headers=headers)
    nowhere = httpx.request(method, opened.url + NOWHERE, headers=headers)

    assert ours.status_code == 404
    assert told(ours) == told(nowhere)


def test_an_unknown_job_is_not_there_even_for_who_knows_the_secret(opened: RunningGateway) -> None:
    unknown = httpx.post(f"{opened.url}/cron/absent", headers=KNOWN)

    assert told(unknown) == told(httpx.post(opened.url + NOWHERE))
    assert httpx.get(opened.url + CRON, headers=KNOWN).status_code == 404


def test_without_a_secret_nobody_is_let_in(shut: RunningGateway) -> None:
    nowhere = told(httpx.post(shut.url + NOWHERE))

    for given in (b"", b"None", SECRET.encode()):
        assert told(httpx.post(shut.url + CRON, headers={HEADER: given})) == nowhere


@pytest.mark.parametrize(
    ("length", "open_"), [(0, False), (DOOR_SECRET_LENGTH_MIN - 1, False), (DOOR_SECRET_LENGTH_MIN, True), (17, True)]
)
def test_a_secret_that_is_too_short_opens_nothing(length: int, open_: bool, tmp_path: Path) -> None:
    environ = {
        "AMQP_URL": "amqp://nobody@127.0.0.1",
        "REVOCATION_LIST_TOKEN": random_token(),
        "GATEWAY_SECRET": random_token(),
        "GATEWAY_FOLDER": str(tmp_path),
        "CRON_SECRET": "é" * length,
    }

    assert (load(GatewaySettings, environ).door().cron is not None) == open_


def test_the_compiled_files_do_not_hold_the_secret(opened: RunningGateway) -> None:
    files = [path.read_bytes() for path in opened.folder.root.rglob("*") if path.is_file()]

    assert not [
        content
        for content in files
        if SECRET.encode() in content or sha256(SECRET.encode()).hexdigest().encode() in content.lower()
    ]


def test_the_secret_goes_to_no_other_route(opened: RunningGateway, shut: RunningGateway) -> None:
    for gateway in (opened, shut):
        seen = httpx.get(f"{gateway.url}/api/v1/echo", headers=KNOWN).json()["headers"]
        assert CRON_HEADER.lower() not in seen


def test_a_signed_body_arrives_as_it_was_sent(opened: RunningGateway) -> None:
    body = b'{ "id" :"evt_1",\r\n\t"data":{"name":"\xc3\x89lo\xc3\xafse \xe2\x80\xa8 \\u00e9\xff\x00\x1f"}}\n\n '
    signature = "t=1764158400,v1=5257a869,v1=ab , v0=x"

    answer = httpx.post(
        opened.url + WEBHOOK,
        content=body,
        headers={"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": signature},
    )

    seen = answer.json()
    assert (seen["length"], seen["sha256"]) == (len(body), sha256(body).hexdigest())
    assert (seen["media_type"], seen["headers"]["stripe-signature"]) == ("application/json; charset=utf-8", signature)


def test_a_compressed_body_stays_compressed(opened: RunningGateway) -> None:
    body = gzip.compress(b'{"id": "evt_1"}')

    seen = httpx.post(opened.url + WEBHOOK, content=body, headers={"Content-Encoding": "gzip"}).json()

    assert (seen["sha256"], seen["headers"]["content-encoding"]) == (sha256(body).hexdigest(), "gzip")


@pytest.mark.parametrize(("length", "status"), [(0, 200), (BODY_LIMIT - 1, 200), (BODY_LIMIT, 200), (BODY_LIMIT + 1, 404)])
def test_a_signed_body_over_its_limit_finds_nothing(length: int, status: int, opened: RunningGateway) -> None:
    assert httpx.post(opened.url + WEBHOOK, content=b"x" * length).status_code == status


def test_a_door_that_its_service_keeps_shut_cannot_be_told_from_nothing(opened: RunningGateway) -> None:
    for path in (SHUT, WEBHOOK):
        for method in ("GET", "PUT", "DELETE", "OPTIONS"):
            assert told(httpx.request(method, opened.url + path)) == told(httpx.request(method, opened.url + NOWHERE))
    for content in (b"", b"{}", b"x" * (BODY_LIMIT + 1), [b"in pieces"]):
        answers = [httpx.post(opened.url + path, content=content) for path in (SHUT, NOWHERE)]
        assert told(answers[0]) == told(answers[1])
    assert '"decision":"not_found"' in opened.log


def test_a_signed_body_in_pieces_without_a_length_finds_nothing(opened: RunningGateway) -> None:
    assert httpx.post(opened.url + WEBHOOK, content=iter([b"{", b"}"])).status_code == 404


def test_who_knows_the_secret_is_told_of_a_body_that_is_too_long(opened: RunningGateway) -> None:
    assert httpx.post(opened.url + CRON, headers=KNOWN, content=b"x" * 100).status_code == 200
    assert httpx.post(opened.url + CRON, headers=KNOWN, content=b"x" * 101).status_code == 413


def test_schedulers_are_counted_and_those_who_guess_are_counted_with_the_curious(opened: RunningGateway) -> None:
    quota = limits.LIMITS[Rate.CREDENTIALS].address
    with httpx.Client(base_url=opened.url) as client:
        assert client.post(CRON).headers["ratelimit-policy"].startswith('"public"')
        statuses = [client.post(CRON, headers=KNOWN).status_code for _ in range(quota + 1)]
        busy = client.post(CRON, headers=KNOWN)
        guess = client.post(CRON)

    assert statuses[-1] == 429
    assert re.match(r'"credentials";q=\d+;w=\d+', busy.headers["ratelimit-policy"])
    assert (busy.status_code, busy.headers["retry-after"], guess.status_code) == (429, str(limits.WINDOW_SECONDS), 404)
