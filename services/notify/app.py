"""Composition root of notify."""

from libs.common.db import Database
from libs.common.events import Keyring, Recipient
from libs.common.service import Resources, Service
from services.notify import events, jobs, measures, routes, subscriptions
from services.notify.adapters.hub import Hub
from services.notify.adapters.mail import LogSender, MailFolder
from services.notify.adapters.vault import SealedBoxVault
from services.notify.adapters.words import FileTemplates
from services.notify.domain import MailSender, MailTemplates, StreamHub, Vault
from services.notify.models import metadata
from services.notify.settings import Settings


def resources(settings: Settings, database: Database) -> Resources:
    """What notify's doors need beyond the kernel."""
    keyring = Keyring(settings.private_keys)
    return {
        Keyring: keyring,
        Vault: SealedBoxVault(Recipient(settings.notify_public_key), keyring),
        MailTemplates: FileTemplates(),
        MailSender: MailFolder(settings.mail_folder) if settings.mail_folder else LogSender(),
        StreamHub: Hub(database),
    }


service = Service(
    "notify",
    settings=Settings,
    metadata=metadata,
    routes=[routes],
    subscriptions=[subscriptions],
    jobs=[jobs],
    measures=[measures],
    events=[events],
    resources=resources,
    processes=("web", "worker", "stream"),
)
