"""Migrations of schema `auth`."""

from libs.common.db.migrate import run
from services.auth.models import metadata

run(metadata)
