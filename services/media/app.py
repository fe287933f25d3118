"""Composition root: the only place that knows which storage is used."""

from collections.abc import Mapping

from libs.common.db import Database
from libs.common.service import Service
from services.media import events, jobs, measures, routes, subscriptions
from services.media.adapters.local import LocalStorage
from services.media.domain.addresses import Signer
from services.media.domain.storage import ReceivingStorage, Storage
from services.media.domain.transfers import Transfers
from services.media.models import metadata
from services.media.settings import Settings


def build(settings: Settings, database: Database) -> Mapping[type, object]:  # noqa: ARG001 - the kernel's signature
    """What routes and jobs ask for by type."""
    signer = Signer(settings.storage_secret.get_secret_value())
    storage = LocalStorage(settings.storage_folder, settings.lumiere_origin, signer)
    return {Storage: storage, ReceivingStorage: storage, Transfers: Transfers(settings.web_threads)}


service = Service(
    "media",
    settings=Settings,
    metadata=metadata,
    routes=[routes],
    subscriptions=[subscriptions],
    jobs=[jobs],
    measures=[measures],
    events=[events],
    resources=build,
)
