"""Migrations of the ledger."""

from libs.common.db.migrate import run
from services.ledger.models import metadata

run(metadata)
