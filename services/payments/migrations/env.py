"""Alembic's entry: the kernel runs the migrations of this service's schema."""

from libs.common.db.migrate import run
from services.payments.models import metadata

run(metadata)
