"""Payables, and the book of Lumens with its posting function.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from libs.common.db.migrate import kernel_upgrade

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "payments"
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables, what guards them, and the one way to book."""
    kernel_upgrade(op, SCHEMA)
    _create_payment()
    _create_book()
    for statement in (*GUARDS, OPEN_ACCOUNT, POST_TRANSFER, *TRIGGERS):
        op.execute(statement)


def _create_payment() -> None:
    op.create_table(
        "payment",
        sa.Column("id", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("film_id", sa.Uuid(), nullable=False),
        sa.Column("contributor_id", sa.Uuid(), nullable=False),
        sa.Column("amount_amount", sa.BigInteger(), nullable=False),
        sa.Column("amount_currency", sa.String(3), nullable=False),
        sa.Column("task_title", sa.Text(), nullable=False),
        sa.Column("film_title", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_payment"),
        sa.UniqueConstraint("task_id", name="uq_payment_task_id"),
        sa.CheckConstraint("status IN ('PENDING', 'PROCESSING', 'COMPLETED', 'FAILED')", name="status_known"),
        sa.CheckConstraint("amount_amount > 0", name="amount_positive"),
        schema=SCHEMA,
    )
    for columns in (["contributor_id", "created_at", "id"], ["created_at", "id"], ["status", "created_at", "id"]):
        op.create_index(f"ix_payment_{'_'.join(columns)}", "payment", columns, schema=SCHEMA)


def _create_book() -> None:
    op.create_table(
        "account",
        sa.Column("id", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("floor", sa.BigInteger(), nullable=True),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
        sa.UniqueConstraint("kind", "owner_id", name="uq_account_kind_owner_id", postgresql_nulls_not_distinct=True),
        sa.CheckConstraint("kind IN ('PLATFORM_REWARDS', 'CONTRIBUTOR', 'HELD')", name="kind_known"),
        sa.CheckConstraint("(kind = 'PLATFORM_REWARDS') = (owner_id IS NULL)", name="owner_of_kind"),
        sa.CheckConstraint("floor IS NULL OR balance >= floor", name="balance_floor"),
        schema=SCHEMA,
    )
    op.create_index("ix_account_owner_id", "account", ["owner_id"], schema=SCHEMA)
    op.create_table(
        "transfer",
        sa.Column("id", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("reference_kind", sa.Text(), nullable=False),
        sa.Column("reference_id", sa.Uuid(), nullable=False),
        sa.Column("booked_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_transfer"),
        sa.UniqueConstraint("reference_kind", "reference_id", name="uq_transfer_reference_kind_reference_id"),
        schema=SCHEMA,
    )
    op.create_table(
        "entry",
        sa.Column("id", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("transfer_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("balance_after", sa.BigInteger(), nullable=False),
        sa.Column("account_version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_entry"),
        sa.ForeignKeyConstraint(["transfer_id"], ["payments.transfer.id"], name="fk_entry_transfer_id_transfer"),
        sa.ForeignKeyConstraint(["account_id"], ["payments.account.id"], name="fk_entry_account_id_account"),
        sa.UniqueConstraint("transfer_id", "account_id", name="uq_entry_transfer_id_account_id"),
        sa.UniqueConstraint("account_id", "account_version", name="uq_entry_account_id_account_version"),
        sa.CheckConstraint("amount <> 0", name="amount_not_zero"),
        schema=SCHEMA,
    )


# What an account is never changes; a new one starts empty; its balance moves one entry at a time.
ACCOUNT_GUARD = """
CREATE FUNCTION payments.guard_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.balance <> 0 OR NEW.version <> 0 THEN
            RAISE EXCEPTION 'An account opens with nothing on it' USING ERRCODE = 'restrict_violation';
        END IF;
    ELSIF NEW.version <> OLD.version + 1
       OR (NEW.id, NEW.kind, NEW.owner_id, NEW.floor, NEW.opened_at)
          IS DISTINCT FROM (OLD.id, OLD.kind, OLD.owner_id, OLD.floor, OLD.opened_at) THEN
        RAISE EXCEPTION 'Only booking moves an account, one entry at a time' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""

ACCOUNT_MATCHES_ENTRIES = """
CREATE FUNCTION payments.account_matches_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM payments.entry e
        WHERE e.account_id = NEW.id AND e.account_version = NEW.version
          AND e.balance_after = NEW.balance AND e.amount = NEW.balance - OLD.balance
    ) THEN
        RAISE EXCEPTION 'The balance of account % differs from its entries', NEW.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$
"""

ENTRY_BALANCES = """
CREATE FUNCTION payments.entry_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT sum(e.amount) FROM payments.entry e WHERE e.transfer_id = NEW.transfer_id) <> 0 THEN
        RAISE EXCEPTION 'The legs of transfer % do not sum to zero', NEW.transfer_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- An account at this version or beyond went through it with an entry: its guards see to that, and entries are unique.
    IF NOT EXISTS (
        SELECT FROM payments.account a
        WHERE a.id = NEW.account_id AND a.version >= NEW.account_version AND NEW.account_version > 0
    ) THEN
        RAISE EXCEPTION 'Entry % is ahead of its account', NEW.id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$
"""

TRANSFER_HAS_LEGS = """
CREATE FUNCTION payments.transfer_has_legs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM payments.entry e WHERE e.transfer_id = NEW.id) THEN
        RAISE EXCEPTION 'Transfer % has no legs', NEW.id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$
"""

OPEN_ACCOUNT = """
CREATE FUNCTION payments.open_account(new_id uuid, wanted_kind text, wanted_owner uuid, lowest bigint, moment timestamptz)
RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    found_id uuid;
BEGIN
    -- Nearly always it is there already; a reader's look takes no lock.
    SELECT a.id INTO found_id FROM payments.account a
    WHERE a.kind = wanted_kind AND (a.owner_id = wanted_owner OR a.owner_id IS NULL AND wanted_owner IS NULL);
    IF found_id IS NULL THEN
        INSERT INTO payments.account (id, kind, owner_id, floor, balance, version, opened_at)
        VALUES (new_id, wanted_kind, wanted_owner, lowest, 0, 0, moment)
        ON CONFLICT (kind, owner_id) DO NOTHING;
        SELECT a.id INTO STRICT found_id FROM payments.account a
        WHERE a.kind = wanted_kind AND (a.owner_id = wanted_owner OR a.owner_id IS NULL AND wanted_owner IS NULL);
    END IF;
    RETURN found_id;
END $$
"""

# Books one transfer and returns its entries; returns nothing when this very transfer was booked before.
POST_TRANSFER = """
CREATE FUNCTION payments.post_transfer(
    new_id uuid, kind text, reference uuid, moment timestamptz, accounts uuid[], amounts bigint[], entry_ids uuid[]
) RETURNS TABLE (entry_id uuid, account_id uuid, amount bigint, balance_after bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    locked integer;
    earlier uuid;
BEGIN
    IF cardinality(accounts) < 2
       OR (cardinality(amounts), cardinality(entry_ids)) <> (cardinality(accounts), cardinality(accounts)) THEN
        RAISE EXCEPTION 'A transfer has two legs or more, each with an account, an amount and an id'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Always in the order of ids, so that two bookings never wait for each other.
    PERFORM FROM payments.account a WHERE a.id = ANY (accounts) ORDER BY a.id FOR NO KEY UPDATE;
    GET DIAGNOSTICS locked = ROW_COUNT;
    IF locked <> cardinality(accounts) THEN
        RAISE EXCEPTION 'Each leg needs an open account of its own' USING ERRCODE = 'foreign_key_violation';
    END IF;

    INSERT INTO payments.transfer (id, reference_kind, reference_id, booked_at) VALUES (new_id, kind, reference, moment)
    ON CONFLICT (reference_kind, reference_id) DO NOTHING;
    IF NOT FOUND THEN
        SELECT t.id INTO STRICT earlier FROM payments.transfer t WHERE t.reference_kind = kind AND t.reference_id = reference;
        IF EXISTS (
            SELECT FROM (SELECT e.account_id, e.amount FROM payments.entry e WHERE e.transfer_id = earlier) booked
            FULL JOIN unnest(accounts, amounts) AS asked (account_id, amount) USING (account_id, amount)
            WHERE booked.account_id IS NULL OR asked.account_id IS NULL
        ) THEN
            RAISE EXCEPTION '% % was booked before with other legs', kind, reference
                USING ERRCODE = 'unique_violation', CONSTRAINT = 'uq_transfer_reference_kind_reference_id';
        END IF;
        RETURN;
    END IF;

    RETURN QUERY
    WITH moved AS (
        UPDATE payments.account a SET balance = a.balance + leg.amount, version = a.version + 1
        FROM unnest(accounts, amounts, entry_ids) AS leg (account_id, amount, entry_id)
        WHERE a.id = leg.account_id
        RETURNING leg.entry_id, a.id, leg.amount, a.balance, a.version
    )
    INSERT INTO payments.entry (id, transfer_id, account_id, amount, balance_after, account_version)
    SELECT m.entry_id, new_id, m.id, m.amount, m.balance, m.version FROM moved m
    RETURNING payments.entry.id, payments.entry.account_id, payments.entry.amount, payments.entry.balance_after;
END $$
"""

GUARDS = (ACCOUNT_GUARD, ACCOUNT_MATCHES_ENTRIES, ENTRY_BALANCES, TRANSFER_HAS_LEGS)

TRIGGERS = (
    """CREATE TRIGGER no_removal BEFORE DELETE OR TRUNCATE ON payments.account
       FOR EACH STATEMENT EXECUTE FUNCTION payments.refuse_change()""",
    """CREATE TRIGGER guarded BEFORE INSERT OR UPDATE ON payments.account
       FOR EACH ROW EXECUTE FUNCTION payments.guard_account()""",
    """CREATE CONSTRAINT TRIGGER matches_entries AFTER UPDATE ON payments.account DEFERRABLE INITIALLY DEFERRED
       FOR EACH ROW EXECUTE FUNCTION payments.account_matches_entries()""",
    """CREATE CONSTRAINT TRIGGER legs_sum_to_zero AFTER INSERT ON payments.entry DEFERRABLE INITIALLY DEFERRED
       FOR EACH ROW EXECUTE FUNCTION payments.entry_balances()""",
    """CREATE CONSTRAINT TRIGGER has_legs AFTER INSERT ON payments.transfer DEFERRABLE INITIALLY DEFERRED
       FOR EACH ROW EXECUTE FUNCTION payments.transfer_has_legs()""",
)
