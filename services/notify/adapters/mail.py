"""Senders of e-mail: into a folder, or for development without one, into the log."""

import os
import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path

from libs.common.telemetry import logger
from services.notify.domain import DeliveryRefused, Mail

SENDER = Address("Lumière", "no-reply", "lumiere.film")
# Whether an address exists was settled when it was given. Here it only must not be able to act as more than one address.
ADDRESS = re.compile(r'[^\s@<>(),:;"\[\]\\\x00-\x1f\x7f]+@[^\s@<>(),:;"\[\]\\\x00-\x1f\x7f]+')
FILE_MODE = 0o600
FOLDER_MODE = 0o700

log = logger(__name__)


def message_of(mail: Mail) -> EmailMessage:
    """The e-mail as a message (RFC 5322): plain text with an HTML alternative. Raises DeliveryRefused for a false address."""
    if not ADDRESS.fullmatch(mail.recipient):
        raise DeliveryRefused("AddressInvalid", permanent=True)
    local_part, _, domain = mail.recipient.rpartition("@")
    message = EmailMessage(policy=SMTPUTF8)
    message["From"] = SENDER
    message["To"] = Address(username=local_part, domain=domain)
    message["Subject"] = mail.subject
    message["Date"] = mail.requested_at
    message["Message-ID"] = f"<{mail.id}@{SENDER.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    # Unwrapped, so that a link can be copied out of the file as it stands.
    message.set_content(mail.text, cte="8bit")
    message.add_alternative(mail.html, subtype="html", cte="8bit")
    message["Content-Language"] = mail.locale
    return message


class MailFolder:
    """Writes each e-mail as an `.eml` file that only this user can read; names sort by the time of the request.

    A file appears whole or not at all, and the same e-mail again is the same file.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self._folder = folder

    def send(self, mail: Mail) -> None:
        """Write one file. Raises DeliveryRefused when the folder does not take it."""
        name = f"{mail.requested_at:%Y%m%dT%H%M%S.%fZ}-{mail.id}.eml"
        unfinished = self._folder / f".{name}.part"
        data = bytes(message_of(mail))
        try:
            unfinished.unlink(missing_ok=True)
            descriptor = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._folder / name)
        except OSError as error:
            raise DeliveryRefused(type(error).__name__, permanent=False) from None


class LogSender:
    """Says in the log that an e-mail would leave, without its address and content. For development only."""

    def send(self, mail: Mail) -> None:
        """Log one line. Raises DeliveryRefused for an impossible address, as a real sender would."""
        size = len(bytes(message_of(mail)))
        log.info("email.logged", email_id=str(mail.id), template=mail.template, locale=mail.locale, bytes=size)
