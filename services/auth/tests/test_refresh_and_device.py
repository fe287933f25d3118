"""Refresh tokens of clients, tokens bound to keys, and the device grant."""

from datetime import timedelta
from typing import Any

import pytest
from joserfc.jwk import ECKey

from libs.common.errors import NotFound
from libs.common.testing import Harness, prove
from libs.common.testing.harness import ORIGIN
from services.auth.domain.clients import COMMAND_LINE, AuthMethod
from services.auth.tests.conftest import Person, Time
from services.auth.tests.relying import (
    App,
    an_app,
    claims_of,
    error_of,
    prove_at_token_endpoint,
    subject_of,
)
from services.auth.use_cases import devices

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def app(harness: Harness) -> App:
    """A client with a secret."""
    return an_app(harness)


def test_a_refresh_token_is_exchanged_for_its_successor_and_reuse_ends_the_session(
    app: App, person: Person, time: Time
) -> None:
    first = app.tokens(person)

    second = app.refresh(first["refresh_token"]).get_json()
    again = app.refresh(first["refresh_token"]).get_json()

    assert second["refresh_token"] == again["refresh_token"] != first["refresh_token"]
    assert claims_of(second["id_token"])["sid"] == claims_of(first["id_token"])["sid"]
    time.passes(timedelta(seconds=11))
    assert error_of(app.refresh(first["refresh_token"])) == (400, "invalid_grant")
    assert error_of(app.refresh(second["refresh_token"])) == (400, "invalid_grant")


def test_a_refresh_token_may_give_less_and_never_more(app: App, person: Person) -> None:
    tokens = app.tokens(person, scope="openid tasks:read offline_access")

    assert error_of(app.refresh(tokens["refresh_token"], scope="openid tasks:write")) == (400, "invalid_scope")
    less = app.refresh(tokens["refresh_token"], scope="tasks:read").get_json()
    assert (claims_of(less["access_token"])["scope"], "id_token" in less) == ("tasks:read", False)
    assert app.refresh(less["refresh_token"]).get_json()["scope"] == "openid offline_access tasks:read"


def test_a_refresh_token_is_good_for_its_client_alone_and_stays_good(app: App, person: Person, harness: Harness) -> None:
    tokens = app.tokens(person)

    assert error_of(an_app(harness).refresh(tokens["refresh_token"])) == (400, "invalid_grant")
    assert error_of(app.refresh("unknown")) == (400, "invalid_grant")
    assert app.refresh(tokens["refresh_token"]).status_code == 200


def test_tokens_of_a_public_client_are_bound_to_the_key_that_it_showed(harness: Harness, person: Person) -> None:
    app, key, other = an_app(harness, AuthMethod.NONE), ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    tokens = app.exchange(app.consented(person), prove_at_token_endpoint(key)).get_json()
    access = tokens["access_token"]

    proof = prove(key, "GET", f"{ORIGIN}/oauth/userinfo", access)
    shown = harness.client().get("/oauth/userinfo", headers={"Authorization": f"DPoP {access}", "DPoP": proof})
    assert shown.status_code == 200
    assert harness.client().get("/oauth/userinfo", headers={"Authorization": f"Bearer {access}"}).status_code == 401
    refresh = tokens["refresh_token"]
    assert error_of(app.refresh(refresh)) == (400, "invalid_dpop_proof")
    assert error_of(app.refresh(refresh, prove_at_token_endpoint(other))) == (400, "invalid_grant")
    renewed = app.refresh(refresh, prove_at_token_endpoint(key)).get_json()
    assert (renewed["token_type"], claims_of(renewed["access_token"])["cnf"]) == ("DPoP", {"jkt": key.thumbprint()})


def test_a_confidential_client_may_change_its_key_and_not_give_it_up(app: App, person: Person) -> None:
    key, other = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    tokens = app.exchange(app.consented(person), prove_at_token_endpoint(key)).get_json()

    assert error_of(app.refresh(tokens["refresh_token"])) == (400, "invalid_dpop_proof")
    renewed = app.refresh(tokens["refresh_token"], prove_at_token_endpoint(other)).get_json()
    assert claims_of(renewed["access_token"])["cnf"] == {"jkt": other.thumbprint()}


def test_a_client_that_must_always_prove_a_key_gets_nothing_without(harness: Harness) -> None:
    app = an_app(harness, bound_tokens=True)
    given = {"grant_type": "client_credentials", "scope": "tasks:read"}

    assert error_of(app.post("/oauth/token", given)) == (400, "invalid_dpop_proof")
    bound = app.post("/oauth/token", given, prove_at_token_endpoint(ECKey.generate_key("P-256"))).get_json()
    assert bound["token_type"] == "DPoP"


