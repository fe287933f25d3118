"""Refresh, list and end sessions: hostile and unlucky stories."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from libs.common.testing import Harness
from services.auth.domain.sessions import REPEAT_WINDOW, Lifetimes
from services.auth.events import SessionRevoked
from services.auth.tests.conftest import Person, Time

PARALLEL = 20


def revoked(harness: Harness) -> list[SessionRevoked]:
    return [each.event(SessionRevoked) for each in harness.published("auth.session.revoked")]


def live_tokens(harness: Harness) -> int:
    with harness.transaction() as tx:
        return int(tx.scalar(text("SELECT count(*) FROM auth.refresh_token WHERE used_at IS NULL")))


class TestRefresh:
    def test_each_use_gives_a_new_token_of_the_same_session(self, person: Person) -> None:
        first = person.signed_in()
        second = person.refresh(first["refresh_token"]).get_json()
        third = person.refresh(second["refresh_token"]).get_json()
        assert len({each["refresh_token"] for each in (first, second, third)}) == 3
        assert {each["session_id"] for each in (first, second, third)} == {first["session_id"]}
        assert person.call("GET", "/profile", token=third["access_token"]).status_code == 200

    def test_twenty_parallel_refreshes_give_one_successor(self, harness: Harness, person: Person) -> None:
        token = person.signed_in()["refresh_token"]
        start = Barrier(PARALLEL)

        def refresh(_: int) -> Any:
            start.wait()
            return person.refresh(token)

        with ThreadPoolExecutor(PARALLEL) as pool:
            answers = list(pool.map(refresh, range(PARALLEL)))
        assert {each.status_code for each in answers} == {200}
        assert len({each.get_json()["refresh_token"] for each in answers}) == 1
        assert live_tokens(harness) == 1
        assert revoked(harness) == []

    def test_a_lost_answer_can_be_asked_for_again_until_the_window_closes(self, person: Person, time: Time) -> None:
        token = person.signed_in()["refresh_token"]
        successor = person.refresh(token).get_json()["refresh_token"]
        time.passes(REPEAT_WINDOW)
        assert person.refresh(token).get_json()["refresh_token"] == successor
        assert person.refresh(successor).status_code == 200

    def test_a_token_used_after_the_window_ends_the_whole_session(self, harness: Harness, person: Person, time: Time) -> None:
        tokens = person.signed_in()
        successor = person.refresh(tokens["refresh_token"]).get_json()["refresh_token"]
        time.passes(REPEAT_WINDOW + timedelta(microseconds=1))
        answer = person.refresh(tokens["refresh_token"])
        assert answer.status_code == 401
        assert answer.get_json()["type"].endswith("/refresh-refused")
        assert person.refresh(successor).status_code == 401
        assert [(str(each.session_id), each.reason) for each in revoked(harness)] == [
            (tokens["session_id"], "REFRESH_TOKEN_REUSED")
        ]
        acts = [each.data for each in harness.published("auth.audit.recorded")]
        assert [each["outcome"] for each in acts if each["action"] == "session.refresh_token_reused"] == ["revoked"]
        assert [each["notice"] for each in person.mails("SECURITY_NOTICE")] == ["REFRESH_TOKEN_REUSED"]

    def test_parallel_reuse_ends_the_session_once(self, harness: Harness, person: Person, time: Time) -> None:
        token = person.signed_in()["refresh_token"]
        person.refresh(token)
        time.passes(REPEAT_WINDOW * 2)
        with ThreadPoolExecutor(PARALLEL) as pool:
            statuses = set(pool.map(lambda _: person.refresh(token).status_code, range(PARALLEL)))
        assert statuses == {401}
        assert len(revoked(harness)) == 1

    def test_other_sessions_survive_the_theft_of_one(self, person: Person, time: Time) -> None:
        stolen, other = person.signed_in(), person.signed_in()
        person.refresh(stolen["refresh_token"])
        time.passes(REPEAT_WINDOW * 2)
        assert person.refresh(stolen["refresh_token"]).status_code == 401
        assert person.refresh(other["refresh_token"]).status_code == 200

    def test_thirty_days_slide_with_each_use(self, person: Person, time: Time) -> None:
        token = person.signed_in()["refresh_token"]
        for _ in range(3):
            time.passes(Lifetimes().sliding - timedelta(microseconds=1))
            token = person.refresh(token).get_json()["refresh_token"]
        time.passes(Lifetimes().sliding)
        assert person.refresh(token).status_code == 401

    @pytest.mark.parametrize("token", ["x", "made-up", "x" * 200])
    def test_a_made_up_token_is_refused_and_harms_nobody(self, harness: Harness, person: Person, token: str) -> None:
        assert person.refresh(token).status_code == 401
        assert revoked(harness) == []

    def test_a_token_and_its_successor_stand_nowhere_in_clear(self, harness: Harness, person: Person) -> None:
        token = person.signed_in()["refresh_token"]
        successor = person.refresh(token).get_json()["refresh_token"]
        with harness.transaction() as tx:
            rows = str(tx.all(text("SELECT token_hash, successor_sealed FROM auth.refresh_token")))
        assert token not in rows
        assert successor not in rows

    def test_the_sealed_successor_is_erased_when_the_window_is_over(self, harness: Harness, person: Person, time: Time) -> None:
        person.refresh(person.signed_in()["refresh_token"])
        time.passes(REPEAT_WINDOW)
        assert harness.run_job("forget_successors") == 0
        time.passes(timedelta(microseconds=1))
        assert harness.run_job("forget_successors") == 1
        assert harness.run_job("forget_successors") == 0

    def test_ending_all_sessions_while_they_are_renewed_leaves_none_alive(
        self, person: Person, synchronise: Callable[[], None]
    ) -> None:
        held = [person.signed_in() for _ in range(4)]
        start = Barrier(len(held) + 1)

        def renew(tokens: dict[str, Any]) -> dict[str, Any] | None:
            start.wait()
            answer = person.refresh(tokens["refresh_token"])
            return answer.get_json() if answer.status_code == 200 else None

        def end() -> int:
            start.wait()
            return person.post("/auth/logout-all", token=held[0]["access_token"]).status_code

        with ThreadPoolExecutor(len(held) + 1) as pool:
            ending = pool.submit(end)
            renewed = [each for each in pool.map(renew, held) if each]
            assert ending.result() == 204
        synchronise()
        for each in (*held, *renewed):
            assert person.refresh(each["refresh_token"]).status_code == 401
            assert person.call("GET", "/profile", token=each["access_token"]).status_code == 401
        assert person.login().status_code == 200


class TestOwnSessions:
    def test_a_person_sees_their_sessions_newest_first_and_which_one_is_this(self, person: Person) -> None:
        first, second = person.signed_in(), person.signed_in()
        listed = person.call("GET", "/auth/sessions", token=first["access_token"]).get_json()["items"]
        assert [each["id"] for each in listed] == [second["session_id"], first["session_id"]]
        assert [each["current"] for each in listed] == [False, True]
        assert set(listed[0]) == {"id", "device", "created_at", "last_used_at", "expires_at", "current"}

    def test_a_long_list_is_read_page_by_page(self, person: Person) -> None:
        made = [person.signed_in() for _ in range(5)]
        token, seen, cursor = made[0]["access_token"], [], ""
        for _ in range(3):
            page = person.call("GET", f"/auth/sessions?limit=2{cursor}", token=token).get_json()
            seen += [each["id"] for each in page["items"]]
            cursor = f"&cursor={page['next_cursor']}"
        assert seen == [each["session_id"] for each in reversed(made)]
        assert page["next_cursor"] is None

    def test_one_session_is_ended_and_the_other_goes_on(
        self, harness: Harness, person: Person, synchronise: Callable[[], None]
    ) -> None:
        mine, other = person.signed_in(), person.signed_in()
        assert person.call("DELETE", f"/auth/sessions/{other['session_id']}", token=mine["access_token"]).status_code == 204
        synchronise()
        assert person.refresh(other["refresh_token"]).status_code == 401
        assert person.call("GET", "/profile", token=other["access_token"]).status_code == 401
        assert person.call("GET", "/profile", token=mine["access_token"]).status_code == 200
        assert [each.reason for each in revoked(harness)] == ["REVOKED_BY_USER"]

    def test_nobody_ends_the_session_of_another_or_one_that_is_not(self, harness: Harness, person: Person) -> None:
        other = Person(harness, "grace@example.org")
        other.register()
        other.verify()
        theirs, token = other.signed_in(), person.signed_in()["access_token"]
        for session_id in (theirs["session_id"], str(uuid4())):
            assert person.call("DELETE", f"/auth/sessions/{session_id}", token=token).status_code == 404
        assert other.refresh(theirs["refresh_token"]).status_code == 200

    def test_logging_out_ends_this_session(self, person: Person, synchronise: Callable[[], None]) -> None:
        tokens = person.signed_in()
        assert person.post("/auth/logout", token=tokens["access_token"]).status_code == 204
        synchronise()
        assert person.refresh(tokens["refresh_token"]).status_code == 401
        assert person.post("/auth/logout", token=tokens["access_token"]).status_code == 401


class TestNotBefore:
    def test_within_one_second_all_old_tokens_die_and_a_new_sign_in_works(
        self, person: Person, time: Time, synchronise: Callable[[], None]
    ) -> None:
        old = [person.signed_in() for _ in range(2)]
        time.passes(timedelta(milliseconds=100))
        assert person.post("/auth/logout-all", token=old[0]["access_token"]).status_code == 204
        time.passes(timedelta(milliseconds=100))
        new = person.signed_in()
        synchronise()
        for each in old:
            assert person.call("GET", "/profile", token=each["access_token"]).status_code == 401
            assert person.refresh(each["refresh_token"]).status_code == 401
        assert person.call("GET", "/profile", token=new["access_token"]).status_code == 200

    def test_a_token_renewed_in_the_very_second_dies_too(
        self, person: Person, time: Time, synchronise: Callable[[], None]
    ) -> None:
        tokens = person.signed_in()
        time.passes(timedelta(minutes=5))
        renewed = person.refresh(tokens["refresh_token"]).get_json()
        repeated = person.refresh(tokens["refresh_token"]).get_json()
        time.passes(timedelta(milliseconds=1))
        assert person.post("/auth/logout-all", token=renewed["access_token"]).status_code == 204
        synchronise()
        for each in (tokens, renewed, repeated):
            assert person.call("GET", "/profile", token=each["access_token"]).status_code == 401

    def test_broadcast_and_list_say_the_same(self, harness: Harness, person: Person, time: Time) -> None:
        user_id = person.id
        older = person.signed_in()
        time.passes(timedelta(minutes=1))
        newest = person.signed_in()
        assert person.post("/auth/logout-all", token=older["access_token"]).status_code == 204
        whole, *single = revoked(harness)
        assert whole.session_id is None
        assert whole.not_before == time.instant.replace(microsecond=0)
        assert [str(each.session_id) for each in single] == [newest["session_id"]]
        listed = revocation_list(harness)
        assert listed["subjects"] == {user_id: int(time.instant.timestamp())}
        assert {older["session_id"], newest["session_id"]} <= set(listed["sessions"])
        assert listed["sessions"][newest["session_id"]] == int(whole.expires_at.timestamp())
        assert listed["as_of"] == int(time.instant.timestamp())

    def test_the_list_forgets_what_no_living_token_can_name(self, harness: Harness, person: Person, time: Time) -> None:
        person.post("/auth/logout-all", token=person.signed_in()["access_token"])
        time.passes(timedelta(minutes=15))
        assert len(revocation_list(harness)["sessions"]) == 1
        time.passes(timedelta(minutes=1))
        listed = revocation_list(harness)
        assert (listed["sessions"], listed["subjects"]) == ({}, {})

    def test_only_services_read_the_list(self, harness: Harness, person: Person) -> None:
        assert harness.client().get("/internal/revocations").status_code == 401
        token = person.signed_in()["access_token"]
        answer = harness.client().get("/internal/revocations", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401


def revocation_list(harness: Harness) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {harness.environ['REVOCATION_LIST_TOKEN']}"}
    answer = harness.client().get("/internal/revocations", headers=headers)
    assert answer.status_code == 200
    document: dict[str, Any] = answer.get_json()
    return document


class TestPurge:
    def test_what_has_run_out_is_deleted_and_what_is_needed_stays(self, harness: Harness, person: Person, time: Time) -> None:
        spent = person.signed_in()["refresh_token"]
        person.refresh(spent)
        person.login("a wrong password")
        assert harness.run_job("purge_expired") == 0
        time.passes(timedelta(minutes=15, microseconds=1))
        assert harness.run_job("purge_expired") == 1  # the failure
        time.passes(timedelta(days=1))
        assert harness.run_job("purge_expired") == 2  # the link of the registration, and the count of its mails
        assert person.refresh(spent).status_code == 401
        assert len(revoked(harness)) == 1  # a spent token is remembered as long as its session lives
        time.passes(Lifetimes().sliding)
        harness.run_job("purge_expired")
        with harness.transaction() as tx:
            assert tx.scalar(text("SELECT count(*) FROM auth.session")) == 0
            assert tx.scalar(text("SELECT count(*) FROM auth.refresh_token")) == 0
