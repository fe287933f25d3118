"""Passwords that are forgotten and changed, profiles, and what administrators do."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, event, text

from libs.common.auth.policy import Access, Role
from libs.common.db import Reader
from libs.common.events.tests.live import eventually
from libs.common.testing import Harness
from services.auth.adapters.command_line import DONE, REFUSED, USAGE, admin_create
from services.auth.domain.lockout import FAILURES_ALLOWED
from services.auth.domain.tokens import MAIL_WINDOWS, MAILS_ALLOWED, RESET_LIFE, VERIFICATION_LIFE, Template
from services.auth.events import UserUpdated
from services.auth.tests.conftest import PASSWORD, Person, Time, make_administrator

NEW_PASSWORD = "a better password"
PARALLEL = 6


def records(harness: Harness) -> list[Any]:
    """What is on record but for how accounts and sessions come and go, and for mails."""
    with harness.transaction() as tx:
        found = tx.all(text("SELECT * FROM auth.audit_record WHERE entity <> 'signing_key' ORDER BY id"))
    return [each for each in found if not each.action.startswith(("session.", "notice.", "user.register", "user.verify"))]


def _waits(db: Reader, acts: int) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(db.scalar(text(waiting)) == acts)


def held_up(harness: Harness, *acts: Callable[[], int]) -> list[int]:
    """What acts on the one account come to that all began, each after the one before, while somebody else held it."""
    with ThreadPoolExecutor(len(acts)) as pool, harness.database.reader() as db:
        with harness.transaction() as tx:
            tx.execute(text("SELECT id FROM auth.user_account FOR NO KEY UPDATE"))
            begun = []
            for number, act in enumerate(acts, start=1):
                begun.append(pool.submit(act))
                eventually(partial(_waits, db, number), "the act waits")
        return [each.result() for each in begun]


class TestForgottenPassword:
    def forgot(self, person: Person) -> str:
        assert person.post("/auth/password/forgot", {"email": person.email}).status_code == 202
        assert person.harness.run_job("mail_links") == 1
        return person.mails("RESET_PASSWORD")[-1]["token"]

    def reset(self, person: Person, token: str, password: str = NEW_PASSWORD) -> int:
        return person.post("/auth/password/reset", {"token": token, "password": password}).status_code

    def test_an_unknown_address_is_answered_like_a_known_one(self, harness: Harness, person: Person) -> None:
        answers = {
            person.post("/auth/password/forgot", {"email": email}).get_data() for email in (person.email, "nobody@example.org")
        }
        assert len(answers) == 1
        assert harness.run_job("mail_links") == 2
        assert len(harness.published("auth.email.requested")) == 2
        assert harness.run_job("mail_links") == 0

    def test_asking_looks_into_no_account(self, harness: Harness, person: Person) -> None:
        statements: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            statements.append(statement)

        event.listen(Engine, "before_cursor_execute", note)
        try:
            asked = []
            for email in (person.email, "nobody@example.org"):
                person.post("/auth/password/forgot", {"email": email})
                asked.append(list(statements))
                statements.clear()
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        assert asked[0] == asked[1]
        assert len(harness.published("auth.email.requested")) == 1

    def test_nobody_is_flooded_with_mails_and_each_kind_is_counted_for_itself(self, person: Person, time: Time) -> None:
        tokens = [self.forgot(person) for _ in range(MAILS_ALLOWED + 1)]
        assert len(person.mails("RESET_PASSWORD")) == MAILS_ALLOWED
        for _ in range(MAILS_ALLOWED + 1):
            person.register()
        assert len(person.mails("ADDRESS_IN_USE")) == MAILS_ALLOWED
        time.passes(MAIL_WINDOWS[Template.RESET_PASSWORD])
        assert self.forgot(person) not in tokens
        assert len(person.mails("RESET_PASSWORD")) == MAILS_ALLOWED + 1

    def test_who_registers_again_and_again_is_not_flooded_either(self, newcomer: Person) -> None:
        for _ in range(MAILS_ALLOWED + 1):
            assert newcomer.register().status_code == 202
        assert len(newcomer.mails("VERIFY_EMAIL")) == MAILS_ALLOWED

    def test_a_link_holds_at_least_until_the_next_mail_is_allowed(self) -> None:
        assert MAIL_WINDOWS[Template.RESET_PASSWORD] <= RESET_LIFE
        assert all(window <= VERIFICATION_LIFE for window in MAIL_WINDOWS.values())

    def test_a_reset_ends_all_sessions_lifts_the_lock_and_works_once(
        self, person: Person, synchronise: Callable[[], None]
    ) -> None:
        tokens = person.signed_in()
        for _ in range(FAILURES_ALLOWED):
            person.login("a wrong password")
        token = self.forgot(person)
        assert self.reset(person, token) == 204
        synchronise()
        assert person.call("GET", "/profile", token=tokens["access_token"]).status_code == 401
        assert person.refresh(tokens["refresh_token"]).status_code == 401
        assert person.login().status_code == 401
        assert person.login(NEW_PASSWORD).status_code == 200
        assert self.reset(person, token) == 400

    def test_of_many_resets_at_once_one_succeeds(self, person: Person) -> None:
        token = self.forgot(person)
        with ThreadPoolExecutor(PARALLEL) as pool:
            statuses = sorted(pool.map(lambda number: self.reset(person, token, f"password number {number}"), range(PARALLEL)))
        assert statuses == [204] + [400] * (PARALLEL - 1)

    def test_of_two_links_used_at_once_one_counts_and_nobody_is_told_to_come_again(
        self, harness: Harness, person: Person
    ) -> None:
        links = self.forgot(person), self.forgot(person)
        acts = [partial(self.reset, person, token, f"{NEW_PASSWORD} {token}") for token in links]
        assert held_up(harness, *acts) == [204, 400]

    def test_a_confirmation_beside_a_reset_waits_for_it(self, harness: Harness, newcomer: Person) -> None:
        newcomer.register()
        token = self.forgot(newcomer)
        acts = partial(self.reset, newcomer, token), lambda: newcomer.verify().status_code
        assert held_up(harness, *acts) == [204, 400]

    def test_a_sign_in_during_a_reset_waits_for_it(self, harness: Harness, person: Person) -> None:
        person.login("a wrong password")
        token = self.forgot(person)
        person.take_time()
        acts = partial(self.reset, person, token), lambda: person.login_at_once().status_code
        assert held_up(harness, *acts) == [204, 401]

    def test_a_reset_link_holds_for_an_hour_and_no_longer(self, person: Person, time: Time) -> None:
        token = self.forgot(person)
        time.passes(RESET_LIFE)
        assert self.reset(person, token) == 400
        token = self.forgot(person)
        time.passes(RESET_LIFE - timedelta(microseconds=1))
        assert self.reset(person, token) == 204

    def test_a_reset_makes_every_other_link_worthless(self, person: Person) -> None:
        first, second = self.forgot(person), self.forgot(person)
        assert self.reset(person, second) == 204
        assert self.reset(person, first) == 400

    def test_who_answers_the_reset_mail_has_confirmed_the_address(self, harness: Harness, newcomer: Person) -> None:
        newcomer.register()
        assert self.reset(newcomer, self.forgot(newcomer)) == 204
        assert newcomer.login(NEW_PASSWORD).status_code == 200
        assert len(harness.published("auth.user.verified")) == 1
        assert newcomer.verify().status_code == 400
        assert newcomer.login(PASSWORD).status_code == 401

    def test_a_password_that_is_refused_spends_no_link(self, person: Person) -> None:
        token = self.forgot(person)
        assert self.reset(person, token, "short") == 422
        assert self.reset(person, token) == 204


class TestChangedPassword:
    def change(self, person: Person, token: str, current: str = PASSWORD, new: str = NEW_PASSWORD) -> Any:
        person.take_time()
        return person.post("/auth/password/change", {"current_password": current, "new_password": new}, token)

    def test_a_change_ends_all_sessions_and_the_new_password_opens(
        self, harness: Harness, person: Person, synchronise: Callable[[], None]
    ) -> None:
        tokens = person.signed_in()
        assert self.change(person, tokens["access_token"]).status_code == 204
        synchronise()
        assert person.refresh(tokens["refresh_token"]).status_code == 401
        assert person.call("GET", "/profile", token=tokens["access_token"]).status_code == 401
        assert person.login().status_code == 401
        assert person.login(NEW_PASSWORD).status_code == 200
        assert [each.action for each in records(harness)] == ["password.replace"]
        assert [each["notice"] for each in person.mails("SECURITY_NOTICE")] == ["PASSWORD_CHANGED"]

    def test_wrong_current_passwords_are_refused_and_lock_the_session_that_gave_them_alone(self, person: Person) -> None:
        token = person.signed_in()["access_token"]
        answers = [self.change(person, token, "a wrong password") for _ in range(FAILURES_ALLOWED + 1)]
        assert [each.status_code for each in answers] == [403] * FAILURES_ALLOWED + [429]
        assert self.change(person, token).status_code == 429
        assert person.login().status_code == 200


class TestProfile:
    def test_a_profile_is_read_changed_and_told(self, harness: Harness, person: Person) -> None:
        token = person.signed_in()["access_token"]
        before = person.call("GET", "/profile", token=token)
        assert before.get_json()["email"] == "ada@example.org"
        assert before.get_json()["bio"] is None
        changes = {"display_name": "Ada King", "bio": "Countess\nof Lovelace", "locale": "en"}
        after = person.call("PATCH", "/profile", changes, token, **{"If-Match": before.headers["ETag"]})
        assert after.status_code == 200
        assert {name: after.get_json()[name] for name in changes} == changes
        assert after.headers["ETag"] != before.headers["ETag"]
        fact = harness.published("auth.user.updated")[0].event(UserUpdated)
        assert fact.display_name is not None
        assert (fact.display_name.open(harness.keyring), fact.locale) == ("Ada King", "en")

    def test_what_is_left_out_stays_and_a_null_bio_is_removed(self, harness: Harness, person: Person) -> None:
        token = person.signed_in()["access_token"]
        person.call("PATCH", "/profile", {"bio": "Countess"}, token)
        assert person.call("PATCH", "/profile", {"locale": "en"}, token).get_json()["bio"] == "Countess"
        assert person.call("PATCH", "/profile", {"bio": None}, token).get_json()["bio"] is None
        facts = [each.event(UserUpdated) for each in harness.published("auth.user.updated")]
        assert [(each.display_name, each.locale) for each in facts] == [(None, "en")]

    def test_a_stale_tag_is_refused(self, person: Person) -> None:
        token = person.signed_in()["access_token"]
        tag = person.call("GET", "/profile", token=token).headers["ETag"]
        assert person.call("PATCH", "/profile", {"locale": "en"}, token, **{"If-Match": tag}).status_code == 200
        assert person.call("PATCH", "/profile", {"locale": "fr"}, token, **{"If-Match": tag}).status_code == 412

    @pytest.mark.parametrize(
        "body", [{}, {"display_name": None}, {"locale": None}, {"display_name": "x"}, {"bio": "x" * 501}, {"role": "ADMIN"}]
    )
    def test_what_may_not_be_changed_so_is_refused(self, person: Person, body: dict[str, Any]) -> None:
        token = person.signed_in()["access_token"]
        assert person.call("PATCH", "/profile", body, token).status_code == 422


class TestAdministration:
    def patch(self, administrator: Person, user_id: str, body: dict[str, Any], **headers: str) -> Any:
        token = administrator.signed_in()["access_token"]
        return administrator.call("PATCH", f"/admin/users/{user_id}", body, token, **headers)

    @pytest.mark.usefixtures("person")
    def test_accounts_are_found_by_address_role_and_status(self, administrator: Person) -> None:
        token = administrator.signed_in()["access_token"]

        def found(query: str) -> list[str]:
            items = administrator.call("GET", f"/admin/users{query}", token=token).get_json()["items"]
            return [each["email"] for each in items]

        assert sorted(found("")) == ["ada@example.org", "first@example.org"]
        assert found("?email=ADA@example.org") == ["ada@example.org"]
        assert found("?role=ADMIN") == ["first@example.org"]
        assert found("?status=SUSPENDED") == []
        assert len(found("?limit=1")) == 1

    def test_another_role_ends_the_sessions_is_told_and_is_on_record(
        self, harness: Harness, administrator: Person, person: Person, synchronise: Callable[[], None]
    ) -> None:
        user_id, tokens = person.id, person.signed_in()
        assert self.patch(administrator, user_id, {"role": "ARTIST"}).get_json()["role"] == "ARTIST"
        synchronise()
        assert person.call("GET", "/profile", token=tokens["access_token"]).status_code == 401
        assert person.refresh(tokens["refresh_token"]).status_code == 401
        fact = harness.published("auth.user.role_changed")[0].data
        assert (fact["old_role"], fact["new_role"], fact["changed_by"]) == ("CONTRIBUTOR", "ARTIST", administrator.id)
        record = next(each for each in records(harness) if each.action == "user.change_standing")
        assert (record.entity_id, record.outcome) == (user_id, "done")
        assert str(record.actor_id) == administrator.id
        assert record.roles == "ADMIN"

    def test_a_suspended_person_cannot_sign_in_until_reactivated(self, administrator: Person, person: Person) -> None:
        user_id, tokens = person.id, person.signed_in()
        assert self.patch(administrator, user_id, {"status": "SUSPENDED"}).status_code == 200
        assert person.refresh(tokens["refresh_token"]).status_code == 401
        assert person.login("a wrong password").status_code == 401
        answer = person.login()
        assert answer.status_code == 403
        assert answer.get_json()["type"].endswith("/account-suspended")
        assert self.patch(administrator, user_id, {"status": "ACTIVE"}).status_code == 200
        assert person.login().status_code == 200

    def test_one_administrator_cannot_make_another_and_the_attempt_is_on_record(
        self, harness: Harness, administrator: Person, person: Person
    ) -> None:
        answer = self.patch(administrator, person.id, {"role": "ADMIN"})
        assert answer.status_code == 409
        assert answer.get_json()["type"].endswith("/administrator-needs-two-people")
        record = records(harness)[-1]
        assert (record.outcome, record.details["reason"]) == ("refused", "AdministratorNeedsTwoPeople")
        assert person.call("GET", "/admin/users", token=person.signed_in()["access_token"]).status_code == 403

    @pytest.mark.parametrize("body", [{"role": "VIEWER"}, {"status": "SUSPENDED"}])
    def test_the_last_administrator_stays(self, administrator: Person, body: dict[str, str]) -> None:
        answer = self.patch(administrator, administrator.id, body)
        assert answer.status_code == 409
        assert answer.get_json()["type"].endswith("/last-administrator")
        assert administrator.login().status_code == 200

    def test_two_administrators_who_dismiss_each_other_at_once_leave_one(self, harness: Harness, administrator: Person) -> None:
        second = make_administrator(harness, "second@example.org")
        # Signed in beforehand: whoever signs in after being dismissed is no administrator any more.
        acts = [
            (each.signed_in()["access_token"], other.id) for each, other in ((administrator, second), (second, administrator))
        ]

        def dismiss(act: tuple[str, str]) -> int:
            token, user_id = act
            return second.call("PATCH", f"/admin/users/{user_id}", {"role": "VIEWER"}, token).status_code

        with ThreadPoolExecutor(2) as pool:
            statuses = sorted(pool.map(dismiss, acts))
        assert statuses == [200, 409]

    def test_the_word_of_a_dismissed_administrator_counts_no_longer_though_their_token_is_not_refused_yet(
        self, harness: Harness, administrator: Person
    ) -> None:
        second, third = make_administrator(harness, "second@example.org"), Person(harness, "third@example.org")
        third.register()
        third.verify()
        with harness.transaction() as tx:
            tx.execute(text("UPDATE auth.user_account SET role = 'ADMIN'"))
        token, of_third = second.signed_in()["access_token"], third.id
        assert self.patch(administrator, second.id, {"role": "VIEWER"}).status_code == 200
        answer = second.call("PATCH", f"/admin/users/{of_third}", {"role": "VIEWER"}, token)
        assert answer.status_code == 409
        assert answer.get_json()["type"].endswith("/administrator-dismissed")
        assert [each.outcome for each in records(harness) if each.action == "user.change_standing"] == ["done", "refused"]

    def test_a_stale_tag_and_an_unknown_account_are_refused(self, administrator: Person, person: Person) -> None:
        assert self.patch(administrator, person.id, {"role": "VIEWER"}, **{"If-Match": '"99"'}).status_code == 412
        assert self.patch(administrator, str(uuid4()), {"role": "VIEWER"}).status_code == 404

    def test_changing_nothing_changes_nothing(self, harness: Harness, administrator: Person, person: Person) -> None:
        tokens = person.signed_in()
        assert self.patch(administrator, person.id, {"role": "CONTRIBUTOR"}).status_code == 200
        assert person.refresh(tokens["refresh_token"]).status_code == 200
        assert harness.published("auth.user.role_changed") == []


class TestOperatorsCommand:
    def create(self, harness: Harness, monkeypatch: pytest.MonkeyPatch, email: str, password: str = PASSWORD) -> int:
        monkeypatch.setattr("sys.stdin", StringIO(password + "\n"))
        return admin_create(harness.assembled, [email])

    def test_two_administrators_are_made_and_no_third(self, harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
        results = [self.create(harness, monkeypatch, f"{name}@example.org") for name in ("first", "second", "third")]
        assert results == [DONE, DONE, REFUSED]
        administrator = Person(harness, "first@example.org")
        token = administrator.signed_in()["access_token"]
        assert administrator.call("GET", "/admin/users", token=token).status_code == 200
        kept = [(each.action, each.outcome, each.roles) for each in records(harness)]
        assert kept == [("administrator.create", outcome, "operator") for outcome in ("done", "done", "refused")]

    def test_of_many_commands_at_once_two_succeed(self, harness: Harness) -> None:
        def create(number: int) -> bool:
            try:
                make_administrator(harness, f"number{number}@example.org")
            except AssertionError:
                return False
            return True

        with ThreadPoolExecutor(PARALLEL) as pool:
            assert sum(pool.map(create, range(PARALLEL))) == 2

    @pytest.mark.parametrize(("email", "password"), [("no address", PASSWORD), ("first@example.org", "short")])
    def test_the_rules_for_everybody_hold_for_administrators(
        self,
        harness: Harness,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        email: str,
        password: str,
    ) -> None:
        assert self.create(harness, monkeypatch, email, password) == USAGE
        assert "must have" in capsys.readouterr().err or email == "no address"
        assert records(harness) == []

    def test_an_address_in_use_is_refused(self, harness: Harness, monkeypatch: pytest.MonkeyPatch, person: Person) -> None:
        assert self.create(harness, monkeypatch, person.email) == REFUSED
        assert person.call("GET", "/admin/users", token=person.signed_in()["access_token"]).status_code == 403


class TestDoors:
    def test_every_door_but_the_declared_ones_asks_for_a_token(self, harness: Harness) -> None:
        for route in harness.service.declared_routes:
            if route.allow.access in {Access.CRON, Access.PUBLIC}:
                continue  # shut, and so not there; or for everybody, as docs/roles.md lists
            path = re.sub(r"<[a-z_:]+>", str(uuid4()), route.path)
            assert harness.client().open(path, method=route.method, json={}).status_code == 401, path

    @pytest.mark.parametrize("role", [each for each in Role if each is not Role.ADMIN])
    def test_administration_is_for_administrators(self, harness: Harness, role: Role) -> None:
        client = harness.client(role)
        assert client.get("/api/v1/admin/users?nonsense=1").status_code == 403
        assert client.patch(f"/api/v1/admin/users/{uuid4()}", json={}).status_code == 403
