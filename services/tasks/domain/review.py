"""Submissions and their two reviews: an advisory score first, then a person's verdict."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import rfc8785

from libs.common.errors import Conflict, Forbidden, NotFound
from services.tasks.domain.progress import points_for
from services.tasks.domain.task import MAX_ATTEMPTS, Action, Outcome, Task, held_by, moved, release, require_lease, returned
from services.tasks.domain.values import MediaId, ReleaseReason, SubmissionId, SubmissionStatus, TaskType, UserId, Verdict
from services.tasks.events import SubmissionReviewed, SubmittedMedia, TaskSubmitted, TaskValidated

MEDIA_COUNT = (1, 10)
NOTES_LENGTH = 4_000
FEEDBACK_LENGTH = 4_000
SCORE_RANGE = (0, 100)
ADVISORY_TRIES = 3
"""After so many failures the advisory reviewer is passed over and a person decides without a score."""
ADVISORY_RETRY = timedelta(seconds=20)
MEDIA_RETRY_SECONDS = 1

UNDER_HUMAN_REVIEW = frozenset({SubmissionStatus.AI_APPROVED, SubmissionStatus.AI_FLAGGED})


class SubmissionNotFound(NotFound):
    """No submission has that id."""


class NotUnderReview(Conflict):
    """The submission does not wait for a person's verdict."""


class OwnWorkReviewed(Forbidden):
    """Nobody decides on their own work."""


class NoAttemptLeft(Conflict):
    """Every attempt at this task has been used."""


class MediaRejected(Conflict):
    """An upload was refused or has been deleted, so it cannot be delivered."""


class MediaNotConfirmed(Conflict):
    """An upload is not known to be ready and the caller's own. The same answer when it is someone else's."""

    def headers(self) -> dict[str, str]:
        """Retry-After in seconds."""
        return {"Retry-After": str(MEDIA_RETRY_SECONDS)}


@dataclass(frozen=True, slots=True)
class Media:
    """An uploaded object as the media service confirmed it."""

    id: MediaId
    owner_id: UserId
    ready: bool
    sha256: str
    mime: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Delivered work as one transaction sees it."""

    id: SubmissionId
    contributor_id: UserId
    status: SubmissionStatus
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What the advisory reviewer is shown. Everything in it is content to judge, never an instruction."""

    submission_id: SubmissionId
    task_type: TaskType
    title: str
    description: str
    notes: str
    media: tuple[Media, ...]


@dataclass(frozen=True, slots=True)
class Advice:
    """An opinion on a submission; `score` is 0 to 100, or none when the reviewer gave no usable answer."""

    score: int | None
    mock: bool

    def __post_init__(self) -> None:
        low, high = SCORE_RANGE
        if self.score is not None and not low <= self.score <= high:
            raise ValueError(f"a score lies between {low} and {high}")


class Reviewer(Protocol):
    """An outside opinion on delivered work. It advises; a person decides."""

    def review(self, material: Material) -> Advice:
        """Judge the material. Whatever it raises counts as no answer this time, and it is asked again later."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The task after a review, the submission's new status, and whether the contributor is barred from the task."""

    outcome: Outcome
    status: SubmissionStatus
    barred: bool = False


def content_sha256(media: Sequence[Media], notes: str) -> str:
    """SHA-256, in hexadecimal, of the canonical JSON (RFC 8785) of `{"media": [digests in order], "notes": notes}`."""
    return hashlib.sha256(rfc8785.dumps({"media": [item.sha256 for item in media], "notes": notes})).hexdigest()


def deliverable(wanted: Sequence[MediaId], known: Sequence[Media], contributor_id: UserId) -> tuple[Media, ...]:
    """The media to deliver, in the order asked for.

    Raises MediaNotConfirmed, MediaRejected.
    """
    own = {item.id: item for item in known if item.owner_id == contributor_id}
    missing = [str(media_id) for media_id in wanted if media_id not in own]
    if missing:
        raise MediaNotConfirmed(
            "These uploads are not confirmed yet: complete each upload, then send the submission again.", media_ids=missing
        )
    refused = [str(media_id) for media_id in wanted if not own[media_id].ready]
    if refused:
        raise MediaRejected(
            "These uploads were refused or deleted; upload the files again and submit the new ones.", media_ids=refused
        )
    return tuple(own[media_id] for media_id in wanted)


