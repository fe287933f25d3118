"""What auth reads from its environment."""

from typing import Self

from pydantic import Field, model_validator

from libs.common.config import Secret, ServiceSettings
from services.auth.domain.keys import SIGNS_DAYS_MAXIMUM
from services.auth.domain.passwords import BCRYPT_ROUNDS_MINIMUM


class Settings(ServiceSettings):
    """Auth's environment."""

    auth_secret: Secret = Field(description="Seals the root of auth's keys; only auth has it")
    auth_secret_previous: Secret | None = Field(
        default=None, description="The secret before, while AUTH_SECRET is being rotated: either opens the root"
    )
    bcrypt_rounds: int = Field(
        default=BCRYPT_ROUNDS_MINIMUM, ge=4, le=16, description="bcrypt cost; under 12 only where LUMIERE_ENV=test"
    )
    password_threads: int = Field(default=2, ge=1, le=32, description="Passwords hashed at a time")
    password_queue: int = Field(
        default=6, ge=0, le=64, description="Passwords that may wait for a thread; more are answered 503"
    )
    password_wait_seconds: float = Field(default=5, gt=0, le=10, description="How long a password may wait for a thread")
    signing_key_days: int = Field(
        default=SIGNS_DAYS_MAXIMUM,
        ge=1,
        le=SIGNS_DAYS_MAXIMUM,
        description="How long one key signs tokens before the next does",
    )
    web_threads: int = Field(default=16, ge=1, le=64)

    @model_validator(mode="after")
    def _strong_hashes(self) -> Self:
        if self.bcrypt_rounds < BCRYPT_ROUNDS_MINIMUM and self.lumiere_env != "test":
            raise ValueError(f"BCRYPT_ROUNDS must be at least {BCRYPT_ROUNDS_MINIMUM}")
        return self
