"""Register and confirm: one answer for all, links that work once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import bcrypt
import pytest
from sqlalchemy import text

from libs.common import ids
from libs.common.testing import Harness
from services.auth.domain.passwords import PASSWORD_MAXIMUM, PASSWORD_MINIMUM
from services.auth.domain.tokens import MAILS_ALLOWED, VERIFICATION_LIFE
from services.auth.events import UserRegistered
from services.auth.tests.conftest import PASSWORD, Person, Time

PARALLEL = 8


def test_a_newcomer_registers_confirms_and_signs_in(newcomer: Person) -> None:
    answer = newcomer.register(role="ARTIST", locale="en")
    assert answer.status_code == 202
    mail = newcomer.mails()[0]
    assert mail["template"] == "VERIFY_EMAIL"
    assert mail["locale"] == "en"
    assert mail["display_name"] == "Ada Lovelace"
    assert mail["link"] == f"http://127.0.0.1:8080/verify-email?token={mail['token']}"
    assert newcomer.verify().status_code == 204
    tokens = newcomer.signed_in()
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 900


def test_the_platform_is_told_of_the_account_and_of_its_confirmation(harness: Harness, person: Person) -> None:
    registered = harness.published("auth.user.registered")[0].event(UserRegistered)
    assert registered.email.open(harness.keyring) == "ada@example.org"
    assert registered.display_name.open(harness.keyring) == "Ada Lovelace"
    assert (registered.role, registered.locale) == ("CONTRIBUTOR", "fr")
    assert [each.subject for each in harness.published("auth.user.verified")] == [str(registered.user_id)]


def test_a_known_address_is_answered_like_a_new_one_and_its_owner_is_told(harness: Harness, person: Person) -> None:
    again = Person(harness, "ada@EXAMPLE.org", "another password")
    stranger = Person(harness, "grace@example.org")
    answer, other = again.register(display_name="Somebody"), stranger.register()
    assert (answer.status_code, answer.get_data()) == (other.status_code, other.get_data())
    assert [each["template"] for each in again.mails()] == ["VERIFY_EMAIL", "ADDRESS_IN_USE"]
    assert "token" not in again.mails()[-1]
    assert again.mails()[-1]["display_name"] == "Ada Lovelace"
    assert again.login().status_code == 401
    assert person.login().status_code == 200


def test_a_known_address_costs_as_many_hashes_as_a_new_one(
    harness: Harness, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    salts: list[bytes] = []
    real = bcrypt.hashpw

    def counting(password: bytes, salt: bytes) -> bytes:
        salts.append(salt)
        return real(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", counting)
    person.register()
    assert len(salts) == 1
    Person(harness, "grace@example.org").register()
    assert len(salts) == 2


def test_only_the_password_chosen_with_the_answered_mail_counts(harness: Harness, newcomer: Person) -> None:
    attacker = Person(harness, newcomer.email, "laid by an attacker")
    attacker.register()
    newcomer.register()
    assert newcomer.verify().status_code == 204
    assert attacker.login().status_code == 401
    assert newcomer.login().status_code == 200
    first_link = newcomer.mails("VERIFY_EMAIL")[0]["token"]
    assert newcomer.post("/auth/verify-email", {"token": first_link}).status_code == 400
    assert len(harness.published("auth.user.registered")) == 1


def test_who_registers_after_a_stranger_used_up_the_mails_never_confirms_the_strangers_password(
    harness: Harness, newcomer: Person
) -> None:
    attacker = Person(harness, newcomer.email, "laid by an attacker")
    for _ in range(MAILS_ALLOWED):
        attacker.register()
    newcomer.register()
    links = [each["token"] for each in newcomer.mails("VERIFY_EMAIL")]
    assert [newcomer.post("/auth/verify-email", {"token": token}).status_code for token in links] == [400] * MAILS_ALLOWED
    body = {"token": newcomer.mails("RESET_PASSWORD")[-1]["token"], "password": "a better password"}
    assert newcomer.post("/auth/password/reset", body).status_code == 204
    assert [newcomer.login(each).status_code for each in (attacker.password, "a better password")] == [401, 200]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("password", "x" * (PASSWORD_MINIMUM - 1)),
        ("password", "x" * (PASSWORD_MAXIMUM + 1)),
        ("password", 12345678),
        ("email", "not an address"),
        ("display_name", "x"),
        ("role", "ADMIN"),
        ("role", "EMPEROR"),
        ("locale", "de"),
        ("is_admin", True),
    ],
)
def test_each_fault_is_named_by_its_place_and_no_value_is_repeated(newcomer: Person, member: str, value: object) -> None:
    answer = newcomer.register(**{member: value})
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.get_json()["errors"]] == [f"/{member}"]
    assert PASSWORD not in answer.get_data(as_text=True)
    assert str(value) not in [each["detail"] for each in answer.get_json()["errors"]]
    assert newcomer.mails() == []


@pytest.mark.parametrize("length", [PASSWORD_MINIMUM, PASSWORD_MAXIMUM])
def test_a_password_at_a_limit_signs_in(harness: Harness, length: int) -> None:
    password = "kévzôñ-ü"[:length].ljust(length, "é")  # pragma: allowlist secret
    person = Person(harness, "limit@example.org", password)
    assert person.register().status_code == 202
    assert person.verify().status_code == 204
    assert person.login().status_code == 200
    assert person.login(password[:-1]).status_code == 401


def test_a_link_confirms_once(newcomer: Person) -> None:
    newcomer.register()
    assert newcomer.verify().status_code == 204
    answer = newcomer.verify()
    assert answer.status_code == 400
    assert answer.get_json()["type"].endswith("/token-refused")


def test_of_many_clicks_at_once_one_confirms(harness: Harness, newcomer: Person) -> None:
    newcomer.register()
    with ThreadPoolExecutor(PARALLEL) as pool:
        statuses = sorted(pool.map(lambda _: newcomer.verify().status_code, range(PARALLEL)))
    assert statuses == [204] + [400] * (PARALLEL - 1)
    assert len(harness.published("auth.user.verified")) == 1


def test_of_many_registrations_at_once_one_makes_the_account(harness: Harness, newcomer: Person) -> None:
    with ThreadPoolExecutor(PARALLEL) as pool:
        answers = {(each.status_code, each.get_data()) for each in pool.map(lambda _: newcomer.register(), range(PARALLEL))}
    assert len(answers) == 1
    assert len(harness.published("auth.user.registered")) == 1
    assert len(newcomer.mails("VERIFY_EMAIL")) == min(PARALLEL, MAILS_ALLOWED)


def test_a_link_holds_for_a_day_and_no_longer(newcomer: Person, time: Time) -> None:
    newcomer.register()
    time.passes(VERIFICATION_LIFE)
    assert newcomer.verify().status_code == 400
    newcomer.register()
    time.passes(VERIFICATION_LIFE - timedelta(microseconds=1))
    assert newcomer.verify().status_code == 204


@pytest.mark.parametrize("token", ["", "x", "x" * 201, "a-token-of-nobody"])
def test_a_made_up_token_is_refused(newcomer: Person, token: str) -> None:
    assert newcomer.post("/auth/verify-email", {"token": token}).status_code in {400, 422}


def test_a_verification_token_does_not_reset_a_password(newcomer: Person) -> None:
    newcomer.register()
    token = newcomer.mails()[0]["token"]
    assert newcomer.post("/auth/password/reset", {"token": token, "password": "another password"}).status_code == 400
    assert newcomer.verify().status_code == 204


def test_the_address_must_be_confirmed_before_signing_in_and_only_the_right_password_learns_that(newcomer: Person) -> None:
    newcomer.register()
    assert newcomer.login("a wrong password").status_code == 401
    answer = newcomer.login()
    assert answer.status_code == 403
    assert answer.get_json()["type"].endswith("/account-not-verified")


def test_neither_password_nor_token_nor_address_stands_in_a_table_or_event_in_clear(harness: Harness, person: Person) -> None:
    token = person.mails("VERIFY_EMAIL")[0]["token"]
    bodies = b"".join(each.encode() for each in harness.published())
    with harness.transaction() as tx:
        tables = tx.all(text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'auth'"))
        rows = {
            name: str(tx.all(text(f"SELECT row_to_json(t)::text FROM auth.{name} t")))  # noqa: S608  names from the catalogue
            for (name,) in tables
        }
    for secret in (PASSWORD, token):
        assert secret.encode() not in bodies
        assert not [name for name, content in rows.items() if secret in content]
    assert b"ada@example.org" not in bodies
    assert [name for name, content in rows.items() if "ada@example.org" in content] == ["user_account"]


def test_there_is_no_default_account(harness: Harness) -> None:
    with harness.transaction() as tx:
        assert tx.scalar(text("SELECT count(*) FROM auth.user_account")) == 0


def test_no_table_has_room_for_an_internet_address(harness: Harness) -> None:
    with harness.transaction() as tx:
        columns = tx.all(
            text("SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'auth'")
        )
    parts = {(row.table_name, part) for row in columns for part in row.column_name.split("_")}
    assert not [each for each in parts if each[1] in {"ip", "addr", "host", "remote"}]
    assert not [row for row in columns if row.data_type in {"inet", "cidr", "macaddr"}]


def test_what_a_job_does_for_a_request_carries_the_cause_of_the_request(harness: Harness, newcomer: Person) -> None:
    headers = {"X-Request-Id": "request-of-a-newcomer", "traceparent": f"00-{'5a' * 16}-{'b2' * 8}-00"}
    body = {"email": newcomer.email, "password": newcomer.password, "display_name": "Ada Lovelace"}
    newcomer.call("POST", "/auth/register", body, **headers)
    harness.run_job("open_accounts")
    newcomer.call("POST", "/auth/password/forgot", {"email": newcomer.email}, **headers)
    harness.run_job("mail_links")
    facts = harness.published("auth.user.registered") + harness.published("auth.email.requested")
    assert len(facts) == 3
    assert {(fact.correlation_id, fact.traceparent) for fact in facts} == {("request-of-a-newcomer", headers["traceparent"])}


def test_a_registration_that_nobody_can_read_keeps_no_other_waiting(harness: Harness, newcomer: Person) -> None:
    with harness.transaction() as tx:
        tx.execute(
            text(
                "INSERT INTO auth.registration_request (id, newcomer_sealed, requested_at, correlation_id) "
                "VALUES (:id, :sealed, now() - interval '1 minute', 'tests')"
            ),
            {"id": ids.new_id(), "sealed": b"sealed under a root that is gone"},
        )
    assert newcomer.register().status_code == 202  # the job has run

    with harness.database.reader() as db:
        assert db.scalar(text("SELECT count(*) FROM auth.registration_request")) == 0
        assert db.scalar(text("SELECT count(*) FROM auth.user_account")) == 1
