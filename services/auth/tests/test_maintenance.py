"""The platform's door is shut for maintenance and opened again: read, decided, told and on record."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text
from werkzeug.test import TestResponse

from libs.common.auth.policy import Role
from libs.common.testing import Harness
from services.auth.domain.maintenance import REASON_MAXIMUM
from services.auth.tests.conftest import Time

PATH = "/api/v1/admin/maintenance"
REASON = "The database moves."


@pytest.fixture
def admin(harness: Harness) -> Any:
    return harness.client(harness.subject(Role.ADMIN))


def decide(admin: Any, enabled: bool, reason: str | None = None, **headers: str) -> TestResponse:
    answer: TestResponse = admin.put(PATH, json={"enabled": enabled, "reason": reason}, headers=headers)
    return answer


def for_the_gateway(harness: Harness) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {harness.environ['REVOCATION_LIST_TOKEN']}"}
    answer = harness.client().get("/internal/maintenance", headers=headers)
    assert answer.status_code == 200
    document: dict[str, Any] = answer.get_json()
    return document


def test_until_somebody_decides_the_door_is_open(harness: Harness, admin: Any) -> None:
    answer = admin.get(PATH)
    assert answer.headers["ETag"] == '"0"'
    assert answer.get_json() == {"enabled": False, "reason": None, "changed_by": None, "changed_at": None, "revision": 0}
    assert for_the_gateway(harness) == answer.get_json()


def test_a_decision_is_read_told_and_on_record(harness: Harness, time: Time) -> None:
    subject = harness.subject(Role.ADMIN)
    answer = decide(harness.client(subject), True, REASON)

    assert (answer.status_code, answer.headers["ETag"]) == (200, '"1"')
    seen = {"enabled": True, "reason": REASON, "changed_by": str(subject.id), "revision": 1}
    assert seen.items() <= answer.get_json().items()
    assert answer.get_json()["changed_at"].startswith(time.instant.isoformat()[:19])
    assert for_the_gateway(harness) == answer.get_json()
    (fact,) = harness.published("auth.maintenance.changed")
    assert (fact.subject, {"scope": "platform", **seen}.items() <= fact.data.items()) == ("platform", True)
    with harness.transaction() as tx:
        record = tx.one(text("SELECT * FROM auth.audit_record WHERE entity = 'maintenance'"))
    assert (record.action, record.actor_id, record.outcome) == ("maintenance.decide", subject.id, "done")
    assert record.details == {"was_enabled": False, "enabled": True, "reason": REASON, "revision": 1}


def test_opening_again_needs_no_reason_and_counts_on(harness: Harness, admin: Any) -> None:
    decide(admin, True, REASON)
    answer = decide(admin, False)

    assert (answer.get_json()["enabled"], answer.get_json()["reason"], answer.get_json()["revision"]) == (False, None, 2)
    assert [each.data["revision"] for each in harness.published("auth.maintenance.changed")] == [1, 2]


def test_deciding_what_holds_already_is_told_to_nobody(harness: Harness, admin: Any) -> None:
    assert decide(admin, False).get_json()["revision"] == 0
    decide(admin, True, REASON)
    assert decide(admin, True, REASON).get_json()["revision"] == 1
    assert decide(admin, True, "Another reason.").get_json()["revision"] == 2
    assert len(harness.published("auth.maintenance.changed")) == 2


def test_a_stale_tag_is_refused_and_the_right_one_is_not(admin: Any) -> None:
    assert decide(admin, True, REASON, **{"If-Match": '"1"'}).status_code == 412
    assert decide(admin, True, REASON, **{"If-Match": '"0"'}).status_code == 200
    assert decide(admin, False, **{"If-Match": '"0"'}).status_code == 412
    assert admin.get(PATH).get_json()["enabled"] is True


def test_of_two_who_decide_at_once_each_is_answered_with_what_became_of_it(harness: Harness) -> None:
    clients = [harness.client(harness.subject(Role.ADMIN)) for _ in range(4)]

    with ThreadPoolExecutor(len(clients)) as pool:
        statuses = list(pool.map(lambda pair: decide(pair[1], True, f"Reason {pair[0]}.").status_code, enumerate(clients)))

    assert set(statuses) <= {200, 409}
    revision = clients[0].get(PATH).get_json()["revision"]
    assert revision == statuses.count(200) == len(harness.published("auth.maintenance.changed")) >= 1


@pytest.mark.parametrize(
    "body",
    [
        {"enabled": True},
        {"enabled": True, "reason": None},
        {"enabled": True, "reason": ""},
        {"enabled": True, "reason": " "},
        {"enabled": True, "reason": "two\nlines"},
        {"enabled": True, "reason": "x" * (REASON_MAXIMUM + 1)},
        {"enabled": "yes", "reason": REASON},
        {"reason": REASON},
        {},
    ],
    ids=str,
)
def test_a_door_is_not_shut_without_a_reason_that_can_be_read(admin: Any, body: dict[str, Any]) -> None:
    assert admin.put(PATH, json=body).status_code == 422
    assert admin.get(PATH).get_json()["revision"] == 0


def test_the_longest_reason_is_taken(admin: Any) -> None:
    assert decide(admin, True, "x" * REASON_MAXIMUM).status_code == 200


def test_only_the_gateway_reads_the_list_that_is_meant_for_it(harness: Harness, admin: Any) -> None:
    assert harness.client().get("/internal/maintenance").status_code == 401
    assert admin.get("/internal/maintenance").status_code == 401
