"""A contributor's work on a task: claim it, give it back, hand it in."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert

from libs.common.auth.policy import Role
from libs.common.db import Transaction
from libs.common.ids import new_id, random_token
from services.tasks.domain import review
from services.tasks.domain import task as tasks
from services.tasks.domain.rules import Rules
from services.tasks.domain.task import MAX_ATTEMPTS, Claimant, Task
from services.tasks.domain.values import MediaId, SubmissionId, SubmissionStatus, TaskId, TaskStatus, UserId
from services.tasks.models import submission, submission_media
from services.tasks.queries import state
from services.tasks.use_cases.storing import store_task

EXPIRY_BATCH = 200
ADVISORY_CHANNEL = "advisory_review"
"""Wakes the job that asks the advisory reviewer."""

_INSERT_SUBMISSION = insert(submission)
_INSERT_SUBMISSION_MEDIA = insert(submission_media)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to hand in work for a task. The token is told once; only its digest is kept."""

    task_id: TaskId
    token: str
    deadline: datetime
    attempts_left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What a contributor hands in."""

    lease_token: str
    media_ids: tuple[MediaId, ...]
    notes: str


def claim_task(tx: Transaction, task_id: TaskId, contributor_id: UserId, roles: frozenset[Role], rules: Rules) -> Lease:
    """Take an open task for 48 hours. The person who holds it already gets a new token with the same deadline.

    A claim whose deadline has passed bars nobody, even before the job has come round to release it.

    Raises TaskNotFound, TransitionRefused, RoleNotPermitted, LevelTooLow, ContributorBarred, TooManyActiveTasks,
    ChangedMeanwhile.
    """
    state.lock_contributor(tx, contributor_id)
    before = _released_when_due(tx, state.task_by_id(tx, task_id))
    token = random_token()
    digest = lease_digest(token)
    if before.status is TaskStatus.CLAIMED and before.claimant_id == contributor_id:
        outcome = tasks.reissue_lease(before, contributor_id, lease_sha256=digest, now=tx.now)
    else:
        claimant = _claimant(tx, before, contributor_id, roles)
        outcome = tasks.claim(before, claimant, lease_sha256=digest, now=tx.now, max_active=rules.max_active_tasks)
    store_task(tx, before, outcome)
    after = outcome.task
    return Lease(task_id=task_id, token=token, deadline=after.deadline or tx.now, attempts_left=MAX_ATTEMPTS - after.attempts)


def abandon_task(tx: Transaction, task_id: TaskId, contributor_id: UserId) -> None:
    """Give a claimed task back.

    Raises TaskNotFound, NotYourClaim, ChangedMeanwhile.
    """
    before = state.task_by_id(tx, task_id)
    store_task(tx, before, tasks.abandon(before, contributor_id))


def submit_work(tx: Transaction, task_id: TaskId, contributor_id: UserId, delivery: Delivery) -> SubmissionId:
    """Hand in work under the current lease; it goes to the advisory reviewer at once.

    Raises TaskNotFound, NotYourClaim, ClaimExpired, StaleLease, NoAttemptLeft, MediaNotConfirmed, MediaRejected,
    ChangedMeanwhile.
    """
    before = state.task_by_id(tx, task_id)
    digest = lease_digest(delivery.lease_token)
    tasks.require_lease(before, contributor_id, digest, tx.now)
    media = review.deliverable(delivery.media_ids, state.media_by_ids(tx, delivery.media_ids), contributor_id)
    submission_id = SubmissionId(new_id())
    outcome = review.submit(before, submission_id, media, delivery.notes, lease_sha256=digest, now=tx.now)
    store_task(tx, before, outcome)
    tx.execute(_INSERT_SUBMISSION, _submission_row(tx, submission_id, outcome.task, media, delivery.notes))
    rows = [
        {"submission_id": submission_id, "position": position, "media_id": item.id, "sha256": item.sha256}
        for position, item in enumerate(media)
    ]
    tx.execute(_INSERT_SUBMISSION_MEDIA, rows)
    tx.notify(ADVISORY_CHANNEL)
    return submission_id


def release_expired_claims(tx: Transaction) -> int:
    """Take back tasks whose deadline has passed; returns how many."""
    due = state.expired_claims(tx, tx.now, EXPIRY_BATCH)
    for before in due:
        _released_when_due(tx, before)
    return len(due)


def lease_digest(token: str) -> str:
    """What is kept of a lease token: SHA-256, in hexadecimal. The token is 256 random bits, so no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def _released_when_due(tx: Transaction, before: Task) -> Task:
    """The task as it stands once a deadline that has passed has had its effect."""
    outcome = tasks.expire(before, tx.now)
    return before if outcome is None else store_task(tx, before, outcome)


def _claimant(tx: Transaction, task: Task, contributor_id: UserId, roles: frozenset[Role]) -> Claimant:
    return Claimant(
        id=contributor_id,
        roles=roles,
        level=state.level_of(tx, contributor_id),
        active=state.active_count(tx, contributor_id),
        attempts=state.attempts(tx, task.id, contributor_id),
        barred=state.is_barred(tx, task.id, contributor_id),
    )


def _submission_row(
    tx: Transaction, submission_id: SubmissionId, task: Task, media: Sequence[review.Media], notes: str
) -> dict[str, object]:
    return {
        "id": submission_id,
        "task_id": task.id,
        "contributor_id": task.claimant_id,
        "attempt": task.attempts,
        "notes": notes,
        "content_sha256": review.content_sha256(media, notes),
        "status": SubmissionStatus.PENDING_AI,
        "advisory_tries": 0,
        "advisory_due_at": tx.now,
        "created_at": tx.now,
        "version": 1,
    }
