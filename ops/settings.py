"""What an operator may set in the environment; everything has a default that suits one machine."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from libs.common.config import Environment, Port, Settings, load

ROOT = Path(__file__).resolve().parent.parent
PORT_BASE_MAX = 65_000


class PassedOn(Settings):
    """What every service takes from the operator's environment as it is given."""

    sentry_dsn: SecretStr | None = None
    otel_exporter_otlp_endpoint: str | None = None
    trace_sample_ratio: str | None = None
    log_level: str | None = None
    web_threads: str | None = None
    event_retention_days: str | None = None


class Statements(Settings):
    """What the gateway's pages say of whoever runs the platform; the gateway judges them."""

    gateway_legal_entity: str | None = None
    gateway_legal_address: str | None = None
    gateway_legal_contact: str | None = None
    gateway_legal_host: str | None = None
    gateway_security_contact: str | None = None
    gateway_security_policy: str | None = None


class PlatformSettings(PassedOn, Statements):
    """The local platform: where its state stands, which ports it takes, what it uses from outside."""

    lumiere_home: Path = Field(default=ROOT / ".local", description="State folder: secrets, data, logs, mail")
    lumiere_port: Port = Field(default=8080, description="The gateway's port, the only one that clients need")
    lumiere_port_base: int = Field(default=18_100, ge=1_024, le=PORT_BASE_MAX, description="First of the inner ports")
    lumiere_amqps_port: Port | None = Field(
        default=None, description="Opens the gateway to subscribers outside on this port, AMQP over TLS; unset: shut"
    )
    lumiere_amqps_certificate: Path | None = Field(
        default=None, description="PEM file of certificate and key that subscribers see; needed with LUMIERE_AMQPS_PORT"
    )
    gateway_cors_origins: str | None = Field(
        default=None, description="Other origins whose pages may read the gateway's answers, with commas; unset: none"
    )
    lumiere_env: Environment = "development"
    database_url: SecretStr | None = Field(
        default=None, description="An administrative Postgres to use instead of a private one"
    )
    amqp_url: SecretStr | None = Field(default=None, description="A RabbitMQ to use instead of a private one")
    amqp_management_url: SecretStr | None = Field(
        default=None, description="The management API of that RabbitMQ, as an administrator: http://user:password@host:15672"
    )
    cron_secret: SecretStr | None = Field(
        default=None, description="Opens POST /cron/<job> to who knows it; unset or under 16 characters: shut"
    )
    oidc_providers: SecretStr | None = Field(
        default=None, description="OpenID providers that people may sign in with, as docs/auth.md describes; unset: none"
    )
    stripe_webhook_secret: SecretStr | None = Field(
        default=None, description="Opens POST /webhooks/stripe, whose bodies it verifies; unset or under 16 characters: shut"
    )

    @model_validator(mode="after")
    def _subscribers_come_over_tls(self) -> Self:
        if self.lumiere_amqps_port is not None and self.lumiere_amqps_certificate is None:
            raise ValueError("LUMIERE_AMQPS_PORT needs LUMIERE_AMQPS_CERTIFICATE, a PEM file of certificate and key")
        return self


def platform_settings() -> PlatformSettings:
    """Read the operator's environment. Raises ConfigurationError."""
    return load(PlatformSettings)


def stated(given: Statements) -> dict[str, str]:
    """The statements that were made, by name."""
    values = {name.upper(): getattr(given, name) for name in Statements.model_fields}
    return {name: value for name, value in values.items() if value is not None}


def passed_on(given: PassedOn) -> dict[str, str]:
    """The optional variables that are set, by name."""
    values = {name.upper(): getattr(given, name) for name in PassedOn.model_fields}
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in values.items()
        if value is not None
    }
