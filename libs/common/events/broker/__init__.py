"""The only package that speaks AMQP: a session consumes and publishes with confirms, a pipelined publisher serves the relay.

Neither is thread-safe: each belongs to the thread that opened it. Every failure is a `BrokerUnavailable` whose text never
holds the address, since that carries the password. The publisher is imported from its own module, since it brings a second
client library, which who only listens need not hold.
"""

from libs.common.events.broker.failure import BrokerUnavailable, QueueMissing
from libs.common.events.broker.session import Received, Session, declare, open_session, reachable, subscribe

__all__ = [
    "BrokerUnavailable",
    "QueueMissing",
    "Received",
    "Session",
    "declare",
    "open_session",
    "reachable",
    "subscribe",
]
