"""What an operator may set in the environment; everything has a default that suits one machine."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from libs.common.config import (
    CRON_DOOR,
    CRON_DOOR_SHUT,
    ENVIRONMENT_PURPOSE,
    Environment,
    Port,
    Settings,
    load,
    without,
)

ROOT = Path(__file__).resolve().parent.parent
PORT_BASE_MAX = 65_000
HANDED_ON = without("as where the process that reads it does not have it")


class PassedOn(Settings):
    """What every service takes from the operator's environment as it is given."""

    mock_providers: str | None = Field(
        default=None, description="Stand-ins that production may do with", json_schema_extra=HANDED_ON
    )
    sentry_dsn: SecretStr | None = Field(default=None, description="Where errors are reported to", json_schema_extra=HANDED_ON)
    otel_exporter_otlp_endpoint: str | None = Field(
        default=None, description="Base address of an OTLP collector", json_schema_extra=HANDED_ON
    )
    trace_sample_ratio: str | None = Field(
        default=None, description="Share of requests that are traced", json_schema_extra=HANDED_ON
    )
    log_level: str | None = Field(default=None, description="Least severe lines in the log", json_schema_extra=HANDED_ON)
    web_threads: str | None = Field(
        default=None, description="Requests that one process answers at a time", json_schema_extra=HANDED_ON
    )
    event_retention_days: str | None = Field(
        default=None, description="Days for which published events stay in the archive", json_schema_extra=HANDED_ON
    )


class Mailing(Settings):
    """What notify takes as it is given."""

    resend_api_key: SecretStr | None = Field(default=None, description="Key of Resend", json_schema_extra=HANDED_ON)
    resend_endpoint: str | None = Field(default=None, description="Base address of Resend", json_schema_extra=HANDED_ON)
    smtp_url: SecretStr | None = Field(default=None, description="A mail server instead", json_schema_extra=HANDED_ON)
    mail_from: str | None = Field(default=None, description="Whom e-mails come from", json_schema_extra=HANDED_ON)


class Keeping(Settings):
    """What media takes as it is given."""

    s3_bucket: str | None = Field(default=None, description="Private bucket for files", json_schema_extra=HANDED_ON)
    s3_region: str | None = Field(default=None, description="Its region", json_schema_extra=HANDED_ON)
    s3_endpoint: str | None = Field(default=None, description="Its server", json_schema_extra=HANDED_ON)
    s3_public_endpoint: str | None = Field(default=None, description="Its server for clients", json_schema_extra=HANDED_ON)
    s3_access_key_id: str | None = Field(default=None, description="Name of its key", json_schema_extra=HANDED_ON)
    s3_secret_access_key: SecretStr | None = Field(
        default=None, description="The secret of that key", json_schema_extra=HANDED_ON
    )


class Paying(Settings):
    """What payments takes as it is given."""

    stripe_secret_key: SecretStr | None = Field(default=None, description="Key of Stripe", json_schema_extra=HANDED_ON)


class Advising(Settings):
    """What tasks takes as it is given."""

    anthropic_api_key: SecretStr | None = Field(default=None, description="Key of Anthropic", json_schema_extra=HANDED_ON)
    anthropic_model: str | None = Field(default=None, description="Model that advises", json_schema_extra=HANDED_ON)
    anthropic_endpoint: str | None = Field(default=None, description="Base address of it", json_schema_extra=HANDED_ON)


class Identity(Settings):
    """What auth takes from the operator's environment as it is given; auth judges it."""

    password_minimum: str | None = Field(
        default=None, description="Fewest characters of a new password", json_schema_extra=HANDED_ON
    )
    dormant_days: str | None = Field(
        default=None, description="Days without a sign-in after which an owner is reminded", json_schema_extra=HANDED_ON
    )
    client_limit_factor: str | None = Field(
        default=None, description="How many times one client may do more", json_schema_extra=HANDED_ON
    )
    redis_url: SecretStr | None = Field(
        default=None, description="Where replicas count together what one client asks", json_schema_extra=HANDED_ON
    )


class Statements(Settings):
    """What the gateway's pages say of whoever runs the platform; the gateway judges them."""

    gateway_legal_entity: str | None = Field(
        default=None, description="Who runs this installation", json_schema_extra=HANDED_ON
    )
    gateway_legal_address: str | None = Field(
        default=None, description="Postal address of the operator", json_schema_extra=HANDED_ON
    )
    gateway_legal_contact: str | None = Field(default=None, description="E-mail address for users", json_schema_extra=HANDED_ON)
    gateway_legal_host: str | None = Field(default=None, description="Who hosts it", json_schema_extra=HANDED_ON)
    gateway_security_contact: str | None = Field(
        default=None, description="Where vulnerabilities are reported", json_schema_extra=HANDED_ON
    )
    gateway_security_policy: str | None = Field(
        default=None, description="Address of the disclosure policy", json_schema_extra=HANDED_ON
    )


