"""Identities at other providers."""

from alembic import op

revision = "0009"
down_revision = "0008"

STATEMENTS = (
    """
    CREATE TABLE auth.federated_identity (
        id uuid NOT NULL,
        user_id uuid NOT NULL,
        provider text NOT NULL,
        subject_hash bytea NOT NULL,
        linked_at timestamptz NOT NULL,
        last_used_on date,
        CONSTRAINT pk_federated_identity PRIMARY KEY (id),
        CONSTRAINT uq_federated_identity_subject_hash UNIQUE (subject_hash),
        CONSTRAINT uq_federated_identity_user_id UNIQUE (user_id, provider),
        CONSTRAINT fk_federated_identity_user_id_user_account
            FOREIGN KEY (user_id) REFERENCES auth.user_account (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE auth.federation_attempt (
        state_hash bytea NOT NULL,
        binding_hash bytea NOT NULL,
        provider text NOT NULL,
        user_id uuid,
        return_to text,
        expires_at timestamptz NOT NULL,
        CONSTRAINT pk_federation_attempt PRIMARY KEY (state_hash),
        CONSTRAINT fk_federation_attempt_user_id_user_account
            FOREIGN KEY (user_id) REFERENCES auth.user_account (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_federation_attempt_expires_at ON auth.federation_attempt (expires_at)",
    """
    CREATE TABLE auth.identity_offer (
        token_hash bytea NOT NULL,
        user_id uuid NOT NULL,
        provider text NOT NULL,
        subject_hash bytea NOT NULL,
        expires_at timestamptz NOT NULL,
        CONSTRAINT pk_identity_offer PRIMARY KEY (token_hash),
        CONSTRAINT fk_identity_offer_user_id_user_account
            FOREIGN KEY (user_id) REFERENCES auth.user_account (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_identity_offer_expires_at ON auth.identity_offer (expires_at)",
)


def upgrade() -> None:
    """Create the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