@pytest.mark.parametrize(
    "changes",
    [
        {"htm": "GET"},
        {"htu": f"{ORIGIN}/oauth/revoke"},
        {"htu": "https://elsewhere.example/oauth/token"},
        {"iat": 0},
        {"jti": ""},
    ],
)
def test_a_proof_for_something_else_is_refused(changes: dict[str, Any], app: App, person: Person) -> None:
    proof = prove_at_token_endpoint(ECKey.generate_key("P-256"), **changes)
    code = app.consented(person)

    assert error_of(app.exchange(code, proof)) == (400, "invalid_dpop_proof")
    assert app.exchange(code).status_code == 200


def test_a_proof_counts_once(app: App, person: Person) -> None:
    proof = prove_at_token_endpoint(ECKey.generate_key("P-256"))
    given = {"grant_type": "client_credentials", "scope": "tasks:read"}

    answers = [app.post("/oauth/token", given, proof) for _ in range(2)]

    assert answers[0].status_code == 200
    assert error_of(answers[1]) == (400, "invalid_dpop_proof")


@pytest.fixture
def device(harness: Harness) -> App:
    """The command line, which every platform knows."""
    return App(harness, str(COMMAND_LINE), None, AuthMethod.NONE)


def begun(device: App) -> dict[str, Any]:
    """The device has asked."""
    answer = device.post("/oauth/device_authorization", {"scope": "openid tasks:read offline_access"})
    assert answer.status_code == 200, answer.get_json()
    document: dict[str, Any] = answer.get_json()
    return document


def poll(device: App, offered: dict[str, Any]) -> Any:
    """The device asks whether somebody has answered."""
    return device.post("/oauth/token", {"grant_type": DEVICE_GRANT, "device_code": offered["device_code"]})


def test_a_person_lets_a_device_in_by_typing_its_code(device: App, person: Person, harness: Harness, time: Time) -> None:
    offered = begun(device)
    assert offered["verification_uri_complete"] == f"{ORIGIN}/device?user_code={offered['user_code']}"
    assert (offered["interval"], offered["expires_in"]) == (5, 600)
    assert error_of(poll(device, offered)) == (400, "authorization_pending")
    token = person.signed_in()["access_token"]
    with harness.transaction() as tx:
        question = devices.look_up(tx, f" {offered['user_code'].lower().replace('-', ' ')} ")
        assert (question.client_name, question.user_code) == ("Lumière command line", offered["user_code"])
        assert question.scopes == ("openid", "offline_access", "tasks:read")
        devices.approve(tx, offered["user_code"], subject_of(token))
    time.passes(timedelta(seconds=5))

    tokens = poll(device, offered).get_json()

    assert tokens["scope"] == "openid offline_access tasks:read"
    assert device.refresh(tokens["refresh_token"]).status_code == 200
    time.passes(timedelta(seconds=5))
    assert error_of(poll(device, offered)) == (400, "invalid_grant")
    with harness.transaction() as tx, pytest.raises(NotFound):
        devices.look_up(tx, offered["user_code"])


def test_a_device_that_asks_too_often_has_to_wait_longer_each_time(device: App, time: Time) -> None:
    offered = begun(device)
    assert error_of(poll(device, offered)) == (400, "authorization_pending")
    time.passes(timedelta(seconds=4.9))
    assert error_of(poll(device, offered)) == (400, "slow_down")
    time.passes(timedelta(seconds=9.9))
    assert error_of(poll(device, offered)) == (400, "slow_down")
    time.passes(timedelta(seconds=15))
    assert error_of(poll(device, offered)) == (400, "authorization_pending")


def test_a_device_that_is_refused_or_too_late_gets_nothing(device: App, person: Person, harness: Harness, time: Time) -> None:
    refused, forgotten = begun(device), begun(device)
    with harness.transaction() as tx:
        devices.deny(tx, refused["user_code"], subject_of(person.signed_in()["access_token"]))

    assert error_of(poll(device, refused)) == (400, "access_denied")
    time.passes(timedelta(minutes=10))
    assert error_of(poll(device, forgotten)) == (400, "expired_token")
    assert error_of(poll(device, {"device_code": "unknown"})) == (400, "invalid_grant")
    with harness.transaction() as tx, pytest.raises(NotFound):
        devices.approve(tx, forgotten["user_code"], subject_of(person.signed_in()["access_token"]))


def test_a_device_is_offered_only_what_its_client_may_ask_for(device: App, harness: Harness) -> None:
    without = an_app(harness, grants=["authorization_code"], scopes=["openid"])

    assert error_of(device.post("/oauth/device_authorization", {"scope": "admin"})) == (400, "invalid_scope")
    assert error_of(without.post("/oauth/device_authorization", {"scope": "openid"})) == (400, "unauthorized_client")
