"""A broker's address as both client libraries take it: each has words of its own for TLS, we use RabbitMQ's."""

import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from libs.common import tls
from libs.common.addresses import broker_addresses_spread
from libs.common.events.broker.failure import BrokerUnavailable
from libs.common.tls import AMQPS, BROKER_TLS, UNVERIFIED, without_parameters


@dataclass(frozen=True)
class BrokerAddress:
    """Where the broker is, and how it is recognised."""

    url: str
    """Without the parameters of TLS."""
    server_name: str
    encrypted: bool
    verified: bool = True
    authority: str | None = None
    certificate: str | None = None
    key: str | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `amqps://user:password@host:port/vhost?cacertfile=…&certfile=…&keyfile=…`; `amqp://` is plain."""
        plain, given = without_parameters(url, *BROKER_TLS)
        parts = urlsplit(plain)
        return cls(
            plain,
            given.get("server_name_indication") or parts.hostname or "",
            parts.scheme == AMQPS,
            given.get("verify") != UNVERIFIED,
            given.get("cacertfile"),
            given.get("certfile"),
            given.get("keyfile"),
        )

    def for_kombu(self) -> dict[str, Any] | bool:
        """The argument `ssl` of a kombu connection."""
        if not self.encrypted:
            return False
        files = {"ca_certs": self.authority, "certfile": self.certificate, "keyfile": self.key}
        # Unverified only where the address says so, which production refuses.
        wanted = ssl.CERT_REQUIRED if self.verified else ssl.CERT_NONE  # nosemgrep: verification-switched-off
        name = self.server_name if self.verified else None
        return {name: value for name, value in files.items() if value} | {
            "cert_reqs": wanted,
            "server_hostname": name,
            "tls_minimum_version": ssl.TLSVersion.TLSv1_2,
        }

    def context(self) -> ssl.SSLContext | None:
        """For a library that takes a context; None for a plain address. Raises OSError when a file cannot be read."""
        if not self.encrypted:
            return None
        context = tls.calling(self.authority, self.certificate, self.key)
        if not self.verified:
            context.check_hostname = False  # nosemgrep: verification-switched-off
            context.verify_mode = ssl.CERT_NONE  # nosemgrep: verification-switched-off
        return context


def at_any_node(url: str, connect: Callable[[BrokerAddress], None]) -> None:
    """Connect to the first node that takes us, in a random order. Raises BrokerUnavailable when none does."""
    *others, last = map(BrokerAddress.parse, broker_addresses_spread(url))
    for address in others:
        with suppress(BrokerUnavailable):
            return connect(address)
    return connect(last)
