"""What clients learn of tokens and people, how they end tokens and sign people out, and what the provider says of itself."""

from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oidc.discovery import OpenIDProviderMetadata

from libs.common.testing import Harness
from libs.common.testing.harness import ORIGIN
from services.auth.domain.authorization import Provider
from services.auth.domain.clients import AuthMethod
from services.auth.domain.metadata import provider_metadata, server_metadata
from services.auth.tests.conftest import Person
from services.auth.tests.relying import AFTERWARDS, FORM, App, an_app, answer_of, claims_of, error_of

ITSELF = {"grant_type": "client_credentials", "scope": "tasks:read"}


@pytest.fixture
def app(harness: Harness) -> App:
    """A client with a secret."""
    return an_app(harness)


def test_a_client_examines_the_tokens_that_it_was_given(app: App, person: Person) -> None:
    tokens = app.tokens(person)

    access = app.post("/oauth/introspect", {"token": tokens["access_token"]}).get_json()
    refresh = app.post("/oauth/introspect", {"token": tokens["refresh_token"], "token_type_hint": "x"}).get_json()

    claims = claims_of(tokens["access_token"])
    assert (access["active"], access["token_type"], access["sub"], access["exp"]) == (
        True,
        "Bearer",
        claims["sub"],
        claims["exp"],
    )
    assert (refresh["active"], refresh["client_id"], refresh["scope"]) == (True, app.id, tokens["scope"])


def test_of_other_clients_tokens_and_of_our_own_nothing_is_said(app: App, person: Person, harness: Harness) -> None:
    tokens, own = an_app(harness).tokens(person), person.signed_in()

    for token in (tokens["access_token"], tokens["refresh_token"], own["access_token"], own["refresh_token"], "x"):
        assert app.post("/oauth/introspect", {"token": token}).get_json() == {"active": False}


def test_who_does_not_authenticate_examines_nothing(harness: Harness, person: Person) -> None:
    public = an_app(harness, AuthMethod.NONE)

    assert error_of(public.post("/oauth/introspect", {"token": "x"})) == (400, "invalid_client")
    assert error_of(an_app(harness).post("/oauth/introspect", {})) == (400, "invalid_request")


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
def test_a_token_that_its_client_ends_is_dead_with_its_whole_session(
    name: str, app: App, person: Person, harness: Harness, synchronise: Callable[[], None]
) -> None:
    tokens = app.tokens(person)

    answer = app.post("/oauth/revoke", {"token": tokens[name]})
    synchronise()

    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert app.post("/oauth/introspect", {"token": tokens["access_token"]}).get_json() == {"active": False}
    assert error_of(app.refresh(tokens["refresh_token"])) == (400, "invalid_grant")
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert harness.client().get("/oauth/userinfo", headers=bearer).status_code == 401
    assert app.post("/oauth/revoke", {"token": tokens[name]}).status_code == 200


def test_a_client_ends_a_token_of_its_own(app: App, synchronise: Callable[[], None], harness: Harness) -> None:
    ended, kept = (app.post("/oauth/token", ITSELF).get_json()["access_token"] for _ in range(2))

    assert app.post("/oauth/revoke", {"token": ended}).status_code == 200
    synchronise()

    assert app.post("/oauth/introspect", {"token": ended}).get_json() == {"active": False}
    assert app.post("/oauth/introspect", {"token": kept}).get_json()["active"] is True
    assert harness.client().get("/oauth/userinfo", headers={"Authorization": f"Bearer {ended}"}).status_code == 401
    assert harness.client().get("/oauth/userinfo", headers={"Authorization": f"Bearer {kept}"}).status_code == 403


def test_nobody_ends_a_token_of_another_client(app: App, person: Person, harness: Harness) -> None:
    tokens = app.tokens(person)
    other = an_app(harness)

    for token in (tokens["access_token"], tokens["refresh_token"]):
        assert error_of(other.post("/oauth/revoke", {"token": token})) == (400, "invalid_grant")
    assert other.post("/oauth/revoke", {"token": "unknown"}).status_code == 200
    assert app.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("openid", {"sub"}),
        ("openid profile", {"sub", "name", "locale"}),
        ("openid email", {"sub", "email", "email_verified"}),
        ("openid profile email", {"sub", "name", "locale", "email", "email_verified"}),
    ],
)
def test_a_client_learns_of_a_person_what_its_scopes_say(
    scope: str, names: set[str], app: App, person: Person, harness: Harness
) -> None:
    bearer = {"Authorization": f"Bearer {app.tokens(person, scope=scope)['access_token']}"}

    answers = [harness.client().open("/oauth/userinfo", method=method, headers=bearer) for method in ("GET", "POST")]

    assert [set(each.get_json()) for each in answers] == [names, names]
    assert answers[0].get_json().get("email", "ada@example.org") == "ada@example.org"


