"""The authorization code: what a client may ask, what a person is asked, and what comes of a yes."""

import threading
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from joserfc.jwk import ECKey

from libs.common.errors import NotFound
from libs.common.testing import Harness
from libs.common.testing.harness import ORIGIN
from services.auth.domain.clients import ApplicationType, AuthMethod
from services.auth.tests.conftest import Person, Time
from services.auth.tests.relying import (
    CALLBACK,
    PROVIDER,
    App,
    an_app,
    answer_of,
    claims_of,
    error_of,
    prove_at_token_endpoint,
    subject_of,
)
from services.auth.use_cases import authorization


@pytest.fixture
def app(harness: Harness) -> App:
    """A client with a secret."""
    return an_app(harness)


def test_a_person_who_says_yes_is_sent_back_with_a_code_and_the_client_gets_tokens(app: App, person: Person) -> None:
    tokens = app.tokens(person)

    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 900
    assert tokens["scope"] == "openid profile email offline_access"
    access, identity = claims_of(tokens["access_token"]), claims_of(tokens["id_token"])
    assert (access["client_id"], access["scope"], access["aud"]) == (app.id, tokens["scope"], "lumiere")
    assert (identity["iss"], identity["aud"], identity["nonce"]) == (ORIGIN, app.id, "n-0S6_WzA2Mj")
    assert (identity["sub"], identity["sid"], identity["amr"]) == (access["sub"], access["sid"], ["pwd"])
    assert identity["auth_time"] == access["auth_time"]


def test_the_answer_names_its_issuer_and_carries_the_state(app: App, person: Person, harness: Harness) -> None:
    token = person.signed_in()["access_token"]
    app.consented(person, token)

    answer = answer_of(app.authorize(token))

    assert (answer["state"], answer["iss"]) == ("af0ifjsldkj", ORIGIN)
    assert set(answer) == {"code", "state", "iss"}


def test_whoever_said_yes_is_asked_again_only_for_more(app: App, person: Person) -> None:
    token = person.signed_in()["access_token"]
    app.consented(person, token, scope="openid profile")

    assert "code" in answer_of(app.authorize(token, scope="openid"))
    assert urlsplit(app.authorize(token, scope="openid email").headers["Location"]).path == "/oauth/consent"
    assert urlsplit(app.authorize(token, scope="openid", prompt="consent").headers["Location"]).path == "/oauth/consent"


def test_a_public_client_on_somebodys_machine_is_never_taken_at_its_word(harness: Harness, person: Person) -> None:
    native = an_app(
        harness,
        AuthMethod.NONE,
        application_type=ApplicationType.NATIVE,
        redirect_uris=[CALLBACK, "http://127.0.0.1/callback"],
    )
    token = person.signed_in()["access_token"]
    native.consented(person, token)

    assert urlsplit(native.authorize(token).headers["Location"]).path == "/oauth/consent"
    assert answer_of(native.authorize(token, prompt="none"))["error"] == "consent_required"
    assert "redirect_uri" not in native.authorize(token, redirect_uri="http://127.0.0.1:49152/callback").headers["Location"]


def test_who_says_no_is_sent_back_without_a_code(app: App, person: Person, harness: Harness) -> None:
    token = person.signed_in()["access_token"]
    handle = dict(parse_qsl(urlsplit(app.authorize(token).headers["Location"]).query))["request"]
    with harness.transaction() as tx:
        address = authorization.deny(tx, PROVIDER, handle, subject_of(token))

    answer = dict(parse_qsl(urlsplit(address).query))
    assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", "af0ifjsldkj", ORIGIN)
    with harness.transaction() as tx, pytest.raises(NotFound):
        authorization.grant(tx, PROVIDER, handle, subject_of(token))


