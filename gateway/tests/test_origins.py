"""Pages of other origins: closed unless an origin is named letter by letter, and never with cookies."""

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from gateway import limits, origins
from gateway.origins import exact_origins
from gateway.tests.running import UUID_TEXT, RunningGateway, eventually

NAMED = "https://studio.example.org"
SECOND = "http://localhost:3000"
LOOK_ALIKES = [
    "null",
    "https://studio.example.org.attacker.example",
    "https://attacker-studio.example.org",
    "https://sub.studio.example.org",
    "http://studio.example.org",
    "https://studio.example.org:8443",
    "https://studio.example.org/",
    "https://STUDIO.example.org",
    "https://studio-example.org",
    "https://studio.example.org, https://attacker.example",
    "https://studio.example.org https://attacker.example",
    "*",
    "http://localhost:3001",
]
PREFLIGHT = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization, if-match"}


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway that knows two other origins."""
    running = RunningGateway(tmp_path_factory.mktemp("origins"))
    running.door = replace(running.door, origins=(NAMED, SECOND))
    running.gateway = running.another_gateway()
    with running.serving(1):
        yield running


def crossing(answer: httpx.Response) -> dict[str, str]:
    """What an answer says about other origins."""
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("origin", [NAMED, SECOND])
def test_a_named_origin_is_told_what_a_path_takes(origin: str, named: RunningGateway) -> None:
    answer = httpx.options(f"{named.url}/api/v1/films/x", headers={"Origin": origin, **PREFLIGHT})

    assert (answer.status_code, answer.content) == (204, b"")
    assert crossing(answer) == {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "DELETE, GET, HEAD, PUT",
        "access-control-allow-headers": ", ".join(origins.REQUEST_HEADERS),
        "access-control-max-age": str(limits.CORS_SECONDS),
    }
    assert "Origin" in answer.headers["vary"]


def test_every_answer_may_be_read_there_errors_too(named: RunningGateway) -> None:
    headers = {"Origin": NAMED}
    thing = f"{named.url}/api/v1/things/{UUID_TEXT}"
    answers = {
        200: httpx.get(f"{named.url}/api/v1/echo", headers=headers),
        401: httpx.get(f"{named.url}/api/v1/mine", headers=headers),
        403: httpx.get(thing, headers={**headers, **named.bearer()}),
        404: httpx.get(f"{named.url}/api/v1/nothing", headers=headers),
        405: httpx.post(f"{named.url}/api/v1/films/x", headers=headers),
        413: httpx.post(f"{named.url}/api/v1/small", headers=headers, content=b"x" * 101),
        504: httpx.get(f"{named.url}/api/v1/slow", headers=headers, timeout=10),
    }

    for status, answer in answers.items():
        assert answer.status_code == status
        assert crossing(answer) == {
            "access-control-allow-origin": NAMED,
            "access-control-expose-headers": ", ".join(origins.ANSWER_HEADERS),
        }
        assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("origin", LOOK_ALIKES)
def test_an_origin_that_only_looks_like_one_is_told_nothing(origin: str, named: RunningGateway) -> None:
    asked = httpx.get(f"{named.url}/api/v1/echo", headers={"Origin": origin})
    preflight = httpx.options(f"{named.url}/api/v1/films/x", headers={"Origin": origin, **PREFLIGHT})

    assert (asked.status_code, preflight.status_code) == (200, 405)
    assert crossing(asked) == crossing(preflight) == {}
    assert "Origin" in asked.headers["vary"]


def test_without_a_list_nobody_is_told_anything(shared: RunningGateway) -> None:
    asked = httpx.get(f"{shared.url}/api/v1/echo", headers={"Origin": NAMED})
    preflight = httpx.options(f"{shared.url}/api/v1/films/x", headers={"Origin": NAMED, **PREFLIGHT})

    assert (asked.status_code, preflight.status_code) == (200, 405)
    assert crossing(asked) == crossing(preflight) == {}
    assert "origin" not in asked.headers.get("vary", "").lower()


def test_what_a_service_says_of_other_origins_does_not_pass(shared: RunningGateway) -> None:
    assert crossing(httpx.get(f"{shared.url}/api/v1/films/crossing")) == {}


def test_an_address_without_a_route_has_no_preflight(named: RunningGateway) -> None:
    assert httpx.options(f"{named.url}/internal/list", headers={"Origin": NAMED, **PREFLIGHT}).status_code == 404
    assert httpx.options(f"{named.url}/api/v1/films/x", headers={"Origin": NAMED}).status_code == 405


def test_a_preflight_is_counted_and_named_in_the_log(named: RunningGateway) -> None:
    answer = httpx.options(f"{named.url}/api/v1/films/x", headers={"Origin": NAMED, **PREFLIGHT})

    assert answer.headers["ratelimit"].startswith('"public"')
    assert eventually(lambda: '"decision":"preflight"' in named.log)
    assert NAMED not in named.log


def test_what_everybody_may_see_may_be_shown_elsewhere_once_an_origin_is_named(
    named: RunningGateway, shared: RunningGateway
) -> None:
    def policy(gateway: RunningGateway, path: str) -> str:
        return str(httpx.get(f"{gateway.url}{path}").headers["cross-origin-resource-policy"])

    assert policy(named, "/api/v1/echo") == "cross-origin"
    assert policy(named, "/api/v1/mine") == policy(shared, "/api/v1/echo") == "same-origin"


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "null",
        "studio.example.org",
        "https://*.example.org",
        "https://a.org/",
        "https://a.org/x",
        "https://A.org",
        "http://a.org",
        "https://a.org:443",
        "http://localhost:80",
        "https://a.org:65536",
        "https://a.org:0",
        "https://u@a.org",
        "https://a.org, *",
        "ftp://a.org",
        "https://a.org;https://b.org",
        "https://-a.org",
        "https://a..org",
        "https://a.org?x",
        "https://a.org\tx",
    ],
)
def test_an_origin_that_is_not_exact_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValueError, match=r"origin"):
        exact_origins(text)


def test_exact_origins_are_taken_in_any_order() -> None:
    assert exact_origins("") == ()
    assert exact_origins(" http://localhost:3000,https://a.org:8443 , https://a.org,https://a.org") == (
        "http://localhost:3000",
        "https://a.org",
        "https://a.org:8443",
    )
