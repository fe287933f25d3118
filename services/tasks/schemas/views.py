"""What clients are shown."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from libs.common.http import View
from libs.common.http.texts import FilmTitleText, Sha256Text, TaskTitleText
from libs.common.money import Money
from services.tasks.domain.progress import next_level_at
from services.tasks.domain.task import FAMILIES, MAX_ATTEMPTS
from services.tasks.domain.values import (
    Catalogue,
    Difficulty,
    Family,
    FilmStatus,
    Genre,
    Level,
    Origin,
    Phase,
    PhaseStatus,
    SubmissionStatus,
    TaskStatus,
    TaskType,
    UserId,
)
from services.tasks.queries.state import money
from services.tasks.schemas.texts import (
    DescriptionText,
    FeedbackText,
    LeaseTokenText,
    NotesText,
    ReferenceText,
    Slug,
    SynopsisText,
)
from services.tasks.use_cases.work import Lease


class FilmView(View):
    """A film as everyone may see it."""

    id: UUID
    title: FilmTitleText
    slug: Slug
    synopsis: SynopsisText
    genre: Genre
    catalogue: Catalogue
    status: FilmStatus
    progress_percent: int
    is_public: bool
    created_at: datetime


class PlannedFilmView(FilmView):
    """A film as administrators see it."""

    origin: Origin
    source_id: UUID | None
    budget: Money
    created_by: UUID

    @classmethod
    def of(cls, row: Any) -> Self:
        """From a row of `film`."""
        fields = {name: getattr(row, name) for name in cls.model_fields if name != "budget"}
        return cls(**fields, budget=money(row, "budget"))


class PhaseView(View):
    """One of the ten phases of a film. Cancelled tasks are not counted."""

    id: UUID
    phase: Phase
    position: int
    status: PhaseStatus
    tasks: int
    validated_tasks: int
    unlocked_at: datetime | None
    completed_at: datetime | None

    @classmethod
    def of(cls, row: Any) -> Self:
        """From a row of `phase` with its counts."""
        fields = {name: getattr(row, name) for name in cls.model_fields if name != "phase"}
        return cls(**fields, phase=Phase(row.name))


class TaskView(View):
    """A task. Who works on it is told to that person and to administrators only."""

    id: UUID
    film_id: UUID
    film_title: FilmTitleText
    phase: Phase
    reference: ReferenceText | None
    title: TaskTitleText
    description: DescriptionText
    type: TaskType
    family: Family
    difficulty: Difficulty
    price: Money
    required_level: Level
    status: TaskStatus
    depends_on: tuple[UUID, ...]
    mine: bool
    claimant_id: UUID | None
    deadline: datetime | None
    attempts_left: int | None
    created_at: datetime

    @classmethod
    def of(cls, row: Any, reader_id: UserId, *, administrator: bool) -> Self:
        """From a row of `task` with its film, phase and dependencies."""
        mine = row.claimant_id == reader_id
        told = mine or administrator
        derived = {"family", "price", "depends_on", "mine", "claimant_id", "deadline", "attempts_left"}
        return cls(
            **{name: getattr(row, name) for name in cls.model_fields if name not in derived},
            family=FAMILIES[TaskType(row.type)],
            price=money(row, "price"),
            depends_on=tuple(row.depends_on or ()),
            mine=mine,
            claimant_id=row.claimant_id if told else None,
            deadline=row.deadline if told else None,
            attempts_left=MAX_ATTEMPTS - row.attempts if told and row.claimant_id else None,
        )


class ClaimView(View):
    """A lease on a task. The token is shown once: it is what a submission is made with."""

    task_id: UUID
    lease_token: LeaseTokenText
    deadline: datetime
    attempts_left: int

    @classmethod
    def of(cls, lease: Lease) -> Self:
        """From the lease that the claim gave."""
        return cls(task_id=lease.task_id, lease_token=lease.token, deadline=lease.deadline, attempts_left=lease.attempts_left)


class SubmittedMediaView(View):
    """One delivered object and the SHA-256 of its bytes, hexadecimal."""

    media_id: UUID
    sha256: Sha256Text


class SubmissionView(View):
    """Delivered work and what became of it. `score` is advisory; `mock` says that no real reviewer gave it."""

    id: UUID
    task_id: UUID
    task_title: TaskTitleText
    film_id: UUID
    film_title: FilmTitleText
    contributor_id: UUID
    attempt: int
    notes: NotesText
    media: tuple[SubmittedMediaView, ...]
    content_sha256: Sha256Text
    status: SubmissionStatus
    ai_flagged: bool | None
    score: int | None
    mock: bool | None
    feedback: FeedbackText | None
    reviewed_at: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, row: Any) -> Self:
        """From a row of `submission` with its task, film and media."""
        derived = {"media"}
        fields = {name: getattr(row, name) for name in cls.model_fields if name not in derived}
        return cls(**fields, media=tuple(SubmittedMediaView(**item) for item in row.media))


class ProgressView(View):
    """A contributor's standing and counts."""

    points: int
    level: Level
    next_level_at: int | None
    claimed: int
    under_review: int
    validated: int
    submitted: int
    rejected: int

    @classmethod
    def of(cls, standing: Any) -> Self:
        """From what `queries.progress` found; everyone begins as a rookie without points."""
        level = Level(standing.get("level", Level.ROOKIE))
        return cls(**{"points": 0, **standing, "level": level}, next_level_at=next_level_at(level))