def test_a_question_shows_who_asks_for_what_and_is_for_the_session_that_is_asked(
    app: App, person: Person, harness: Harness
) -> None:
    token, elsewhere = person.signed_in()["access_token"], person.signed_in()["access_token"]
    handle = dict(parse_qsl(urlsplit(app.authorize(token).headers["Location"]).query))["request"]
    with harness.transaction() as tx:
        question = authorization.question(tx, handle, subject_of(token))
    assert (question.client_name, question.returns_to, question.native) == ("Cinémathèque", "app.example", False)
    assert question.scopes == ("openid", "profile", "email", "offline_access")
    for act in (
        lambda tx: authorization.question(tx, handle, subject_of(elsewhere)),
        lambda tx: authorization.grant(tx, PROVIDER, handle, subject_of(elsewhere)),
        lambda tx: authorization.deny(tx, PROVIDER, handle, subject_of(elsewhere)),
    ):
        with harness.transaction() as tx, pytest.raises(NotFound):
            act(tx)


def test_who_is_not_signed_in_is_led_to_sign_in_and_back(app: App, person: Person, harness: Harness) -> None:
    location = urlsplit(app.authorize().headers["Location"])
    query = dict(parse_qsl(location.query))
    back = query["callbackUrl"]
    assert location.path == "/login"
    assert "prompt" not in query
    assert dict(parse_qsl(urlsplit(back).query))["redirect_uri"] == CALLBACK
    token = person.signed_in()["access_token"]

    resumed = harness.client().get(back, headers={"Authorization": f"Bearer {token}"})

    assert urlsplit(resumed.headers["Location"]).path == "/oauth/consent"


def test_a_browser_is_known_by_its_renewal_cookie_which_is_only_looked_at(app: App, person: Person, harness: Harness) -> None:
    tokens = person.signed_in()
    app.consented(person, tokens["access_token"])
    browser = harness.client()
    browser.set_cookie("__Host-lumiere_refresh", tokens["refresh_token"], domain="localhost", secure=False)

    answer = answer_of(browser.get(f"/oauth/authorize?{urlencode(app.asks(prompt='none'))}"))

    assert "code" in answer
    assert person.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize("prompt", ["login", "select_account", "login consent"])
def test_prompt_login_asks_for_a_new_sign_in_whatever_session_there_is(
    prompt: str, app: App, person: Person, harness: Harness, time: Time
) -> None:
    token = person.signed_in()["access_token"]
    app.consented(person, token)
    time.passes(timedelta(seconds=1))

    location = dict(parse_qsl(urlsplit(app.authorize(token, prompt=prompt).headers["Location"]).query))

    assert location["prompt"] == "login"
    back = location["callbackUrl"]
    again = harness.client().get(back, headers={"Authorization": f"Bearer {token}"})
    assert urlsplit(again.headers["Location"]).path == "/login"
    time.passes(timedelta(seconds=1))
    anew = person.signed_in()["access_token"]
    done = harness.client().get(back, headers={"Authorization": f"Bearer {anew}"})
    assert urlsplit(done.headers["Location"]).path in {"/oauth/consent", "/callback"}


def test_max_age_asks_for_a_new_sign_in_when_the_last_is_older(app: App, person: Person, time: Time) -> None:
    token = person.signed_in()["access_token"]
    app.consented(person, token)
    time.passes(timedelta(seconds=60))

    assert "code" in answer_of(app.authorize(token, max_age="60"))
    time.passes(timedelta(seconds=1))
    assert urlsplit(app.authorize(token, max_age="60").headers["Location"]).path == "/login"
    assert answer_of(app.authorize(token, max_age="60", prompt="none"))["error"] == "login_required"
    assert urlsplit(app.authorize(token, max_age="0").headers["Location"]).path == "/login"


def test_prompt_none_answers_at_once_and_shows_nothing(app: App, person: Person) -> None:
    token = person.signed_in()["access_token"]

    assert answer_of(app.authorize(prompt="none"))["error"] == "login_required"
    assert answer_of(app.authorize(token, prompt="none"))["error"] == "consent_required"
    app.consented(person, token)
    assert "code" in answer_of(app.authorize(token, prompt="none"))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "openid everything"}, "invalid_scope"),
        ({"scope": "openid  profile"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "create"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"dpop_jkt": "x"}, "invalid_request"),
        ({"nonce": "n" * 1_025}, "invalid_request"),
        ({"request": "eyJ"}, "request_not_supported"),
        ({"request_uri": "https://app.example/r"}, "request_uri_not_supported"),
    ],
)
def test_what_is_asked_wrongly_is_told_to_the_client(
    changes: dict[str, str | None], code: str, app: App, person: Person
) -> None:
    answer = answer_of(app.authorize(person.signed_in()["access_token"], **changes))

    assert (answer["error"], answer["state"], answer["iss"]) == (code, "af0ifjsldkj", ORIGIN)


