"""The environment of notify."""

import base64
import binascii
import re
from email.headerregistry import Address, AddressHeader, HeaderRegistry
from pathlib import Path
from typing import Final, Self, cast

from nacl.public import PrivateKey
from pydantic import Field, SecretStr, model_validator

from libs.common.config import Secret, ServiceSettings, without

RESEND_ENDPOINT: Final = "https://api.resend.com"
SMTP_ADDRESS: Final = re.compile(r"smtps?://(?:[^\s:@/]+:[^\s@/]+@)?[^\s:@/]+(?::\d{1,5})?/?")


class Settings(ServiceSettings):
    """What notify needs beyond what every service reads."""

    notify_private_key: Secret = Field(
        description="X25519 private key, base64, that opens personal values; older ones may follow after a space"
    )
    resend_api_key: SecretStr | None = Field(
        default=None,
        description="Key of Resend, which takes the e-mails",
        json_schema_extra=without("SMTP_URL takes them; without that too none leaves, and in production notify does not start"),
    )
    resend_endpoint: str = Field(
        default=RESEND_ENDPOINT, pattern=r"^https?://[^/?#\s]+$", description="Base address of Resend, for a proxy in between"
    )
    smtp_url: SecretStr | None = Field(
        default=None,
        description="A mail server instead of Resend: smtps://host:465 with user and password, or smtp:// with STARTTLS",
        json_schema_extra=without("RESEND_API_KEY takes e-mails; without that too none leaves"),
    )
    mail_from: str = Field(
        default="Lumière <no-reply@lumiere.film>", description="Whom e-mails come from; a provider must know its domain"
    )
    mail_folder: Path | None = Field(
        default=None,
        description="Without a provider, where e-mails are written as .eml files",
        json_schema_extra=without("without a provider too, the log alone tells of e-mails, recipients masked"),
    )

    @property
    def private_keys(self) -> list[str]:
        """The private keys, newest first."""
        return self.notify_private_key.get_secret_value().split()

    @model_validator(mode="after")
    def _keys_belong_together(self) -> Self:
        try:
            public = bytes(PrivateKey(base64.b64decode(self.private_keys[0], validate=True)).public_key)
        except (binascii.Error, ValueError, TypeError):
            raise ValueError("NOTIFY_PRIVATE_KEY must be an X25519 private key in base64") from None
        if base64.b64encode(public).decode() != self.notify_public_key:
            raise ValueError("NOTIFY_PUBLIC_KEY must be the public key of NOTIFY_PRIVATE_KEY")
        return self

    @property
    def sender(self) -> Address:
        """Whom e-mails come from. Raises ValueError."""
        found = cast(AddressHeader, HeaderRegistry()("From", self.mail_from)).addresses
        if len(found) != 1 or not found[0].username or "." not in found[0].domain:
            raise ValueError("MAIL_FROM must be one address: Name <name@example.org>")
        return found[0]

    @model_validator(mode="after")
    def _one_way_out(self) -> Self:
        _ = self.sender
        smtp = self.smtp_url.get_secret_value() if self.smtp_url else None
        if smtp is not None and self.resend_api_key is not None:
            raise ValueError("RESEND_API_KEY and SMTP_URL name two ways for e-mails; set one of them")
        if smtp is not None and not SMTP_ADDRESS.fullmatch(smtp):
            raise ValueError("SMTP_URL must look like smtps://host:465, with user and password before an @")
        return self

    @model_validator(mode="after")
    def _mail_leaves_in_production(self) -> Self:
        if not self.production or self.smtp_url is not None:
            return self
        if self.resend_api_key is None and not ("mail" in self.mock_providers and self.mail_folder):
            raise ValueError(
                "RESEND_API_KEY or SMTP_URL is required in production: nobody reads a folder or a log line. "
                "For a demonstration say MOCK_PROVIDERS=mail and MAIL_FOLDER"
            )
        if self.resend_api_key is not None and not self.resend_endpoint.startswith("https://"):
            raise ValueError("RESEND_ENDPOINT must begin with https:// in production")
        return self
