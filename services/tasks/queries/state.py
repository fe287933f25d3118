"""What the verbs of production decide on."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, exists, func, select
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from libs.common.db import Reader, Transaction
from libs.common.money import Currency, Money
from services.tasks.domain.film import SETTLED, FilmNotFound, PhaseNotFound
from services.tasks.domain.planning import Planned
from services.tasks.domain.review import Material, Media, Submission, SubmissionNotFound
from services.tasks.domain.task import ACTIVE, Task, TaskNotFound
from services.tasks.domain.values import (
    Difficulty,
    FilmId,
    Level,
    MediaId,
    Phase,
    PhaseStatus,
    SubmissionId,
    SubmissionStatus,
    TaskId,
    TaskStatus,
    TaskType,
    UserId,
)
from services.tasks.models import (
    barred_contributor,
    contributor,
    film,
    media,
    phase,
    submission,
    submission_media,
    task,
    task_dependency,
)

_LOCK_CONTRIBUTOR = select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("contributor"), 0)))
_LOCK_FILM = select(film.c.id, film.c.title).where(film.c.id == bindparam("film_id")).with_for_update()
_PHASES = select(phase).where(phase.c.film_id == bindparam("film_id")).order_by(phase.c.position)

_TASK = select(task, phase.c.name.label("phase"), film.c.title.label("film_title")).join(phase, phase.c.id == task.c.phase_id)
_TASK = _TASK.join(film, film.c.id == task.c.film_id)
_TASK_BY_ID = _TASK.where(task.c.id == bindparam("task_id"))
_EXPIRED = _TASK.where(task.c.status == TaskStatus.CLAIMED, task.c.deadline < bindparam("now")).order_by(task.c.deadline)
_EXPIRED = _EXPIRED.limit(bindparam("limit")).with_for_update(of=task, skip_locked=True)

_other = task.alias("other")
_WAITS = exists(
    select(1)
    .select_from(task_dependency.join(_other, _other.c.id == task_dependency.c.depends_on_id))
    .where(task_dependency.c.task_id == task.c.id, _other.c.status.not_in(SETTLED))
)
_READY = _TASK.where(
    task.c.film_id == bindparam("film_id"), task.c.status == TaskStatus.LOCKED, phase.c.status == PhaseStatus.ACTIVE, ~_WAITS
).order_by(task.c.id)

_PHASE_TASKS = select(task.c.status).where(task.c.phase_id == bindparam("phase_id")).distinct()
_PLANNED = select(task.c.id, task.c.reference, task.c.title, phase.c.name).join(phase, phase.c.id == task.c.phase_id)
_PLANNED = _PLANNED.where(task.c.film_id == bindparam("film_id"))

_ACTIVE_COUNT = select(func.count()).where(task.c.claimant_id == bindparam("contributor_id"), task.c.status.in_(ACTIVE))
_BARRED = select(
    exists().where(
        barred_contributor.c.task_id == bindparam("task_id"), barred_contributor.c.contributor_id == bindparam("contributor_id")
    )
)
_ATTEMPTS = select(func.count()).where(
    submission.c.task_id == bindparam("task_id"), submission.c.contributor_id == bindparam("contributor_id")
)
_CONTRIBUTOR = select(contributor).where(contributor.c.id == bindparam("contributor_id"))
_CONTRIBUTOR_LOCKED = _CONTRIBUTOR.with_for_update()

_MEDIA = select(media).where(media.c.id == func.any(bindparam("media_ids", type_=ARRAY(UUID(as_uuid=True)))))
_SUBMISSION_MEDIA = select(media).join(submission_media, submission_media.c.media_id == media.c.id)
_SUBMISSION_MEDIA = _SUBMISSION_MEDIA.where(submission_media.c.submission_id == bindparam("submission_id"))
_SUBMISSION_MEDIA = _SUBMISSION_MEDIA.order_by(submission_media.c.position)

_SUBMISSION_BY_ID = select(submission).where(submission.c.id == bindparam("submission_id"))
_MATERIAL = select(submission.c.notes, submission.c.advisory_tries, task.c.type, task.c.title, task.c.description)
_MATERIAL = _MATERIAL.join(task, task.c.id == submission.c.task_id).where(submission.c.id == bindparam("submission_id"))
_DUE_FOR_ADVICE = (
    select(submission.c.id)
    .where(submission.c.status == SubmissionStatus.PENDING_AI, submission.c.advisory_due_at <= bindparam("now"))
    .order_by(submission.c.advisory_due_at)
    .limit(bindparam("limit"))
)


def lock_contributor(tx: Transaction, contributor_id: UserId) -> None:
    """Make this person's claims happen one after the other, whichever replica serves them."""
    tx.execute(_LOCK_CONTRIBUTOR, {"contributor": f"tasks.contributor.{contributor_id}"})


def lock_film(tx: Transaction, film_id: FilmId) -> Row[Any]:
    """The film, with its schedule held: plans, verdicts and unlocks of one film follow each other.

    Raises FilmNotFound.
    """
    row = tx.first(_LOCK_FILM, {"film_id": film_id})
    if row is None:
        raise FilmNotFound("There is no such film.")
    return row


def phases(db: Reader, film_id: FilmId) -> list[Row[Any]]:
    """The ten phases of a film in order; none when there is no such film."""
    return db.all(_PHASES, {"film_id": film_id})


def phase_named(rows: Sequence[Row[Any]], name: str) -> Row[Any]:
    """The phase of that name among the phases of a film.

    Raises PhaseNotFound.
    """
    for row in rows:
        if row.name == name:
            return row
    raise PhaseNotFound(f"A film has the phases {', '.join(Phase)}.")


