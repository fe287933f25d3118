"""What people read: films, tasks, submissions and their own progress."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, ColumnElement, Integer, Row, Uuid, bindparam, func, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from libs.common.db import Reader
from services.tasks.domain.film import FilmNotFound, parse_film_id
from services.tasks.domain.review import SubmissionNotFound
from services.tasks.domain.task import ACTIVE, TaskNotFound
from services.tasks.domain.values import FilmId, SubmissionId, SubmissionStatus, TaskId, TaskStatus, UserId
from services.tasks.models import contributor, film, phase, submission, submission_media, task, task_dependency

_LIMIT = bindparam("limit", type_=Integer)
_AFTER = bindparam("after", type_=Uuid())


def _optional(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """A filter that holds for every row when its parameter is none."""
    parameter = bindparam(name, type_=column.type)
    return or_(parameter.is_(None), column == parameter)


_VISIBLE = or_(bindparam("every_film", type_=Boolean), film.c.is_public)
_FILMS = select(film).where(_VISIBLE, or_(_AFTER.is_(None), film.c.id < _AFTER)).order_by(film.c.id.desc()).limit(_LIMIT)
_FILM_BY_ID = select(film).where(film.c.id == bindparam("film_id"), _VISIBLE)
_FILM_BY_SLUG = select(film).where(film.c.slug == bindparam("slug"), _VISIBLE)

_PHASES = (
    select(
        phase,
        func.count(task.c.id).label("tasks"),
        func.count(task.c.id).filter(task.c.status == TaskStatus.VALIDATED).label("validated_tasks"),
    )
    .outerjoin(task, (task.c.phase_id == phase.c.id) & (task.c.status != TaskStatus.CANCELLED))
    .where(phase.c.film_id == bindparam("film_id"))
    .group_by(phase.c.id)
    .order_by(phase.c.position)
)

_DEPENDS_ON = (
    select(func.array_agg(aggregate_order_by(task_dependency.c.depends_on_id, task_dependency.c.depends_on_id)))
    .where(task_dependency.c.task_id == task.c.id)
    .scalar_subquery()
    .label("depends_on")
)
_TASK = (
    select(task, phase.c.name.label("phase"), film.c.title.label("film_title"), _DEPENDS_ON)
    .join(phase, phase.c.id == task.c.phase_id)
    .join(film, film.c.id == task.c.film_id)
)
_TASK_BY_ID = _TASK.where(task.c.id == bindparam("task_id"))
_TASKS_BY_IDS = _TASK.where(task.c.id.in_(bindparam("task_ids", expanding=True))).order_by(task.c.id)
_TASKS = (
    _TASK.where(
        _optional(task.c.status, "status"),
        _optional(task.c.type, "type"),
        _optional(task.c.film_id, "film_id"),
        _optional(task.c.claimant_id, "claimant_id"),
        or_(_AFTER.is_(None), task.c.id > _AFTER),
    )
    .order_by(task.c.id)
    .limit(_LIMIT)
)

_MEDIA = (
    select(
        func.jsonb_agg(
            aggregate_order_by(
                func.jsonb_build_object("media_id", submission_media.c.media_id, "sha256", submission_media.c.sha256),
                submission_media.c.position,
            )
        )
    )
    .where(submission_media.c.submission_id == submission.c.id)
    .scalar_subquery()
    .label("media")
)
_SUBMISSION = (
    select(submission, task.c.title.label("task_title"), task.c.film_id, film.c.title.label("film_title"), _MEDIA)
    .join(task, task.c.id == submission.c.task_id)
    .join(film, film.c.id == task.c.film_id)
)
_SUBMISSION_BY_ID = _SUBMISSION.where(submission.c.id == bindparam("submission_id"))
_SUBMISSIONS = (
    _SUBMISSION.where(
        _optional(submission.c.status, "status"),
        _optional(submission.c.task_id, "task_id"),
        _optional(submission.c.contributor_id, "contributor_id"),
        or_(_AFTER.is_(None), submission.c.id > _AFTER),
    )
    .order_by(submission.c.id)
    .limit(_LIMIT)
)

_CONTRIBUTOR = select(contributor).where(contributor.c.id == bindparam("contributor_id"))
_HELD = select(
    func.count().filter(task.c.status == TaskStatus.CLAIMED).label("claimed"),
    func.count().filter(task.c.status.in_(ACTIVE - {TaskStatus.CLAIMED})).label("under_review"),
    func.count().filter(task.c.status == TaskStatus.VALIDATED).label("validated"),
).where(task.c.claimant_id == bindparam("contributor_id"))
_SUBMITTED = select(
    func.count().label("submitted"), func.count().filter(submission.c.status == SubmissionStatus.REJECTED).label("rejected")
).where(submission.c.contributor_id == bindparam("contributor_id"))

_BY_STATUS = select(task.c.status, func.count().label("tasks")).group_by(task.c.status)


def tasks_by_status(db: Reader) -> dict[str, int]:
    """How many tasks of all films stand where."""
    return {row.status: row.tasks for row in db.all(_BY_STATUS)}


def films(db: Reader, *, every_film: bool, after: UUID | None, limit: int) -> list[Row[Any]]:
    """Films, newest first; one more than `limit`. Those not public only when `every_film`."""
    return db.all(_FILMS, {"every_film": every_film, "after": after, "limit": limit + 1})


def film_by_reference(db: Reader, reference: str, *, every_film: bool) -> Row[Any]:
    """The film with this id or slug.

    Raises FilmNotFound.
    """
    film_id = parse_film_id(reference)
    if film_id is None:
        row = db.first(_FILM_BY_SLUG, {"slug": reference, "every_film": every_film})
    else:
        row = db.first(_FILM_BY_ID, {"film_id": film_id, "every_film": every_film})
    if row is None:
        raise FilmNotFound("There is no such film.")
    return row


def phases(db: Reader, film_id: FilmId) -> list[Row[Any]]:
    """The ten phases of a film in order, with how much of their work is done."""
    return db.all(_PHASES, {"film_id": film_id})


def tasks(db: Reader, filters: Mapping[str, object], *, after: UUID | None, limit: int) -> list[Row[Any]]:
    """Tasks in the order they were planned; one more than `limit`. A filter that is none lets everything pass."""
    return db.all(_TASKS, {**filters, "after": after, "limit": limit + 1})


def task_by_id(db: Reader, task_id: TaskId) -> Row[Any]:
    """One task.

    Raises TaskNotFound.
    """
    row = db.first(_TASK_BY_ID, {"task_id": task_id})
    if row is None:
        raise TaskNotFound("There is no such task.")
    return row


def tasks_by_ids(db: Reader, task_ids: list[TaskId]) -> list[Row[Any]]:
    """These tasks, in the order they were planned."""
    return db.all(_TASKS_BY_IDS, {"task_ids": task_ids})


def submission_by_id(db: Reader, submission_id: SubmissionId) -> Row[Any]:
    """One submission with what was delivered.

    Raises SubmissionNotFound.
    """
    row = db.first(_SUBMISSION_BY_ID, {"submission_id": submission_id})
    if row is None:
        raise SubmissionNotFound("There is no such submission.")
    return row


def submissions(db: Reader, filters: Mapping[str, object], *, after: UUID | None, limit: int) -> list[Row[Any]]:
    """Submissions, the oldest first; one more than `limit`. A filter that is absent lets everything pass."""
    every = dict.fromkeys(("status", "task_id", "contributor_id"))
    return db.all(_SUBMISSIONS, {**every, **filters, "after": after, "limit": limit + 1})


def progress(db: Reader, contributor_id: UserId) -> Mapping[str, Any]:
    """Points, level and counts of one person; nothing of the standing when they have not earned one."""
    parameters = {"contributor_id": contributor_id}
    standing = db.first(_CONTRIBUTOR, parameters)
    earned = {"points": standing.points, "level": standing.level} if standing else {}
    return {**earned, **db.one(_HELD, parameters)._asdict(), **db.one(_SUBMITTED, parameters)._asdict()}
