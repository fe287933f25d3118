"""Films, phases, tasks, submissions, uploads told of, and what contributors earned."""

from alembic import op

from libs.common.db import kernel_upgrade

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE tasks.film (
        id UUID NOT NULL,
        title TEXT NOT NULL,
        slug TEXT NOT NULL,
        synopsis TEXT NOT NULL,
        genre TEXT NOT NULL,
        catalogue TEXT NOT NULL,
        origin TEXT NOT NULL,
        source_id UUID,
        status TEXT NOT NULL,
        budget_amount BIGINT NOT NULL,
        budget_currency VARCHAR(3) NOT NULL,
        is_public BOOLEAN NOT NULL,
        progress_percent SMALLINT NOT NULL,
        created_by UUID NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        version INTEGER NOT NULL,
        CONSTRAINT pk_film PRIMARY KEY (id),
        CONSTRAINT ck_film_genre_known CHECK (genre IN ('ACTION', 'ADVENTURE', 'ANIMATION', 'BIOGRAPHY', 'COMEDY',
            'CRIME', 'DOCUMENTARY', 'DRAMA', 'FANTASY', 'HISTORICAL', 'HORROR', 'MUSICAL', 'ROMANCE', 'SCIENCE_FICTION',
            'THRILLER')),
        CONSTRAINT ck_film_catalogue_known CHECK (catalogue IN ('LUMIERE', 'RUPPIN', 'BIBLE', 'ACTION', 'COMMUNITY')),
        CONSTRAINT ck_film_origin_known CHECK (origin IN ('ADMIN', 'SCENARIO', 'SCREENPLAY')),
        CONSTRAINT ck_film_status_known CHECK (status IN ('PRE_PRODUCTION', 'IN_PRODUCTION', 'POST_PRODUCTION',
            'COMPLETED')),
        CONSTRAINT ck_film_budget_not_negative CHECK (budget_amount >= 0),
        CONSTRAINT ck_film_progress_is_percent CHECK (progress_percent BETWEEN 0 AND 100),
        CONSTRAINT uq_film_slug UNIQUE (slug)
    )
    """,
    """
    CREATE TABLE tasks.phase (
        id UUID NOT NULL,
        film_id UUID NOT NULL,
        name TEXT NOT NULL,
        position SMALLINT NOT NULL,
        status TEXT NOT NULL,
        unlocked_at TIMESTAMP WITH TIME ZONE,
        completed_at TIMESTAMP WITH TIME ZONE,
        version INTEGER NOT NULL,
        CONSTRAINT pk_phase PRIMARY KEY (id),
        CONSTRAINT uq_phase_film_id_position UNIQUE (film_id, position),
        CONSTRAINT ck_phase_name_known CHECK (name IN ('SCRIPT', 'STORYBOARD', 'PREVIZ', 'DESIGN', 'ANIMATION', 'VFX',
            'AUDIO', 'EDITING', 'COLOR', 'FINAL')),
        CONSTRAINT ck_phase_status_known CHECK (status IN ('LOCKED', 'ACTIVE', 'COMPLETED')),
        CONSTRAINT ck_phase_position_of_ten CHECK (position BETWEEN 1 AND 10),
        CONSTRAINT ck_phase_unlocked_when_not_locked CHECK ((status = 'LOCKED') = (unlocked_at IS NULL)),
        CONSTRAINT ck_phase_completed_at_when_completed CHECK ((status = 'COMPLETED') = (completed_at IS NOT NULL)),
        CONSTRAINT fk_phase_film_id_film FOREIGN KEY(film_id) REFERENCES tasks.film (id)
    )
    """,
    """
    CREATE TABLE tasks.task (
        id UUID NOT NULL,
        film_id UUID NOT NULL,
        phase_id UUID NOT NULL,
        reference TEXT,
        title TEXT NOT NULL,
        description TEXT NOT NULL,
        type TEXT NOT NULL,
        difficulty TEXT NOT NULL,
        price_amount BIGINT NOT NULL,
        price_currency VARCHAR(3) NOT NULL,
        required_level TEXT NOT NULL,
        status TEXT NOT NULL,
        claimant_id UUID,
        deadline TIMESTAMP WITH TIME ZONE,
        lease_sha256 TEXT,
        attempts SMALLINT NOT NULL,
        created_by UUID NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        version INTEGER NOT NULL,
        CONSTRAINT pk_task PRIMARY KEY (id),
        CONSTRAINT uq_task_film_id_reference UNIQUE (film_id, reference),
        CONSTRAINT ck_task_type_known CHECK (type IN ('PROMPT_WRITING', 'IMAGE_GEN', 'VIDEO_REVIEW', 'STUNT_CAPTURE',
            'DANCE_CAPTURE', 'DIALOGUE_EDIT', 'COLOR_GRADE', 'SOUND_DESIGN', 'CONTINUITY_CHECK', 'QA_REVIEW',
            'CHARACTER_DESIGN', 'ENV_DESIGN', 'MOTION_REF', 'COMPOSITING', 'TRANSLATION', 'SUBTITLE')),
        CONSTRAINT ck_task_difficulty_known CHECK (difficulty IN ('EASY', 'MEDIUM', 'HARD', 'EXPERT')),
        CONSTRAINT ck_task_required_level_known CHECK (required_level IN ('ROOKIE', 'PRO', 'EXPERT', 'VIP')),
        CONSTRAINT ck_task_status_known CHECK (status IN ('LOCKED', 'AVAILABLE', 'CLAIMED', 'AI_REVIEW', 'HUMAN_REVIEW',
            'VALIDATED', 'CANCELLED')),
        CONSTRAINT ck_task_price_not_negative CHECK (price_amount >= 0),
        CONSTRAINT ck_task_attempts_limited CHECK (attempts BETWEEN 0 AND 3),
        CONSTRAINT ck_task_lease_while_claimed CHECK ((status = 'CLAIMED') = (lease_sha256 IS NOT NULL)),
        CONSTRAINT ck_task_deadline_while_claimed CHECK ((status = 'CLAIMED') = (deadline IS NOT NULL)),
        CONSTRAINT ck_task_claimant_while_held CHECK ((status IN ('CLAIMED', 'AI_REVIEW', 'HUMAN_REVIEW', 'VALIDATED'))
            = (claimant_id IS NOT NULL)),
        CONSTRAINT fk_task_film_id_film FOREIGN KEY(film_id) REFERENCES tasks.film (id),
        CONSTRAINT fk_task_phase_id_phase FOREIGN KEY(phase_id) REFERENCES tasks.phase (id)
    )
    """,
    """
    CREATE TABLE tasks.task_dependency (
        task_id UUID NOT NULL,
        depends_on_id UUID NOT NULL,
        CONSTRAINT pk_task_dependency PRIMARY KEY (task_id, depends_on_id),
        CONSTRAINT ck_task_dependency_not_on_itself CHECK (task_id <> depends_on_id),
        CONSTRAINT fk_task_dependency_task_id_task FOREIGN KEY(task_id) REFERENCES tasks.task (id),
        CONSTRAINT fk_task_dependency_depends_on_id_task FOREIGN KEY(depends_on_id) REFERENCES tasks.task (id)
    )
    """,
    """
    CREATE TABLE tasks.barred_contributor (
        task_id UUID NOT NULL,
        contributor_id UUID NOT NULL,
        barred_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_barred_contributor PRIMARY KEY (task_id, contributor_id),
        CONSTRAINT fk_barred_contributor_task_id_task FOREIGN KEY(task_id) REFERENCES tasks.task (id)
    )
    """,
    """
    CREATE TABLE tasks.media (
        id UUID NOT NULL,
        owner_id UUID NOT NULL,
        ready BOOLEAN NOT NULL,
        sha256 TEXT,
        mime TEXT,
        size BIGINT,
        known_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_media PRIMARY KEY (id),
        CONSTRAINT ck_media_described_when_ready CHECK (NOT ready OR (sha256 IS NOT NULL AND mime IS NOT NULL AND size
            IS NOT NULL))
    )
    """,
    """
    CREATE TABLE tasks.submission (
        id UUID NOT NULL,
        task_id UUID NOT NULL,
        contributor_id UUID NOT NULL,
        attempt SMALLINT NOT NULL,
        notes TEXT NOT NULL,
        content_sha256 TEXT NOT NULL,
        status TEXT NOT NULL,
        score SMALLINT,
        mock BOOLEAN,
        ai_flagged BOOLEAN,
        advisory_tries SMALLINT NOT NULL,
        advisory_due_at TIMESTAMP WITH TIME ZONE,
        advised_at TIMESTAMP WITH TIME ZONE,
        reviewer_id UUID,
        feedback TEXT,
        reviewed_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        version INTEGER NOT NULL,
        CONSTRAINT pk_submission PRIMARY KEY (id),
        CONSTRAINT uq_submission_task_id_contributor_id_attempt UNIQUE (task_id, contributor_id, attempt),
        CONSTRAINT ck_submission_status_known CHECK (status IN ('PENDING_AI', 'AI_APPROVED', 'AI_FLAGGED',
            'HUMAN_APPROVED', 'REJECTED')),
        CONSTRAINT ck_submission_attempt_limited CHECK (attempt BETWEEN 1 AND 3),
        CONSTRAINT ck_submission_score_is_percent CHECK (score BETWEEN 0 AND 100),
        CONSTRAINT ck_submission_due_while_pending CHECK ((status = 'PENDING_AI') = (advisory_due_at IS NOT NULL)),
        CONSTRAINT ck_submission_reviewer_when_decided CHECK ((status IN ('HUMAN_APPROVED', 'REJECTED')) = (reviewer_id
            IS NOT NULL)),
        CONSTRAINT ck_submission_not_own_work CHECK (reviewer_id <> contributor_id),
        CONSTRAINT fk_submission_task_id_task FOREIGN KEY(task_id) REFERENCES tasks.task (id)
    )
    """,
    """
    CREATE TABLE tasks.submission_media (
        submission_id UUID NOT NULL,
        position SMALLINT NOT NULL,
        media_id UUID NOT NULL,
        sha256 TEXT NOT NULL,
        CONSTRAINT pk_submission_media PRIMARY KEY (submission_id, position),
        CONSTRAINT uq_submission_media_submission_id_media_id UNIQUE (submission_id, media_id),
        CONSTRAINT fk_submission_media_submission_id_submission FOREIGN KEY(submission_id) REFERENCES tasks.submission (id)
    )
    """,
    """
    CREATE TABLE tasks.contributor (
        id UUID NOT NULL,
        points INTEGER NOT NULL,
        level TEXT NOT NULL,
        validated INTEGER NOT NULL,
        version INTEGER NOT NULL,
        CONSTRAINT pk_contributor PRIMARY KEY (id),
        CONSTRAINT ck_contributor_level_known CHECK (level IN ('ROOKIE', 'PRO', 'EXPERT', 'VIP')),
        CONSTRAINT ck_contributor_points_not_negative CHECK (points >= 0)
    )
    """,
    """
    CREATE TABLE tasks.award (
        task_id UUID NOT NULL,
        submission_id UUID NOT NULL,
        contributor_id UUID NOT NULL,
        points INTEGER NOT NULL,
        lumens INTEGER NOT NULL,
        awarded_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_award PRIMARY KEY (task_id),
        CONSTRAINT fk_award_task_id_task FOREIGN KEY(task_id) REFERENCES tasks.task (id),
        CONSTRAINT uq_award_submission_id UNIQUE (submission_id),
        CONSTRAINT fk_award_submission_id_submission FOREIGN KEY(submission_id) REFERENCES tasks.submission (id)
    )
    """,
)
INDEXES = (
    "CREATE INDEX ix_task_claimant_id_status ON tasks.task (claimant_id, status)",
    "CREATE INDEX ix_task_due ON tasks.task (deadline) WHERE status = 'CLAIMED'",
    "CREATE INDEX ix_task_film_id_id ON tasks.task (film_id, id)",
    "CREATE INDEX ix_task_phase_id ON tasks.task (phase_id)",
    "CREATE INDEX ix_task_status_id ON tasks.task (status, id)",
    "CREATE INDEX ix_task_dependency_depends_on_id ON tasks.task_dependency (depends_on_id)",
    "CREATE INDEX ix_submission_due ON tasks.submission (advisory_due_at) WHERE status = 'PENDING_AI'",
    "CREATE INDEX ix_submission_status_id ON tasks.submission (status, id)",
    "CREATE INDEX ix_award_contributor_id ON tasks.award (contributor_id)",
)


def upgrade() -> None:
    """Create the schema's first tables."""
    kernel_upgrade(op, "tasks")
    for statement in (*TABLES, *INDEXES):
        op.execute(statement)
