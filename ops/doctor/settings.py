"""What the doctor reads in a container beside the platform's."""

from pathlib import Path

from pydantic import Field, SecretStr

from libs.common.config import Environment, Settings


class DoctorSettings(Settings):
    """Where everything is reached from a container; on the machine itself the platform's own settings say so."""

    lumiere_env: Environment = "development"
    lumiere_origin: str = Field(
        default="http://127.0.0.1:8080", pattern=r"^https?://[^/]+$", description="Public base address, as the services have it"
    )
    monitoring_database_url: SecretStr | None = Field(
        default=None, description="Postgres, as the monitoring role; set it in a container, and the doctor examines from there"
    )
    amqp_management_url: SecretStr | None = Field(
        default=None, description="RabbitMQ's management API, as an administrator: http://user:password@host:15672"
    )
    gateway_url: str = Field(
        default="http://gateway:8080", pattern=r"^https?://[^/]+$", description="The gateway, inside the network"
    )
    gateway_plain_url: str = Field(
        default="http://gateway:8081", pattern=r"^https?://[^/]+$", description="Where it leads plain HTTP to HTTPS"
    )
    gateway_metrics_url: str = Field(
        default="http://gateway:9101/metrics", description="What the gateway says of itself, inside the network"
    )
    redis_url: SecretStr | None = Field(default=None, description="Redis, as auth has it; unset: none")
    tls_authority: Path | None = Field(default=None, description="PEM file of the authority inside; unset: the system's")
    tls_certificate: Path | None = Field(
        default=None, description="PEM file of a certificate and key to show, where the processes ask every caller for one"
    )
