"""Whether the platform is being maintained: one row, once somebody has decided."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table."""
    op.execute(
        """
        CREATE TABLE auth.maintenance (
            scope text NOT NULL,
            enabled boolean NOT NULL,
            reason text,
            changed_by uuid NOT NULL,
            changed_at timestamptz NOT NULL,
            revision integer NOT NULL,
            CONSTRAINT pk_maintenance PRIMARY KEY (scope),
            CONSTRAINT ck_maintenance_scope CHECK (scope IN ('platform')),
            CONSTRAINT ck_maintenance_enabled_for_a_reason CHECK (reason IS NOT NULL OR NOT enabled),
            CONSTRAINT ck_maintenance_reason_length CHECK (char_length(reason) <= 500)
        )
        """
    )
