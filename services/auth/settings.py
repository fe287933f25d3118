"""What auth reads from its environment."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, Json, SecretStr, model_validator

from libs.common.config import Secret, ServiceSettings, without
from services.auth.domain.accounts import DORMANT_DAYS_DEFAULT, DORMANT_DAYS_MAXIMUM, DORMANT_DAYS_MINIMUM
from services.auth.domain.federation import SIGNATURE_ALGORITHMS, Provider, protected
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


class OpenIdProvider(BaseModel):
    """One provider that people may sign in with, as the operator describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    label: Annotated[str, Field(min_length=1, max_length=50)]
    issuer: Annotated[str, Field(pattern=r"^https?://[^/?#\s]+[^?#\s]*$", max_length=512)]
    client_id: Annotated[str, Field(min_length=1, max_length=255)]
    client_secret: SecretStr | None = None
    client_secret_file: Path | None = None
    algorithms: Annotated[tuple[str, ...], Field(min_length=1)] = SIGNATURE_ALGORITHMS

    @model_validator(mode="after")
    def _algorithms_of_public_keys(self) -> Self:
        if not set(self.algorithms) <= set(SIGNATURE_ALGORITHMS):
            raise ValueError(f"algorithms must be among {', '.join(SIGNATURE_ALGORITHMS)}")
        return self

    def described(self, origin: str) -> Provider:
        """Return the provider, its secret read. Raises OSError."""
        secret = self.client_secret.get_secret_value() if self.client_secret else None
        if self.client_secret_file is not None:
            secret = self.client_secret_file.read_text(encoding="utf-8").strip()
        return Provider(
            self.name,
            self.label,
            self.issuer,
            self.client_id,
            secret,
            f"{origin}/oauth/callback/{self.name}",
            self.algorithms,
        )


class Settings(ServiceSettings):
    """Auth's environment."""

    auth_secret: Secret = Field(description="Seals the root of auth's keys; only auth has it")
    auth_secret_previous: Secret | None = Field(
        default=None,
        description="The secret before, while AUTH_SECRET is being rotated: either opens the root",
        json_schema_extra=without("a root that was sealed under another AUTH_SECRET cannot be opened, and auth does not start"),
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
        description="Where all replicas count together what one client asks",
        json_schema_extra=without("each process counts alone, so that N replicas allow N times as much"),
    )
    client_limit_factor: int | None = Field(
        default=None,
        ge=1,
        le=OTHER_ENVIRONMENTS_FACTOR,
        description="How many times one client may do more than the limits say",
        json_schema_extra=without(f"1 in production, else {OTHER_ENVIRONMENTS_FACTOR}"),
    )
    web_threads: int = Field(default=16, ge=1, le=64, description="Requests that one process answers at a time")
    oidc_providers: Json[tuple[OpenIdProvider, ...]] = Field(
        default=(),
        validate_default=False,
        description="OpenID providers to sign in with: a JSON list of name, label, issuer, client_id, client_secret(_file)",
        json_schema_extra=without("people sign in with passwords and passkeys alone", secret=True),
    )

    @property
    def client_factor(self) -> int:
        """How many times one client may do more than `domain.limits` says."""
        return self.client_limit_factor or (1 if self.production else OTHER_ENVIRONMENTS_FACTOR)

    @model_validator(mode="after")
    def _strong_hashes(self) -> Self:
        if self.bcrypt_rounds < BCRYPT_ROUNDS_MINIMUM and self.lumiere_env != "test":
            raise ValueError(f"BCRYPT_ROUNDS must be at least {BCRYPT_ROUNDS_MINIMUM}")
        return self

    @model_validator(mode="after")
    def _sound_providers(self) -> Self:
        names = [each.name for each in self.oidc_providers]
        if len(set(names)) < len(names):
            raise ValueError("OIDC_PROVIDERS must give each provider a name of its own")
        for each in self.oidc_providers:
            if not protected(each.issuer, plain_http=not self.production):
                raise ValueError(f"OIDC_PROVIDERS: the issuer of {each.name} must begin with https://")
            try:
                each.described(self.lumiere_origin)
            except OSError:
                raise ValueError(f"OIDC_PROVIDERS: the client_secret_file of {each.name} cannot be read") from None
        return self
