"""A lock keeps out strangers who guess: not the owner's devices and sessions, and not for longer than it must."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import text

from libs.common import clock
from libs.common.testing import Harness
from services.auth.domain import lockout
from services.auth.domain.known_devices import DEVICE_TOKEN_LIFE, device_token, known_device
from services.auth.domain.lockout import FAILURES_ALLOWED, LOCK_DURATION
from services.auth.domain.secrets import MasterSecret
from services.auth.tests.conftest import PASSWORD, Person, Time, replica

GUESSES = 16
BETTER = f"{PASSWORD}, and better"


def lock_out(person: Person, **members: Any) -> None:
    statuses = [person.login("a wrong password", **members).status_code for _ in range(FAILURES_ALLOWED + 1)]
    assert statuses == [401] * FAILURES_ALLOWED + [429]


def actions(harness: Harness) -> list[tuple[str, str]]:
    with harness.transaction() as tx:
        rows = tx.all(text("SELECT action, entity_id FROM auth.audit_record WHERE action LIKE 'login.%' ORDER BY id"))
    return [(row.action, row.entity_id) for row in rows]


class TestDelay:
    def test_an_attempt_right_after_a_wrong_one_is_refused_unread_and_told_when_to_come_again(self, person: Person) -> None:
        assert person.login_at_once("a wrong password").status_code == 401
        for password in ("a wrong password", PASSWORD):
            answer = person.login_at_once(password)
            assert answer.status_code == 429
            assert answer.get_json()["type"].endswith("/attempt-too-soon")
            assert answer.headers["Retry-After"] == "1"
        assert person.login().status_code == 200

    def test_what_came_too_soon_counts_for_nothing(self, person: Person, time: Time) -> None:
        for _ in range(FAILURES_ALLOWED - 1):
            assert person.login_at_once("a wrong password").status_code == 401
            assert person.login_at_once("a wrong password").status_code == 429
            time.passes(lockout.DELAY_MAXIMUM)
        assert person.login_at_once().status_code == 200

    def test_it_is_over_to_the_microsecond(self, person: Person, time: Time) -> None:
        person.login_at_once("a wrong password")
        time.passes(lockout.delay(1) - timedelta(microseconds=1))
        assert person.login_at_once().status_code == 429
        time.passes(timedelta(microseconds=1))
        assert person.login_at_once().status_code == 200


class TestKnownDevices:
    def test_who_was_here_before_is_not_locked_out_by_strangers(self, person: Person) -> None:
        device = person.signed_in()["device_token"]
        lock_out(person)
        assert person.login().status_code == 429
        assert person.login(device_token=device).status_code == 200

    def test_a_device_has_a_lock_of_its_own_that_locks_nobody_else(self, person: Person) -> None:
        one, other = person.signed_in()["device_token"], person.signed_in()["device_token"]
        lock_out(person, device_token=one)
        assert person.login(device_token=one).status_code == 429
        assert person.login(device_token=other).status_code == 200
        assert person.login().status_code == 200

    def test_strangers_get_no_more_guesses_by_the_sign_ins_of_a_known_device(self, person: Person) -> None:
        device = person.signed_in()["device_token"]
        for _ in range(FAILURES_ALLOWED - 1):
            assert person.login("a wrong password").status_code == 401
        assert person.login(device_token=device).status_code == 200
        assert person.login("a wrong password").status_code == 401
        assert person.login().status_code == 429

    @pytest.mark.parametrize("flaw", ["", "of another", "of nobody", "made up", "altered"])
    def test_a_token_that_is_not_of_this_account_is_worth_nothing(self, harness: Harness, person: Person, flaw: str) -> None:
        device = person.signed_in()["device_token"]
        grace = Person(harness, "grace@example.org")
        grace.register()
        grace.verify()
        given = {
            "of another": grace.signed_in()["device_token"],
            "of nobody": device_token(harness.resource(MasterSecret), uuid4(), clock.now()),
            "made up": "A" * len(device),
            "altered": device[:-2] + ("A" if device[-2] != "A" else "B") + device[-1],
        }.get(flaw, "x")
        lock_out(person)
        assert person.login(device_token=given).status_code == 429

    def test_a_device_of_an_unknown_account_is_answered_like_any_stranger(self, harness: Harness, person: Person) -> None:
        device = person.signed_in()["device_token"]
        stranger = Person(harness, "nobody@example.org")
        lock_out(stranger, device_token=device)

    def test_a_token_holds_for_180_days_and_no_longer(self, person: Person, time: Time) -> None:
        device = person.signed_in()["device_token"]
        for wait, status in ((DEVICE_TOKEN_LIFE - timedelta(hours=1), 200), (timedelta(hours=1), 429)):
            time.passes(wait)
            lock_out(person)
            assert person.login(device_token=device).status_code == status

    def test_a_new_password_makes_strangers_of_all_devices(self, person: Person, time: Time) -> None:
        tokens = person.signed_in()
        time.passes(timedelta(seconds=1))
        body = {"current_password": PASSWORD, "new_password": BETTER}
        assert person.post("/auth/password/change", body, tokens["access_token"]).status_code == 204
        person.password = body["new_password"]
        lock_out(person)
        assert person.login(device_token=tokens["device_token"]).status_code == 429

    def test_the_token_says_nothing_of_the_password_and_opens_nothing(self, person: Person) -> None:
        device = person.signed_in()["device_token"]
        assert person.login("a wrong password", device_token=device).status_code == 401
        assert person.call("GET", "/profile", token=device).status_code == 401
        assert person.refresh(device).status_code == 401
        assert known_device(MasterSecret("x" * 32), device) is None


class TestSessions:
    def test_a_lock_leaves_sessions_alone(self, person: Person) -> None:
        tokens = person.signed_in()
        lock_out(person)
        assert person.call("GET", "/profile", token=tokens["access_token"]).status_code == 200
        assert person.refresh(tokens["refresh_token"]).status_code == 200
        body = {"current_password": PASSWORD, "new_password": BETTER}
        assert person.post("/auth/password/change", body, tokens["access_token"]).status_code == 204


class TestUnlocking:
    def unlock(self, administrator: Person, user_id: str) -> Any:
        return administrator.post(f"/admin/users/{user_id}/unlock", token=administrator.signed_in()["access_token"])

    def test_an_administrator_lifts_every_lock_of_an_account_and_that_is_on_record(
        self, harness: Harness, administrator: Person, person: Person
    ) -> None:
        user_id, device = person.id, person.signed_in()["device_token"]
        lock_out(person)
        lock_out(person, device_token=device)
        assert self.unlock(administrator, user_id).status_code == 204
        assert person.login(device_token=device).status_code == 200
        assert person.login().status_code == 200
        assert actions(harness) == [("login.lock", user_id)] * 2 + [("login.unlock", user_id)]

    def test_an_account_that_is_not_there_cannot_be_unlocked(self, administrator: Person) -> None:
        assert self.unlock(administrator, str(uuid4())).status_code == 404

    def test_unlocking_wants_a_recent_sign_in_of_an_administrator(
        self, harness: Harness, administrator: Person, person: Person, time: Time
    ) -> None:
        user_id = person.id
        old = administrator.signed_in()["access_token"]
        assert person.post(f"/admin/users/{user_id}/unlock", token=person.signed_in()["access_token"]).status_code == 403
        time.passes(timedelta(minutes=14, seconds=59))
        assert administrator.post(f"/admin/users/{user_id}/unlock", token=old).status_code == 204
        time.passes(timedelta(seconds=2))
        assert administrator.post(f"/admin/users/{user_id}/unlock", token=old).status_code == 401
        assert harness.published("auth.audit.recorded")

    def test_time_lifts_a_lock_of_whoever(self, person: Person, time: Time) -> None:
        lock_out(person)
        time.passes(LOCK_DURATION)
        assert person.login().status_code == 200

    def test_a_lock_is_on_record_for_unknown_accounts_alike(self, harness: Harness) -> None:
        lock_out(Person(harness, "nobody@example.org"))
        assert actions(harness) == [("login.lock", "unknown")]


class TestReplicas:
    """Two replicas share nothing but Postgres."""

    def guess_everywhere(self, harness: Harness, address: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        monkeypatch.setattr(lockout, "delay", lambda _: timedelta())

        def guess(application: Flask, number: int) -> int:
            body = {"email": address, "password": f"wrong guess {number}"}
            return application.test_client().post("/api/v1/auth/login", json=body).status_code

        with replica(harness) as other, ThreadPoolExecutor(GUESSES) as pool:
            applications = [harness.application(), other] * (GUESSES // 2)
            return sorted(pool.map(guess, applications, range(GUESSES)))

    @pytest.mark.parametrize("address", ["ada@example.org", "nobody@example.org"])
    @pytest.mark.usefixtures("person")
    def test_of_many_guesses_at_two_replicas_at_once_no_more_are_answered_than_one_may_make(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch, address: str
    ) -> None:
        statuses = self.guess_everywhere(harness, address, monkeypatch)
        assert statuses == [401] * FAILURES_ALLOWED + [429] * (GUESSES - FAILURES_ALLOWED)

    def test_a_lock_outlives_every_process(self, harness: Harness, person: Person) -> None:
        lock_out(person)
        body = {"email": person.email, "password": PASSWORD}
        with replica(harness) as restarted:
            assert restarted.test_client().post("/api/v1/auth/login", json=body).status_code == 429
