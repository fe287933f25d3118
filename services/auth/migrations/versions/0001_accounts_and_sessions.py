"""Accounts, credentials, one-time tokens, sessions with their refresh tokens, lockout and signing keys."""

from alembic import op

from libs.common.db.migrate import kernel_upgrade

revision = "0001"
down_revision = None

STATEMENTS = (
    """
    CREATE TABLE auth.user_account (
        id uuid NOT NULL,
        email text NOT NULL,
        display_name text NOT NULL,
        bio text,
        locale text NOT NULL,
        role text NOT NULL,
        status text NOT NULL,
        verified_at timestamptz,
        tokens_not_before timestamptz,
        created_at timestamptz NOT NULL,
        version integer NOT NULL,
        CONSTRAINT pk_user_account PRIMARY KEY (id),
        CONSTRAINT uq_user_account_email UNIQUE (email),
        CONSTRAINT ck_user_account_locale CHECK (locale IN ('fr', 'en')),
        CONSTRAINT ck_user_account_role
            CHECK (role IN ('ADMIN', 'CONTRIBUTOR', 'ARTIST', 'STUNT_PERFORMER', 'VIEWER', 'SCREENWRITER', 'CREATOR')),
        CONSTRAINT ck_user_account_status CHECK (status IN ('ACTIVE', 'SUSPENDED')),
        CONSTRAINT ck_user_account_email_lower_case CHECK (email = lower(email)),
        CONSTRAINT ck_user_account_display_name_length CHECK (char_length(display_name) BETWEEN 2 AND 50),
        CONSTRAINT ck_user_account_bio_length CHECK (char_length(bio) <= 500)
    )
    """,
    "CREATE INDEX ix_user_account_role ON auth.user_account (role)",
    """
    CREATE TABLE auth.password_credential (
        user_id uuid NOT NULL,
        password_hash text NOT NULL,
        changed_at timestamptz NOT NULL,
        CONSTRAINT pk_password_credential PRIMARY KEY (user_id),
        CONSTRAINT fk_password_credential_user_id_user_account
            FOREIGN KEY (user_id) REFERENCES auth.user_account (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE auth.one_time_token (
        id uuid NOT NULL,
        user_id uuid NOT NULL,
        purpose text NOT NULL,
        token_hash bytea NOT NULL,
        password_hash text,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        used_at timestamptz,
        CONSTRAINT pk_one_time_token PRIMARY KEY (id),
        CONSTRAINT fk_one_time_token_user_id_user_account
            FOREIGN KEY (user_id) REFERENCES auth.user_account (id) ON DELETE CASCADE,
        CONSTRAINT uq_one_time_token_token_hash UNIQUE (token_hash),
        CONSTRAINT ck_one_time_token_purpose CHECK (purpose IN ('VERIFY_EMAIL', 'RESET_PASSWORD'))
    )
    """,
    "CREATE INDEX ix_one_time_token_user_id_purpose ON auth.one_time_token (user_id, purpose)",
    "CREATE INDEX ix_one_time_token_expires_at ON auth.one_time_token (expires_at)",
    """
    CREATE TABLE auth.session (
        id uuid NOT NULL,
        user_id uuid NOT NULL,
        client_id text NOT NULL,
        device_label text NOT NULL,
        methods text NOT NULL,
        authenticated_at timestamptz NOT NULL,
        last_used_at timestamptz NOT NULL,
        last_token_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        revoked_at timestamptz,
        revoke_reason text,
        CONSTRAINT pk_session PRIMARY KEY (id),
        CONSTRAINT fk_session_user_id_user_account
            FOREIGN KEY (user_id) REFERENCES auth.user_account (id) ON DELETE CASCADE,
        CONSTRAINT ck_session_revoked_for_a_reason CHECK ((revoked_at IS NULL) = (revoke_reason IS NULL))
    )
    """,
    "CREATE INDEX ix_session_user_id ON auth.session (user_id)",
    "CREATE INDEX ix_session_expires_at ON auth.session (expires_at)",
    "CREATE INDEX ix_session_revoked_at ON auth.session (revoked_at)",
    """
    CREATE TABLE auth.refresh_token (
        id uuid NOT NULL,
        session_id uuid NOT NULL,
        token_hash bytea NOT NULL,
        issued_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        used_at timestamptz,
        successor_sealed bytea,
        CONSTRAINT pk_refresh_token PRIMARY KEY (id),
        CONSTRAINT fk_refresh_token_session_id_session
            FOREIGN KEY (session_id) REFERENCES auth.session (id) ON DELETE CASCADE,
        CONSTRAINT uq_refresh_token_token_hash UNIQUE (token_hash),
        CONSTRAINT ck_refresh_token_successor_of_a_spent_token CHECK (successor_sealed IS NULL OR used_at IS NOT NULL)
    )
    """,
    "CREATE INDEX ix_refresh_token_session_id ON auth.refresh_token (session_id)",
    "CREATE INDEX ix_refresh_token_expires_at ON auth.refresh_token (expires_at)",
    "CREATE INDEX ix_refresh_token_successor ON auth.refresh_token (used_at) WHERE successor_sealed IS NOT NULL",
    """
    CREATE TABLE auth.login_failure (
        address_key bytea NOT NULL,
        failures integer NOT NULL,
        last_failed_at timestamptz,
        locked_until timestamptz,
        CONSTRAINT pk_login_failure PRIMARY KEY (address_key)
    )
    """,
    "CREATE INDEX ix_login_failure_last_failed_at ON auth.login_failure (last_failed_at)",
    """
    CREATE TABLE auth.signing_key (
        id text NOT NULL,
        public_jwk jsonb NOT NULL,
        private_sealed bytea NOT NULL,
        secret_id text NOT NULL,
        state text NOT NULL,
        published_at timestamptz NOT NULL,
        activated_at timestamptz,
        retired_at timestamptz,
        withdrawn_at timestamptz,
        CONSTRAINT pk_signing_key PRIMARY KEY (id),
        CONSTRAINT ck_signing_key_state CHECK (state IN ('PUBLISHED', 'ACTIVE', 'RETIRED', 'WITHDRAWN'))
    )
    """,
    "CREATE UNIQUE INDEX uq_signing_key_active ON auth.signing_key (state) WHERE state = 'ACTIVE'",
)


def upgrade() -> None:
    """Create the service's tables."""
    kernel_upgrade(op, "auth")
    for statement in STATEMENTS:
        op.execute(statement)
