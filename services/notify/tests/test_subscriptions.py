"""What notify hears changes its tables once, however often it arrives."""

from typing import Any

import pytest
from sqlalchemy import Table, func, select

from libs.common.events import Event, Personal
from libs.common.ids import new_id
from libs.common.testing import Harness
from services.auth.events import UserEmailChanged, UserUpdated
from services.notify.domain import Vault
from services.notify.models import email, notice, person
from services.notify.tests import factories
from services.notify.tests.factories import ADDRESS, NAME

SOMEBODY = new_id()


def rows(harness: Harness, table: Table) -> list[dict[str, Any]]:
    with harness.database.reader() as db:
        return [dict(row._mapping) for row in db.all(select(table))]


def counts(harness: Harness) -> tuple[int, int, int]:
    with harness.database.reader() as db:
        people, notices, emails = (db.scalar(select(func.count()).select_from(table)) for table in (person, notice, email))
    return people, notices, emails


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (factories.user_registered(SOMEBODY), (1, 0, 0)),
        (factories.email_requested(SOMEBODY), (0, 0, 1)),
        (factories.task_validated(SOMEBODY), (0, 1, 1)),
        (factories.submission_reviewed(SOMEBODY), (0, 1, 0)),
        (factories.lumens_changed(SOMEBODY), (0, 1, 0)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_delivered_twice_changes_once(harness: Harness, event: Event, expected: tuple[int, int, int]) -> None:
    harness.deliver(event, times=2)

    assert counts(harness) == expected


def test_an_update_delivered_twice_changes_once(harness: Harness) -> None:
    harness.deliver(factories.user_registered(SOMEBODY))
    harness.deliver(UserUpdated(user_id=SOMEBODY, display_name=Personal.of("Ada King", about=SOMEBODY), locale="fr"), times=2)

    (row,) = rows(harness, person)
    vault = harness.resource(Vault)  # type: ignore[type-abstract]
    assert (vault.open(row["display_name_sealed"]), vault.open(row["email_sealed"]), row["locale"]) == (
        "Ada King",
        ADDRESS,
        "fr",
    )


def test_an_update_that_overtakes_the_registration_waits_for_it(harness: Harness) -> None:
    registered = harness.envelope(factories.user_registered(SOMEBODY, locale="en"), sequence=1)
    updated = harness.envelope(UserUpdated(user_id=SOMEBODY, display_name=None, locale="fr"), sequence=2)

    harness.deliver(updated)
    harness.deliver(registered)

    assert rows(harness, person)[0]["locale"] == "fr"


def test_addresses_names_and_links_are_sealed_in_the_tables(harness: Harness) -> None:
    harness.deliver(factories.user_registered())
    harness.deliver(factories.email_requested())

    stored = repr(rows(harness, person) + rows(harness, email))

    assert [part for part in (ADDRESS, ADDRESS.split("@")[0], NAME, "a-secret-token", "verify-email") if part in stored] == []


@pytest.mark.parametrize(("stage", "verdict"), [("ADVISORY", "FLAG"), ("ADVISORY", "APPROVE"), ("HUMAN", "APPROVE")])
def test_only_a_persons_rejection_is_told(harness: Harness, stage: str, verdict: str) -> None:
    harness.deliver(factories.submission_reviewed(SOMEBODY, stage=stage, verdict=verdict))

    assert counts(harness) == (0, 0, 0)


def test_notices_of_a_person_are_numbered_without_a_gap(harness: Harness) -> None:
    for _ in range(3):
        harness.deliver(factories.lumens_changed(SOMEBODY))
        harness.deliver(factories.lumens_changed(new_id()))

    assert [row["position"] for row in rows(harness, notice) if row["user_id"] == SOMEBODY] == [1, 2, 3]


def test_the_validation_email_is_asked_for_once_for_each_event(harness: Harness) -> None:
    event = factories.task_validated(SOMEBODY)
    first, second = harness.deliver(event), harness.deliver(harness.envelope(event))

    assert {row["id"] for row in rows(harness, email)} == {first.id, second.id}


def test_a_change_of_address_delivered_twice_changes_once(harness: Harness) -> None:
    harness.deliver(factories.user_registered(SOMEBODY))

    harness.deliver(UserEmailChanged(user_id=SOMEBODY, email=Personal.of("ada@example.com", about=SOMEBODY)), times=2)

    (known,) = rows(harness, person)
    vault = harness.resource(Vault)  # type: ignore[type-abstract]
    assert (vault.open(known["email_sealed"]), vault.open(known["display_name_sealed"])) == ("ada@example.com", NAME)