def task_by_id(db: Reader, task_id: TaskId) -> Task:
    """A task as it stands.

    Raises TaskNotFound.
    """
    row = db.first(_TASK_BY_ID, {"task_id": task_id})
    if row is None:
        raise TaskNotFound("There is no such task.")
    return _task(row)


def expired_claims(tx: Transaction, now: datetime, limit: int) -> list[Task]:
    """Claimed tasks past their deadline, locked; those that someone is moving right now are left out."""
    return [_task(row) for row in tx.all(_EXPIRED, {"now": now, "limit": limit})]


def ready_to_open(tx: Transaction, film_id: FilmId) -> list[Task]:
    """Locked tasks in active phases that wait for nothing."""
    return [_task(row) for row in tx.all(_READY, {"film_id": film_id})]


def task_statuses(tx: Transaction, phase_id: object) -> list[TaskStatus]:
    """The statuses that occur among the tasks of a phase."""
    return [TaskStatus(row.status) for row in tx.all(_PHASE_TASKS, {"phase_id": phase_id})]


def planned_tasks(tx: Transaction, film_id: FilmId) -> list[Planned]:
    """What a new plan may refer to."""
    return [
        Planned(TaskId(row.id), row.reference, row.title, Phase(row.name)) for row in tx.all(_PLANNED, {"film_id": film_id})
    ]


def active_count(tx: Transaction, contributor_id: UserId) -> int:
    """How many tasks this person works on."""
    return int(tx.scalar(_ACTIVE_COUNT, {"contributor_id": contributor_id}))


def is_barred(tx: Transaction, task_id: TaskId, contributor_id: UserId) -> bool:
    """Whether this person has used every attempt at this task."""
    return bool(tx.scalar(_BARRED, {"task_id": task_id, "contributor_id": contributor_id}))


def attempts(tx: Transaction, task_id: TaskId, contributor_id: UserId) -> int:
    """How often this person has submitted work for this task."""
    return int(tx.scalar(_ATTEMPTS, {"task_id": task_id, "contributor_id": contributor_id}))


def level_of(tx: Transaction, contributor_id: UserId) -> Level:
    """This person's level; everyone begins as a rookie."""
    row = tx.first(_CONTRIBUTOR, {"contributor_id": contributor_id})
    return Level(row.level) if row else Level.ROOKIE


def contributor_locked(tx: Transaction, contributor_id: UserId) -> Row[Any]:
    """The standing of a contributor who has one, held until the end of the transaction."""
    return tx.one(_CONTRIBUTOR_LOCKED, {"contributor_id": contributor_id})


def media_by_ids(tx: Transaction, media_ids: Sequence[MediaId]) -> list[Media]:
    """What is known of these uploads."""
    return [_media(row) for row in tx.all(_MEDIA, {"media_ids": list(media_ids)})]


def submission_by_id(tx: Transaction, submission_id: SubmissionId) -> tuple[Submission, TaskId]:
    """A submission and its task.

    Raises SubmissionNotFound.
    """
    row = tx.first(_SUBMISSION_BY_ID, {"submission_id": submission_id})
    if row is None:
        raise SubmissionNotFound("There is no such submission.")
    return _submission(row), TaskId(row.task_id)


def due_for_advice(tx: Transaction, limit: int) -> list[SubmissionId]:
    """Submissions that wait for the advisory reviewer, the longest waiting first."""
    return [SubmissionId(row.id) for row in tx.all(_DUE_FOR_ADVICE, {"now": tx.now, "limit": limit})]


def material(tx: Transaction, submission_id: SubmissionId) -> Material:
    """What the advisory reviewer is shown of a submission."""
    row = tx.one(_MATERIAL, {"submission_id": submission_id})
    delivered = tuple(_media(each) for each in tx.all(_SUBMISSION_MEDIA, {"submission_id": submission_id}))
    return Material(
        submission_id=submission_id,
        task_type=TaskType(row.type),
        title=row.title,
        description=row.description,
        notes=row.notes,
        media=delivered,
    )


def advisory_tries(tx: Transaction, submission_id: SubmissionId) -> int:
    """How often the advisory reviewer has failed on this submission."""
    return int(tx.one(_MATERIAL, {"submission_id": submission_id}).advisory_tries)


def money(row: Row[Any], name: str) -> Money:
    """The money in the two columns of that name."""
    return Money(amount=getattr(row, f"{name}_amount"), currency=Currency(getattr(row, f"{name}_currency")))


def _task(row: Row[Any]) -> Task:
    return Task(
        id=TaskId(row.id),
        film_id=FilmId(row.film_id),
        film_title=row.film_title,
        phase=Phase(row.phase),
        title=row.title,
        type=TaskType(row.type),
        difficulty=Difficulty(row.difficulty),
        price=money(row, "price"),
        required_level=Level(row.required_level),
        status=TaskStatus(row.status),
        version=row.version,
        claimant_id=UserId(row.claimant_id) if row.claimant_id else None,
        deadline=row.deadline,
        lease_sha256=row.lease_sha256,
        attempts=row.attempts,
    )


def _submission(row: Row[Any]) -> Submission:
    status = SubmissionStatus(row.status)
    return Submission(id=SubmissionId(row.id), contributor_id=UserId(row.contributor_id), status=status, version=row.version)


def _media(row: Row[Any]) -> Media:
    return Media(MediaId(row.id), UserId(row.owner_id), row.ready, row.sha256 or "", row.mime or "", row.size or 0)
