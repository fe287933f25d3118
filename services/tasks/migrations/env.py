"""How Alembic reaches schema `tasks`."""

from libs.common.db.migrate import run
from services.tasks.models import metadata

run(metadata)
