"""Composition root of the ledger."""

from collections.abc import Mapping

from libs.common.db import Database
from libs.common.service import Service
from services.ledger import events, jobs, measures, routes, subscriptions
from services.ledger.adapters.command_line import restored_command, resume_command, standing_command
from services.ledger.domain.notes import NoteSigner
from services.ledger.models import metadata
from services.ledger.settings import Settings


def build(settings: Settings, _database: Database) -> Mapping[type, object]:
    """What routes and jobs ask for by type."""
    return {NoteSigner: NoteSigner.parse(settings.log_signing_key.get_secret_value())}


service = Service(
    "ledger",
    settings=Settings,
    metadata=metadata,
    routes=[routes],
    subscriptions=[subscriptions],
    jobs=[jobs],
    measures=[measures],
    events=[events],
    resources=build,
    commands={"standing": standing_command, "restored": restored_command, "resume": resume_command},
)
