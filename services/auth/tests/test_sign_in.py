"""Sign in, and be locked out: the same for accounts that exist and for those that do not."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy import text

from libs.common.auth.tokens import StaticKeys, TokenVerifier, parse_key_set
from libs.common.errors import Unavailable
from libs.common.testing import Harness
from services.auth.adapters.passwords import BcryptHasher
from services.auth.domain import lockout
from services.auth.domain.lockout import FAILURES_ALLOWED, FAILURES_FORGOTTEN_AFTER, LOCK_DURATION
from services.auth.domain.passwords import PasswordHasher
from services.auth.domain.secrets import MasterSecret
from services.auth.tests.conftest import Person, Time

GUESSES = 12


def fail(person: Person, times: int) -> list[Any]:
    return [person.login("a wrong password") for _ in range(times)]


def strip(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "request_id"}


def test_the_token_says_who_where_and_how(harness: Harness, person: Person) -> None:
    tokens = person.signed_in()
    keys = StaticKeys(parse_key_set(harness.client().get("/.well-known/jwks.json").get_json()))

    class Nothing:
        def revoked(self, _claims: object) -> bool:
            return False

    subject = TokenVerifier("http://127.0.0.1:8080", "lumiere", keys, Nothing()).verify(tokens["access_token"])
    assert str(subject.session_id) == tokens["session_id"]
    assert subject.roles == {"CONTRIBUTOR"}
    assert subject.methods == ("pwd",)
    assert subject.client_id == "lumiere"


def test_a_wrong_password_and_an_unknown_address_are_answered_alike_until_both_are_locked(
    harness: Harness, person: Person
) -> None:
    stranger = Person(harness, "nobody@example.org")
    known, unknown = fail(person, FAILURES_ALLOWED + 2), fail(stranger, FAILURES_ALLOWED + 2)
    assert [each.status_code for each in known] == [401] * FAILURES_ALLOWED + [429] * 2
    assert [each.status_code for each in unknown] == [each.status_code for each in known]
    assert [strip(each.get_json()) for each in unknown] == [strip(each.get_json()) for each in known]
    assert "Retry-After" in unknown[-1].headers


def test_four_failures_and_the_right_password_opens_and_forgets_them(person: Person) -> None:
    for _ in range(2):
        fail(person, FAILURES_ALLOWED - 1)
        assert person.login().status_code == 200


def test_a_locked_account_refuses_the_right_password_for_fifteen_minutes(person: Person, time: Time) -> None:
    fail(person, FAILURES_ALLOWED)
    answer = person.login()
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == str(int(LOCK_DURATION.total_seconds()))
    time.passes(LOCK_DURATION - timedelta(microseconds=1))
    assert person.login().status_code == 429
    time.passes(timedelta(microseconds=1))
    assert person.login().status_code == 200


def test_failures_far_apart_do_not_lock(person: Person, time: Time) -> None:
    for _ in range(FAILURES_ALLOWED + 1):
        fail(person, 1)
        time.passes(FAILURES_FORGOTTEN_AFTER)
    assert person.login().status_code == 200


def test_of_many_guesses_at_once_one_is_answered_and_the_others_came_too_soon(harness: Harness, person: Person) -> None:
    with ThreadPoolExecutor(GUESSES) as pool:
        statuses = sorted(pool.map(lambda number: person.login_at_once(f"wrong {number}").status_code, range(GUESSES)))
    assert statuses == [401] + [429] * (GUESSES - 1)


def test_of_many_guesses_at_once_no_more_are_answered_than_the_lockout_allows_even_if_none_came_too_soon(
    harness: Harness, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lockout, "delay", lambda _: timedelta())
    with ThreadPoolExecutor(GUESSES) as pool:
        statuses = sorted(pool.map(lambda number: person.login_at_once(f"wrong {number}").status_code, range(GUESSES)))
    assert statuses == [401] * FAILURES_ALLOWED + [429] * (GUESSES - FAILURES_ALLOWED)
    assert person.login().status_code == 429


def test_a_lock_survives_in_the_table_as_a_keyed_hash_alone(harness: Harness) -> None:
    fail(Person(harness, "nobody@example.org"), 1)
    with harness.transaction() as tx:
        row = tx.one(text("SELECT * FROM auth.login_failure"))
    assert bytes(row.address_key) == harness.resources[MasterSecret].pseudonym("nobody@example.org")
    assert row.failures == 1


def test_an_unknown_account_costs_as_many_hashes_as_a_known_one(
    harness: Harness, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bcrypt

    costs: list[int] = []
    real = bcrypt.checkpw

    def counting(password: bytes, hashed: bytes) -> bool:
        costs.append(int(hashed.split(b"$")[2]))
        return real(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    fail(person, 1)
    fail(Person(harness, "nobody@example.org"), 1)
    assert costs == [4, 4]


def test_a_failed_attempt_is_seen_in_the_log_with_its_reason_and_without_the_address(harness: Harness, person: Person) -> None:
    with structlog.testing.capture_logs() as entries:
        fail(person, 1)
        fail(Person(harness, "nobody@example.org"), 1)
    refusals = [each for each in entries if each["event"] == "auth.login.refused"]
    assert [each["reason"] for each in refusals] == ["wrong_password", "unknown_account"]
    assert "example.org" not in str(entries)
    assert "a wrong password" not in str(entries)


def test_a_full_pool_answers_503_and_when_to_come_again(harness: Harness) -> None:
    hasher = BcryptHasher(MasterSecret("x" * 32), 4, threads=1, queue=0, wait_seconds=5)
    assert hasher._places.acquire(blocking=False)
    with pytest.raises(Unavailable) as refusal:
        hasher.hash("a password")
    assert refusal.value.headers()["Retry-After"] == "2"
    hasher._places.release()
    assert hasher.verify("a password", hasher.hash("a password"))


def test_who_waits_too_long_for_a_thread_is_sent_away(harness: Harness) -> None:
    import threading

    hasher = BcryptHasher(MasterSecret("x" * 32), 4, threads=1, queue=5, wait_seconds=0.05)
    go_on = threading.Event()
    hasher._pool.submit(go_on.wait)
    with pytest.raises(Unavailable):
        hasher.hash("a password")
    go_on.set()
    assert hasher.verify("a password", hasher.hash("a password"))


def test_hashing_happens_outside_of_any_transaction(harness: Harness, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = harness.resources[PasswordHasher]
    real, busy = hasher.verify, []

    def watching(password: str, stored: str | None) -> bool:
        with harness.transaction() as tx:
            busy.append(
                tx.scalar(
                    text("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' AND datname = current_database()")
                )
            )
        return bool(real(password, stored))

    monkeypatch.setattr(hasher, "verify", watching)
    assert person.login().status_code == 200
    assert busy == [0]


def test_a_password_changed_while_it_was_checked_opens_nothing(
    harness: Harness, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher = harness.resources[PasswordHasher]
    real = hasher.verify

    def slow(password: str, stored: str | None) -> bool:
        correct = bool(real(password, stored))
        with harness.transaction() as tx:
            tx.execute(text("UPDATE auth.password_credential SET password_hash = '1:0:changed', changed_at = now()"))
        return correct

    monkeypatch.setattr(hasher, "verify", slow)
    assert person.login().status_code == 401
