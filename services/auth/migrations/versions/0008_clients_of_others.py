"""Clients of others, what people let them do, and the ways to tokens: codes and devices. The command line is a client too."""

from alembic import op

revision = "0008"
down_revision = "0007"
contracts = {"require-concurrent-index-creation": "Before the first release: nobody ran the former schema."}

STATEMENTS = (
    """
    CREATE TABLE auth.oauth_client (
        id uuid NOT NULL,
        name text NOT NULL,
        method text NOT NULL,
        application_type text NOT NULL,
        grants text[] NOT NULL,
        scopes text[] NOT NULL,
        redirect_uris text[] NOT NULL,
        post_logout_redirect_uris text[] NOT NULL,
        keys jsonb,
        bound_tokens boolean NOT NULL,
        address text,
        tokens_not_before timestamptz,
        created_at timestamptz NOT NULL,
        removed_at timestamptz,
        version integer NOT NULL,
        CONSTRAINT pk_oauth_client PRIMARY KEY (id),
        CONSTRAINT ck_oauth_client_method
            CHECK (method IN ('none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt')),
        CONSTRAINT ck_oauth_client_application_type CHECK (application_type IN ('web', 'native')),
        CONSTRAINT ck_oauth_client_name_length CHECK (char_length(name) BETWEEN 1 AND 80),
        CONSTRAINT ck_oauth_client_keys_of_a_method CHECK ((keys IS NOT NULL) = (method = 'private_key_jwt'))
    )
    """,
    """
    CREATE TABLE auth.client_secret (
        id uuid NOT NULL,
        client_id uuid NOT NULL,
        secret_hash bytea NOT NULL,
        created_at timestamptz NOT NULL,
        expires_at timestamptz,
        CONSTRAINT pk_client_secret PRIMARY KEY (id),
        CONSTRAINT fk_client_secret_client_id_oauth_client
            FOREIGN KEY (client_id) REFERENCES auth.oauth_client (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_client_secret_client_id ON auth.client_secret (client_id)",
    "CREATE INDEX ix_client_secret_expires_at ON auth.client_secret (expires_at)",
    """
    CREATE TABLE auth.consent (
        user_id uuid NOT NULL,
        client_id uuid NOT NULL,
        scope text NOT NULL,
        granted_at timestamptz NOT NULL,
        CONSTRAINT pk_consent PRIMARY KEY (user_id, client_id),
        CONSTRAINT fk_consent_user_id_user_account
            FOREIGN KEY (user_id) REFERENCES auth.user_account (id) ON DELETE CASCADE,
        CONSTRAINT fk_consent_client_id_oauth_client
            FOREIGN KEY (client_id) REFERENCES auth.oauth_client (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE auth.authorization_request (
        handle_hash bytea NOT NULL,
        client_id uuid NOT NULL,
        redirect_uri text NOT NULL,
        scope text NOT NULL,
        state text,
        nonce text,
        challenge text NOT NULL,
        key_thumbprint text,
        prompts text NOT NULL,
        max_age integer,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        answered_at timestamptz,
        session_id uuid,
        CONSTRAINT pk_authorization_request PRIMARY KEY (handle_hash),
        CONSTRAINT fk_authorization_request_client_id_oauth_client
            FOREIGN KEY (client_id) REFERENCES auth.oauth_client (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_authorization_request_expires_at ON auth.authorization_request (expires_at)",
    """
    CREATE TABLE auth.authorization_code (
        code_hash bytea NOT NULL,
        client_id uuid NOT NULL,
        user_id uuid NOT NULL,
        session_id uuid NOT NULL,
        redirect_uri text NOT NULL,
        scope text NOT NULL,
        nonce text,
        challenge text NOT NULL,
        key_thumbprint text,
        expires_at timestamptz NOT NULL,
        used_at timestamptz,
        opened_session_id uuid,
        CONSTRAINT pk_authorization_code PRIMARY KEY (code_hash),
        CONSTRAINT fk_authorization_code_client_id_oauth_client
            FOREIGN KEY (client_id) REFERENCES auth.oauth_client (id) ON DELETE CASCADE,
        CONSTRAINT fk_authorization_code_user_id_user_account
            FOREIGN KEY (user_id) REFERENCES auth.user_account (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_authorization_code_expires_at ON auth.authorization_code (expires_at)",
    """
    CREATE TABLE auth.device_request (
        code_hash bytea NOT NULL,
        user_code text NOT NULL,
        client_id uuid NOT NULL,
        scope text NOT NULL,
        device_label text NOT NULL,
        state text NOT NULL,
        interval_seconds integer NOT NULL,
        expires_at timestamptz NOT NULL,
        last_polled_at timestamptz,
        user_id uuid,
        session_id uuid,
        CONSTRAINT pk_device_request PRIMARY KEY (code_hash),
        CONSTRAINT uq_device_request_user_code UNIQUE (user_code),
        CONSTRAINT fk_device_request_client_id_oauth_client
            FOREIGN KEY (client_id) REFERENCES auth.oauth_client (id) ON DELETE CASCADE,
        CONSTRAINT fk_device_request_user_id_user_account
            FOREIGN KEY (user_id) REFERENCES auth.user_account (id) ON DELETE CASCADE,
        CONSTRAINT ck_device_request_state CHECK (state IN ('PENDING', 'APPROVED', 'DENIED', 'SPENT')),
        CONSTRAINT ck_device_request_answered_by_somebody CHECK ((user_id IS NULL) = (state = 'PENDING'))
    )
    """,
    "CREATE INDEX ix_device_request_expires_at ON auth.device_request (expires_at)",
    """
    CREATE TABLE auth.revoked_client_token (
        session_id uuid NOT NULL,
        revoked_at timestamptz NOT NULL,
        CONSTRAINT pk_revoked_client_token PRIMARY KEY (session_id)
    )
    """,
    "CREATE INDEX ix_revoked_client_token_revoked_at ON auth.revoked_client_token (revoked_at)",
    "ALTER TABLE auth.session ADD COLUMN parent_id uuid",
    "CREATE INDEX ix_session_parent_id ON auth.session (parent_id)",
    # The command line's client: public, by the device grant; its id stands in the command too.
    """
    INSERT INTO auth.oauth_client
        (id, name, method, application_type, grants, scopes, redirect_uris, post_logout_redirect_uris, bound_tokens,
         created_at, version)
    VALUES
        ('0195561c-7800-7000-8000-6c756d696572', 'Lumière command line', 'none', 'native',
         '{urn:ietf:params:oauth:grant-type:device_code,refresh_token}',
         '{openid,profile,email,offline_access,tasks:read,tasks:write,media:read,media:write,payments:read,notifications:read,notifications:write}',
         '{}', '{}', false, now(), 1)
    """,
)


def upgrade() -> None:
    """Create the tables and the command line's client."""
    for statement in STATEMENTS:
        op.execute(statement)
