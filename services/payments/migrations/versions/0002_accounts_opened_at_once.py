"""Accounts of the platform can be opened by many at once: theirs are known ids, so the primary key may conflict first.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

OPEN_ACCOUNT = """
CREATE OR REPLACE FUNCTION payments.open_account(
    new_id uuid, wanted_kind text, wanted_owner uuid, lowest bigint, moment timestamptz
) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    found_id uuid;
BEGIN
    -- Nearly always it is there already; a reader's look takes no lock.
    SELECT a.id INTO found_id FROM payments.account a
    WHERE a.kind = wanted_kind AND (a.owner_id = wanted_owner OR a.owner_id IS NULL AND wanted_owner IS NULL);
    IF found_id IS NULL THEN
        INSERT INTO payments.account (id, kind, owner_id, floor, balance, version, opened_at)
        VALUES (new_id, wanted_kind, wanted_owner, lowest, 0, 0, moment)
        ON CONFLICT DO NOTHING;
        SELECT a.id INTO STRICT found_id FROM payments.account a
        WHERE a.kind = wanted_kind AND (a.owner_id = wanted_owner OR a.owner_id IS NULL AND wanted_owner IS NULL);
    END IF;
    RETURN found_id;
END $$
"""


def upgrade() -> None:
    """Let whichever constraint conflicts first decide."""
    op.execute(OPEN_ACCOUNT)
