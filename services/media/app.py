"""Composition root: the only place that knows which storage is used."""

from collections.abc import Mapping

from libs.common.companions import Companions
from libs.common.db import Database
from libs.common.service import Service
from services.media import events, jobs, measures, routes, subscriptions
from services.media.adapters.both import BucketBeforeFolder
from services.media.adapters.bucket import Bucket, BucketAccess
from services.media.adapters.commands import bucket_command
from services.media.adapters.local import LocalStorage
from services.media.domain.addresses import Signer
from services.media.domain.storage import ReceivingStorage, Storage
from services.media.domain.transfers import Transfers
from services.media.models import metadata
from services.media.settings import Settings


def build(settings: Settings, database: Database) -> Mapping[type, object]:  # noqa: ARG001 - the kernel's signature
    """What routes and jobs ask for by type."""
    signer = Signer(settings.storage_secret.get_secret_value())
    folder = LocalStorage(settings.storage_folder, settings.lumiere_origin, signer)
    bucket = _bucket(settings)
    return {
        Storage: BucketBeforeFolder(bucket, folder) if bucket else folder,
        ReceivingStorage: folder,
        Transfers: Transfers(settings.web_threads),
        Companions: Companions({"storage": bucket.companion} if bucket else {}),
    }


def _bucket(settings: Settings) -> Bucket | None:
    key, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    if settings.s3_bucket is None or key is None or secret is None:
        return None
    place = BucketAccess(
        settings.s3_bucket,
        settings.s3_region,
        settings.s3_endpoint,
        settings.s3_public_endpoint,
        key,
        secret.get_secret_value(),
    )
    return Bucket(place)


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
    commands={"bucket": bucket_command},
)
