"""Administrators register clients; people see and take back what they let clients do; both are on record."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from joserfc.jwk import ECKey
from sqlalchemy import text

from libs.common.auth.policy import Role
from libs.common.db import Transaction
from libs.common.ids import new_id
from libs.common.testing import Harness
from services.auth import queries
from services.auth.domain.authorization import RequestGone
from services.auth.domain.clients import COMMAND_LINE, GrantType
from services.auth.domain.sessions import EndReason
from services.auth.tests.conftest import Person, Time
from services.auth.tests.relying import PROVIDER, App, an_app, error_of, subject_of
from services.auth.use_cases import authorization, clients, consents, devices, sessions

CLIENTS = "/api/v1/admin/oauth/clients"
WEB: dict[str, Any] = {
    "name": "Cinémathèque",
    "method": "client_secret_basic",
    "grants": ["authorization_code", "refresh_token"],
    "scopes": ["openid", "offline_access"],
    "redirect_uris": ["https://app.example/callback"],
}


@pytest.fixture
def administrator(harness: Harness) -> FlaskClient:
    """Somebody who registers clients."""
    return harness.client(Role.ADMIN)


def recorded(harness: Harness) -> list[str]:
    """What stands in the audit trail."""
    with harness.transaction() as tx:
        return [row.action for row in tx.all(text("SELECT action FROM auth.audit_record ORDER BY occurred_at, id"))]


def test_a_client_is_registered_and_its_secret_shown_once_and_kept_hashed(administrator: FlaskClient, harness: Harness) -> None:
    made = administrator.post(CLIENTS, json=WEB)

    document = made.get_json()
    client, secret = document["client"], document["client_secret"]
    assert (made.status_code, made.headers["Location"]) == (201, f"{CLIENTS}/{client['id']}")
    read = administrator.get(made.headers["Location"])
    assert read.get_json() == client
    assert secret not in read.get_data(as_text=True)
    with harness.transaction() as tx:
        kept = tx.all(text("SELECT secret_hash FROM auth.client_secret"))
        answers = tx.all(text("SELECT body FROM auth.idempotency_key"))
    assert [bytes(row.secret_hash) for row in kept] != [secret.encode()]
    assert not answers
    assert recorded(harness)[-1] == "oauth_client.register"


def test_an_answer_with_a_secret_is_kept_for_nobody(administrator: FlaskClient) -> None:
    once, twice = (
        administrator.post(CLIENTS, json=WEB, headers={"Idempotency-Key": "the same key"}).get_json() for _ in range(2)
    )

    assert once["client_secret"] != twice["client_secret"]


CONTRADICTIONS: list[dict[str, Any]] = [
    {"name": ""},
    {"name": "x" * 81},
    {"name": "two\nlines"},
    {"method": "tls_client_auth"},
    {"grants": []},
    {"grants": ["implicit"]},
    {"scopes": []},
    {"scopes": ["admin"]},
    {"redirect_uris": []},
    {"redirect_uris": ["http://app.example/callback"]},
    {"redirect_uris": ["https://app.example/callback#x"]},
    {"redirect_uris": ["https://*.example/callback"]},
    {"redirect_uris": ["http://127.0.0.1/callback"]},
    {"redirect_uris": ["org.example.app:/callback"]},
    {"redirect_uris": ["javascript:alert(1)"]},
    {"redirect_uris": ["https://app.example/callback"] * 11},
    {"redirect_uris": ["https://app.example/" + "x" * 500]},
    {"application_type": "native", "redirect_uris": ["http://localhost/callback"]},
    {"application_type": "native", "redirect_uris": ["app:/callback"]},
    {"grants": ["refresh_token"]},
    {"grants": ["authorization_code", "client_credentials"], "method": "none"},
    {"grants": ["authorization_code"]},
    {"method": "private_key_jwt"},
    {"keys": {"keys": []}},
    {"address": "http://app.example"},
    {"trusted": True},
]


def test_a_client_that_contradicts_itself_is_not_registered(administrator: FlaskClient) -> None:
    for changes in CONTRADICTIONS:
        assert administrator.post(CLIENTS, json={**WEB, **changes}).status_code == 422, changes


NO_KEYS: list[dict[str, Any]] = [
    {},
    {"keys": []},
    {"keys": ["x"]},
    {"keys": [{"kty": "RSA", "n": "x", "e": "AQAB", "kid": "1"}]},
    {"keys": [ECKey.generate_key("P-384", {"kid": "1"}).as_dict(private=False)]},
    {"keys": [ECKey.generate_key("P-256", {"kid": "1"}).as_dict(private=True)]},
    {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "1"}]},
    {"keys": [{"kty": "EC", "crv": "P-256", "x": "A" * 43, "kid": "1"}]},
]


def test_keys_that_are_none_or_not_public_are_not_taken(administrator: FlaskClient) -> None:
    for keys in NO_KEYS:
        body = {**WEB, "method": "private_key_jwt", "keys": keys}
        assert administrator.post(CLIENTS, json=body).status_code == 422, keys


def test_what_a_client_is_no_longer_for_ends_at_once(
    administrator: FlaskClient, harness: Harness, person: Person, synchronise: Callable[[], None]
) -> None:
    app = an_app(harness)
    tokens = app.tokens(person)
    itself = app.post("/oauth/token", {"grant_type": "client_credentials", "scope": "tasks:read"}).get_json()

    changed = administrator.patch(f"{CLIENTS}/{app.id}", json={"scopes": ["openid", "offline_access", "tasks:read"]})
    synchronise()

    assert changed.status_code == 200
    assert error_of(app.refresh(tokens["refresh_token"])) == (400, "invalid_grant")
    for token in (tokens["access_token"], itself["access_token"]):
        bearer = {"Authorization": f"Bearer {token}"}
        assert harness.client().get("/oauth/userinfo", headers=bearer).status_code == 401
    anew = app.post("/oauth/token", {"grant_type": "client_credentials", "scope": "tasks:read"}).get_json()
    assert app.post("/oauth/introspect", {"token": anew["access_token"]}).get_json()["active"] is True


def test_what_waits_is_worth_no_more_than_its_client_is_for(
    administrator: FlaskClient, harness: Harness, person: Person
) -> None:
    app, token = an_app(harness), person.signed_in()["access_token"]
    code = app.consented(person, token, scope="openid email")
    offered = app.post("/oauth/device_authorization", {"scope": "openid email"}).get_json()
    with harness.transaction() as tx:
        devices.approve(tx, offered["user_code"], subject_of(token))
    handle = dict(parse_qsl(urlsplit(app.authorize(token, scope="openid tasks:write").headers["Location"]).query))["request"]

    changed = administrator.patch(f"{CLIENTS}/{app.id}", json={"scopes": ["openid", "offline_access"]})

    assert changed.status_code == 200
    assert error_of(app.exchange(code)) == (400, "invalid_grant")
    device = {"grant_type": GrantType.DEVICE, "device_code": offered["device_code"]}
    assert error_of(app.post("/oauth/token", device)) == (400, "invalid_grant")
    with harness.transaction() as tx, pytest.raises(RequestGone):
        authorization.grant(tx, PROVIDER, handle, subject_of(token))


def test_nobody_is_sent_to_an_address_that_was_taken_from_its_client_meanwhile(
    administrator: FlaskClient, harness: Harness, person: Person
) -> None:
    app, token = an_app(harness), person.signed_in()["access_token"]
    handle = dict(parse_qsl(urlsplit(app.authorize(token).headers["Location"]).query))["request"]

    administrator.patch(f"{CLIENTS}/{app.id}", json={"redirect_uris": ["https://app.example/elsewhere"]})

    for act in (authorization.grant, authorization.deny):
        with harness.transaction() as tx, pytest.raises(RequestGone):
            act(tx, PROVIDER, handle, subject_of(token))


def take_back(tx: Transaction, app: App, person_id: UUID) -> None:
    consents.withdraw(tx, person_id, UUID(app.id))


def remove(tx: Transaction, app: App, _: UUID) -> None:
    clients.remove(tx, UUID(app.id))


def narrow(tx: Transaction, app: App, _: UUID) -> None:
    clients.change(tx, UUID(app.id), {"scopes": ["openid", "offline_access"]}, None)


def end_others(tx: Transaction, _: App, person_id: UUID) -> None:
    sessions.end_other_sessions(tx, person_id, new_id(), EndReason.REVOKED_BY_USER)


@pytest.mark.parametrize("end", [take_back, remove, narrow, end_others])
def test_a_session_that_begins_while_others_like_it_are_ended_is_ended_with_them(
    end: Callable[[Transaction, App, UUID], None], harness: Harness, person: Person
) -> None:
    app, person_id = an_app(harness), UUID(person.id)
    code = app.consented(person)

    with ThreadPoolExecutor(1) as pool:
        with harness.transaction() as tx:
            end(tx, app, person_id)
            exchanged = pool.submit(app.exchange, code)
            deadline = monotonic() + 20
            while not (exchanged.done() or waiting(harness)):
                assert monotonic() < deadline
        assert exchanged.result().status_code == 400

    with harness.transaction() as tx:
        assert queries.sessions_of_client(tx, UUID(app.id)) == []


def waiting(harness: Harness) -> bool:
    """Whether somebody waits for what somebody else holds."""
    with harness.database.reader() as db:
        return bool(db.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


def test_more_addresses_end_nothing_and_a_stale_tag_is_refused(
    administrator: FlaskClient, harness: Harness, person: Person
) -> None:
    app = an_app(harness)
    tokens = app.tokens(person)
    path = f"{CLIENTS}/{app.id}"
    tag = administrator.get(path).headers["ETag"]

    changed = administrator.patch(path, json={"name": "Archive"}, headers={"If-Match": tag})

    assert (changed.status_code, changed.get_json()["name"]) == (200, "Archive")
    assert administrator.patch(path, json={"name": "Other"}, headers={"If-Match": tag}).status_code == 412
    assert administrator.patch(path, json={}).status_code == 422
    assert administrator.patch(path, json={"scopes": None}).status_code == 422
    assert administrator.patch(path, json={"redirect_uris": []}).status_code == 422
    assert app.refresh(tokens["refresh_token"]).status_code == 200


def test_a_client_that_is_removed_is_nobody_from_then_on(
    administrator: FlaskClient, harness: Harness, person: Person, synchronise: Callable[[], None], time: Time
) -> None:
    app = an_app(harness)
    tokens = app.tokens(person)

    assert administrator.delete(f"{CLIENTS}/{app.id}").status_code == 204
    synchronise()

    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert harness.client().get("/oauth/userinfo", headers=bearer).status_code == 401
    assert error_of(app.refresh(tokens["refresh_token"])) == (401, "invalid_client")
    assert administrator.get(f"{CLIENTS}/{app.id}").status_code == 404
    assert app.authorize(person.signed_in()["access_token"]).status_code == 400
    assert person.call("GET", "/auth/consents", token=person.signed_in()["access_token"]).get_json()["items"] == []
    assert "oauth_client.remove" in recorded(harness)
    time.passes(timedelta(minutes=17))
    assert harness.run_job("purge_grants") > 0
    with harness.transaction() as tx:
        assert tx.scalar(text("SELECT count(*) FROM auth.oauth_client")) == 1  # the command line's


def test_the_command_lines_client_is_as_it_is(administrator: FlaskClient) -> None:
    path = f"{CLIENTS}/{COMMAND_LINE}"

    assert administrator.get(path).status_code == 200
    assert administrator.patch(path, json={"name": "Mine"}).status_code == 409
    assert administrator.delete(path).status_code == 409
    assert administrator.post(f"{path}/secrets", json={}).status_code == 409


def test_registering_asks_for_a_recent_sign_in(harness: Harness, time: Time) -> None:
    administrator = harness.client(Role.ADMIN)
    time.passes(timedelta(seconds=899))
    path = administrator.post(CLIENTS, json=WEB).headers["Location"]
    time.passes(timedelta(seconds=2))

    answers = [
        harness.client(subject).open(path + more, method=method, json=body)
        for method, more, body in (("PATCH", "", {"name": "Mine"}), ("DELETE", "", None), ("POST", "/secrets", {}))
        for subject in [harness.subject(Role.VIEWER)]
    ]

    assert [each.status_code for each in answers] == [403] * 3
    assert administrator.delete(path).status_code == 401


def test_clients_are_listed_newest_first(administrator: FlaskClient, harness: Harness) -> None:
    made = [an_app(harness).id for _ in range(3)]

    page = administrator.get(f"{CLIENTS}?limit=2").get_json()
    rest = administrator.get(f"{CLIENTS}?limit=2&cursor={page['next_cursor']}").get_json()

    assert [each["id"] for each in page["items"] + rest["items"]] == [*reversed(made), str(COMMAND_LINE)]


def test_a_person_sees_whom_they_let_act_for_them_and_takes_it_back(
    harness: Harness, person: Person, synchronise: Callable[[], None]
) -> None:
    app, kept = an_app(harness), an_app(harness)
    token = person.signed_in()["access_token"]
    tokens, others = app.tokens(person, scope="openid offline_access"), kept.tokens(person)
    listed = person.call("GET", "/auth/consents", token=token).get_json()["items"]
    assert [(each["client_id"], each["scopes"]) for each in listed][1:] == [(app.id, ["openid", "offline_access"])]

    assert person.call("DELETE", f"/auth/consents/{app.id}", token=token).status_code == 204
    synchronise()

    assert error_of(app.refresh(tokens["refresh_token"])) == (400, "invalid_grant")
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert harness.client().get("/oauth/userinfo", headers=bearer).status_code == 401
    assert kept.refresh(others["refresh_token"]).status_code == 200
    assert person.call("DELETE", f"/auth/consents/{app.id}", token=token).status_code == 404
    assert app.authorize(token).headers["Location"].startswith("/oauth/consent")
    assert {"consent.grant", "consent.withdraw"} <= set(recorded(harness))


def test_what_is_over_is_forgotten_and_a_used_code_for_a_day_not(harness: Harness, person: Person, time: Time) -> None:
    app: App = an_app(harness)
    code = app.consented(person)
    app.exchange(code)
    time.passes(timedelta(hours=24))
    harness.run_job("purge_grants")
    with harness.transaction() as tx:
        assert tx.scalar(text("SELECT count(*) FROM auth.authorization_code")) == 1
        assert tx.scalar(text("SELECT count(*) FROM auth.authorization_request")) == 0
    time.passes(timedelta(minutes=2))
    assert harness.run_job("purge_grants") == 1
