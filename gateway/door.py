"""The door as the settings describe it, and the words that both who compiles and who only watches use."""

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from gateway.peers import Peers
from libs.common.config import Environment as Profile

ADDRESS = re.compile(r"^(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}\Z")
BULK_SUFFIX = "-bulk"
"""Of backends that are the lane of uploads and downloads."""

Targets = Mapping[str, Mapping[str, Sequence[str]]]
"""service → process → addresses `host:port` of its live replicas."""


class TargetError(Exception):
    """The targets name something that is not an address."""


@dataclass(frozen=True, slots=True)
class InnerSide:
    """How the gateway speaks TLS to what stands behind it: files by their paths."""

    authority: str
    certificate: str | None
    """Shown to who asks; with its key in one file."""

    def server(self, name: str) -> str:
        """What a server line needs, so that only who has a certificate of this name is believed."""
        shown = f" crt {self.certificate}" if self.certificate else ""
        return f" ssl verify required ca-file {self.authority}{shown} sni str({name}) check-sni {name} verifyhost {name}"


@dataclass(frozen=True, slots=True)
class AmqpsDoor:
    """Where subscribers outside come in, and the broker that they are carried to."""

    port: int
    certificate: str
    brokers: tuple[tuple[str, int], ...]
    """Host and port of the broker, or of each node of its cluster."""
    inner: InnerSide | None = None
    """How they are spoken to; None: without TLS."""

    @property
    def servers(self) -> list[tuple[str, str, bool]]:
        """`host:port` of each, what a server line needs for TLS, and whether it is a name, which may move."""
        return [(_host_port(*each), self.inner.server(each[0]) if self.inner else "", _named(each[0])) for each in self.brokers]

    @property
    def by_name(self) -> bool:
        """Whether any has to be looked up."""
        return any(_named(host) for host, _ in self.brokers)


def _named(host: str) -> bool:
    return not (":" in host or re.fullmatch(r"[0-9.]+", host))


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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
    mutual: InnerSide | None = None
    """How services are spoken to; None: without TLS."""
    peers: Peers | None = None
    """Gateways that count together with this one; None: it counts alone."""
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
        inner = [side for side in (self.mutual, self.amqps.inner if self.amqps else None) if side]
        own = [self.certificate, self.amqps.certificate if self.amqps else None]
        return list(dict.fromkeys(path for path in [*own, *(each.certificate for each in inner)] if path))

    @property
    def watched(self) -> list[str]:
        """Every file of TLS: another content of one is another configuration."""
        inner = [side for side in (self.mutual, self.amqps.inner if self.amqps else None) if side]
        return list(dict.fromkeys([*self.certificates, *(each.authority for each in inner)]))