class Announcements(Settings):
    """Whom `lumiere incident` tells, and under which names people know them."""

    incident_slack_webhook: SecretStr | None = Field(
        default=None,
        description="Slack's incoming webhook of the incidents' channel: its address is the secret",
        json_schema_extra=without("incidents are announced in no channel; the command says so each time"),
    )
    incident_slack_channel: str = Field(
        default="#lumiere-incidents", description="Name of that channel, as the runbooks and the command call it"
    )
    pagerduty_routing_key: SecretStr | None = Field(
        default=None,
        description="Integration key (Events API v2) of the PagerDuty service that is on call",
        json_schema_extra=without("nobody is woken by `lumiere incident`; the command says so each time"),
    )
    pagerduty_service: str = Field(default="Lumière on call", description="Name of that PagerDuty service")
    pagerduty_events_url: str = Field(
        default="https://events.pagerduty.com/v2/enqueue",
        pattern=r"^https?://[^/]+/",
        description="Where PagerDuty takes events; other regions have another address",
    )
    lumiere_incidents: Path | None = Field(
        default=None,
        description="Where the timelines of incidents stand; a folder that is copied elsewhere",
        json_schema_extra=without("they stand in `incidents` below the state folder, and `make clean` deletes them"),
    )


HandedOn = PassedOn | Identity | Mailing | Keeping | Paying | Advising


class PlatformSettings(PassedOn, Identity, Mailing, Keeping, Paying, Advising, Statements, Announcements):
    """The local platform: where its state stands, which ports it takes, what it uses from outside."""

    lumiere_home: Path = Field(default=ROOT / ".local", description="State folder: secrets, data, logs, mail")
    lumiere_port: Port = Field(default=8080, description="The gateway's port, the only one that clients need")
    lumiere_port_base: int = Field(default=18_100, ge=1_024, le=PORT_BASE_MAX, description="First of the inner ports")
    lumiere_amqps_port: Port | None = Field(
        default=None,
        description="Opens the gateway to subscribers outside on this port, AMQP over TLS",
        json_schema_extra=without("nobody outside can subscribe"),
    )
    lumiere_amqps_certificate: Path | None = Field(
        default=None,
        description="PEM file of certificate and key that subscribers see; needed with LUMIERE_AMQPS_PORT",
        json_schema_extra=without("LUMIERE_AMQPS_PORT is refused"),
    )
    gateway_cors_origins: str | None = Field(
        default=None,
        description="Other origins whose pages may read the gateway's answers, with commas",
        json_schema_extra=without("no page of another origin may read answers"),
    )
    lumiere_backup_folder: Path | None = Field(
        default=None,
        description="Where backups and their record stand; another disk than the data's",
        json_schema_extra=without("they stand in `backups` below the state folder, and are lost with it"),
    )
    lumiere_env: Environment = Field(default="development", description=ENVIRONMENT_PURPOSE)
    database_url: SecretStr | None = Field(
        default=None,
        description="An administrative Postgres to use instead of a private one",
        json_schema_extra=without("a private Postgres runs beside the services"),
    )
    amqp_url: SecretStr | None = Field(
        default=None,
        description="A RabbitMQ to use instead of a private one",
        json_schema_extra=without("a private RabbitMQ runs beside the services"),
    )
    amqp_management_url: SecretStr | None = Field(
        default=None,
        description="The management API of that RabbitMQ, as an administrator: an http address with user and password",
        json_schema_extra=without("commands that look at a broker of yours are refused"),
    )
    cron_secret: SecretStr | None = Field(default=None, description=CRON_DOOR, json_schema_extra=without(CRON_DOOR_SHUT))
    oidc_providers: SecretStr | None = Field(
        default=None,
        description="OpenID providers that people may sign in with, as docs/auth.md describes",
        json_schema_extra=without("people sign in with passwords and passkeys alone"),
    )
    stripe_webhook_secret: SecretStr | None = Field(
        default=None,
        description="Opens POST /webhooks/stripe, whose bodies it verifies",
        json_schema_extra=without("unset or under 16 characters: that door is shut, and nothing that arrives is processed"),
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


def passed_on(given: PlatformSettings, kind: type[HandedOn]) -> dict[str, str]:
    """The optional variables of this kind that are set, by name."""
    values = {name.upper(): getattr(given, name) for name in kind.model_fields}
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in values.items()
        if value is not None
    }
