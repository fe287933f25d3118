"""Failures are counted by whose they are, addresses change by two confirmations, and the last sign-in is remembered."""

from alembic import op

revision = "0006"
down_revision = "0005"
contracts = dict.fromkeys(
    (
        "adding-serial-primary-key-field",
        "ban-drop-constraint",
        "ban-drop-default",
        "constraint-missing-not-valid",
        "renaming-object",
        "renaming-table",
    ),
    "Before the first release: nobody ran the former schema.",
)

STATEMENTS = (
    # Strangers count together, under the empty key; each holder of a proof for themselves.
    "ALTER TABLE auth.login_failure ADD COLUMN holder_key bytea NOT NULL DEFAULT ''",
    "ALTER TABLE auth.login_failure ALTER COLUMN holder_key DROP DEFAULT",
    "ALTER TABLE auth.login_failure DROP CONSTRAINT pk_login_failure",
    "ALTER TABLE auth.login_failure ADD CONSTRAINT pk_login_failure PRIMARY KEY (address_key, holder_key)",
    # A link that was asked for is one of two kinds now.
    "ALTER TABLE auth.reset_request RENAME TO mail_request",
    "ALTER TABLE auth.mail_request RENAME CONSTRAINT pk_reset_request TO pk_mail_request",
    "ALTER TABLE auth.mail_request ADD COLUMN purpose text NOT NULL DEFAULT 'RESET_PASSWORD'",
    "ALTER TABLE auth.mail_request ALTER COLUMN purpose DROP DEFAULT",
    "ALTER TABLE auth.mail_request ADD COLUMN correlation_id text, ADD COLUMN traceparent text",
    """
    ALTER TABLE auth.mail_request ADD CONSTRAINT ck_mail_request_purpose
        CHECK (purpose IN ('VERIFY_EMAIL', 'RESET_PASSWORD'))
    """,
    """
    CREATE TABLE auth.registration_request (
        id uuid NOT NULL,
        newcomer_sealed bytea NOT NULL,
        requested_at timestamptz NOT NULL,
        correlation_id text,
        traceparent text,
        CONSTRAINT pk_registration_request PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE auth.email_change (
        user_id uuid NOT NULL,
        new_address_sealed bytea NOT NULL,
        old_token_hash bytea NOT NULL,
        new_token_hash bytea NOT NULL,
        old_confirmed_at timestamptz,
        new_confirmed_at timestamptz,
        requested_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        CONSTRAINT pk_email_change PRIMARY KEY (user_id),
        CONSTRAINT fk_email_change_user_id_user_account
            FOREIGN KEY (user_id) REFERENCES auth.user_account (id) ON DELETE CASCADE,
        CONSTRAINT uq_email_change_old_token_hash UNIQUE (old_token_hash),
        CONSTRAINT uq_email_change_new_token_hash UNIQUE (new_token_hash)
    )
    """,
    "CREATE INDEX ix_email_change_expires_at ON auth.email_change (expires_at)",
    """
    CREATE TABLE auth.last_sign_in (
        user_id uuid NOT NULL,
        signed_in_at timestamptz NOT NULL,
        told_dormant_at timestamptz,
        CONSTRAINT pk_last_sign_in PRIMARY KEY (user_id),
        CONSTRAINT fk_last_sign_in_user_id_user_account
            FOREIGN KEY (user_id) REFERENCES auth.user_account (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_last_sign_in_not_told ON auth.last_sign_in (signed_in_at) WHERE told_dormant_at IS NULL",
    # Nobody is told of a year's silence before a year is over: who has no session left begins with this day.
    """
    INSERT INTO auth.last_sign_in (user_id, signed_in_at)
    SELECT account.id, coalesce(max(session.authenticated_at), now())
    FROM auth.user_account AS account LEFT JOIN auth.session ON session.user_id = account.id
    WHERE account.verified_at IS NOT NULL GROUP BY account.id
    """,
)


def upgrade() -> None:
    """Change and create the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
