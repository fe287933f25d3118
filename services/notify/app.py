"""Composition root of notify."""

from libs.common.companions import Companion, Companions
from libs.common.db import Database
from libs.common.events import Keyring, Recipient
from libs.common.service import Resources, Service
from services.notify import events, jobs, measures, routes, subscriptions
from services.notify.adapters.hub import Hub
from services.notify.adapters.mail import LogSender, MailFolder
from services.notify.adapters.resend import ResendSender
from services.notify.adapters.smtp import SmtpSender
from services.notify.adapters.vault import SealedBoxVault
from services.notify.adapters.words import FileTemplates
from services.notify.domain import MailSender, MailTemplates, StreamHub, Vault
from services.notify.models import metadata
from services.notify.settings import Settings


def resources(settings: Settings, database: Database) -> Resources:
    """What notify's doors need beyond the kernel."""
    keyring = Keyring(settings.private_keys)
    provider = Companion("mail", "e-mails wait")
    sender = _sender(settings, provider)
    return {
        Keyring: keyring,
        Vault: SealedBoxVault(Recipient(settings.notify_public_key), keyring),
        MailTemplates: FileTemplates(),
        MailSender: sender,
        Companions: Companions({"mail": provider} if isinstance(sender, ResendSender | SmtpSender) else {}),
        StreamHub: Hub(database),
    }


def _sender(settings: Settings, provider: Companion) -> MailSender:
    """Resend, a mail server, a folder, the log: the first of them that is configured."""
    if settings.resend_api_key is not None:
        return ResendSender(settings.resend_api_key.get_secret_value(), settings.sender, provider, settings.resend_endpoint)
    if settings.smtp_url is not None:
        url = settings.smtp_url.get_secret_value()
        return SmtpSender(url, settings.sender, provider, plain_allowed=not settings.production)
    if settings.mail_folder is not None:
        return MailFolder(settings.mail_folder, settings.sender)
    return LogSender(shows_links=settings.lumiere_env == "development")


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
