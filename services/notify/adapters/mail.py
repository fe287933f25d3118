"""The e-mail as a message, and senders that need no provider: into a folder, or for development without one, into the log."""

import os
import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTPUTF8, EmailPolicy
from pathlib import Path

from libs.common.telemetry import logger
from libs.common.telemetry.redaction import Shown
from services.notify.domain import DeliveryRefused, Mail

SENDER = Address("Lumière", "no-reply", "lumiere.film")
# Whether an address exists was settled when it was given. Here it only must not be able to act as more than one address.
ADDRESS = re.compile(r'[^\s@<>(),:;"\[\]\\\x00-\x1f\x7f]+@[^\s@<>(),:;"\[\]\\\x00-\x1f\x7f]+')
_LINK = re.compile(r"https?://\S+")
FILE_MODE = 0o600
FOLDER_MODE = 0o700

log = logger(__name__)


def require_address(recipient: str) -> None:
    """Raise DeliveryRefused, permanent, for what is not exactly one address."""
    if not ADDRESS.fullmatch(recipient):
        raise DeliveryRefused("AddressInvalid", permanent=True)


def message_of(mail: Mail, sender: Address = SENDER, policy: "EmailPolicy[EmailMessage]" = SMTPUTF8) -> EmailMessage:
    """The e-mail as a message (RFC 5322): plain text with an HTML alternative. Raises DeliveryRefused for a false address."""
    encoding = "8bit" if policy.utf8 else "quoted-printable"
    require_address(mail.recipient)
    local_part, _, domain = mail.recipient.rpartition("@")
    message = EmailMessage(policy=policy)
    message["From"] = sender
    message["To"] = Address(username=local_part, domain=domain)
    message["Subject"] = mail.subject
    message["Date"] = mail.requested_at
    message["Message-ID"] = f"<{mail.id}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    # Eight bits are unwrapped: a link can be copied out of the file as it stands.
    message.set_content(mail.text, cte=encoding)
    message.add_alternative(mail.html, subtype="html", cte=encoding)
    message["Content-Language"] = mail.locale
    return message


class MailFolder:
    """Writes each e-mail as an `.eml` file that only this user can read; names sort by the time of the request.

    A file appears whole or not at all, and the same e-mail again is the same file.
    """

    def __init__(self, folder: Path, sender: Address = SENDER) -> None:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self._folder = folder
        self._sender = sender

    def send(self, mail: Mail) -> None:
        """Write one file. Raises DeliveryRefused when the folder does not take it."""
        name = f"{mail.requested_at:%Y%m%dT%H%M%S.%fZ}-{mail.id}.eml"
        unfinished = self._folder / f".{name}.part"
        data = bytes(message_of(mail, self._sender))
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
    """Says in the log that an e-mail would leave, to whom only as a mask. On a developer's machine it shows the link too."""

    def __init__(self, *, shows_links: bool = False) -> None:
        self._shows_links = shows_links

    def send(self, mail: Mail) -> None:
        """Log one line. Raises DeliveryRefused for an impossible address, as a real sender would."""
        size = len(bytes(message_of(mail)))
        about = {"email_id": str(mail.id), "template": mail.template, "locale": mail.locale, "bytes": size}
        link = _LINK.search(mail.text) if self._shows_links else None
        log.info("email.logged", **about, to=masked(mail.recipient), **({"link": Shown(link[0])} if link else {}))


def masked(address: str) -> str:
    """The first letter of each side and the last label: enough to see that it is the one that was meant."""
    local_part, _, domain = address.rpartition("@")
    return f"{local_part[:1]}…@{domain[:1]}….{domain.rpartition('.')[2]}"
