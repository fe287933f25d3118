"""The ledger's environment."""

from typing import Self

from pydantic import Field, model_validator

from libs.common.config import Secret, ServiceSettings
from services.ledger.domain.notes import NoteSigner, SigningKeyError


class Settings(ServiceSettings):
    """What the ledger reads beyond what every service reads."""

    log_origin: str = Field(min_length=1, max_length=200, description="The log's name: its public address without a scheme")
    log_signing_key: Secret = Field(description="Private key of the log, PRIVATE+KEY+<name>+<key id>+<base64>")

    @model_validator(mode="after")
    def _key_is_of_the_log(self) -> Self:
        try:
            signer = NoteSigner.parse(self.log_signing_key.get_secret_value())
        except SigningKeyError as error:
            raise ValueError(f"LOG_SIGNING_KEY cannot be used: {error}") from None
        if signer.name != self.log_origin:
            raise ValueError("LOG_SIGNING_KEY must be made for the name in LOG_ORIGIN")
        return self