def test_a_client_without_the_grant_or_the_scope_is_told_so(harness: Harness, person: Person) -> None:
    token = person.signed_in()["access_token"]
    machine = an_app(harness, grants=["client_credentials"], scopes=["tasks:read"])
    reader = an_app(harness, scopes=["openid"])

    assert answer_of(machine.authorize(token, scope="tasks:read"))["error"] == "unauthorized_client"
    assert answer_of(reader.authorize(token, scope="openid tasks:write"))["error"] == "invalid_scope"


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None},
        {"client_id": "lumiere"},
        {"client_id": "0195561c-7800-7000-8000-000000000000"},
        {"redirect_uri": None},
        {"redirect_uri": "https://app.example/callback/"},
        {"redirect_uri": "https://app.example/callback?x=1"},
        {"redirect_uri": "https://app.example:443/callback"},
        {"redirect_uri": "https://app.example.evil.test/callback"},
        {"redirect_uri": "https://app.example/Callback"},
        {"redirect_uri": "http://app.example/callback"},
        {"redirect_uri": "https://user@app.example/callback"},
    ],
)
def test_nobody_is_sent_anywhere_for_a_client_that_is_not_what_it_claims(
    changes: dict[str, str | None], app: App, person: Person
) -> None:
    response = app.authorize(person.signed_in()["access_token"], **changes)

    assert response.status_code == 400
    assert "Location" not in response.headers
    assert response.get_json()["type"].endswith("/authorization-refused")


def test_a_parameter_that_comes_twice_is_refused_and_one_that_nobody_knows_is_ignored(app: App, harness: Harness) -> None:
    known = urlencode(app.asks())

    assert harness.client().get(f"/oauth/authorize?{known}&state=twice").status_code == 422
    assert harness.client().get(f"/oauth/authorize?{known}&claims=%7B%7D").status_code == 303


def test_a_request_by_form_goes_on_as_one_in_the_address(app: App, harness: Harness) -> None:
    response = harness.client().post(
        "/oauth/authorize", data=urlencode(app.asks()), content_type="application/x-www-form-urlencoded"
    )

    assert response.status_code == 303
    assert dict(parse_qsl(urlsplit(response.headers["Location"]).query)) == app.asks()


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "https://app.example/other"},
        {"code_verifier": "x" * 43},
        {"code_verifier": "too short"},
        {"code": "unknown"},
    ],
)
def test_a_code_is_good_only_with_what_it_was_asked_with(changes: dict[str, str], app: App, person: Person) -> None:
    code = app.consented(person)

    assert error_of(app.exchange(**{"code": code, **changes})) == (400, "invalid_grant")
    if "code" not in changes:
        # One attempt: whoever guesses has no second one.
        assert error_of(app.exchange(code)) == (400, "invalid_grant")


@pytest.mark.parametrize("name", ["code", "redirect_uri", "code_verifier", "grant_type"])
def test_an_exchange_without_one_of_its_parameters_is_refused_and_the_code_stays_good(
    name: str, app: App, person: Person
) -> None:
    code = app.consented(person)

    assert error_of(app.exchange(**{"code": code, name: None})) == (400, "invalid_request")  # type: ignore[arg-type]
    assert app.exchange(code).status_code == 200


def test_a_code_holds_for_a_minute(app: App, person: Person, time: Time) -> None:
    early, late = app.consented(person), app.consented(person)
    time.passes(timedelta(seconds=59))
    assert app.exchange(early).status_code == 200
    time.passes(timedelta(seconds=1))
    assert error_of(app.exchange(late)) == (400, "invalid_grant")


