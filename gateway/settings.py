"""The gateway's environment, typed and checked at start."""

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from gateway.discovery import FileTargets, NamedTargets, TargetSource
from gateway.door import AmqpsDoor, Door, InnerSide
from gateway.manifest import manifest_paths
from gateway.origins import exact_origins
from gateway.peers import peers_of
from gateway.site.operator import Operator
from libs.common.addresses import BrokerUrl, broker_addresses
from libs.common.config import (
    CRON_DOOR,
    CRON_DOOR_SHUT,
    ENVIRONMENT_PURPOSE,
    RETENTION_DAYS_DEFAULT,
    RETENTION_DAYS_MAX,
    RETENTION_DAYS_MIN,
    Environment,
    InnerTls,
    Port,
    Secret,
    Settings,
    door_secret,
    without,
)
from libs.common.tls import AMQPS

AMQP_PORT = 5672
AMQPS_PORT = 5671
STATEMENT_MAX = 300
DEVELOPMENT_SECURITY_CONTACT = "mailto:security@lumiere.film"
"""As SECURITY.md says; an installation in production names its own."""
LEGAL_WITHOUT = "the legal pages say that it is missing"
Statement = Annotated[str, Field(min_length=2, max_length=STATEMENT_MAX, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""One line that a page shows as it is."""


def _mailbox(given: str) -> str:
    # Loads a library that a process without such a setting need not hold.
    from pydantic.networks import validate_email

    return validate_email(given)[1]


class FolderSettings(Settings):
    """Where a gateway keeps its own: all that is needed to make it refuse something."""

    gateway_folder: Path = Field(description="Compiled configuration, sockets and state; this process alone may enter it")


def _origins(given: str | tuple[str, ...]) -> tuple[str, ...]:
    return exact_origins(given) if isinstance(given, str) else given


class GatewaySettings(FolderSettings, InnerTls):
    """What both processes of the gateway read."""

    lumiere_env: Environment = Field(default="development", description=ENVIRONMENT_PURPOSE)
    lumiere_origin: str = Field(
        default="http://127.0.0.1:8080",
        pattern=r"^https?://[A-Za-z0-9.:\[\]-]+$",
        description="Public base address; the token issuer",
    )
    audience: str = Field(
        default="lumiere", pattern=r"^[A-Za-z0-9._:/-]+$", description="Whom access tokens are for; the same in every process"
    )
    lumiere_revision: str = Field(
        default="",
        description="The code that runs: all replicas have the same",
        json_schema_extra=without("`lumiere doctor` cannot tell whether all replicas run the same code"),
    )
    amqp_url: BrokerUrl = Field(description="RabbitMQ, as the gateway's own user")
    auth_url: str = Field(
        default="http://auth:8000", pattern=r"^https?://[^/]+$", description="Base address of auth inside the network"
    )
    revocation_list_token: Secret = Field(description="Bearer for auth's revocation list")
    host: str = Field(default="127.0.0.1", pattern=r"^[A-Za-z0-9.:\[\]*-]+$", description="Address that clients connect to")
    lumiere_port: Port = Field(default=8080, description="The port that clients connect to")
    gateway_secret: Secret = Field(description="Root of the keys that addresses are hashed with")
    gateway_targets: Path | None = Field(
        default=None,
        description="JSON file: service → process → addresses of replicas",
        json_schema_extra=without("the names of the network are asked, as in containers"),
    )
    gateway_certificate: Path | None = Field(
        default=None,
        description="PEM file of certificate and key; then the port speaks TLS",
        json_schema_extra=without("the port speaks plain HTTP: something before it must bring TLS"),
    )
    gateway_metrics_port: Port | None = Field(
        default=None,
        description="Port for Prometheus inside the network: /metrics and /metrics/haproxy",
        json_schema_extra=without("the gateway tells no figures"),
    )
    gateway_amqps_port: Port | None = Field(
        default=None,
        description="Opens the door for subscribers outside: AMQP over TLS, carried to RabbitMQ",
        json_schema_extra=without("nobody outside can subscribe"),
    )
    gateway_amqps_certificate: Path | None = Field(
        default=None,
        description="PEM file of certificate and key for subscribers outside",
        json_schema_extra=without("GATEWAY_CERTIFICATE is taken"),
    )
    gateway_http_port: Port | None = Field(
        default=None,
        description="Plain HTTP that leads everybody to LUMIERE_ORIGIN; needs GATEWAY_CERTIFICATE",
        json_schema_extra=without("who types http:// is not answered, and certificates cannot be renewed by ACME"),
    )
    gateway_acme_challenges: Path | None = Field(
        default=None,
        description="Folder of an ACME client in webroot mode, answered on GATEWAY_HTTP_PORT",
        json_schema_extra=without("challenges of a certificate authority are not answered"),
    )
    gateway_cors_origins: Annotated[tuple[str, ...], BeforeValidator(_origins)] = Field(
        default=(),
        description="Other origins whose pages may read answers, with commas",
        json_schema_extra=without("no page of another origin may read answers"),
    )
    gateway_legal_entity: Statement | None = Field(
        default=None, description="Who runs this installation: name and legal form", json_schema_extra=without(LEGAL_WITHOUT)
    )
    gateway_legal_address: Statement | None = Field(
        default=None, description="Postal address of the operator, in one line", json_schema_extra=without(LEGAL_WITHOUT)
    )
    gateway_legal_contact: Annotated[str, AfterValidator(_mailbox)] | None = Field(
        default=None, description="E-mail address for users, also about their data", json_schema_extra=without(LEGAL_WITHOUT)
    )
    gateway_legal_host: Statement | None = Field(
        default=None, description="Who hosts it: name, address and telephone", json_schema_extra=without(LEGAL_WITHOUT)
    )
    gateway_security_contact: str | None = Field(
        default=None,
        max_length=STATEMENT_MAX,
        pattern=r"^(?:mailto:[!-?A-~]+@[A-Za-z0-9.-]+|https://[!-~]+|tel:\+[0-9-]+)$",
        description="Where vulnerabilities are reported: a mailto:, https: or tel: address (RFC 9116 section 2.5.3)",
        json_schema_extra=without("in production there is no security.txt; elsewhere it names the project's own address"),
    )
    gateway_security_policy: str | None = Field(
        default=None,
        max_length=STATEMENT_MAX,
        pattern=r"^https://[!-~]+$",
        description="Address of the disclosure policy",
        json_schema_extra=without("security.txt names none"),
    )
    event_retention_days: int = Field(
        default=RETENTION_DAYS_DEFAULT,
        ge=RETENTION_DAYS_MIN,
        le=RETENTION_DAYS_MAX,
        description="As the services have it: the privacy page names it",
    )
    cron_secret: SecretStr | None = Field(default=None, description=CRON_DOOR, json_schema_extra=without(CRON_DOOR_SHUT))
    gateway_peers: str | None = Field(
        default=None,
        description="Gateways that count requests together, as name=host:port with commas, this one among them",
        json_schema_extra=without("each gateway counts alone: N of them permit N times the limits"),
    )
    gateway_peer: str | None = Field(
        default=None,
        description="The name of this gateway in GATEWAY_PEERS",
        json_schema_extra=without("GATEWAY_PEERS cannot be used"),
    )
    trace_sample_ratio: float = Field(
        default=0.1, ge=0, le=1, description="Share of requests that are traced when the caller does not say"
    )
    otel_exporter_otlp_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^/]+/?$",
        description="Collector of traces, OTLP over HTTP",
        json_schema_extra=without("the gateway has no spans; the services' traces begin at their own"),
    )

    @model_validator(mode="after")
    def _ports_are_what_they_are_for(self) -> Self:
        if self.gateway_metrics_port in {self.lumiere_port, self.gateway_amqps_port, self.gateway_http_port} - {None}:
            raise ValueError("GATEWAY_METRICS_PORT must be a port of its own: what is told there is not for the public")
        if self.gateway_amqps_port is None:
            return self
        if self.gateway_amqps_certificate is None and self.gateway_certificate is None:
            raise ValueError("GATEWAY_AMQPS_PORT needs GATEWAY_AMQPS_CERTIFICATE, a PEM file of certificate and key")
        if self.gateway_amqps_port == self.lumiere_port:
            raise ValueError("GATEWAY_AMQPS_PORT must differ from LUMIERE_PORT")
        if self.amqp_url.get_secret_value().startswith("amqps:") and self.tls_authority is None:
            raise ValueError("GATEWAY_AMQPS_PORT needs TLS_AUTHORITY where AMQP_URL begins with amqps://")
        return self

    @model_validator(mode="after")
    def _peers_are_several(self) -> Self:
        if self.gateway_peers is not None:
            try:
                peers_of(self.gateway_peers, self.gateway_peer)
            except ValueError as error:
                raise ValueError(f"GATEWAY_PEERS {error}") from None
        return self

    @model_validator(mode="after")
    def _plain_http_leads_to_tls(self) -> Self:
        if self.gateway_acme_challenges is not None and self.gateway_http_port is None:
            raise ValueError("GATEWAY_ACME_CHALLENGES needs GATEWAY_HTTP_PORT, where a certificate authority asks")
        if self.gateway_http_port is None:
            return self
        if self.gateway_certificate is None or not self.lumiere_origin.startswith("https://"):
            raise ValueError("GATEWAY_HTTP_PORT needs GATEWAY_CERTIFICATE and a LUMIERE_ORIGIN that begins with https://")
        if self.gateway_http_port in {self.lumiere_port, self.gateway_amqps_port}:
            raise ValueError("GATEWAY_HTTP_PORT must differ from LUMIERE_PORT and GATEWAY_AMQPS_PORT")
        return self

    def operator(self) -> Operator:
        """What the pages say of whoever runs this."""
        fallback = None if self.lumiere_env == "production" else DEVELOPMENT_SECURITY_CONTACT
        return Operator(
            legal_entity=self.gateway_legal_entity,
            legal_address=self.gateway_legal_address,
            legal_contact=self.gateway_legal_contact,
            legal_host=self.gateway_legal_host,
            security_contact=self.gateway_security_contact or fallback,
            security_policy=self.gateway_security_policy,
            event_retention_days=self.event_retention_days,
        )

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
            spans=self.otel_exporter_otlp_endpoint is not None,
            certificate=str(self.gateway_certificate.resolve()) if self.gateway_certificate else None,
            mutual=self._mutual(),
            metrics_port=self.gateway_metrics_port,
            amqps=self._amqps_door(),
            origins=self.gateway_cors_origins,
            http_port=self.gateway_http_port,
            acme=self.gateway_acme_challenges is not None,
            cron_secret=door_secret(self.cron_secret),
            peers=None if self.gateway_peers is None else peers_of(self.gateway_peers, self.gateway_peer),
        )

    def _amqps_door(self) -> AmqpsDoor | None:
        certificate = self.gateway_amqps_certificate or self.gateway_certificate
        if self.gateway_amqps_port is None or certificate is None:
            return None
        nodes = [urlsplit(each) for each in broker_addresses(self.amqp_url.get_secret_value())]
        encrypted = nodes[0].scheme == AMQPS
        port = AMQPS_PORT if encrypted else AMQP_PORT
        brokers = tuple((node.hostname or "127.0.0.1", node.port or port) for node in nodes)
        inner = self._inner() if encrypted else None
        return AmqpsDoor(self.gateway_amqps_port, str(certificate.resolve()), brokers, inner)

    def _mutual(self) -> InnerSide | None:
        """How services are spoken to; None: without TLS."""
        return self._inner() if self.tls_certificate is not None else None

    def _inner(self) -> InnerSide | None:
        if self.tls_authority is None:
            return None
        own = self.tls_certificate
        return InnerSide(str(self.tls_authority.resolve()), str(own.resolve()) if own else None)
