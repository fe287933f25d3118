"""The published language: one golden file for each event, and none missing."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from libs.common.events import Event
from libs.common.money import Currency, Money
from libs.common.testing import check_golden
from services.tasks import events
from services.tasks.app import service

GOLDEN = Path(__file__).parent / "golden"
MOMENT = datetime(2030, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def an_id(number: int) -> UUID:
    return UUID(int=(0x0198_0000_0000_7000_8000 << 48) + number)


FILM, PHASE, TASK, SUBMISSION, CONTRIBUTOR, REVIEWER, MEDIA, AUDIT = (an_id(number) for number in range(1, 9))
PRICE = Money(amount=5_000, currency=Currency.EUR)
SAMPLES: list[Event] = [
    events.FilmCreated(
        film_id=FILM,
        title="Le Voyage dans la Lune",
        slug="le-voyage-dans-la-lune",
        genre="SCIENCE_FICTION",
        catalogue="LUMIERE",
        origin="ADMIN",
        source_id=None,
        budget=Money(amount=3_000_000, currency=Currency.EUR),
        created_by=REVIEWER,
    ),
    events.FilmCompleted(film_id=FILM, title="Le Voyage dans la Lune"),
    events.PhaseUnlocked(phase_id=PHASE, film_id=FILM, phase="STORYBOARD", position=2),
    events.PhaseCompleted(phase_id=PHASE, film_id=FILM, phase="SCRIPT", position=1, progress_percent=10),
    events.TaskCreated(task_id=TASK, film_id=FILM, phase="SCRIPT", type="IMAGE_GEN", difficulty="EASY", price=PRICE),
    events.TaskOpened(task_id=TASK, film_id=FILM),
    events.TaskClaimed(task_id=TASK, film_id=FILM, contributor_id=CONTRIBUTOR, deadline=MOMENT),
    events.TaskReleased(task_id=TASK, film_id=FILM, contributor_id=CONTRIBUTOR, reason="EXPIRED"),
    events.TaskSubmitted(
        task_id=TASK,
        film_id=FILM,
        submission_id=SUBMISSION,
        contributor_id=CONTRIBUTOR,
        media=(events.SubmittedMedia(media_id=MEDIA, sha256="ab" * 32),),
        content_sha256="cd" * 32,
        attempt=1,
    ),
    events.SubmissionReviewed(
        task_id=TASK,
        film_id=FILM,
        submission_id=SUBMISSION,
        contributor_id=CONTRIBUTOR,
        stage="ADVISORY",
        verdict="FLAG",
        score=69,
        mock=True,
        attempts_left=2,
    ),
    events.TaskValidated(
        task_id=TASK,
        film_id=FILM,
        submission_id=SUBMISSION,
        contributor_id=CONTRIBUTOR,
        reviewer_id=REVIEWER,
        price=PRICE,
        lumens=10,
        points=50,
        task_title="Draw the shell in the Moon's eye",
        film_title="Le Voyage dans la Lune",
    ),
    events.TaskCancelled(task_id=TASK, film_id=FILM),
    events.AuditRecorded(
        audit_id=AUDIT,
        actor_id=REVIEWER,
        roles="ADMIN",
        action="film.create",
        entity="film",
        entity_id=str(FILM),
        outcome="done",
        details_sha256="ef" * 32,
        occurred_at=MOMENT,
    ),
]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_an_event_is_as_its_golden_file_says(sample: Event) -> None:
    check_golden(sample, GOLDEN)


def test_every_event_has_a_sample_and_a_golden_file() -> None:
    assert {type(sample) for sample in SAMPLES} == set(service.declared_events)
    assert {path.name for path in GOLDEN.glob("*.json")} == {
        f"{each.event_type}.v{each.event_version}.json" for each in service.declared_events
    }