def test_a_code_is_good_for_the_client_that_it_was_given_to(app: App, person: Person, harness: Harness) -> None:
    other = an_app(harness)
    other.verifier = app.verifier
    code = app.consented(person)

    assert error_of(other.exchange(code)) == (400, "invalid_grant")
    assert app.exchange(code).status_code == 200


def test_a_code_that_comes_again_ends_what_it_gave(app: App, person: Person, harness: Harness) -> None:
    code = app.consented(person)
    tokens = app.exchange(code).get_json()

    assert error_of(app.exchange(code)) == (400, "invalid_grant")
    assert error_of(app.refresh(tokens["refresh_token"])) == (400, "invalid_grant")
    ended = [each.data for each in harness.published("auth.session.revoked")]
    assert [(each["session_id"], each["reason"]) for each in ended] == [
        (claims_of(tokens["access_token"])["sid"], "CODE_REUSED")
    ]


def test_of_fifty_exchanges_of_one_code_one_succeeds(app: App, person: Person) -> None:
    code = app.consented(person)
    together, statuses = threading.Barrier(50), []

    def exchange() -> None:
        together.wait(20)
        statuses.append(app.exchange(code).status_code)

    threads = [threading.Thread(target=exchange) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200] + [400] * 49


@pytest.mark.parametrize("end", ["logout", "suspended", "withdrawn"])
def test_a_code_dies_with_the_session_the_account_or_the_consent_that_it_came_by(
    end: str, app: App, person: Person, harness: Harness
) -> None:
    token = person.signed_in()["access_token"]
    code = app.consented(person, token)
    if end == "logout":
        assert person.post("/auth/logout", token=token).status_code == 204
    elif end == "withdrawn":
        assert person.call("DELETE", f"/auth/consents/{app.id}", token=token).status_code == 204
    else:
        from sqlalchemy import text

        with harness.transaction() as tx:
            tx.execute(text("UPDATE auth.user_account SET status = 'SUSPENDED'"))

    assert error_of(app.exchange(code)) == (400, "invalid_grant")


def test_a_code_that_was_asked_for_with_a_key_is_good_with_that_key_alone(app: App, person: Person) -> None:
    key, other = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    codes = [app.consented(person, dpop_jkt=key.thumbprint()) for _ in range(3)]

    assert error_of(app.exchange(codes[0])) == (400, "invalid_grant")
    assert error_of(app.exchange(codes[1], prove_at_token_endpoint(other))) == (400, "invalid_grant")
    bound = app.exchange(codes[2], prove_at_token_endpoint(key)).get_json()
    assert (bound["token_type"], claims_of(bound["access_token"])["cnf"]) == ("DPoP", {"jkt": key.thumbprint()})


def test_without_offline_access_there_is_no_refresh_token_and_the_session_is_soon_over(app: App, person: Person) -> None:
    tokens = app.tokens(person, scope="openid")

    assert "refresh_token" not in tokens
    assert app.tokens(person, scope="tasks:read").keys() == {"access_token", "token_type", "expires_in", "scope"}


def test_the_session_of_a_client_lets_nobody_else_in(app: App, person: Person, harness: Harness) -> None:
    tokens = app.tokens(person)

    assert urlsplit(app.authorize(tokens["access_token"]).headers["Location"]).path == "/login"
    assert person.refresh(tokens["refresh_token"]).status_code == 401
    for method, path in (
        ("GET", "/auth/sessions"),
        ("GET", "/profile"),
        ("POST", "/auth/logout-all"),
        ("GET", "/auth/consents"),
    ):
        assert person.call(method, path, token=tokens["access_token"]).status_code == 403


def test_an_id_token_is_no_access_token_and_an_access_token_no_id_token(app: App, person: Person, harness: Harness) -> None:
    tokens = app.tokens(person)

    bearer = {"Authorization": f"Bearer {tokens['id_token']}"}
    assert harness.client().get("/oauth/userinfo", headers=bearer).status_code == 401
    assert harness.client().get(f"/oauth/logout?id_token_hint={tokens['access_token']}").status_code == 400
