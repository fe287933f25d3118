"""What every key is derived from is random and stands sealed under AUTH_SECRET: so that secret can be rotated."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make room for the root, sealed once for each secret that opens it."""
    op.execute(
        """
        CREATE TABLE auth.root_key (
            secret_id text NOT NULL,
            sealed bytea NOT NULL,
            created_at timestamptz NOT NULL,
            CONSTRAINT pk_root_key PRIMARY KEY (secret_id)
        )
        """
    )
