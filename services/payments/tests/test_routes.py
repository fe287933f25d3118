"""What people and administrators see."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from libs.common.auth import Role, Subject
from libs.common.ids import new_id
from libs.common.testing import Harness
from services.payments.domain import AccountKind, Leg, Transfer, TransferReason
from services.payments.tests.factories import a_payment, task_validated
from services.payments.use_cases import open_account, post

API = "/api/v1"
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def contributor(harness: Harness) -> Subject:
    return harness.subject(Role.CONTRIBUTOR)


def get(harness: Harness, subject: Subject | Role | None, path: str, **query: Any) -> Any:
    return harness.client(subject).get(API + path, query_string=query)


def test_somebody_without_entries_owns_nothing(harness: Harness, contributor: Subject) -> None:
    assert get(harness, contributor, "/lumens").json == {"balance": 0, "available": 0, "held": 0}


def test_earned_lumens_are_available(harness: Harness, contributor: Subject) -> None:
    harness.deliver(task_validated(contributor.id, lumens=10))

    assert get(harness, contributor, "/lumens").json == {"balance": 10, "available": 10, "held": 0}


def test_held_lumens_are_owned_but_not_available(harness: Harness, contributor: Subject) -> None:
    harness.deliver(task_validated(contributor.id, lumens=10))
    with harness.transaction() as tx:
        own = open_account(tx, AccountKind.CONTRIBUTOR, contributor.id)
        held = open_account(tx, AccountKind.HELD, contributor.id)
        post(tx, Transfer(TransferReason.TASK_REWARD, new_id(), (Leg(own, -4), Leg(held, 4))))

    assert get(harness, contributor, "/lumens").json == {"balance": 10, "available": 6, "held": 4}


def test_entries_come_newest_first_page_by_page(harness: Harness, contributor: Subject) -> None:
    for lumens in (1, 2, 3, 4, 5):
        harness.deliver(task_validated(contributor.id, lumens=lumens))

    first = get(harness, contributor, "/lumens/entries", limit=2).json
    second = get(harness, contributor, "/lumens/entries", limit=2, cursor=first["next_cursor"]).json
    third = get(harness, contributor, "/lumens/entries", limit=2, cursor=second["next_cursor"]).json

    pages = [[(item["amount"], item["balance_after"]) for item in page["items"]] for page in (first, second, third)]
    assert pages == [[(5, 15), (4, 10)], [(3, 6), (2, 3)], [(1, 1)]]
    assert third["next_cursor"] is None
    assert {item["reason"] for item in first["items"]} == {"TASK_REWARD"}


def test_nobody_sees_the_entries_of_another(harness: Harness, contributor: Subject) -> None:
    harness.deliver(task_validated(new_id(), lumens=10))

    assert get(harness, contributor, "/lumens/entries").json == {"items": [], "next_cursor": None}


def test_own_payments_come_newest_first_page_by_page(harness: Harness, contributor: Subject) -> None:
    made = [a_payment(harness, contributor.id, at=NOON + timedelta(minutes=minute)) for minute in range(3)]
    a_payment(harness, new_id())

    first = get(harness, contributor, "/payments", limit=2).json
    second = get(harness, contributor, "/payments", limit=2, cursor=first["next_cursor"]).json

    assert [UUID(item["id"]) for item in first["items"] + second["items"]] == made[::-1]
    assert second["next_cursor"] is None


def test_payments_of_one_moment_are_all_seen_across_pages(harness: Harness, contributor: Subject) -> None:
    made = {str(a_payment(harness, contributor.id, at=NOON)) for _ in range(5)}

    first = get(harness, contributor, "/payments", limit=3).json
    second = get(harness, contributor, "/payments", limit=3, cursor=first["next_cursor"]).json

    assert [len(first["items"]), len(second["items"])] == [3, 2]
    assert {item["id"] for item in first["items"] + second["items"]} == made


def test_a_payment_says_what_is_owed_for_what(harness: Harness, contributor: Subject) -> None:
    payment_id = a_payment(harness, contributor.id, cents=12_345, title="Moon rocket")

    answer = get(harness, contributor, f"/payments/{payment_id}")

    assert answer.headers["ETag"] == '"1"'
    assert answer.json["amount"] == {"amount": 12_345, "currency": "EUR"}
    assert (answer.json["task_title"], answer.json["status"]) == ("Moon rocket", "PENDING")


@pytest.mark.parametrize("reader", [Role.CONTRIBUTOR, Role.ADMIN])
def test_another_persons_payment_is_not_there(harness: Harness, reader: Role) -> None:
    payment_id = a_payment(harness, new_id())

    answer = get(harness, reader, f"/payments/{payment_id}")

    assert (answer.status_code, answer.json["type"]) == (404, "https://lumiere.film/problems/payment-not-found")


def test_an_administrator_sees_everybodys_payments(harness: Harness) -> None:
    made = {str(a_payment(harness, new_id())) for _ in range(3)}

    assert {item["id"] for item in get(harness, Role.ADMIN, "/admin/payments").json["items"]} == made


@pytest.mark.parametrize(
    ("query", "minutes"),
    [
        ({}, [0, 1, 2]),
        ({"status": "PENDING"}, [0, 1, 2]),
        ({"status": "COMPLETED"}, []),
        ({"from": "2026-05-04T12:01:00Z"}, [1, 2]),
        ({"to": "2026-05-04T12:01:00Z"}, [0]),
        ({"from": "2026-05-04T12:01:00Z", "to": "2026-05-04T12:02:00Z"}, [1]),
        ({"from": "2026-05-04", "to": "2026-05-04"}, [0, 1, 2]),
        ({"from": "2026-05-05"}, []),
        ({"to": "2026-05-03"}, []),
    ],
)
def test_payments_are_found_by_status_and_time(harness: Harness, query: dict[str, str], minutes: list[int]) -> None:
    for minute in range(3):
        a_payment(harness, new_id(), at=NOON + timedelta(minutes=minute))

    items = get(harness, Role.ADMIN, "/admin/payments", **query).json["items"]

    assert sorted(datetime.fromisoformat(item["created_at"]).minute for item in items) == minutes


@pytest.mark.parametrize(
    "query", [{"status": "PAID"}, {"from": "yesterday"}, {"to": "2026-05-04T12:00:00"}, {"first": "2026-05-04"}]
)
def test_a_filter_that_means_nothing_is_refused(harness: Harness, query: dict[str, str]) -> None:
    assert get(harness, Role.ADMIN, "/admin/payments", **query).status_code == 422


@pytest.mark.parametrize("path", ["/admin/payments", "/admin/payments.csv"])
def test_only_administrators_see_everybodys_payments(harness: Harness, contributor: Subject, path: str) -> None:
    assert get(harness, contributor, path).status_code == 403
    assert get(harness, None, path).status_code == 401


def test_the_export_holds_every_payment_and_no_formula(harness: Harness) -> None:
    titles = ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", 'a "quoted", title', "ordinary"]
    for title in titles:
        a_payment(harness, new_id(), cents=5_005, title=title)

    answer = get(harness, Role.ADMIN, "/admin/payments.csv", status="PENDING")
    rows = list(csv.DictReader(io.StringIO(answer.text)))

    assert answer.content_type == "text/csv; charset=utf-8"
    assert 'filename="payments.csv"' in answer.headers["Content-Disposition"]
    assert {row["task"] for row in rows} == {"'=HYPERLINK(1)", "'+1", "'-1", "'@SUM(A1)", 'a "quoted", title', "ordinary"}
    assert {(row["amount"], row["currency"]) for row in rows} == {("50.05", "EUR")}


def test_the_export_goes_on_beyond_one_page(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.payments.queries.EXPORT_PAGE_ROWS", 2)
    made = {str(a_payment(harness, new_id())) for _ in range(4)}

    rows = list(csv.DictReader(io.StringIO(get(harness, Role.ADMIN, "/admin/payments.csv").text)))

    assert len(rows) == 4
    assert {row["payment_id"] for row in rows} == made
