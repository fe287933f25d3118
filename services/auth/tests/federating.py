"""The steps of signing in with the fake provider."""

from typing import Any

from sqlalchemy import text
from werkzeug.test import TestResponse

from libs.common.testing import Harness
from services.auth.tests.conftest import Person
from services.auth.tests.fake_provider import FakeProvider


def begin(person: Person, token: str | None = None) -> dict[str, Any]:
    """What the client holds once it has begun: to sign in, or with a token to link."""
    path = "/auth/identities/fake/begin" if token else "/auth/federation/fake/begin"
    answer = person.post(path, token=token)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    document: dict[str, Any] = answer.get_json()
    return document


def complete(person: Person, began: dict[str, Any], brought: dict[str, Any]) -> TestResponse:
    return person.post("/auth/federation/fake/complete", {"binding": began["binding"], **brought})


def sign_in(person: Person, fake: FakeProvider) -> TestResponse:
    began = begin(person)
    return complete(person, began, fake.authorize(began["authorization_url"]))


def identities(person: Person, token: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = person.call("GET", "/auth/identities", token=token).get_json()["items"]
    return items


def accounts(harness: Harness) -> int:
    with harness.transaction() as tx:
        return int(tx.scalar(text("SELECT count(*) FROM auth.user_account")))
