"""Resets that were asked for and wait for their mail, and how many mails each account was sent of late."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    """
    CREATE TABLE auth.reset_request (
        id uuid NOT NULL,
        address text NOT NULL,
        requested_at timestamptz NOT NULL,
        CONSTRAINT pk_reset_request PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE auth.mail_allowance (
        user_id uuid NOT NULL,
        template text NOT NULL,
        began_at timestamptz NOT NULL,
        requested integer NOT NULL,
        CONSTRAINT pk_mail_allowance PRIMARY KEY (user_id, template),
        CONSTRAINT fk_mail_allowance_user_id_user_account
            FOREIGN KEY (user_id) REFERENCES auth.user_account (id) ON DELETE CASCADE
    )
    """,
)


def upgrade() -> None:
    """Create both tables."""
    for statement in STATEMENTS:
        op.execute(statement)
