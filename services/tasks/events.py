"""The published language of production: frozen, past tense, additive only, one golden file each."""

from datetime import datetime
from uuid import UUID

from libs.common.events import Event, EventPart
from libs.common.events.audited import AuditEvent
from libs.common.money import Money


class FilmCreated(Event, type="tasks.film.created", version=1, aggregate="film_id"):
    """A film was planned with its ten phases; the first of them is open."""

    film_id: UUID
    """The film."""
    title: str
    """The film's title."""
    slug: str
    """The film's name in addresses."""
    genre: str
    """The film's genre."""
    catalogue: str
    """The catalogue that the film belongs to."""
    origin: str
    """Where the film came from: ADMIN, SCENARIO or SCREENPLAY."""
    source_id: UUID | None
    """The scenario or screenplay it came from; none for ADMIN."""
    budget: Money
    """What the film may cost."""
    created_by: UUID
    """The user who planned it."""


class FilmCompleted(Event, type="tasks.film.completed", version=1, aggregate="film_id"):
    """All ten phases of a film are complete."""

    film_id: UUID
    """The film."""
    title: str
    """The film's title."""


class PhaseUnlocked(Event, type="tasks.phase.unlocked", version=1, aggregate="phase_id"):
    """A phase opened: its tasks may be worked on."""

    phase_id: UUID
    """The phase."""
    film_id: UUID
    """The film."""
    phase: str
    """The phase's name, from SCRIPT to FINAL."""
    position: int
    """1 for the first phase, 10 for the last."""


class PhaseCompleted(Event, type="tasks.phase.completed", version=1, aggregate="phase_id"):
    """Every task of a phase is validated."""

    phase_id: UUID
    """The phase."""
    film_id: UUID
    """The film."""
    phase: str
    """The phase's name, from SCRIPT to FINAL."""
    position: int
    """1 for the first phase, 10 for the last."""
    progress_percent: int
    """Completed phases of the film in whole percent."""


class TaskCreated(Event, type="tasks.task.created", version=1, aggregate="task_id"):
    """A micro-task was planned; it opens when its phase is active and what it depends on is validated."""

    task_id: UUID
    """The task."""
    film_id: UUID
    """The film."""
    phase: str
    """The phase that the task belongs to."""
    type: str
    """The kind of work."""
    difficulty: str
    """How hard the task is."""
    price: Money
    """What the task pays."""


class TaskOpened(Event, type="tasks.task.opened", version=1, aggregate="task_id"):
    """A task may be claimed for the first time."""

    task_id: UUID
    """The task."""
    film_id: UUID
    """The film."""


class TaskClaimed(Event, type="tasks.task.claimed", version=1, aggregate="task_id"):
    """A contributor holds the only lease on a task until the deadline."""

    task_id: UUID
    """The task."""
    film_id: UUID
    """The film."""
    contributor_id: UUID
    """The user who holds or held the claim."""
    deadline: datetime
    """When the claim ends unless work is handed in."""


class TaskReleased(Event, type="tasks.task.released", version=1, aggregate="task_id"):
    """A contributor no longer holds a task, and others may claim it."""

    task_id: UUID
    """The task."""
    film_id: UUID
    """The film."""
    contributor_id: UUID
    """The user who holds or held the claim."""
    reason: str
    """ABANDONED, EXPIRED, REASSIGNED or EXHAUSTED (no attempt left)."""


class SubmittedMedia(EventPart):
    """One delivered object and the SHA-256 of its bytes in hexadecimal."""

    media_id: UUID
    """The file."""
    sha256: str
    """Of the file's bytes, 64 lower-case hexadecimal digits."""


class TaskSubmitted(Event, type="tasks.task.submitted", version=1, aggregate="task_id"):
    """A contributor delivered work for review."""

    task_id: UUID
    """The task."""
    film_id: UUID
    """The film."""
    submission_id: UUID
    """The submission."""
    contributor_id: UUID
    """The user who holds or held the claim."""
    media: tuple[SubmittedMedia, ...]
    """The delivered files, in the order in which they were handed in."""
    content_sha256: str
    """SHA-256, in hexadecimal, of the canonical JSON (RFC 8785) of the media digests and the notes."""
    attempt: int
    """1 for the first submission of this claim, then 2 and so on."""


class SubmissionReviewed(Event, type="tasks.task.reviewed", version=1, aggregate="task_id"):
    """A submission was judged, by the advisory reviewer or by an administrator."""

    task_id: UUID
    """The task."""
    film_id: UUID
    """The film."""
    submission_id: UUID
    """The submission."""
    contributor_id: UUID
    """The user who holds or held the claim."""
    stage: str
    """ADVISORY or HUMAN."""
    verdict: str
    """APPROVE or FLAG when advisory, APPROVE or REJECT when human."""
    score: int | None
    """0 to 100; none for a person's verdict, or when the advisory reviewer gave no usable answer."""
    mock: bool
    """Whether a stand-in judged instead of the advisory reviewer."""
    attempts_left: int
    """How many more submissions this claim permits."""


class TaskValidated(Event, type="tasks.task.validated", version=1, aggregate="task_id"):
    """An administrator accepted a submission: the work is final and payable."""

    task_id: UUID
    """The task."""
    film_id: UUID
    """The film."""
    submission_id: UUID
    """The submission."""
    contributor_id: UUID
    """The user who holds or held the claim."""
    reviewer_id: UUID
    """The administrator who decided."""
    price: Money
    """What the task pays."""
    lumens: int
    """Whole Lumens that the contributor is rewarded with."""
    points: int
    """Points for the contributor's standing."""
    task_title: str
    """The task's title then."""
    film_title: str
    """The film's title then."""


class TaskCancelled(Event, type="tasks.task.cancelled", version=1, aggregate="task_id"):
    """An administrator dropped a task that nobody had claimed; nothing waits for it any more."""

    task_id: UUID
    """The task."""
    film_id: UUID
    """The film."""


class AuditRecorded(AuditEvent, type="tasks.audit.recorded", version=1, aggregate="audit_id"):
    """An administrative act in film production."""
