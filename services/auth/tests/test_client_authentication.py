"""How clients show who they are, and what the token endpoint says when they do not (RFC 6749 section 5.2, RFC 7523)."""

import base64
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from libs.common import clock
from libs.common.auth.policy import Role
from libs.common.ids import new_id
from libs.common.testing import Harness
from libs.common.testing.harness import ORIGIN
from services.auth.domain.assertions import ASSERTION_TYPE
from services.auth.domain.clients import AuthMethod
from services.auth.tests.conftest import Time
from services.auth.tests.relying import FORM, App, an_app, claims_of, error_of

ITSELF = {"grant_type": "client_credentials", "scope": "tasks:read"}


@pytest.fixture
def by_key(harness: Harness) -> App:
    """A client that signs who it is."""
    return an_app(harness, AuthMethod.PRIVATE_KEY)


@pytest.mark.parametrize("method", [AuthMethod.SECRET_BASIC, AuthMethod.SECRET_POST, AuthMethod.PRIVATE_KEY])
def test_a_client_has_tokens_of_its_own_without_any_role(method: AuthMethod, harness: Harness) -> None:
    app = an_app(harness, method)

    answer = app.post("/oauth/token", ITSELF)

    assert answer.status_code == 200, answer.get_json()
    assert set(answer.get_json()) == {"access_token", "token_type", "expires_in", "scope"}
    claims = claims_of(answer.get_json()["access_token"])
    assert (claims["sub"], claims["client_id"], claims["roles"], claims["scope"]) == (app.id, app.id, "", "tasks:read")


def test_a_token_of_a_client_itself_opens_nothing_that_is_somebodys(harness: Harness) -> None:
    token = an_app(harness).post("/oauth/token", ITSELF).get_json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}

    assert harness.client().get("/oauth/userinfo", headers=bearer).status_code == 403
    assert harness.client().get("/api/v1/profile", headers=bearer).status_code == 403


OF_A_PERSON: list[str | None] = [None, "", "openid", "profile", "email", "offline_access tasks:read", "admin"]


def test_a_client_itself_gets_only_what_is_not_of_a_person(harness: Harness) -> None:
    app = an_app(harness)

    for scope in OF_A_PERSON:
        assert error_of(app.post("/oauth/token", {**ITSELF, "scope": scope})) == (400, "invalid_scope"), scope


def test_a_secret_is_taken_in_the_way_that_was_registered_alone(harness: Harness) -> None:
    by_header, by_form = an_app(harness), an_app(harness, AuthMethod.SECRET_POST)
    pair = base64.b64encode(f"{by_form.id}:{by_form.secret}".encode()).decode()

    crossed = harness.client().post(
        "/oauth/token",
        data=urlencode({**ITSELF, "client_id": by_header.id, "client_secret": by_header.secret}),
        content_type=FORM,
    )
    other = harness.client().post(
        "/oauth/token", data=urlencode(ITSELF), content_type=FORM, headers={"Authorization": f"Basic {pair}"}
    )

    assert error_of(crossed) == (400, "invalid_client")
    assert error_of(other) == (401, "invalid_client")
    assert other.headers["WWW-Authenticate"].startswith("Basic ")


HEADERS: list[str] = [
    "Basic",
    "Basic !",
    "Basic " + base64.b64encode(b"no colon").decode(),
    "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
    "Basic " + base64.b64encode(b"0195561c-7800-7000-8000-000000000000:x").decode(),
    "basic " + base64.b64encode(b"lumiere:x").decode(),
]


def test_a_header_that_shows_nobody_is_refused_in_its_scheme(harness: Harness) -> None:
    for header in HEADERS:
        answer = harness.client().post(
            "/oauth/token", data=urlencode(ITSELF), content_type=FORM, headers={"Authorization": header}
        )
        assert error_of(answer) == (401, "invalid_client"), header
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")


def test_a_wrong_secret_and_no_client_at_all_are_refused_alike(harness: Harness) -> None:
    app = an_app(harness, AuthMethod.SECRET_POST)
    unknown = App(harness, str(new_id()), "x", AuthMethod.SECRET_POST)
    app.secret = str(new_id())

    answers = [each.post("/oauth/token", ITSELF) for each in (app, unknown)]

    assert answers[0].get_json() == answers[1].get_json()
    assert [error_of(each) for each in answers] == [(400, "invalid_client")] * 2


def test_two_ways_at_once_and_another_name_beside_are_refused(harness: Harness) -> None:
    app = an_app(harness)

    assert error_of(app.post("/oauth/token", {**ITSELF, "client_secret": app.secret})) == (400, "invalid_request")
    assert error_of(app.post("/oauth/token", {**ITSELF, "client_id": str(new_id())})) == (400, "invalid_request")


def test_a_public_client_says_its_name_and_has_nothing_of_its_own(harness: Harness) -> None:
    app = an_app(harness, AuthMethod.NONE)

    assert error_of(app.post("/oauth/token", ITSELF)) == (400, "unauthorized_client")
    app.secret = "x"
    assert error_of(app.post("/oauth/token", ITSELF)) == (400, "invalid_client")


FORMS: list[tuple[str, tuple[int, str]]] = [
    ("", (401, "invalid_client")),
    ("grant_type=client_credentials", (401, "invalid_client")),
    ("grant_type=x&grant_type=y", (400, "invalid_request")),
    ("grant_type=%00", (400, "invalid_request")),
    ("grant_type=%FF", (400, "invalid_request")),
    ("&".join(f"p{number}=x" for number in range(41)), (400, "invalid_request")),
    ("client_assertion=eyJ", (400, "invalid_request")),
    (f"client_assertion_type={ASSERTION_TYPE}", (400, "invalid_request")),
    (f"client_assertion_type={ASSERTION_TYPE}&client_assertion=x", (400, "invalid_client")),
]


