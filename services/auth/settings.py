"""What auth reads from its environment."""

from typing import Self

from pydantic import Field, SecretStr, model_validator

from libs.common.config import Secret, ServiceSettings
from services.auth.domain.accounts import DORMANT_DAYS_DEFAULT, DORMANT_DAYS_MAXIMUM, DORMANT_DAYS_MINIMUM
from services.auth.domain.keys import SIGNS_DAYS_MAXIMUM
from services.auth.domain.limits import OTHER_ENVIRONMENTS_FACTOR
from services.auth.domain.password_rules import MINIMUM_SETTING_MAXIMUM
from services.auth.domain.passwords import BCRYPT_ROUNDS_MINIMUM, PASSWORD_MINIMUM
from services.auth.domain.sessions import (
    REFRESH_DAYS_DEFAULT,
    REFRESH_DAYS_MAXIMUM,
    SESSION_DAYS_DEFAULT,
    SESSION_DAYS_MAXIMUM,
)


class Settings(ServiceSettings):
    """Auth's environment."""

    auth_secret: Secret = Field(description="Seals signing keys, keys password hashes; only auth has it")
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
    refresh_days: int = Field(
        default=REFRESH_DAYS_DEFAULT,
        ge=1,
        le=REFRESH_DAYS_MAXIMUM,
        description="Days after which a session that nobody used has ended; each use starts them anew",
    )
    session_days: int = Field(
        default=SESSION_DAYS_DEFAULT,
        ge=1,
        le=SESSION_DAYS_MAXIMUM,
        description="Days after which a session has ended however much it is used",
    )
    password_minimum: int = Field(
        default=PASSWORD_MINIMUM,
        ge=PASSWORD_MINIMUM,
        le=MINIMUM_SETTING_MAXIMUM,
        description="Fewest characters of a new password; the old ones stay good",
    )
    dormant_days: int = Field(
        default=DORMANT_DAYS_DEFAULT,
        ge=DORMANT_DAYS_MINIMUM,
        le=DORMANT_DAYS_MAXIMUM,
        description="After so many days without a sign-in the owner of an account is reminded of it, once",
    )
    redis_url: SecretStr | None = Field(
        default=None,
        description="Where all replicas count together what one client asks; without it each process counts alone",
    )
    client_limit_factor: int | None = Field(
        default=None,
        ge=1,
        le=OTHER_ENVIRONMENTS_FACTOR,
        description=f"How many times one client may do more; 1 in production, else {OTHER_ENVIRONMENTS_FACTOR}",
    )
    web_threads: int = Field(default=16, ge=1, le=64)

    @property
    def client_factor(self) -> int:
        """How many times one client may do more than `domain.limits` says."""
        return self.client_limit_factor or (1 if self.production else OTHER_ENVIRONMENTS_FACTOR)

    @model_validator(mode="after")
    def _strong_hashes(self) -> Self:
        if self.bcrypt_rounds < BCRYPT_ROUNDS_MINIMUM and self.lumiere_env != "test":
            raise ValueError(f"BCRYPT_ROUNDS must be at least {BCRYPT_ROUNDS_MINIMUM}")
        return self
