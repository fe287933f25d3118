"""Second factors and the challenges that wait for one; a session has an end that no use of it moves."""

from alembic import op

revision = "0007"
down_revision = "0006"
contracts = dict.fromkeys(
    ("adding-not-nullable-field", "rows-changed-in-one-statement"),
    "Before the first release: nobody ran the former schema.",
)

STATEMENTS = (
    # 90 days: what `SESSION_DAYS` is unless somebody set it.
    "ALTER TABLE auth.session ADD COLUMN created_at timestamptz, ADD COLUMN ends_at timestamptz",
    "UPDATE auth.session SET created_at = authenticated_at, ends_at = authenticated_at + interval '90 days'",
    "ALTER TABLE auth.session ALTER COLUMN created_at SET NOT NULL, ALTER COLUMN ends_at SET NOT NULL",
    """
    CREATE TABLE auth.login_challenge (
        id uuid NOT NULL,
        user_id uuid NOT NULL,
        token_hash bytea NOT NULL,
        password_changed_at timestamptz,
        methods text NOT NULL,
        device_label text NOT NULL,
        client_id text NOT NULL,
        scope text,
        key_thumbprint text,
        expires_at timestamptz NOT NULL,
        used_at timestamptz,
        CONSTRAINT pk_login_challenge PRIMARY KEY (id),
        CONSTRAINT fk_login_challenge_user_id_user_account
            FOREIGN KEY (user_id) REFERENCES auth.user_account (id) ON DELETE CASCADE,
        CONSTRAINT uq_login_challenge_token_hash UNIQUE (token_hash)
    )
    """,
    "CREATE INDEX ix_login_challenge_user_id ON auth.login_challenge (user_id)",
    "CREATE INDEX ix_login_challenge_expires_at ON auth.login_challenge (expires_at)",
    """
    CREATE TABLE auth.totp_credential (
        user_id uuid NOT NULL,
        secret_sealed bytea NOT NULL,
        secret_id text NOT NULL,
        created_at timestamptz NOT NULL,
        confirmed_at timestamptz,
        last_step bigint,
        CONSTRAINT pk_totp_credential PRIMARY KEY (user_id),
        CONSTRAINT fk_totp_credential_user_id_user_account
            FOREIGN KEY (user_id) REFERENCES auth.user_account (id) ON DELETE CASCADE,
        CONSTRAINT ck_totp_credential_confirmed_by_a_code CHECK (confirmed_at IS NULL OR last_step IS NOT NULL)
    )
    """,
    """
    CREATE TABLE auth.recovery_code (
        id uuid NOT NULL,
        user_id uuid NOT NULL,
        code_hash bytea NOT NULL,
        created_at timestamptz NOT NULL,
        used_at timestamptz,
        CONSTRAINT pk_recovery_code PRIMARY KEY (id),
        CONSTRAINT fk_recovery_code_user_id_user_account
            FOREIGN KEY (user_id) REFERENCES auth.user_account (id) ON DELETE CASCADE,
        CONSTRAINT uq_recovery_code_code_hash UNIQUE (code_hash)
    )
    """,
    "CREATE INDEX ix_recovery_code_user_id ON auth.recovery_code (user_id)",
    """
    CREATE TABLE auth.passkey (
        id uuid NOT NULL,
        user_id uuid NOT NULL,
        credential_id bytea NOT NULL,
        public_key bytea NOT NULL,
        sign_count bigint NOT NULL,
        synchronised boolean NOT NULL,
        label text NOT NULL,
        created_at timestamptz NOT NULL,
        last_used_at timestamptz,
        CONSTRAINT pk_passkey PRIMARY KEY (id),
        CONSTRAINT fk_passkey_user_id_user_account
            FOREIGN KEY (user_id) REFERENCES auth.user_account (id) ON DELETE CASCADE,
        CONSTRAINT uq_passkey_credential_id UNIQUE (credential_id),
        CONSTRAINT ck_passkey_label_length CHECK (char_length(label) BETWEEN 1 AND 60)
    )
    """,
    "CREATE INDEX ix_passkey_user_id ON auth.passkey (user_id)",
    """
    CREATE TABLE auth.passkey_ceremony (
        id uuid NOT NULL,
        challenge_hash bytea NOT NULL,
        purpose text NOT NULL,
        session_id uuid,
        expires_at timestamptz NOT NULL,
        CONSTRAINT pk_passkey_ceremony PRIMARY KEY (id),
        CONSTRAINT uq_passkey_ceremony_challenge_hash UNIQUE (challenge_hash),
        CONSTRAINT ck_passkey_ceremony_purpose CHECK (purpose IN ('REGISTER', 'AUTHENTICATE')),
        CONSTRAINT ck_passkey_ceremony_registered_in_a_session CHECK ((session_id IS NULL) = (purpose = 'AUTHENTICATE'))
    )
    """,
    "CREATE INDEX ix_passkey_ceremony_expires_at ON auth.passkey_ceremony (expires_at)",
)


def upgrade() -> None:
    """Give sessions their end, and make the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
