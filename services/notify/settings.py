"""The environment of notify."""

import base64
import binascii
from pathlib import Path
from typing import Self

from nacl.public import PrivateKey
from pydantic import Field, model_validator

from libs.common.config import Secret, ServiceSettings, without


class Settings(ServiceSettings):
    """What notify needs beyond what every service reads."""

    notify_private_key: Secret = Field(
        description="X25519 private key, base64, that opens personal values; older ones may follow after a space"
    )
    mail_folder: Path | None = Field(
        default=None,
        description="Where e-mails are written as .eml files",
        json_schema_extra=without("e-mails are told by the log alone, recipients masked; in production notify does not start"),
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

    @model_validator(mode="after")
    def _mail_leaves_in_production(self) -> Self:
        if self.production and self.mail_folder is None:
            raise ValueError("MAIL_FOLDER is required in production: a log line is no delivery")
        return self
