"""E-mail through a server of one's own (RFC 5321, submission by RFC 6409 or 8314)."""

import smtplib
import ssl
from email.headerregistry import Address
from email.policy import SMTP
from typing import Final
from urllib.parse import unquote, urlsplit

from libs.common.companions import Companion
from services.notify.adapters.mail import message_of
from services.notify.domain import DeliveryRefused, Mail, ProviderAway

ANSWER_SECONDS: Final = 10.0
PORTS: Final = {"smtp": 587, "smtps": 465}


class SmtpSender:
    """Opens a connection for each e-mail. Every attempt has the same Message-ID; servers are free to make nothing of it.

    `smtps://` speaks TLS from the first byte, `smtp://` from STARTTLS on; without TLS only where that is allowed.
    """

    def __init__(self, url: str, sender: Address, companion: Companion, *, plain_allowed: bool) -> None:
        parts = urlsplit(url)
        self._implicit = parts.scheme == "smtps"
        self._host = parts.hostname or ""
        self._port = parts.port or PORTS[parts.scheme]
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._sender = sender
        self._companion = companion
        self._plain_allowed = plain_allowed
        self._tls = ssl.create_default_context()

    def send(self, mail: Mail) -> None:
        """Send one e-mail. Raises DeliveryRefused; ProviderAway when none would leave."""
        message = message_of(mail, self._sender, SMTP)  # seven bits, which every server carries
        try:
            with self._connection() as server:
                if not mail.recipient.isascii() and not server.has_extn("smtputf8"):
                    # RFC 6531. One person's address; everybody else's e-mails need not wait for it.
                    self._companion.found()
                    raise DeliveryRefused("AddressUnsupported", permanent=True)
                server.send_message(message, self._sender.addr_spec, [mail.recipient])
        except smtplib.SMTPRecipientsRefused as refused:
            raise self._refused(next(iter(refused.recipients.values()))[0]) from None
        except smtplib.SMTPDataError as refused:
            raise self._refused(refused.smtp_code) from None
        except (OSError, smtplib.SMTPException) as error:
            self._companion.lost(type(error).__name__)
            raise ProviderAway(type(error).__name__) from None
        self._companion.found()

    def _connection(self) -> smtplib.SMTP:
        if self._implicit:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=ANSWER_SECONDS, context=self._tls)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=ANSWER_SECONDS)
        try:
            server.ehlo_or_helo_if_needed()
            if not self._implicit and (server.has_extn("starttls") or not self._plain_allowed):
                server.starttls(context=self._tls)
            if self._user:
                server.login(self._user, self._password)
        except BaseException:
            server.close()
            raise
        return server

    def _refused(self, code: int) -> DeliveryRefused:
        """A server that refuses one e-mail answers all the same; 5yz means for good (RFC 5321 section 4.2.1)."""
        self._companion.found()
        return DeliveryRefused(f"Refused{code}", permanent=code >= 500)
