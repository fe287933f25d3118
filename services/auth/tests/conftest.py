"""Auth under test: a cheap bcrypt, a person's steps as short functions, and a clock that tests may move."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from werkzeug.test import TestResponse

from libs.common import clock
from libs.common.auth import revocations
from libs.common.auth.policy import Role
from libs.common.auth.tokens import KeySource, PublishedKeys
from libs.common.config import load
from libs.common.events import Envelope
from libs.common.http.health import Health
from libs.common.testing import Harness, service_harness
from services.auth.adapters.openid import HttpOpenIdProviders
from services.auth.app import service
from services.auth.domain.federation import OpenIdProviders
from services.auth.domain.secrets import MasterSecret, seal_root
from services.auth.models import root_key
from services.auth.tests.fake_provider import GRACE, FakeProvider, running

PASSWORD = "a password nobody guesses"
SETTINGS = {
    "LUMIERE_ENV": "test",
    "AUTH_SECRET": "k3Jw-9vQ2_xT7rLm-Zp5sYd8hB4nC6aFg",
    "BCRYPT_ROUNDS": "4",
    "PASSWORD_THREADS": "4",
    "PASSWORD_QUEUE": "60",
    "CLIENT_LIMIT_FACTOR": "1",
}

bare_harness = service_harness(service, SETTINGS)


@pytest.fixture
def harness(bare_harness: Harness) -> Harness:
    """The service with clean tables and nothing remembered of the keys of the test before."""
    keys = bare_harness.resources[KeySource]
    assert isinstance(keys, PublishedKeys)
    keys.refresh(force=True)
    return bare_harness


@contextmanager
def replica(harness: Harness, **environ: str) -> Iterator[Flask]:
    """Another web process of the service, which shares nothing with the first but what stands outside of both."""
    _keep_root(harness)
    assembled = service.assemble(load(service.settings, {**harness.environ, **environ}), "web", harness.keys)
    assembled.revocations.merge({})  # as if it had read the list: it is ready
    try:
        yield assembled.application(Health(assembled.checks()))
    finally:
        assembled.database.dispose()


def _keep_root(harness: Harness) -> None:
    """Write down again what the first process holds: tables are emptied before each test, processes remember."""
    secret = MasterSecret(harness.environ["AUTH_SECRET"])
    values = {"secret_id": secret.id, "created_at": clock.now()}
    with harness.transaction() as tx:
        sealed = seal_root(harness.resource(MasterSecret).material, secret)
        tx.execute(
            insert(root_key).on_conflict_do_update(index_elements=["secret_id"], set_={"sealed": sealed}),
            {**values, "sealed": sealed},
        )


@dataclass
class Person:
    """Somebody who uses the API as clients do."""

    harness: Harness
    email: str
    password: str = PASSWORD

    def post(self, path: str, body: dict[str, Any] | None = None, token: str | None = None) -> TestResponse:
        return self.call("POST", path, body, token)

    def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, token: str | None = None, **headers: str
    ) -> TestResponse:
        if token:
            headers["Authorization"] = f"Bearer {token}"
        client: FlaskClient = self.harness.client()
        if body is None:
            return client.open(f"/api/v1{path}", method=method, headers=headers)
        return client.open(f"/api/v1{path}", method=method, json=body, headers=headers)

    def register(self, **members: Any) -> TestResponse:
        body = {"email": self.email, "password": self.password, "display_name": "Ada Lovelace", **members}
        answer = self.post("/auth/register", body)
        self.harness.run_job("open_accounts")
        return answer

    def mails(self, template: str | None = None) -> list[dict[str, str]]:
        """The variables of the mails requested for this person, oldest first, as notify opens them."""
        found = [_opened(self.harness, each) for each in self.harness.published("auth.email.requested")]
        return [each for each in found if each["recipient"] == self.email.lower() and template in {None, each["template"]}]

    def verify(self) -> TestResponse:
        return self.post("/auth/verify-email", {"token": self.mails("VERIFY_EMAIL")[-1]["token"]})

    def take_time(self) -> None:
        """Wait as long as anybody has to after a wrong password."""
        with self.harness.transaction() as tx:
            tx.execute(text("UPDATE auth.login_failure SET last_failed_at = last_failed_at - make_interval(secs => 5)"))

    def login(self, password: str | None = None, email: str | None = None, **members: Any) -> TestResponse:
        self.take_time()
        return self.login_at_once(password, email, **members)

    def login_at_once(self, password: str | None = None, email: str | None = None, **members: Any) -> TestResponse:
        return self.post("/auth/login", {"email": email or self.email, "password": password or self.password, **members})

    def refresh(self, token: str) -> TestResponse:
        return self.post("/auth/refresh", {"refresh_token": token})

    def signed_in(self) -> dict[str, Any]:
        answer = self.login()
        assert answer.status_code == 200, answer.get_data(as_text=True)
        document: dict[str, Any] = answer.get_json()
        return document

    @property
    def id(self) -> str:
        profile = self.call("GET", "/profile", token=self.signed_in()["access_token"]).get_json()
        return str(profile["id"])


def _opened(harness: Harness, envelope: Envelope) -> dict[str, str]:
    from services.auth.events import EmailRequested

    event = envelope.event(EmailRequested)
    variables = event.variables.open(harness.keyring)
    return {"recipient": event.recipient.open(harness.keyring), "template": event.template, "locale": event.locale, **variables}


@pytest.fixture
def newcomer(harness: Harness) -> Person:
    """Somebody who is not registered yet."""
    return Person(harness, "Ada@Example.org")


@pytest.fixture
def person(newcomer: Person) -> Person:
    """Somebody whose account is verified."""
    assert newcomer.register().status_code == 202
    assert newcomer.verify().status_code == 204
    return newcomer


@pytest.fixture
def administrator(harness: Harness) -> Person:
    """An administrator made by the operator."""
    return make_administrator(harness, "first@example.org")


def make_administrator(harness: Harness, email: str) -> Person:
    """Make an administrator as the operator does."""
    from libs.common.telemetry import context
    from services.auth.domain.accounts import Address, Locale
    from services.auth.use_cases.keeping import Keeping
    from services.auth.use_cases.registration import Registration, create_administrator

    registration = Registration(Address(email), PASSWORD, "Administrator", Role.ADMIN, Locale.EN)
    with context.bound(actor="operator"):
        outcome = create_administrator(harness.database, registration, harness.resource(Keeping))
    assert not isinstance(outcome, Exception), outcome
    return Person(harness, email)


@pytest.fixture
def synchronise(harness: Harness) -> Callable[[], None]:
    """Let this process read the revocation list, as it does when a broadcast or a poll brings it."""

    def read() -> None:
        assert revocations.poll(harness.assembled.revocations, harness.assembled.fetch_revocations)

    return read


class Time:
    """The platform's clock, held by a test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, start: datetime) -> None:
        self.instant = start
        monkeypatch.setattr(clock, "now", self.now)
        monkeypatch.setattr(clock, "epoch", self.epoch)

    def now(self) -> datetime:
        return self.instant

    def epoch(self) -> float:
        return self.instant.timestamp()

    def passes(self, duration: timedelta) -> None:
        self.instant += duration


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """A clock that stands still in the middle of a second until the test moves it."""
    return Time(monkeypatch, clock.now().replace(microsecond=500_000))


@pytest.fixture
def fake(harness: Harness) -> Iterator[FakeProvider]:
    """A fake provider, configured, at which Grace has an account with a verified address."""
    providers = harness.resource(OpenIdProviders)  # type: ignore[type-abstract]
    assert isinstance(providers, HttpOpenIdProviders)
    with running() as provider:
        provider.person = dict(GRACE)
        configured = HttpOpenIdProviders([provider.configured()], plain_http=True)
        providers._providers, providers._known = configured._providers, configured._known
        yield provider
        providers._providers, providers._known = {}, {}


@pytest.fixture
def grace(harness: Harness) -> Person:
    """Somebody without an account here."""
    return Person(harness, "grace@example.org")