def test_a_form_that_is_none_is_refused_in_the_standards_words(harness: Harness) -> None:
    for form, error in FORMS:
        assert error_of(harness.client().post("/oauth/token", data=form, content_type=FORM)) == error, form


@pytest.mark.parametrize(
    ("grant_type", "code"), [("password", "unsupported_grant_type"), ("implicit", "unsupported_grant_type")]
)
def test_grants_that_oauth_gave_up_are_not_supported(grant_type: str, code: str, harness: Harness) -> None:
    assert error_of(an_app(harness).post("/oauth/token", {"grant_type": grant_type})) == (400, code)


def test_a_client_uses_only_the_grants_that_it_was_registered_for(harness: Harness) -> None:
    app = an_app(harness, grants=["client_credentials"], redirect_uris=[], scopes=["tasks:read"])

    for grant in ("authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"):
        assert error_of(app.post("/oauth/token", {"grant_type": grant})) == (400, "unauthorized_client")


NOT_OF_NOW_AND_FOR_US: list[dict[str, Any]] = [
    {"iss": str(new_id())},
    {"aud": f"{ORIGIN}/oauth/token"},
    {"aud": [ORIGIN]},
    {"aud": [ORIGIN, "https://elsewhere.example"]},
    {"aud": f"{ORIGIN}/"},
    {"aud": None},
    {"exp": None},
    {"exp": -1},
    {"exp": 306},
    {"iat": 6},
    {"nbf": 6},
    {"jti": None},
    {"jti": ""},
    {"jti": "x" * 256},
]


def test_a_statement_that_is_not_of_now_and_for_us_is_refused(by_key: App) -> None:
    now = int(clock.epoch())

    for changes in NOT_OF_NOW_AND_FOR_US:
        moved = {name: now + value if isinstance(value, int) else value for name, value in changes.items()}
        given = {**ITSELF, "client_assertion_type": ASSERTION_TYPE, "client_assertion": by_key.assertion(**moved)}
        answer = by_key.harness.client().post("/oauth/token", data=urlencode(given), content_type=FORM)
        assert error_of(answer) == (400, "invalid_client"), changes


def test_a_statement_counts_once(by_key: App) -> None:
    given = {**ITSELF, "client_assertion_type": ASSERTION_TYPE, "client_assertion": by_key.assertion()}

    answers = [by_key.harness.client().post("/oauth/token", data=urlencode(given), content_type=FORM) for _ in range(2)]

    assert [each.status_code for each in answers] == [200, 400]
    assert answers[1].get_json()["error"] == "invalid_client"


def test_a_statement_signed_with_another_key_or_algorithm_is_refused(by_key: App) -> None:
    key = by_key.key
    assert key is not None
    claims = claims_of(by_key.assertion())
    stranger = ECKey.generate_key("P-256", {"kid": "one"})
    public = key.as_pem(private=False)
    forged = [
        jwt.encode({"alg": "ES256", "kid": "one"}, claims, stranger),
        jwt.encode({"alg": "ES256", "kid": "two"}, claims, key),
        jwt.encode({"alg": "HS256", "kid": "one"}, claims, OctKey.import_key(public[27:-26])),
        by_key.assertion().rsplit(".", 1)[0] + ".",
    ]

    for assertion in forged:
        given = {**ITSELF, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
        answer = by_key.harness.client().post("/oauth/token", data=urlencode(given), content_type=FORM)
        assert error_of(answer) == (400, "invalid_client")


@pytest.mark.parametrize("payload", [b"[" * 2_500, b"NaN", b'{"sub": 1}', b"\xff"])
def test_a_statement_that_nobody_can_read_shows_nobody(payload: bytes, harness: Harness) -> None:
    parts = (b'{"alg":"ES256"}', payload, b"a signature")
    statement = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
    form = {**ITSELF, "client_assertion_type": ASSERTION_TYPE, "client_assertion": statement}
    answer = harness.client().post("/oauth/token", data=form)
    assert error_of(answer)[1] == "invalid_client"


def test_an_old_secret_counts_for_a_day_beside_the_new_one(harness: Harness, time: Time) -> None:
    app = an_app(harness)
    administrator = harness.client(Role.ADMIN)
    path = f"/api/v1/admin/oauth/clients/{app.id}/secrets"

    given = administrator.post(path, json={}).get_json()
    newer = App(harness, app.id, given["client_secret"], app.method)

    assert [each.post("/oauth/token", ITSELF).status_code for each in (app, newer)] == [200, 200]
    time.passes(timedelta(hours=24, seconds=-1))
    assert app.post("/oauth/token", ITSELF).status_code == 200
    time.passes(timedelta(seconds=1))
    assert app.post("/oauth/token", ITSELF).status_code == 401
    assert newer.post("/oauth/token", ITSELF).status_code == 200


def test_no_more_than_two_secrets_count_and_one_alone_when_it_is_urgent(harness: Harness) -> None:
    first = an_app(harness)
    administrator = harness.client(Role.ADMIN)
    path = f"/api/v1/admin/oauth/clients/{first.id}/secrets"

    def another(body: dict[str, bool]) -> App:
        return App(harness, first.id, administrator.post(path, json=body).get_json()["client_secret"], first.method)

    second, third = another({}), another({})
    statuses = [each.post("/oauth/token", ITSELF).status_code for each in (first, second, third)]
    assert statuses == [401, 200, 200]
    fourth = another({"at_once": True})
    statuses = [each.post("/oauth/token", ITSELF).status_code for each in (second, third, fourth)]
    assert statuses == [401, 401, 200]
