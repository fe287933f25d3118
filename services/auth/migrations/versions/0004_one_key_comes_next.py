"""One signing key comes next, as one signs: replicas cannot disagree."""

from alembic import op

revision = "0004"
down_revision = "0003"
contracts = {"require-concurrent-index-creation": "Before the first release: nobody ran the former schema."}


def upgrade() -> None:
    """Let the database refuse a second one."""
    op.execute("CREATE UNIQUE INDEX uq_signing_key_next ON auth.signing_key (state) WHERE state = 'PUBLISHED'")
