"""The rules of telling people, without a database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify import domain
from services.notify.domain import (
    EMAIL_ATTEMPTS_MAX,
    EMAIL_BACK_OFF,
    FINAL_STATUSES,
    LOCALES,
    TRANSITIONS,
    DeliveryExpired,
    DeliveryRefused,
    EmailStatus,
    NoticeKind,
)

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
DATA: dict[NoticeKind, dict[str, Any]] = {
    NoticeKind.TASK_VALIDATED: {"task_title": "Rocket", "film_title": "Lune", "lumens": 10},
    NoticeKind.TASK_REJECTED: {"attempts_left": 2},
    NoticeKind.LUMENS_CHANGED: {"amount": -3, "balance_after": 7},
}


def test_every_status_is_in_the_table_and_only_the_final_ones_are_absorbing() -> None:
    assert set(TRANSITIONS) == set(EmailStatus)
    assert {status for status, following in TRANSITIONS.items() if not following} == FINAL_STATUSES


@given(st.integers(1, EMAIL_ATTEMPTS_MAX + 3), st.sampled_from([None, False, True]))
def test_an_email_ends_as_the_table_permits(attempts: int, permanent: bool | None) -> None:
    refusal = None if permanent is None else DeliveryRefused("X", permanent=permanent)

    outcome = domain.outcome_of(attempts, refusal)

    assert outcome is EmailStatus.QUEUED or outcome in TRANSITIONS[EmailStatus.QUEUED]


def test_an_email_has_so_many_attempts_and_no_more() -> None:
    refusal = DeliveryRefused("X", permanent=False)
    around = [
        domain.outcome_of(attempts, refusal)
        for attempts in (EMAIL_ATTEMPTS_MAX - 1, EMAIL_ATTEMPTS_MAX, EMAIL_ATTEMPTS_MAX + 1)
    ]

    assert around == [EmailStatus.QUEUED, EmailStatus.FAILED, EmailStatus.FAILED]


def test_what_expired_is_not_called_a_failure() -> None:
    assert domain.outcome_of(1, DeliveryExpired("Expired", permanent=True)) is EmailStatus.EXPIRED


def test_an_email_expires_at_its_moment_and_not_before() -> None:
    domain.require_not_expired(None, NOW)
    domain.require_not_expired(NOW + timedelta(microseconds=1), NOW)
    for moment in (NOW, NOW - timedelta(microseconds=1)):
        with pytest.raises(DeliveryExpired):
            domain.require_not_expired(moment, NOW)


@given(st.integers(1, 50))
def test_patience_grows_and_has_an_end(attempts: int) -> None:
    pause = domain.next_attempt(attempts, NOW) - NOW

    assert EMAIL_BACK_OFF[0] <= pause <= EMAIL_BACK_OFF[-1]
    assert pause <= domain.next_attempt(attempts + 1, NOW) - NOW


@pytest.mark.parametrize("locale", [*sorted(LOCALES), None])
@pytest.mark.parametrize("kind", list(NoticeKind))
def test_every_notice_speaks_every_language(kind: NoticeKind, locale: str | None) -> None:
    title, body = domain.notice_text(kind, locale, DATA[kind])

    assert title
    assert all(str(value) in body for value in DATA[kind].values())


@given(st.text(max_size=12) | st.none())
def test_whatever_is_asked_for_some_language_is_spoken(wanted: str | None) -> None:
    assert domain.locale_of(wanted) in LOCALES


@pytest.mark.parametrize(
    ("wanted", "spoken"), [("fr", "fr"), ("fr-CA", "fr"), ("FR_be", "fr"), ("en-GB", "en"), ("de", "en"), ("", "en")]
)
def test_a_language_is_found_by_its_first_part(wanted: str, spoken: str) -> None:
    assert domain.locale_of(wanted) == spoken
