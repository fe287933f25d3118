"""The rows of schema `tasks` and the constraints that hold them together."""

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from libs.common.db import APPEND_ONLY, id_column, money_columns, new_metadata, timestamp
from services.tasks.domain.values import (
    Catalogue,
    Difficulty,
    FilmStatus,
    Genre,
    Level,
    Origin,
    Phase,
    PhaseStatus,
    SubmissionStatus,
    TaskStatus,
    TaskType,
)

metadata = new_metadata("tasks")


def one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    """A closed vocabulary, held by the database too."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


film = Table(
    "film",
    metadata,
    id_column(),
    Column("title", Text, nullable=False),
    Column("slug", Text, nullable=False, unique=True),
    Column("synopsis", Text, nullable=False),
    Column("genre", Text, nullable=False),
    Column("catalogue", Text, nullable=False),
    Column("origin", Text, nullable=False),
    id_column("source_id", primary_key=False, nullable=True),
    Column("status", Text, nullable=False),
    *money_columns("budget"),
    Column("is_public", Boolean, nullable=False),
    Column("progress_percent", SmallInteger, nullable=False),
    id_column("created_by", primary_key=False),
    timestamp("created_at"),
    Column("version", Integer, nullable=False),
    one_of("genre", Genre),
    one_of("catalogue", Catalogue),
    one_of("origin", Origin),
    one_of("status", FilmStatus),
    CheckConstraint("budget_amount >= 0", name="budget_not_negative"),
    CheckConstraint("progress_percent BETWEEN 0 AND 100", name="progress_is_percent"),
)

phase = Table(
    "phase",
    metadata,
    id_column(),
    Column("film_id", ForeignKey("tasks.film.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("position", SmallInteger, nullable=False),
    Column("status", Text, nullable=False),
    timestamp("unlocked_at", nullable=True),
    timestamp("completed_at", nullable=True),
    Column("version", Integer, nullable=False),
    UniqueConstraint("film_id", "position"),
    one_of("name", Phase),
    one_of("status", PhaseStatus),
    CheckConstraint("position BETWEEN 1 AND 10", name="position_of_ten"),
    CheckConstraint("(status = 'LOCKED') = (unlocked_at IS NULL)", name="unlocked_when_not_locked"),
    CheckConstraint("(status = 'COMPLETED') = (completed_at IS NOT NULL)", name="completed_at_when_completed"),
)

task = Table(
    "task",
    metadata,
    id_column(),
    Column("film_id", ForeignKey("tasks.film.id"), nullable=False),
    Column("phase_id", ForeignKey("tasks.phase.id"), nullable=False, index=True),
    Column("reference", Text, nullable=True),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("difficulty", Text, nullable=False),
    *money_columns("price"),
    Column("required_level", Text, nullable=False),
    Column("status", Text, nullable=False),
    id_column("claimant_id", primary_key=False, nullable=True),
    timestamp("deadline", nullable=True),
    Column("lease_sha256", Text, nullable=True),
    Column("attempts", SmallInteger, nullable=False),
    id_column("created_by", primary_key=False),
    timestamp("created_at"),
    Column("version", Integer, nullable=False),
    UniqueConstraint("film_id", "reference"),
    one_of("type", TaskType),
    one_of("difficulty", Difficulty),
    one_of("required_level", Level),
    one_of("status", TaskStatus),
    CheckConstraint("price_amount >= 0", name="price_not_negative"),
    CheckConstraint("attempts BETWEEN 0 AND 3", name="attempts_limited"),
    CheckConstraint("(status = 'CLAIMED') = (lease_sha256 IS NOT NULL)", name="lease_while_claimed"),
    CheckConstraint("(status = 'CLAIMED') = (deadline IS NOT NULL)", name="deadline_while_claimed"),
    CheckConstraint(
        "(status IN ('CLAIMED', 'AI_REVIEW', 'HUMAN_REVIEW', 'VALIDATED')) = (claimant_id IS NOT NULL)",
        name="claimant_while_held",
    ),
    Index(None, "status", "id"),
    Index(None, "film_id", "id"),
    Index(None, "claimant_id", "status"),
    Index("ix_task_due", "deadline", postgresql_where=text("status = 'CLAIMED'")),
)

task_dependency = Table(
    "task_dependency",
    metadata,
    Column("task_id", ForeignKey("tasks.task.id"), nullable=False),
    Column("depends_on_id", ForeignKey("tasks.task.id"), nullable=False, index=True),
    PrimaryKeyConstraint("task_id", "depends_on_id"),
    CheckConstraint("task_id <> depends_on_id", name="not_on_itself"),
    info=APPEND_ONLY,
)

barred_contributor = Table(
    "barred_contributor",
    metadata,
    Column("task_id", ForeignKey("tasks.task.id"), nullable=False),
    id_column("contributor_id", primary_key=False),
    timestamp("barred_at"),
    PrimaryKeyConstraint("task_id", "contributor_id"),
    info=APPEND_ONLY,
)

submission = Table(
    "submission",
    metadata,
    id_column(),
    Column("task_id", ForeignKey("tasks.task.id"), nullable=False),
    id_column("contributor_id", primary_key=False),
    Column("attempt", SmallInteger, nullable=False),
    Column("notes", Text, nullable=False),
    Column("content_sha256", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("score", SmallInteger, nullable=True),
    Column("mock", Boolean, nullable=True),
    Column("ai_flagged", Boolean, nullable=True),
    Column("advisory_tries", SmallInteger, nullable=False),
    timestamp("advisory_due_at", nullable=True),
    timestamp("advised_at", nullable=True),
    id_column("reviewer_id", primary_key=False, nullable=True),
    Column("feedback", Text, nullable=True),
    timestamp("reviewed_at", nullable=True),
    timestamp("created_at"),
    Column("version", Integer, nullable=False),
    UniqueConstraint("task_id", "contributor_id", "attempt"),
    one_of("status", SubmissionStatus),
    CheckConstraint("attempt BETWEEN 1 AND 3", name="attempt_limited"),
    CheckConstraint("score BETWEEN 0 AND 100", name="score_is_percent"),
    CheckConstraint("(status = 'PENDING_AI') = (advisory_due_at IS NOT NULL)", name="due_while_pending"),
    CheckConstraint("(status IN ('HUMAN_APPROVED', 'REJECTED')) = (reviewer_id IS NOT NULL)", name="reviewer_when_decided"),
    CheckConstraint("reviewer_id <> contributor_id", name="not_own_work"),
    Index(None, "status", "id"),
    Index("ix_submission_due", "advisory_due_at", postgresql_where=text("status = 'PENDING_AI'")),
)

submission_media = Table(
    "submission_media",
    metadata,
    Column("submission_id", ForeignKey("tasks.submission.id"), nullable=False),
    Column("position", SmallInteger, nullable=False),
    id_column("media_id", primary_key=False),
    Column("sha256", Text, nullable=False),
    PrimaryKeyConstraint("submission_id", "position"),
    UniqueConstraint("submission_id", "media_id"),
    info=APPEND_ONLY,
)

media = Table(
    "media",
    metadata,
    id_column(),
    id_column("owner_id", primary_key=False),
    Column("ready", Boolean, nullable=False),
    Column("sha256", Text, nullable=True),
    Column("mime", Text, nullable=True),
    Column("size", BigInteger, nullable=True),
    timestamp("known_at"),
    CheckConstraint("NOT ready OR (sha256 IS NOT NULL AND mime IS NOT NULL AND size IS NOT NULL)", name="described_when_ready"),
)
"""What the media service told about uploads. A refused or deleted one is never ready again."""

contributor = Table(
    "contributor",
    metadata,
    id_column(),
    Column("points", Integer, nullable=False),
    Column("level", Text, nullable=False),
    Column("validated", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    one_of("level", Level),
    CheckConstraint("points >= 0", name="points_not_negative"),
)

award = Table(
    "award",
    metadata,
    Column("task_id", ForeignKey("tasks.task.id"), primary_key=True),
    Column("submission_id", ForeignKey("tasks.submission.id"), nullable=False, unique=True),
    id_column("contributor_id", primary_key=False, index=True),
    Column("points", Integer, nullable=False),
    Column("lumens", Integer, nullable=False),
    timestamp("awarded_at"),
    info=APPEND_ONLY,
)
"""What each validated task earned its contributor; one row a task, never changed."""
