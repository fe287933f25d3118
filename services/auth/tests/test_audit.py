"""Whatever changes something in auth is on record, or says here why not."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, request, request_finished
from sqlalchemy import text

from libs.common import clock
from libs.common.auth.policy import Access
from libs.common.http.routes import Route
from libs.common.testing import Harness
from services.auth.app import service
from services.auth.tests.conftest import PASSWORD, Person, make_administrator
from services.auth.tests.factors import guarded
from services.auth.tests.fake_provider import FakeProvider
from services.auth.tests.federating import begin, complete, identities, sign_in

NEW_PASSWORD = "another one that nobody guesses"  # pragma: allowlist secret

WALKED = {
    "verify_email": "user.verify",
    "login": "session.begin",
    "complete_sign_in": "session.begin",
    "sign_in_by_passkey": "session.begin",
    "complete_federation": "session.begin",
    "reset_password": "password.replace",  # pragma: allowlist secret
    "change_password": "password.replace",
    "change_email": "email.propose_change",
    "confirm_email": "email.change",
    "cancel_email": "email.cancel_change",
    "confirm_totp": "second_factor.add",
    "remove_totp": "second_factor.remove",
    "replace_recovery_codes": "recovery_code.replace",
    "renew_authentication": "session.step_up",
    "reset_factors": "second_factor.reset",
    "register_passkey": "passkey.add",
    "rename_passkey": "passkey.rename",
    "remove_passkey": "passkey.remove",
    "logout": "session.end",
    "logout_all": "session.end_all",
    "end_other_sessions": "session.end_others",
    "end_session": "session.end",
    "change_profile": "profile.change",
    "change_user": "user.change_standing",
    "record_kyc": "kyc.record",
    "create_access_token": "access_token.create",
    "revoke_access_token": "access_token.revoke",
    "confirm_link": "identity.link",
    "unlink_identity": "identity.unlink",
    "propose_administrator": "administrator.propose",
    "confirm_proposal": "administrator.confirm",
    "reject_proposal": "administrator.reject",
    "decide_maintenance": "maintenance.decide",
}
"""What these put on record, as the stories below show."""

SHOWN_ELSEWHERE = {
    "unlock_user": ("login.unlock", "test_lockout.py"),
    "answer_authorization": ("consent.grant", "test_clients.py"),
    "answer_device": ("consent.grant", "test_clients.py"),
    "exchange": ("session.begin", "test_authorization_code.py"),
    "revoke": ("session.revoked_by_client", "test_token_status.py"),
    "register_client": ("oauth_client.register", "test_clients.py"),
    "change_client": ("oauth_client.change", "test_clients.py"),
    "remove_client": ("oauth_client.remove", "test_clients.py"),
    "give_secret": ("oauth_client.give_secret", "test_clients.py"),
    "withdraw_consent": ("consent.withdraw", "test_clients.py"),
}
"""What these put on record, and where they are called."""

EXCEPTIONS = {
    "register": "only takes note; the job that opens the account puts user.register on record",
    "resend_verification": "asks for a mail; what its link brings about is on record",
    "forgot_password": "asks for a mail; what its link brings about is on record",  # pragma: allowlist secret
    "refresh": "several an hour for each client: the log tells, and a reuse is on record",
    "exchange_access_token": "several an hour for each program: the log tells, and the day of the last use is kept",
    "authentication_options": "a challenge that anybody may ask for; it changes no account",
    "registration_options": "a challenge; the passkey that comes of it is on record",
    "begin_totp": "nothing counts before it is confirmed, which is on record",
    "begin_federation": "nothing happens before the answer comes",
    "begin_link": "nothing happens before the link is confirmed, which is on record",
    "authorize_by_form": "a question; the answer is on record",
    "ask_for_device": "a question; the answer is on record",
    "introspect": "reads",
    "user_info_by_post": "reads",
    "sign_out_by_form": "leads to a page; the session that ends there is on record",
}
"""Why these put nothing on record."""


def changing() -> list[Route]:
    """The routes of auth that change something. Pages call the same use cases; the kernel has jobs run."""
    return [
        each
        for each in service.declared_routes
        if each.method != "GET" and not each.page and each.allow.access is not Access.CRON
    ]


def name(route: Route) -> str:
    return route.handler.__name__


class Witness:
    """Notes every request that changed something, by the name of its route, with its request id."""

    def __init__(self, app: Flask) -> None:
        self.seen: list[tuple[str, str]] = []
        self._app = app
        request_finished.connect(self._note, app)

    def _note(self, _: Flask, response: Response, **__: Any) -> None:
        if request.method != "GET" and response.status_code < 400 and request.endpoint:
            operation = request.endpoint.rsplit(":", 1)[0]
            self.seen.append((operation.removeprefix("auth."), response.headers["X-Request-Id"]))

    def recorded(self, harness: Harness) -> dict[str, set[str]]:
        """The actions that each route put on record, over all of its requests."""
        with harness.transaction() as tx:
            rows = tx.all(text("SELECT request_id, action FROM auth.audit_record"))
        found: dict[str, set[str]] = {}
        for route, request_id in self.seen:
            found.setdefault(route, set()).update(row.action for row in rows if row.request_id == request_id)
        return found


@pytest.fixture
def witness(harness: Harness) -> Iterator[Witness]:
    """Somebody who watches while a story is told."""
    app = harness.application()
    found = Witness(app)
    yield found
    request_finished.disconnect(found._note, app)


def shows(witness: Witness, harness: Harness, *routes: str) -> None:
    recorded = witness.recorded(harness)
    missing = {each: recorded.get(each) for each in routes if WALKED[each] not in recorded.get(each, set())}
    assert missing == {}


ACCOUNT = ("verify_email", "login", "change_profile", "change_password", "reset_password", "end_session", "end_other_sessions")
ADDRESS = ("change_email", "confirm_email", "cancel_email", "logout", "logout_all")
PEOPLE = ("change_user", "record_kyc", "propose_administrator", "confirm_proposal", "reject_proposal", "decide_maintenance")
FACTORS = ("confirm_totp", "remove_totp", "replace_recovery_codes", "renew_authentication", "reset_factors", "complete_sign_in")
PASSKEYS = ("register_passkey", "rename_passkey", "remove_passkey", "sign_in_by_passkey")
OTHERS = ("complete_federation", "confirm_link", "unlink_identity", "create_access_token", "revoke_access_token")


def test_every_route_that_changes_something_is_on_record_or_says_why_not() -> None:
    stated = [*WALKED, *SHOWN_ELSEWHERE, *EXCEPTIONS]
    assert sorted(stated) == sorted({name(each) for each in changing()})
    assert len(stated) == len(set(stated))
    assert sorted(WALKED) == sorted([*ACCOUNT, *ADDRESS, *PEOPLE, *FACTORS, *PASSKEYS, *OTHERS])


def test_what_is_shown_elsewhere_is_written_and_called_there() -> None:
    here = Path(__file__).parent
    written = "".join(each.read_text(encoding="utf-8") for each in (here.parent / "use_cases").glob("*.py"))
    for action, file in SHOWN_ELSEWHERE.values():
        assert f'audit("{action}"' in written, action
        assert (here / file).exists(), file


def test_no_record_is_of_anything_but_an_account_or_what_nobody_owns() -> None:
    from re import findall

    here = Path(__file__).parent.parent / "use_cases"
    entities = {each for file in here.glob("*.py") for each in findall(r'audit\(\s*f?"[^"]+",\s*"([a-z_]+)"', file.read_text())}
    assert entities == {"user", "oauth_client", "signing_key", "root_key", "maintenance"}


def test_an_accounts_own_acts_are_on_record(witness: Witness, harness: Harness, person: Person) -> None:
    token = person.signed_in()["access_token"]
    person.call("PATCH", "/profile", {"bio": "Foley"}, token)
    person.call("DELETE", f"/auth/sessions/{person.signed_in()['session_id']}", token=token)
    person.signed_in()
    person.post("/auth/sessions/revoke-others", token=token)
    person.post("/auth/password/change", {"current_password": PASSWORD, "new_password": NEW_PASSWORD}, token)
    person.post("/auth/password/forgot", {"email": person.email})
    harness.run_job("mail_links")
    reset = person.mails("RESET_PASSWORD")[-1]["token"]
    person.post("/auth/password/reset", {"token": reset, "password": PASSWORD})
    person.signed_in()
    Person(harness, "grace@example.org").register()
    Person(harness, "grace@example.org").verify()
    shows(witness, harness, *ACCOUNT)


def test_changes_of_address_and_signing_out_are_on_record(witness: Witness, harness: Harness, person: Person) -> None:
    other = Person(harness, "ada@new.example.org")
    for _ in range(2):
        person.post("/auth/email/change", {"new_email": other.email}, person.signed_in()["access_token"])
        token = person.mails("CHANGE_EMAIL")[-1]["token"]
        if len(person.mails("CHANGE_EMAIL")) == 1:
            person.post("/auth/email/cancel", {"token": token})
    for each in (token, other.mails("CONFIRM_NEW_EMAIL")[-1]["token"]):
        person.post("/auth/email/confirm", {"token": each})
    other.post("/auth/logout", token=other.signed_in()["access_token"])
    other.post("/auth/logout-all", token=other.signed_in()["access_token"])
    shows(witness, harness, *ADDRESS)


def test_administrators_acts_are_on_record(witness: Witness, harness: Harness, person: Person, administrator: Person) -> None:
    second = make_administrator(harness, "second@example.org")
    user_id = person.id
    first_token, second_token = administrator.signed_in()["access_token"], second.signed_in()["access_token"]
    administrator.call("PATCH", f"/admin/users/{user_id}", {"role": "ARTIST"}, first_token)
    administrator.post(f"/admin/users/{user_id}/kyc", {"status": "PENDING"}, first_token)
    for decision in ("reject", "confirm"):
        proposed = administrator.post("/admin/administrator-proposals", {"user_id": user_id}, first_token).get_json()
        second.post(f"/admin/administrator-proposals/{proposed['id']}/{decision}", token=second_token)
    administrator.call("PUT", "/admin/maintenance", {"enabled": True, "reason": "The database moves."}, first_token)
    shows(witness, harness, *PEOPLE)


def test_second_factors_are_on_record(witness: Witness, harness: Harness, person: Person, administrator: Person) -> None:
    ada, admin = guarded(person), guarded(administrator)
    assert ada.add_app().status_code == 200
    assert ada.complete(ada.challenge(), recovery_code=ada.recovery_codes[0]).status_code == 200
    assert ada.step_up(password=PASSWORD, otp=ada.code()).status_code == 200
    assert ada.call("POST", "/auth/mfa/recovery-codes").status_code == 200
    assert ada.add_passkey().status_code == 201
    made = ada.call("GET", "/auth/passkeys").get_json()["items"][0]["id"]
    assert ada.call("PATCH", f"/auth/passkeys/{made}", {"label": "Old telephone"}).status_code == 200
    assert ada.sign_in_by_passkey().status_code == 200
    assert ada.call("DELETE", "/auth/mfa/totp").status_code == 204
    assert ada.call("DELETE", f"/auth/passkeys/{made}").status_code == 204
    assert ada.sign_in().status_code == 200
    assert ada.add_app().status_code == 200
    admin.add_app()
    assert admin.call("DELETE", f"/admin/users/{person_id(ada.tokens, person)}/second-factor").status_code == 204
    shows(witness, harness, *FACTORS, *PASSKEYS)


def person_id(tokens: dict[str, Any], person: Person) -> str:
    return str(person.call("GET", "/profile", token=tokens["access_token"]).get_json()["id"])


def test_identities_and_access_tokens_are_on_record(
    witness: Witness, harness: Harness, person: Person, fake: FakeProvider
) -> None:
    assert sign_in(Person(harness, "grace@example.org"), fake).status_code == 200
    fake.person |= {"sub": "ada", "email": person.email}
    token = person.signed_in()["access_token"]
    began = begin(person, token)
    offer = complete(person, began, fake.authorize(began["authorization_url"])).get_json()["link_token"]
    person.post("/auth/identities", {"link_token": offer}, token)
    person.call("DELETE", f"/auth/identities/{identities(person, token)[0]['id']}", token=token)
    wish = {"name": "A script", "scopes": ["tasks:read"], "expires_at": (clock.now() + timedelta(days=1)).isoformat()}
    made = person.post("/auth/access-tokens", wish, token).get_json()
    person.call("DELETE", f"/auth/access-tokens/{made['id']}", token=token)
    shows(witness, harness, *OTHERS)
