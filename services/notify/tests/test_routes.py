"""What people see and do with their notices."""

from typing import Any

import pytest

from libs.common.auth import Role, Subject
from libs.common.ids import new_id
from libs.common.testing import Harness
from services.notify.tests.factories import lumens_changed, submission_reviewed, task_validated, user_registered

API = "/api/v1/notifications"

SOMEBODYS = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.fixture
def contributor(harness: Harness) -> Subject:
    return harness.subject(Role.CONTRIBUTOR)


def listed(harness: Harness, subject: Subject, **query: Any) -> Any:
    return harness.client(subject).get(API, query_string=query).json


def unread(harness: Harness, subject: Subject) -> int:
    return int(harness.client(subject).get(f"{API}/count").json["unread"])


def test_notices_come_newest_first_page_by_page(harness: Harness, contributor: Subject) -> None:
    for amount in range(1, 6):
        harness.deliver(lumens_changed(contributor.id, amount=amount))

    first = listed(harness, contributor, limit=2)
    second = listed(harness, contributor, limit=2, cursor=first["next_cursor"])
    third = listed(harness, contributor, limit=2, cursor=second["next_cursor"])

    amounts = [[item["data"]["amount"] for item in page["items"]] for page in (first, second, third)]
    assert amounts == [[5, 4], [3, 2], [1]]
    assert third["next_cursor"] is None


@pytest.mark.parametrize(
    ("locale", "title", "body"),
    [
        ("en", "Your work was accepted", "“Moon rocket” for “Le Voyage dans la Lune” is final. It earns you 10 Lumens."),
        (
            "fr-CA",
            "Votre travail est accepté",
            "« Moon rocket » pour « Le Voyage dans la Lune » est définitif et vous rapporte 10 Lumens.",
        ),
        ("de", "Your work was accepted", "“Moon rocket” for “Le Voyage dans la Lune” is final. It earns you 10 Lumens."),
    ],
)
def test_a_notice_speaks_the_readers_language(
    harness: Harness, contributor: Subject, locale: str, title: str, body: str
) -> None:
    harness.deliver(user_registered(contributor.id, locale=locale))
    harness.deliver(task_validated(contributor.id))

    (item,) = listed(harness, contributor)["items"]
    assert (item["type"], item["title"], item["body"]) == ("TASK_VALIDATED", title, body)


def test_a_title_that_looks_like_a_format_is_only_text(harness: Harness, contributor: Subject) -> None:
    harness.deliver(task_validated(contributor.id, title="{lumens} {0} {task_title.__class__}"))

    assert "“{lumens} {0} {task_title.__class__}”" in listed(harness, contributor)["items"][0]["body"]


def test_work_sent_back_is_told_with_the_attempts_left(harness: Harness, contributor: Subject) -> None:
    harness.deliver(submission_reviewed(contributor.id))

    (item,) = listed(harness, contributor)["items"]
    assert (item["type"], item["data"]["attempts_left"]) == ("TASK_REJECTED", 2)


def test_a_read_notice_is_not_unread_any_more(harness: Harness, contributor: Subject) -> None:
    for _ in range(2):
        harness.deliver(lumens_changed(contributor.id))
    newest, oldest = listed(harness, contributor)["items"]

    assert harness.client(contributor).post(f"{API}/{newest['id']}/read").status_code == 204

    assert [item["id"] for item in listed(harness, contributor, unread="true")["items"]] == [oldest["id"]]
    assert [item["id"] for item in listed(harness, contributor, unread="false")["items"]] == [newest["id"]]
    assert unread(harness, contributor) == 1


def test_reading_again_changes_nothing(harness: Harness, contributor: Subject) -> None:
    harness.deliver(lumens_changed(contributor.id))
    notice_id = listed(harness, contributor)["items"][0]["id"]
    harness.client(contributor).post(f"{API}/{notice_id}/read")
    before = listed(harness, contributor)["items"][0]["read_at"]

    assert harness.client(contributor).post(f"{API}/{notice_id}/read").status_code == 204
    assert listed(harness, contributor)["items"][0]["read_at"] == before


def test_all_can_be_read_at_once(harness: Harness, contributor: Subject) -> None:
    other = harness.subject(Role.CONTRIBUTOR)
    for subject in (contributor, contributor, other):
        harness.deliver(lumens_changed(subject.id))

    assert harness.client(contributor).post(f"{API}/read-all").status_code == 204

    assert (unread(harness, contributor), unread(harness, other)) == (0, 1)


def test_another_persons_notice_is_not_there(harness: Harness, contributor: Subject) -> None:
    other = harness.subject(Role.ADMIN)
    harness.deliver(lumens_changed(other.id))
    notice_id = listed(harness, other)["items"][0]["id"]

    answer = harness.client(contributor).post(f"{API}/{notice_id}/read")

    assert (answer.status_code, answer.json["type"]) == (404, "https://lumiere.film/problems/notice-not-found")
    assert (listed(harness, contributor)["items"], unread(harness, other)) == ([], 1)


def test_a_notice_that_never_was_is_not_there(harness: Harness, contributor: Subject) -> None:
    assert harness.client(contributor).post(f"{API}/{new_id()}/read").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("GET", "/count"), ("POST", "/read-all"), ("POST", f"/{SOMEBODYS}/read")]
)
def test_nobody_reads_notices_without_a_token(harness: Harness, method: str, path: str) -> None:
    assert harness.client().open(API + path, method=method).status_code == 401
