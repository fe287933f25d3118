"""The door as the settings describe it, and the words that both who compiles and who only watches use."""

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from libs.common.config import Environment as Profile

ADDRESS = re.compile(r"^(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}\Z")
BULK_SUFFIX = "-bulk"
"""Of backends that are the lane of uploads and downloads."""

Targets = Mapping[str, Mapping[str, Sequence[str]]]
"""service → process → addresses `host:port` of its live replicas."""


class TargetError(Exception):
    """The targets name something that is not an address."""


@dataclass(frozen=True, slots=True)
class AmqpsDoor:
    """Where subscribers outside come in, and the broker that they are carried to."""

    port: int
    certificate: str
    broker_host: str
    broker_port: int

    @property
    def broker(self) -> str:
        """`host:port`."""
        host = f"[{self.broker_host}]" if ":" in self.broker_host else self.broker_host
        return f"{host}:{self.broker_port}"

    @property
    def by_name(self) -> bool:
        """Whether the broker's address has to be looked up, again and again since it may move."""
        return not (":" in self.broker_host or re.fullmatch(r"[0-9.]+", self.broker_host))


@dataclass(frozen=True, slots=True)
class CronLock:
    """A key and what the cron secret's HMAC under it is: enough to recognise the secret, not to know it."""

    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class Door:
    """What of the settings shapes the configuration."""

    issuer: str
    audience: str
    profile: Profile
    host: str
    port: int
    secret: bytes
    trace_sample_percent: int = 10
    spans: bool = False
    """Whether the gateway has a span of its own in each trace."""
    certificate: str | None = None
    metrics_port: int | None = None
    """Where an operator's Prometheus asks; shut when unset."""
    amqps: AmqpsDoor | None = None
    origins: tuple[str, ...] = ()
    """Other origins whose pages may read answers."""
    http_port: int | None = None
    """Where plain HTTP is led to TLS."""
    acme: bool = False
    """Whether that port also answers a certificate authority."""
    cron_secret: str | None = None
    """What schedulers present; None: routes for them do not exist."""
    certificates_digest: str = ""
    """Of what the certificate files hold: another one is another configuration, and so a reload."""

    @property
    def cron(self) -> "CronLock | None":
        """How the cron secret is recognised."""
        if self.cron_secret is None:
            return None
        key = hmac.digest(self.secret, b"cron door", sha256)
        return CronLock(base64.b64encode(key).decode(), hmac.digest(key, self.cron_secret.encode(), sha256).hex().upper())

    @property
    def certificates(self) -> list[str]:
        """The paths of the certificate files."""
        return [path for path in (self.certificate, self.amqps.certificate if self.amqps else None) if path]
