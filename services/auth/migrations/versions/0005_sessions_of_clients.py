"""A session may belong to a client with less than all rights, and its tokens to a key."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add what a session was granted and the key it is bound to."""
    op.execute("ALTER TABLE auth.session ADD COLUMN scope text, ADD COLUMN key_thumbprint text")
