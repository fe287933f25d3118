"""Every volumetric limit of the gateway, in one place. Limits of accounts (failed logins, resets) are auth's.

A class is counted twice: by subject once a token was verified, and by keyed address hash before that. Counting is a sliding
window; each gateway replica counts alone, so N replicas permit N times these numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from libs.common.auth.policy import Rate
from libs.common.config import Environment

WINDOW_SECONDS = 60
DEVELOPMENT_ADDRESS_FACTOR = 100
BODY_LIMIT_MAX = 64 * 1024
"""Longest body in bytes that is held back until it is whole. The beginning of a longer one is, and the rest passes."""
UNSTREAMED_BODY_MAX = 8 * 1024 * 1024
"""Longest body in bytes that a route may ask for without streaming it: its service holds it in memory whole."""
HEADERS_MAX = 16 * 1024
"""Longest request head in bytes, the request line not counted. The services take a header of this length."""
ADDRESS_MAX = 8_000
"""Longest path and query in bytes: with method and version it stays below the longest request line that the services take."""
BODY_WAIT_SECONDS = 10
"""A body that is not whole by then is cut off."""
MAINTENANCE_RETRY_SECONDS = 60
"""When to come again, told to whoever is turned away during maintenance: how long it takes, nobody here knows."""
MAINTENANCE_REASON_MAX = 500
"""Characters of an operator's reason."""

LOG_LINE_MAX = 2_048
"""Longest line of the access log in bytes; what is written there is bounded, so that none is cut."""
LOG_RING_BYTES = 4 * 1024 * 1024
"""How much of the access log waits to be counted before lines are left out of the metrics: about 6,000 lines."""

AMQPS_CONNECTIONS_MAX = 500
"""Subscribers' connections at once."""
AMQPS_ADDRESS_CONNECTIONS_MAX = 20
"""The same from one address."""
AMQPS_ADDRESS_RATE_MAX = 60
"""New connections from one address in one window; a client that reconnects in a circle is slowed down."""
AMQPS_HEADER_SECONDS = 5
"""From connecting to the greeting of an AMQP client, TLS included."""
AMQPS_IDLE_SECONDS = 180
"""Silence after which a connection is cut: three times the heartbeat that RabbitMQ proposes."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Requests permitted in one window."""

    subject: int
    address: int


LIMITS: Mapping[Rate, Limit] = {
    Rate.CREDENTIALS: Limit(subject=20, address=30),
    Rate.WRITE: Limit(subject=120, address=600),
    Rate.READ: Limit(subject=600, address=3_000),
    Rate.STREAM: Limit(subject=30, address=300),
    Rate.UPLOAD: Limit(subject=60, address=300),
    Rate.PUBLIC: Limit(subject=600, address=1_200),
}


def limits(environment: Environment) -> Mapping[Rate, Limit]:
    """The limits in force. In development many people share one address, so address limits are raised; subject limits never."""
    factor = 1 if environment == "production" else DEVELOPMENT_ADDRESS_FACTOR
    return {rate: Limit(limit.subject, limit.address * factor) for rate, limit in LIMITS.items()}
