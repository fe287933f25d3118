"""Alembic's entry: the kernel runs the revisions of this schema."""

from libs.common.db.migrate import run
from services.media.models import metadata

run(metadata)
