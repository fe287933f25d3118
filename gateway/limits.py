"""Every limit of the gateway, in one place; docs/limits.md repeats it. Limits of accounts (failed logins, resets) are auth's.

A class is counted twice: by subject once a token was verified, and by keyed address hash before that. Counting is a sliding
window. Gateways side by side count together where GATEWAY_PEERS names them; else each counts alone, and N permit N times
these numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from libs.common.auth.policy import Rate
from libs.common.config import Environment

WINDOW_SECONDS = 60
"""The window in which requests are counted."""
DEVELOPMENT_ADDRESS_FACTOR = 100
"""How many times an address may do more outside production, where many people and programs share one."""

# -- what a request may be

BODY_LIMIT_MAX = 32 * 1024
"""Longest body in bytes that is held back until it is whole. The beginning of a longer one is, and the rest passes."""
UNSTREAMED_BODY_MAX = 8 * 1024 * 1024
"""Longest body in bytes that a route may ask for without streaming it: its service holds it in memory whole."""
HEADERS_MAX = 16 * 1024
"""Longest request head in bytes, the request line not counted. The services take a header of this length."""
HEADER_COUNT_MAX = 100
"""Most header fields of a request. The services take these and the few that the gateway adds."""
ADDRESS_MAX = 8_000
"""Longest path and query in bytes: with method and version it stays below the longest request line that the services take."""

# -- how long a client may take

HEAD_SECONDS = 5
"""A request head that is not whole by then is cut off."""
BODY_WAIT_SECONDS = 10
"""A body that is not whole by then is cut off, unless its route streams."""
CLIENT_IDLE_SECONDS = 30
"""A client that takes none of the bytes meant for it is cut off after this silence. Event streams speak every 15 seconds."""
KEEP_ALIVE_SECONDS = 30
"""An idle connection is kept for this long; the services keep theirs for longer."""
GOODBYE_SECONDS = 5
"""A client that has ended its half of a connection has this long to take the rest."""
HELD_SECONDS_MAX = 90
"""A plain request that holds a place at a service for longer is cut off: all its other times are spent by then."""
BULK_GRACE_SECONDS = 60
"""After this long an upload or download must have moved at least BULK_BYTES_A_SECOND_MIN on average, or it is cut off."""
BULK_BYTES_A_SECOND_MIN = 1_024
"""The slowest pace, in bytes a second, at which an upload or download may go on."""
BULK_SECONDS_MAX = 3_600
"""The longest that an upload or download may take."""
SWEEP_SECONDS = 5
"""Between two looks at who holds places for too long."""

# -- how much a service is given at once

REPLICA_REQUESTS_MAX = 16
"""Requests that one replica works on at once, uploads, downloads and event streams not counted. More wait in
the gateway, by class."""
BULK_REQUESTS_MAX = 24
"""Uploads and downloads at one replica at once: a lane of their own, so that they never take a plain request's place."""
BULK_FROM_SECONDS = 60
"""A route that may take longer than this goes by the lane of uploads and downloads."""
STREAM_CONNECTIONS_MAX = 10_000
"""Event streams at one replica of a stream process."""
QUEUE_SECONDS = 5
"""A request that waited this long for a place is refused."""
FAIR_FROM_PERCENT = 25
"""A service with fewer of its places free than this part of them is busy: nobody gets more than a fair share."""
FAIR_SHARE_SUBJECT = 8
"""While a service is busy, a subject with more requests of a class under way than this is refused."""
FAIR_SHARE_ADDRESS = 12
"""The same for an address and what is asked without a token."""
RETRY_SECONDS = 2
"""When somebody who was refused for want of room may come again."""

# -- browsers and certificates

CORS_SECONDS = 600
"""How long a browser may remember which methods a path takes from another origin."""
HSTS_SECONDS = 31_536_000
"""For how long browsers are to come by TLS only, from their last visit on."""

# -- maintenance and the log

MAINTENANCE_RETRY_SECONDS = 60
"""When to come again, told to whoever is turned away during maintenance: how long it takes, nobody here knows."""
MAINTENANCE_REASON_MAX = 500
"""Characters of an operator's reason."""

LOG_LINE_MAX = 2_048
"""Longest line of the access log in bytes; what is written there is bounded, so that none is cut."""
LOG_RING_BYTES = 4 * 1024 * 1024
"""How much of the access log waits to be counted before lines are left out of the metrics: about 6,000 lines."""

