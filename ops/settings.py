"""What an operator may set in the environment; everything has a default that suits one machine."""

from pathlib import Path

from pydantic import Field, SecretStr

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


class PlatformSettings(PassedOn):
    """The local platform: where its state stands, which ports it takes, what it uses from outside."""

    lumiere_home: Path = Field(default=ROOT / ".local", description="State folder: secrets, data, logs, mail")
    lumiere_port: Port = Field(default=8080, description="The gateway's port, the only one that clients need")
    lumiere_port_base: int = Field(default=18_100, ge=1_024, le=PORT_BASE_MAX, description="First of the inner ports")
    lumiere_env: Environment = "development"
    database_url: SecretStr | None = Field(
        default=None, description="An administrative Postgres to use instead of a private one"
    )
    amqp_url: SecretStr | None = Field(default=None, description="A RabbitMQ to use instead of a private one")
    amqp_management_url: SecretStr | None = Field(
        default=None, description="The management API of that RabbitMQ, as an administrator: http://user:password@host:15672"
    )


def platform_settings() -> PlatformSettings:
    """Read the operator's environment. Raises ConfigurationError."""
    return load(PlatformSettings)


def passed_on(given: PassedOn) -> dict[str, str]:
    """The optional variables that are set, by name."""
    values = {name.upper(): getattr(given, name) for name in PassedOn.model_fields}
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in values.items()
        if value is not None
    }