def submit(
    task: Task, submission_id: SubmissionId, media: Sequence[Media], notes: str, *, lease_sha256: str, now: datetime
) -> Outcome:
    """Deliver work under the current lease; the lease ends with it.

    Raises NotYourClaim, ClaimExpired, StaleLease, NoAttemptLeft.
    """
    contributor_id = held_by(task)
    require_lease(task, contributor_id, lease_sha256, now)
    if task.attempts >= MAX_ATTEMPTS:
        raise NoAttemptLeft("You have used every attempt at this task.")
    after = replace(task, status=moved(task, Action.SUBMIT), deadline=None, lease_sha256=None, attempts=task.attempts + 1)
    fact = TaskSubmitted(
        task_id=task.id,
        film_id=task.film_id,
        submission_id=submission_id,
        contributor_id=contributor_id,
        media=tuple(SubmittedMedia(media_id=item.id, sha256=item.sha256) for item in media),
        content_sha256=content_sha256(media, notes),
        attempt=after.attempts,
    )
    return Outcome(after, (fact,))


def advise(task: Task, submission: Submission, advice: Advice, threshold: int) -> Decision:
    """Take the advisory opinion and pass the work on to a person, whatever the opinion is.

    Raises TransitionRefused.
    """
    approved = advice.score is not None and advice.score >= threshold
    after = replace(task, status=moved(task, Action.ADVISE))
    fact = SubmissionReviewed(
        task_id=task.id,
        film_id=task.film_id,
        submission_id=submission.id,
        contributor_id=submission.contributor_id,
        stage="ADVISORY",
        verdict="APPROVE" if approved else "FLAG",
        score=advice.score,
        mock=advice.mock,
        attempts_left=MAX_ATTEMPTS - task.attempts,
    )
    return Decision(Outcome(after, (fact,)), SubmissionStatus.AI_APPROVED if approved else SubmissionStatus.AI_FLAGGED)


def require_reviewable(submission: Submission, reviewer_id: UserId) -> None:
    """Check that this person may decide on this submission now.

    Raises OwnWorkReviewed, NotUnderReview.
    """
    if reviewer_id == submission.contributor_id:
        raise OwnWorkReviewed("This is your own work; another administrator decides on it.")
    if submission.status is SubmissionStatus.PENDING_AI:
        raise NotUnderReview("The advisory review is not finished; try again in a moment.", submission_status=submission.status)
    if submission.status not in UNDER_HUMAN_REVIEW:
        raise NotUnderReview("This submission has been decided already.", submission_status=submission.status)


def approve(task: Task, submission: Submission, reviewer_id: UserId, lumens: int) -> Decision:
    """Accept the work: final and payable.

    Raises OwnWorkReviewed, NotUnderReview, TransitionRefused.
    """
    require_reviewable(submission, reviewer_id)
    validated = TaskValidated(
        task_id=task.id,
        film_id=task.film_id,
        submission_id=submission.id,
        contributor_id=submission.contributor_id,
        reviewer_id=reviewer_id,
        price=task.price,
        lumens=lumens,
        points=points_for(task.price),
        task_title=task.title,
        film_title=task.film_title,
    )
    after = replace(task, status=moved(task, Action.APPROVE))
    facts = (_reviewed_by_person(task, submission, Verdict.APPROVE), validated)
    return Decision(Outcome(after, facts), SubmissionStatus.HUMAN_APPROVED)


def reject(task: Task, submission: Submission, reviewer_id: UserId, *, lease_sha256: str, now: datetime) -> Decision:
    """Send the work back: to its contributor while attempts are left, else to everyone but them.

    Raises OwnWorkReviewed, NotUnderReview, TransitionRefused.
    """
    require_reviewable(submission, reviewer_id)
    exhausted = task.attempts >= MAX_ATTEMPTS
    if exhausted:
        passed_on = release(task, Action.EXHAUST, ReleaseReason.EXHAUSTED)
    else:
        passed_on = returned(task, lease_sha256=lease_sha256, now=now)
    facts = (_reviewed_by_person(task, submission, Verdict.REJECT), *passed_on.facts)
    return Decision(Outcome(passed_on.task, facts), SubmissionStatus.REJECTED, barred=exhausted)


def _reviewed_by_person(task: Task, submission: Submission, verdict: Verdict) -> SubmissionReviewed:
    return SubmissionReviewed(
        task_id=task.id,
        film_id=task.film_id,
        submission_id=submission.id,
        contributor_id=submission.contributor_id,
        stage="HUMAN",
        verdict=verdict,
        score=None,
        mock=False,
        attempts_left=MAX_ATTEMPTS - task.attempts,
    )
