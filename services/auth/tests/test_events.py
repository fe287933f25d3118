"""The published facts keep their shape."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from libs.common.events import Event, Personal
from libs.common.testing import check_golden
from services.auth import events
from services.auth.app import service

GOLDEN = Path(__file__).parent / "golden"
USER = UUID("0197f3a2-0000-7000-8000-000000000001")
OTHER = UUID("0197f3a2-0000-7000-8000-000000000002")
INSTANT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

EXAMPLES: tuple[Event, ...] = (
    events.UserRegistered(
        user_id=USER,
        email=Personal.of("ada@example.org", about=USER),
        display_name=Personal.of("Ada Lovelace", about=USER),
        role="CONTRIBUTOR",
        locale="fr",
    ),
    events.UserVerified(user_id=USER),
    events.UserUpdated(user_id=USER, display_name=Personal.of("Ada King", about=USER), locale=None),
    events.KycUpdated(user_id=USER, status="VERIFIED", accredited=True, expires_at=INSTANT),
    events.UserRoleChanged(user_id=USER, old_role="CONTRIBUTOR", new_role="ARTIST", changed_by=OTHER),
    events.UserStatusChanged(user_id=USER, old_status="ACTIVE", new_status="SUSPENDED", changed_by=OTHER),
    events.SessionRevoked(user_id=USER, session_id=None, not_before=INSTANT, expires_at=INSTANT, reason="LOGOUT"),
    events.EmailRequested(
        email_id=OTHER,
        user_id=USER,
        recipient=Personal.of("ada@example.org", about=USER),
        template="VERIFY_EMAIL",
        variables=Personal.of({"display_name": "Ada Lovelace", "link": "https://lumiere.film/verify-email"}, about=USER),
        locale="fr",
        expires_at=INSTANT,
    ),
    events.KeyChanged(key_id="a-thumbprint", action="ACTIVATED"),
    events.MaintenanceChanged(
        scope="platform", enabled=True, reason="The database moves.", changed_by=OTHER, changed_at=INSTANT, revision=1
    ),
    events.AuditRecorded(
        audit_id=OTHER,
        actor_id=USER,
        roles="ADMIN",
        action="user.change_standing",
        entity="user",
        entity_id=str(OTHER),
        outcome="done",
        details_sha256="00" * 32,
        occurred_at=INSTANT,
    ),
)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: type(each).event_type)
def test_an_event_keeps_its_shape(example: Event) -> None:
    check_golden(example, GOLDEN)


def test_every_published_event_has_an_example() -> None:
    assert {type(each) for each in EXAMPLES} == set(service.declared_events)