def test_without_openid_nobody_learns_who_it_is(app: App, person: Person, harness: Harness) -> None:
    bearer = {"Authorization": f"Bearer {app.tokens(person, scope='profile email')['access_token']}"}

    answer = harness.client().get("/oauth/userinfo", headers=bearer)

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (
        403,
        'Bearer realm="lumiere", error="insufficient_scope", scope="openid"',
    )


@pytest.mark.parametrize("by_form", [False, True])
def test_a_client_signs_a_person_out_of_it_and_of_the_platform(
    by_form: bool, app: App, person: Person, harness: Harness
) -> None:
    own = person.signed_in()
    tokens = app.exchange(app.consented(person, own["access_token"])).get_json()
    given = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": AFTERWARDS, "state": "x y"}

    if by_form:
        answer = harness.client().post("/oauth/logout", data=urlencode(given), content_type=FORM)
    else:
        answer = harness.client().get(f"/oauth/logout?{urlencode(given)}")

    assert (answer.status_code, answer.headers["Location"]) == (303, f"{AFTERWARDS}?state=x+y")
    assert error_of(app.refresh(tokens["refresh_token"])) == (400, "invalid_grant")
    assert person.refresh(own["refresh_token"]).status_code == 401


NOT_TRUE: list[dict[str, str]] = [
    {"id_token_hint": ""},
    {"id_token_hint": "x"},
    {"post_logout_redirect_uri": f"{AFTERWARDS}/"},
    {"post_logout_redirect_uri": "https://elsewhere.example"},
    {"client_id": "0195561c-7800-7000-8000-000000000000"},
]


def test_a_sign_out_that_does_not_say_true_ends_nothing(app: App, person: Person, harness: Harness) -> None:
    tokens = app.tokens(person)

    for changes in NOT_TRUE:
        given = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": AFTERWARDS, **changes}
        answer = harness.client().get(f"/oauth/logout?{urlencode(given)}")
        assert (answer.status_code, "Location" in answer.headers) == (400, False), changes
    assert app.refresh(tokens["refresh_token"]).status_code == 200


def test_a_client_that_a_person_sent_away_signs_them_out_no_more(app: App, person: Person, harness: Harness) -> None:
    own = person.signed_in()
    hint = app.exchange(app.consented(person, own["access_token"])).get_json()["id_token"]
    assert person.call("DELETE", f"/auth/consents/{app.id}", token=own["access_token"]).status_code == 204

    assert harness.client().get(f"/oauth/logout?id_token_hint={hint}").status_code == 400
    assert person.refresh(own["refresh_token"]).status_code == 200


def test_without_an_address_to_go_to_one_is_led_to_the_login_page(app: App, person: Person, harness: Harness) -> None:
    hint = app.tokens(person)["id_token"]

    assert harness.client().get(f"/oauth/logout?id_token_hint={hint}").headers["Location"] == "/login?notice=signed_out"


def test_prompt_none_answers_for_nobody_but_whom_the_client_means(app: App, person: Person, harness: Harness) -> None:
    other = Person(harness, "grace@example.org")
    other.register()
    other.verify()
    meant, theirs = app.tokens(person)["id_token"], other.signed_in()["access_token"]
    app.consented(other, theirs)

    for hint in (meant, "none of ours"):
        assert answer_of(app.authorize(theirs, prompt="none", id_token_hint=hint))["error"] == "login_required"
    mine = person.signed_in()["access_token"]
    assert "code" in answer_of(app.authorize(mine, prompt="none", id_token_hint=meant))


def test_the_metadata_say_what_the_standards_want_of_them() -> None:
    # Authlib holds that every address begins with https.
    provider = Provider("https://lumiere.example")

    AuthorizationServerMetadata(server_metadata(provider)).validate()
    # It wants RS256 beside whatever else there is (OpenID Connect Discovery section 3), which we leave out: ADR 0031.
    told = provider_metadata(provider)
    assert told["id_token_signing_alg_values_supported"] == ["ES256"]
    OpenIDProviderMetadata({**told, "id_token_signing_alg_values_supported": ["ES256", "RS256"]}).validate()


def test_every_address_of_the_metadata_is_there(harness: Harness) -> None:
    client = harness.client()
    found = client.get("/.well-known/openid-configuration").get_json()
    plain = client.get("/.well-known/oauth-authorization-server").get_json()

    assert found["issuer"] == plain["issuer"] == ORIGIN
    assert set(plain) <= set(found)
    for name, address in found.items():
        if name.endswith(("_endpoint", "jwks_uri")):
            path = address.removeprefix(ORIGIN)
            assert {client.get(path).status_code, client.post(path).status_code} - {404, 405}, name
