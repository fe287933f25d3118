"""The mail that a development platform writes beside sending it."""

import re
from collections.abc import Iterable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Protocol

LINK_TOKEN = re.compile(r"/verify-email\?token=([A-Za-z0-9_-]+)")


class Letters(Protocol):
    """Where e-mails are files: a folder, or what looks like one."""

    @property
    def name(self) -> str:
        """For people."""

    def glob(self, pattern: str, /) -> Iterable[Path]:
        """The files whose name fits."""


def mails_to(folder: Letters, address: str) -> list[EmailMessage]:
    """Every e-mail to this address, oldest first."""
    found = [message_from_bytes(path.read_bytes(), policy=default) for path in sorted(folder.glob("*.eml"))]
    return [mail for mail in found if address.lower() in str(mail["To"]).lower()]


def text_of(mail: EmailMessage) -> str:
    """The plain text."""
    body = mail.get_body(preferencelist=("plain",))
    return str(body.get_content()) if body is not None else ""


def verification_token(folder: Letters, address: str) -> str | None:
    """The token in the verification link that was mailed to this address, once it is there."""
    for mail in mails_to(folder, address):
        if match := LINK_TOKEN.search(text_of(mail)):
            return match[1]
    return None
