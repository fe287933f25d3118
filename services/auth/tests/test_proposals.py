"""Two administrators make a third, and one alone makes none."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from werkzeug.test import TestResponse

from libs.common.testing import Harness
from services.auth.domain.proposals import PROPOSAL_LIFE
from services.auth.tests.conftest import Person, Time, make_administrator

PARALLEL = 4
PATH = "/admin/administrator-proposals"


@pytest.fixture
def second(harness: Harness) -> Person:
    """Another administrator."""
    return make_administrator(harness, "second@example.org")


def token_of(person: Person) -> str:
    return str(person.signed_in()["access_token"])


def propose(by: Person, user_id: str) -> TestResponse:
    return by.post(PATH, {"user_id": user_id}, token_of(by))


def proposed(by: Person, user_id: str) -> str:
    answer = propose(by, user_id)
    assert answer.status_code == 201, answer.get_data(as_text=True)
    return str(answer.get_json()["id"])


def decide(by: Person, proposal_id: str, decision: str = "confirm") -> TestResponse:
    return by.post(f"{PATH}/{proposal_id}/{decision}", token=token_of(by))


def kind(answer: TestResponse) -> str:
    return str(answer.get_json()["type"]).rsplit("/", maxsplit=1)[-1]


def test_a_fresh_database_has_no_account_at_all(harness: Harness) -> None:
    with harness.transaction() as tx:
        assert tx.scalar(text("SELECT count(*) FROM auth.user_account")) == 0
    assert not any("user_account" in str(table) for table in harness._seeds)


class TestProposing:
    def test_one_proposes_another_confirms_and_the_person_administers_after_signing_in_again(
        self, harness: Harness, administrator: Person, second: Person, person: Person
    ) -> None:
        user_id, held = person.id, person.signed_in()
        proposal_id = proposed(administrator, user_id)
        assert decide(second, proposal_id).get_json()["status"] == "CONFIRMED"
        assert person.refresh(held["refresh_token"]).status_code == 401
        assert person.call("GET", "/admin/users", token=token_of(person)).status_code == 200
        assert harness.published("auth.user.role_changed")[-1].data["new_role"] == "ADMIN"
        assert [each["role"] for each in person.mails("SECURITY_NOTICE")] == ["ADMIN"]
        history = administrator.call("GET", f"/admin/users/{user_id}/history", token=token_of(administrator)).get_json()
        acts = [each["action"] for each in history["items"] if each["action"].startswith("administrator.")]
        assert acts == ["administrator.confirm", "administrator.propose"]

    def test_who_proposed_does_not_confirm_and_the_attempt_is_on_record(
        self, harness: Harness, administrator: Person, person: Person
    ) -> None:
        answer = decide(administrator, proposed(administrator, person.id))
        assert (answer.status_code, kind(answer)) == (403, "another-must-confirm")
        refusals = [each.data for each in harness.published("auth.audit.recorded") if each.data["outcome"] == "refused"]
        assert [each["action"] for each in refusals] == ["administrator.confirm"]
        assert person.call("GET", "/admin/users", token=token_of(person)).status_code == 403

    def test_the_database_itself_refuses_a_confirmation_by_who_proposed(
        self, harness: Harness, administrator: Person, person: Person
    ) -> None:
        proposal_id = proposed(administrator, person.id)
        forged = text(
            "UPDATE auth.administrator_proposal SET status = 'CONFIRMED', decided_by = proposed_by, decided_at = now()"
        )
        with pytest.raises(Exception, match="confirmed_by_another"), harness.transaction() as tx:
            tx.execute(forged)
        assert proposal_id

    def test_a_proposal_is_rejected_or_taken_back_and_then_over(
        self, administrator: Person, second: Person, person: Person
    ) -> None:
        user_id = person.id
        for by in (second, administrator):
            proposal_id = proposed(administrator, user_id)
            assert decide(by, proposal_id, "reject").get_json()["status"] == "REJECTED"
            for decision in ("confirm", "reject"):
                assert kind(decide(second, proposal_id, decision)) == "proposal-decided"

    def test_a_proposal_holds_for_a_week(
        self, harness: Harness, administrator: Person, second: Person, person: Person, time: Time
    ) -> None:
        user_id = person.id
        proposal_id = proposed(administrator, user_id)
        assert kind(propose(second, user_id)) == "already-proposed"
        time.passes(PROPOSAL_LIFE)
        assert kind(decide(second, proposal_id)) == "proposal-decided"
        assert harness.run_job("expire_proposals") == 1
        read = second.call("GET", f"{PATH}/{proposal_id}", token=token_of(second)).get_json()
        assert (read["status"], read["decided_by"]) == ("EXPIRED", None)
        assert propose(second, user_id).status_code == 201

    def test_an_old_proposal_is_no_obstacle_before_the_job_ran(
        self, administrator: Person, second: Person, person: Person, time: Time
    ) -> None:
        user_id = person.id
        proposed(administrator, user_id)
        time.passes(PROPOSAL_LIFE)
        assert propose(second, user_id).status_code == 201

    def test_the_word_of_a_dismissed_administrator_counts_no_longer(
        self, administrator: Person, second: Person, person: Person
    ) -> None:
        proposal_id = proposed(administrator, person.id)
        dismissed = second.call("PATCH", f"/admin/users/{administrator.id}", {"role": "VIEWER"}, token_of(second))
        assert dismissed.status_code == 200
        assert kind(decide(second, proposal_id)) == "administrator-dismissed"

    @pytest.mark.parametrize("standing", ["administrator", "suspended", "unverified", "unknown"])
    def test_who_cannot_become_one_is_not_proposed(
        self, harness: Harness, administrator: Person, second: Person, person: Person, standing: str
    ) -> None:
        user_id = {"administrator": lambda: second.id, "unknown": lambda: str(uuid4())}.get(standing, lambda: person.id)()
        if standing == "suspended":
            administrator.call("PATCH", f"/admin/users/{user_id}", {"status": "SUSPENDED"}, token_of(administrator))
        if standing == "unverified":
            with harness.transaction() as tx:
                tx.execute(text("UPDATE auth.user_account SET verified_at = NULL WHERE id = :id"), {"id": user_id})
        answer = propose(administrator, user_id)
        assert answer.status_code == (404 if standing == "unknown" else 409)

    def test_proposals_are_listed_newest_first_by_status(self, administrator: Person, second: Person, person: Person) -> None:
        first = proposed(administrator, person.id)
        decide(second, first, "reject")
        latest = proposed(administrator, person.id)
        token = token_of(second)

        def found(query: str) -> list[Any]:
            return [each["id"] for each in second.call("GET", f"{PATH}{query}", token=token).get_json()["items"]]

        assert found("") == [latest, first]
        assert found("?status=PENDING") == [latest]
        assert len(found("?limit=1")) == 1
        assert second.call("GET", f"{PATH}/{uuid4()}", token=token).status_code == 404


class TestRaces:
    def test_of_many_confirmations_and_rejections_at_once_one_counts(
        self, administrator: Person, second: Person, person: Person
    ) -> None:
        proposal_id = proposed(administrator, person.id)
        token = token_of(second)
        decisions = ["confirm", "reject"] * (PARALLEL // 2)
        with ThreadPoolExecutor(PARALLEL) as pool:
            answers = list(pool.map(lambda each: second.post(f"{PATH}/{proposal_id}/{each}", token=token), decisions))
        assert sorted(each.status_code for each in answers) == [200] + [409] * (PARALLEL - 1)

    def test_the_last_one_is_not_dismissed_while_another_is_being_made(
        self, harness: Harness, administrator: Person, second: Person, person: Person
    ) -> None:
        proposal_id = proposed(administrator, person.id)
        acts = [
            ("PATCH", f"/admin/users/{administrator.id}", {"role": "VIEWER"}, token_of(second)),
            ("PATCH", f"/admin/users/{second.id}", {"status": "SUSPENDED"}, token_of(administrator)),
            ("POST", f"{PATH}/{proposal_id}/confirm", None, token_of(second)),
        ]
        with ThreadPoolExecutor(len(acts)) as pool:
            statuses = list(pool.map(lambda act: person.call(*act).status_code, acts))
        assert set(statuses) <= {200, 409}
        active = text("SELECT count(*) FROM auth.user_account WHERE role = 'ADMIN' AND status = 'ACTIVE'")
        with harness.transaction() as tx:
            assert tx.scalar(active) >= 1
