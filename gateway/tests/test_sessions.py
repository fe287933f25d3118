"""A browser's session: the cookie that becomes a bearer token, and what it may not be used for."""

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from gateway.revocations import SessionRevoked
from gateway.tests.running import ORIGIN, RunningGateway
from libs.common import clock
from libs.common.auth.browser import COOKIE_PREFIX, SESSION_COOKIE
from libs.common.auth.policy import Role
from libs.common.auth.tokens import TOKEN_LENGTH_MAX
from libs.common.ids import new_id

HTML = {"Accept": "text/html,application/xhtml+xml"}
OWN = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}


def cookie(token: str, name: str = SESSION_COOKIE) -> dict[str, str]:
    """The header of a browser with this session."""
    return {"Cookie": f"{name}={token}"}


def token(gateway: RunningGateway, *roles: Role, **changes: Any) -> str:
    return gateway.forge.token(*roles, **changes)


def test_the_session_cookie_becomes_a_bearer_token_and_goes_no_further(client: httpx.Client, shared: RunningGateway) -> None:
    mine = token(shared)

    seen = client.get("/api/v1/mine", headers=cookie(mine)).json()["headers"]

    assert seen["authorization"] == f"Bearer {mine}"
    assert "cookie" not in seen
    assert client.get("/api/v1/admin/things", headers=cookie(mine)).status_code == 403
    assert client.get("/api/v1/admin/things", headers=cookie(token(shared, Role.ADMIN))).status_code == 200


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a=b; {}", "a=b"),
        ("{}; a=b", "a=b"),
        ("a=b; {}; c=d", "a=b; c=d"),
        ("{};a=b", "a=b"),
        ("a=b;   {}", "a=b"),
        ("a=b,{}", "a=b"),
    ],
)
def test_other_cookies_reach_the_service_and_the_session_never_does(
    sent: str, kept: str, client: httpx.Client, shared: RunningGateway
) -> None:
    mine = token(shared)
    header = {"Cookie": sent.format(f"{SESSION_COOKIE}={mine}")}

    asked = [("/api/v1/mine", {}), ("/api/v1/mine", shared.bearer()), ("/api/v1/echo", {})]
    for path, credentials in asked["," in sent :]:  # within another's value it opens nothing, and passes as little
        answer = client.get(path, headers={**header, **credentials})
        assert answer.status_code == 200
        assert answer.json()["headers"]["cookie"] == kept
        assert mine not in answer.json()["headers"].get("cookie", "")


RENEWAL = f"{COOKIE_PREFIX}refresh"


@pytest.mark.parametrize(
    ("sent", "elsewhere"),
    [
        ("{r}=secret", None),
        ("a=b; {r}=secret; c=d", "a=b; c=d"),
        ("{r}=secret; {s}=x.y.z", None),
        ("{s}=x.y.z; a=b; {r}=secret", "a=b"),
        ("{r}=secret; {r}=secret", None),
        ("{r}", None),
        ("a=b,{r}=secret", "a=b"),
        ("a=b;{r} = secret", "a=b"),
        ('a="; {r}=secret; b="', 'a="; b="'),
    ],
)
def test_what_else_we_have_browsers_keep_reaches_only_the_routes_that_ask_for_cookies(
    sent: str, elsewhere: str | None, client: httpx.Client, shared: RunningGateway
) -> None:
    header = {"Cookie": sent.format(r=RENEWAL, s=SESSION_COOKIE)}

    asked = client.get("/entrance", headers=header).json()["headers"]
    others = [client.get(path, headers={**header, **shared.bearer()}) for path in ("/api/v1/mine", "/api/v1/echo")]

    assert RENEWAL in asked["cookie"]
    assert SESSION_COOKIE not in asked["cookie"]
    assert [each.json()["headers"].get("cookie") for each in others] == [elsewhere, elsewhere]


def test_a_page_that_needs_a_recent_sign_in_leads_to_one_and_comes_back(client: httpx.Client, shared: RunningGateway) -> None:
    old = token(shared, Role.ADMIN, auth_time=int(clock.epoch()) - 301)

    answer = client.get("/vault?tab=1", headers={**HTML, **cookie(old)})

    assert (answer.status_code, answer.headers["location"]) == (303, "/login?prompt=login&callbackUrl=%2Fvault%3Ftab%3D1")
    assert client.get("/vault", headers=cookie(old)).status_code == 401
    assert client.get("/vault", headers={**HTML, "Authorization": f"Bearer {old}"}).status_code == 401
    assert client.get("/vault", headers={**HTML, **cookie(token(shared, Role.ADMIN))}).status_code == 200


