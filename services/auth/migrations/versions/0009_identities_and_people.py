"""Identities at other providers; personal access tokens; proposals of administrators; fuller profiles, and checks of people."""

from alembic import op

revision = "0009"
down_revision = "0008"
contracts = dict.fromkeys(
    ("ban-drop-default", "constraint-missing-not-valid", "require-concurrent-index-creation"),
    "Before the first release: nobody ran the former schema.",
)

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
        CONSTRAINT uq_federated_identity_user_id_provider UNIQUE (user_id, provider),
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
    """
    CREATE TABLE auth.personal_access_token (
        id uuid NOT NULL,
        user_id uuid NOT NULL,
        name text NOT NULL,
        token_hash bytea NOT NULL,
        scope text NOT NULL,
        authenticated_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        last_used_on date,
        last_token_at timestamptz,
        revoked_at timestamptz,
        revoke_reason text,
        CONSTRAINT pk_personal_access_token PRIMARY KEY (id),
        CONSTRAINT uq_personal_access_token_token_hash UNIQUE (token_hash),
        CONSTRAINT ck_personal_access_token_name_length CHECK (char_length(name) BETWEEN 1 AND 100),
        CONSTRAINT ck_personal_access_token_revoked_for_a_reason CHECK ((revoked_at IS NULL) = (revoke_reason IS NULL)),
        CONSTRAINT fk_personal_access_token_user_id_user_account
            FOREIGN KEY (user_id) REFERENCES auth.user_account (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_personal_access_token_user_id ON auth.personal_access_token (user_id)",
    "CREATE INDEX ix_personal_access_token_expires_at ON auth.personal_access_token (expires_at)",
    "CREATE INDEX ix_personal_access_token_revoked_at ON auth.personal_access_token (revoked_at)",
    """
    CREATE TABLE auth.administrator_proposal (
        id uuid NOT NULL,
        user_id uuid NOT NULL,
        proposed_by uuid NOT NULL,
        status text NOT NULL,
        proposed_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        decided_by uuid,
        decided_at timestamptz,
        CONSTRAINT pk_administrator_proposal PRIMARY KEY (id),
        CONSTRAINT ck_administrator_proposal_status CHECK (status IN ('PENDING', 'CONFIRMED', 'REJECTED', 'EXPIRED')),
        CONSTRAINT ck_administrator_proposal_decided_at_an_instant CHECK ((status = 'PENDING') = (decided_at IS NULL)),
        CONSTRAINT ck_administrator_proposal_decided_by_somebody
            CHECK ((status IN ('CONFIRMED', 'REJECTED')) = (decided_by IS NOT NULL)),
        CONSTRAINT ck_administrator_proposal_confirmed_by_another CHECK (status <> 'CONFIRMED' OR decided_by <> proposed_by),
        CONSTRAINT fk_administrator_proposal_user_id_user_account
            FOREIGN KEY (user_id) REFERENCES auth.user_account (id) ON DELETE CASCADE
    )
    """,
    "CREATE UNIQUE INDEX uq_administrator_proposal_pending ON auth.administrator_proposal (user_id) WHERE status = 'PENDING'",
    """
    ALTER TABLE auth.user_account
        ADD COLUMN wallet_address text,
        ADD COLUMN skills text[] NOT NULL DEFAULT '{}',
        ADD COLUMN languages text[] NOT NULL DEFAULT '{}',
        ADD COLUMN kyc_status text NOT NULL DEFAULT 'NONE',
        ADD COLUMN accredited boolean NOT NULL DEFAULT false,
        ADD COLUMN kyc_expires_at timestamptz,
        ADD CONSTRAINT ck_user_account_wallet_address_shape CHECK (wallet_address ~ '^0x[0-9a-fA-F]{40}$'),
        ADD CONSTRAINT ck_user_account_skills_count CHECK (cardinality(skills) <= 16),
        ADD CONSTRAINT ck_user_account_languages_count CHECK (cardinality(languages) <= 9),
        ADD CONSTRAINT ck_user_account_kyc_status
            CHECK (kyc_status IN ('NONE', 'PENDING', 'VERIFIED', 'REJECTED', 'EXPIRED')),
        ADD CONSTRAINT ck_user_account_accredited_when_verified CHECK (kyc_status = 'VERIFIED' OR NOT accredited),
        ADD CONSTRAINT ck_user_account_kyc_expires
            CHECK ((kyc_status IN ('VERIFIED', 'EXPIRED')) = (kyc_expires_at IS NOT NULL))
    """,
    # What accounts that are there already begin with; whoever adds one says it.
    """
    ALTER TABLE auth.user_account
        ALTER COLUMN skills DROP DEFAULT,
        ALTER COLUMN languages DROP DEFAULT,
        ALTER COLUMN kyc_status DROP DEFAULT,
        ALTER COLUMN accredited DROP DEFAULT
    """,
    """
    CREATE INDEX ix_user_account_kyc_verified ON auth.user_account (kyc_expires_at) WHERE kyc_status = 'VERIFIED'
    """,
)


def upgrade() -> None:
    """Create the tables, and add what profiles and checks hold."""
    for statement in STATEMENTS:
        op.execute(statement)
