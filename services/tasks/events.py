"""The published language of production: frozen, past tense, additive only, one golden file each."""

from datetime import datetime
from uuid import UUID

from libs.common.events import Event, EventPart
from libs.common.events.audited import AuditEvent
from libs.common.money import Money


class FilmCreated(Event, type="tasks.film.created", version=1, aggregate="film_id"):
    """A film was planned with its ten phases; the first of them is open."""

    film_id: UUID
    title: str
    slug: str
    genre: str
    catalogue: str
    origin: str
    """Where the film came from: ADMIN, SCENARIO or SCREENPLAY."""
    source_id: UUID | None
    """The scenario or screenplay it came from; none for ADMIN."""
    budget: Money
    created_by: UUID


class FilmCompleted(Event, type="tasks.film.completed", version=1, aggregate="film_id"):
    """All ten phases of a film are complete."""

    film_id: UUID
    title: str


class PhaseUnlocked(Event, type="tasks.phase.unlocked", version=1, aggregate="phase_id"):
    """A phase opened: its tasks may be worked on."""

    phase_id: UUID
    film_id: UUID
    phase: str
    position: int


class PhaseCompleted(Event, type="tasks.phase.completed", version=1, aggregate="phase_id"):
    """Every task of a phase is validated."""

    phase_id: UUID
    film_id: UUID
    phase: str
    position: int
    progress_percent: int
    """Completed phases of the film in whole percent."""


class TaskCreated(Event, type="tasks.task.created", version=1, aggregate="task_id"):
    """A micro-task was planned; it opens when its phase is active and what it depends on is validated."""

    task_id: UUID
    film_id: UUID
    phase: str
    type: str
    difficulty: str
    price: Money


class TaskOpened(Event, type="tasks.task.opened", version=1, aggregate="task_id"):
    """A task may be claimed for the first time."""

    task_id: UUID
    film_id: UUID


class TaskClaimed(Event, type="tasks.task.claimed", version=1, aggregate="task_id"):
    """A contributor holds the only lease on a task until the deadline."""

    task_id: UUID
    film_id: UUID
    contributor_id: UUID
    deadline: datetime


class TaskReleased(Event, type="tasks.task.released", version=1, aggregate="task_id"):
    """A contributor no longer holds a task, and others may claim it."""

    task_id: UUID
    film_id: UUID
    contributor_id: UUID
    reason: str
    """ABANDONED, EXPIRED, REASSIGNED or EXHAUSTED (no attempt left)."""


class SubmittedMedia(EventPart):
    """One delivered object and the SHA-256 of its bytes in hexadecimal."""

    media_id: UUID
    sha256: str


class TaskSubmitted(Event, type="tasks.task.submitted", version=1, aggregate="task_id"):
    """A contributor delivered work for review."""

    task_id: UUID
    film_id: UUID
    submission_id: UUID
    contributor_id: UUID
    media: tuple[SubmittedMedia, ...]
    content_sha256: str
    """SHA-256, in hexadecimal, of the canonical JSON (RFC 8785) of the media digests and the notes."""
    attempt: int


class SubmissionReviewed(Event, type="tasks.task.reviewed", version=1, aggregate="task_id"):
    """A submission was judged, by the advisory reviewer or by an administrator."""

    task_id: UUID
    film_id: UUID
    submission_id: UUID
    contributor_id: UUID
    stage: str
    """ADVISORY or HUMAN."""
    verdict: str
    """APPROVE or FLAG when advisory, APPROVE or REJECT when human."""
    score: int | None
    """0 to 100; none for a person's verdict, or when the advisory reviewer gave no usable answer."""
    mock: bool
    attempts_left: int


class TaskValidated(Event, type="tasks.task.validated", version=1, aggregate="task_id"):
    """An administrator accepted a submission: the work is final and payable."""

    task_id: UUID
    film_id: UUID
    submission_id: UUID
    contributor_id: UUID
    reviewer_id: UUID
    price: Money
    lumens: int
    points: int
    task_title: str
    film_title: str


class TaskCancelled(Event, type="tasks.task.cancelled", version=1, aggregate="task_id"):
    """An administrator dropped a task that nobody had claimed; nothing waits for it any more."""

    task_id: UUID
    film_id: UUID


class AuditRecorded(AuditEvent, type="tasks.audit.recorded", version=1, aggregate="audit_id"):
    """An administrative act in film production."""