def test_a_header_goes_before_the_cookie(client: httpx.Client, shared: RunningGateway) -> None:
    mine = shared.bearer(Role.ADMIN)

    seen = client.post("/api/v1/standing", headers={**mine, **cookie(token(shared))}).json()["headers"]

    assert seen["authorization"] == mine["Authorization"]
    assert client.get("/api/v1/mine", headers={"Authorization": "Bearer x.y.z", **cookie(token(shared))}).status_code == 401
    assert client.get("/api/v1/mine", headers={"Authorization": "Basic eDp5", **cookie(token(shared))}).status_code == 401
    assert client.get("/api/v1/mine", headers={"Authorization": "", **cookie(token(shared))}).status_code == 401


def test_a_public_route_is_asked_by_nobody_in_particular(client: httpx.Client, shared: RunningGateway) -> None:
    seen = client.get("/api/v1/echo", headers=cookie(token(shared))).json()["headers"]

    assert "authorization" not in seen
    assert client.post("/api/v1/login", headers=cookie(token(shared))).status_code == 200


HOSTILE = {
    "two sessions": "{name}={one}; {name}={two}",
    "two sessions, one of them empty": "{name}=; {name}={one}",
    "two sessions parted by a comma": "{name}={one},{name}={two}",
    "a session planted in another cookie": "a=b,{name}={one}",
    "a session planted in another cookie, with spaces": "a=b , {name} = {one}; c=d",
    "a quoted token": '{name}="{one}"',
    "a token that begins with a quote": '{name}="{one}',
    "a session within the quoted value of another cookie": 'a="; {name}={one}; b="',
    "a token with a tail": "{name}={one}.x",
    "a token with its scheme": "{name}=Bearer {one}",
    "an encoded token": "{name}={encoded}",
    "nothing": "{name}=",
    "no value": "{name}",
    "a name in capitals": "__HOST-lumiere_session={one}",
    "a longer name": "{name}_={one}",
    "a name with something before it": "x{name}={one}",
    "no name": "={name}={one}",
    "a token that is too long": "{name}={long}",
    "a bound token": "{name}={bound}",
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_cookie_that_is_no_session_opens_nothing(hostile: str, client: httpx.Client, shared: RunningGateway) -> None:
    one = token(shared)
    header = HOSTILE[hostile].format(
        name=SESSION_COOKIE,
        one=one,
        two=token(shared),
        encoded=quote(one.replace(".", "%2E"), safe=""),
        long=token(shared, client_id="x" * TOKEN_LENGTH_MAX),
        bound=token(shared, cnf={"jkt": "x" * 43}),
    )

    assert client.get("/api/v1/mine", headers={"Cookie": header}).status_code in {400, 401}


def test_two_cookie_headers_carry_two_sessions_and_are_refused(shared: RunningGateway) -> None:
    headers = [("Cookie", f"{SESSION_COOKIE}={token(shared)}"), ("Cookie", f"{SESSION_COOKIE}={token(shared)}")]

    assert httpx.get(f"{shared.url}/api/v1/mine", headers=headers).status_code == 400


FROM_HERE = {
    "both say so": OWN,
    "the origin says so": {"Origin": ORIGIN},
    "the browser says so": {"Sec-Fetch-Site": "same-origin"},
}
FROM_ELSEWHERE = {
    "nobody says so": {},
    "another origin": {"Origin": "https://attacker.example"},
    "an origin that begins like ours": {"Origin": f"{ORIGIN}.attacker.example"},
    "our origin without TLS": {"Origin": ORIGIN.replace("https", "http")},
    "our origin at another port": {"Origin": f"{ORIGIN}:8443"},
    "an opaque origin": {"Origin": "null"},
    "an empty origin": {"Origin": ""},
    "another site": {"Sec-Fetch-Site": "cross-site"},
    "a sister site": {"Sec-Fetch-Site": "same-site"},
    "an address that was typed": {"Sec-Fetch-Site": "none"},
    "our origin from another site": {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
    "another origin from our site": {"Origin": "https://attacker.example", "Sec-Fetch-Site": "same-origin"},
    "a referer alone": {"Referer": f"{ORIGIN}/dashboard"},
}


@pytest.mark.parametrize("signs", FROM_HERE)
def test_a_write_by_cookie_from_our_own_pages_passes(signs: str, client: httpx.Client, shared: RunningGateway) -> None:
    headers = {**cookie(token(shared, Role.ADMIN)), **FROM_HERE[signs]}

    assert client.post("/api/v1/standing", headers=headers).status_code == 200
    assert client.delete("/api/v1/films/x", headers=headers).status_code == 200


@pytest.mark.parametrize("signs", FROM_ELSEWHERE)
def test_a_write_by_cookie_from_elsewhere_is_refused(signs: str, client: httpx.Client, shared: RunningGateway) -> None:
    headers = {**cookie(token(shared, Role.ADMIN)), **FROM_ELSEWHERE[signs]}

    for method, path in (("POST", "/api/v1/standing"), ("PUT", "/api/v1/films/x"), ("DELETE", "/api/v1/films/x")):
        answer = client.request(method, path, headers=headers)
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"
        assert "access-control-allow-origin" not in answer.headers
    read = client.get("/api/v1/mine", headers=headers)
    assert read.status_code == 200
    assert "access-control-allow-origin" not in read.headers


def test_two_origins_are_refused_in_either_order(shared: RunningGateway) -> None:
    for origins in ((ORIGIN, "https://attacker.example"), ("https://attacker.example", ORIGIN)):
        headers = [*cookie(token(shared, Role.ADMIN)).items(), *(("Origin", each) for each in origins)]
        assert httpx.post(f"{shared.url}/api/v1/standing", headers=headers).status_code == 403


def test_a_write_with_a_header_needs_no_origin(client: httpx.Client, shared: RunningGateway) -> None:
    headers = {**shared.bearer(Role.ADMIN), "Origin": "https://partner.example", "Sec-Fetch-Site": "cross-site"}

    assert client.post("/api/v1/standing", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("signs", "status"),
    [
        ({}, 200),
        (OWN, 200),
        ({"Origin": "https://attacker.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_an_event_stream_by_cookie_is_for_our_own_pages(signs: dict[str, str], status: int, shared: RunningGateway) -> None:
    headers = {**cookie(token(shared)), **signs}

    with httpx.stream("GET", f"{shared.url}/api/v1/notices/stream", headers=headers) as answer:
        assert answer.status_code == status


@pytest.mark.parametrize("fault", ["expired", "malformed", "bound", "of another key", "revoked"])
def test_a_page_whose_session_is_over_leads_to_the_sign_in_and_everything_else_says_401(
    fault: str, client: httpx.Client, shared: RunningGateway
) -> None:
    session, now = new_id(), int(clock.epoch())
    over = {
        "expired": token(shared, iat=now - 900, nbf=now - 900, exp=now - 1),
        "malformed": "x",
        "bound": token(shared, cnf={"jkt": "x" * 43}),
        "of another key": token(shared, header={"kid": "key-of-old"}),
        "revoked": token(shared, sid=str(session)),
    }[fault]
    shared.gateway.revoke(SessionRevoked(user_id=new_id(), session_id=session, expires_at=clock.now()))

    answer = client.get("/profile?tab=1", headers={**HTML, **cookie(over)})

    assert (answer.status_code, answer.headers["location"]) == (303, "/login?callbackUrl=%2Fprofile%3Ftab%3D1")
    assert client.get("/profile", headers=cookie(over)).status_code == 401
    assert client.get("/api/v1/mine", headers={**HTML, **cookie(over)}).status_code == 401
    assert client.get("/profile", headers={**HTML, "Authorization": f"Bearer {over}"}).status_code == 401


def test_the_log_says_why_and_holds_no_session(client: httpx.Client, shared: RunningGateway) -> None:
    mine = token(shared, Role.ADMIN)
    client.post("/api/v1/standing", headers=cookie(mine))

    assert '"decision":"cross_site_request"' in shared.log
    assert mine not in shared.log