LOG_WAIT_SECONDS = 3_600
"""How long lines wait for a control process that is away."""

# -- what the control process has done by others

COMPILE_SECONDS = 60
"""Longest time from starting the process that compiles to its answer; then it is killed, and what was in force stays so."""
COMPILE_AGAIN_SECONDS = 5
"""When what was refused is tried again although nothing changed: what was in the way may be gone."""
PAGES_IDLE_SECONDS = 300
"""The process that serves the pages ends after so long without a request; the next request starts another."""
PAGES_AGAIN_SECONDS = 5
"""When the process that serves the pages is started again after it failed."""
PAGES_END_SECONDS = 1
"""What is being answered when the control process ends has this long."""

# -- replicas

GATEWAYS_MAX = 8
"""Gateways that count together: each tells each other every count."""
LOOKUPS_AT_ONCE = 8
"""Names of services looked up side by side."""
LOOKUP_SECONDS = 2.0
"""How long the name server may take for all of them; what it has not said by then, it did not answer."""
LOOKUP_KEPT_SECONDS = 60.0
"""How long a name keeps its last addresses while nobody answers for it; later they might be somebody else's."""

CHECK_MILLISECONDS = 1_000
"""From one health check of a replica to the next."""
CHECK_FAST_MILLISECONDS = 250
"""The same after one that failed, to be sure of it soon."""
CHECK_DOWN_MILLISECONDS = 500
"""The same while the replica is given up: it is back this soon."""
CHECK_TIMEOUT_MILLISECONDS = 2_000
"""A replica that takes longer to say that it is ready is not."""
CHECK_FALL = 2
"""Checks in a row that must fail before a replica is given up: one may be an accident."""
RETRIES = 3
"""Further attempts of one request, each at another replica where there is one: a dead backend gets four times its load at most,
and only until the checks give it up."""
EJECTION_ERRORS = 5
"""Failures in a row (5xx but 501 and 505, nothing in time, broken off, no connection) that eject one of several replicas.

A health check that passes begins the count anew, so all must fall between two: it takes some traffic to be ejected."""
EJECTION_CHECKS = 4
"""Checks in a row that an ejected replica must pass: it is sent nothing for about a second at least, since the
later ones follow each other fast."""

# -- subscribers outside

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
    """What one class of requests may take."""

    subject: int
    """Requests of one subject in one window."""
    address: int
    """Requests of one address in one window."""
    subject_at_once: int
    """Requests of one subject under way at once."""
    address_at_once: int
    """Requests of one address under way at once."""
    queue: int
    """Requests waiting for each live replica of a service, from which on this class is refused there."""


LIMITS: Mapping[Rate, Limit] = {
    Rate.CREDENTIALS: Limit(subject=20, address=30, subject_at_once=4, address_at_once=20, queue=128),
    Rate.WRITE: Limit(subject=120, address=600, subject_at_once=16, address_at_once=100, queue=64),
    Rate.READ: Limit(subject=600, address=3_000, subject_at_once=32, address_at_once=200, queue=32),
    Rate.STREAM: Limit(subject=30, address=300, subject_at_once=10, address_at_once=1_000, queue=8),
    Rate.UPLOAD: Limit(subject=60, address=300, subject_at_once=6, address_at_once=60, queue=8),
    Rate.PUBLIC: Limit(subject=600, address=1_200, subject_at_once=32, address_at_once=100, queue=16),
}
"""The classes. Where a service is saturated those with the shortest queue are refused first, and of those that wait
the ones with the longest queue go first: health is answered here and never waits, and signing in is the last to go."""


def queue_max() -> int:
    """Requests waiting for each live replica of a service, from which on nobody is taken."""
    return max(limit.queue for limit in LIMITS.values())


def priority(rate: Rate) -> int:
    """The place in the queue of a saturated service: lower goes first."""
    return sorted({limit.queue for limit in LIMITS.values()}, reverse=True).index(LIMITS[rate].queue)


def address_factor(environment: Environment) -> int:
    """How many times what one address may do in production. Subject limits are never raised."""
    return 1 if environment == "production" else DEVELOPMENT_ADDRESS_FACTOR


def limits(environment: Environment) -> Mapping[Rate, Limit]:
    """The limits in force. In development many people share one address, so address limits are raised; subject limits never."""
    factor = address_factor(environment)
    return {
        rate: replace(limit, address=limit.address * factor, address_at_once=limit.address_at_once * factor)
        for rate, limit in LIMITS.items()
    }
