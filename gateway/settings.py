"""The gateway's environment, typed and checked at start."""

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from gateway.compiler import AmqpsDoor, Door
from gateway.discovery import FileTargets, NamedTargets, TargetSource
from gateway.manifest import manifest_paths
from libs.common.config import Environment, Port, Secret, Settings, door_secret

AMQP_PORT = 5672


class FolderSettings(Settings):
    """Where a gateway keeps its own: all that is needed to make it refuse something."""

    gateway_folder: Path = Field(description="Compiled configuration, sockets and state; this process alone may enter it")


class GatewaySettings(FolderSettings):
    """What both processes of the gateway read."""

    lumiere_env: Environment = "development"
    lumiere_origin: str = Field(
        default="http://127.0.0.1:8080",
        pattern=r"^https?://[A-Za-z0-9.:\[\]-]+$",
        description="Public base address; the token issuer",
    )
    audience: str = Field(default="lumiere", pattern=r"^[A-Za-z0-9._:/-]+$")
    amqp_url: SecretStr = Field(description="RabbitMQ, as the gateway's own user")
    auth_url: str = Field(
        default="http://auth:8000", pattern=r"^https?://[^/]+$", description="Base address of auth inside the network"
    )
    revocation_list_token: Secret = Field(description="Bearer for auth's revocation list")
    host: str = Field(default="127.0.0.1", pattern=r"^[A-Za-z0-9.:\[\]*-]+$", description="Address that clients connect to")
    lumiere_port: Port = 8080
    gateway_secret: Secret = Field(description="Root of the keys that addresses are hashed with")
    gateway_targets: Path | None = Field(
        default=None, description="JSON file: service → process → addresses of replicas; unset: the network's names"
    )
    gateway_certificate: Path | None = Field(
        default=None, description="PEM file of certificate and key; then the port speaks TLS"
    )
    gateway_metrics_port: Port | None = Field(
        default=None, description="Port for Prometheus inside the network: /metrics and /metrics/haproxy; unset: shut"
    )
    gateway_amqps_port: Port | None = Field(
        default=None, description="Opens the door for subscribers outside: AMQP over TLS, carried to RabbitMQ; unset: shut"
    )
    gateway_amqps_certificate: Path | None = Field(
        default=None, description="PEM file of certificate and key for that door; unset: GATEWAY_CERTIFICATE"
    )
    cron_secret: SecretStr | None = Field(
        default=None, description="Opens POST /cron/<job> to who knows it; unset or under 16 characters: shut"
    )
    trace_sample_ratio: float = Field(default=0.1, ge=0, le=1)

    @model_validator(mode="after")
    def _ports_are_what_they_are_for(self) -> Self:
        if self.gateway_metrics_port in {self.lumiere_port, self.gateway_amqps_port} - {None}:
            raise ValueError("GATEWAY_METRICS_PORT must be a port of its own: what is told there is not for the public")
        if self.gateway_amqps_port is None:
            return self
        if self.gateway_amqps_certificate is None and self.gateway_certificate is None:
            raise ValueError("GATEWAY_AMQPS_PORT needs GATEWAY_AMQPS_CERTIFICATE, a PEM file of certificate and key")
        if self.gateway_amqps_port == self.lumiere_port:
            raise ValueError("GATEWAY_AMQPS_PORT must differ from LUMIERE_PORT")
        if urlsplit(self.amqp_url.get_secret_value()).scheme != "amqp":
            raise ValueError("GATEWAY_AMQPS_PORT needs a broker inside the network: AMQP_URL must begin with amqp://")
        return self

    def targets(self) -> TargetSource:
        """Where the replicas are listed."""
        return FileTargets(self.gateway_targets) if self.gateway_targets else NamedTargets(manifest_paths)

    def door(self) -> Door:
        """What of this shapes the compiled configuration."""
        return Door(
            issuer=self.lumiere_origin,
            audience=self.audience,
            profile=self.lumiere_env,
            host=self.host,
            port=self.lumiere_port,
            secret=self.gateway_secret.get_secret_value().encode(),
            trace_sample_percent=round(self.trace_sample_ratio * 100),
            certificate=str(self.gateway_certificate.resolve()) if self.gateway_certificate else None,
            metrics_port=self.gateway_metrics_port,
            amqps=self._amqps_door(),
            cron_secret=door_secret(self.cron_secret),
        )

    def _amqps_door(self) -> AmqpsDoor | None:
        certificate = self.gateway_amqps_certificate or self.gateway_certificate
        if self.gateway_amqps_port is None or certificate is None:
            return None
        broker = urlsplit(self.amqp_url.get_secret_value())
        return AmqpsDoor(
            self.gateway_amqps_port, str(certificate.resolve()), broker.hostname or "127.0.0.1", broker.port or AMQP_PORT
        )
