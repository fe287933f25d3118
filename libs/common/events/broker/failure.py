"""The failures that leave this package, and the limits that lead to it."""

from typing import Final

HEARTBEAT_SECONDS: Final = 30
CONNECT_TIMEOUT_SECONDS: Final = 5
CONFIRM_TIMEOUT_SECONDS: Final = 5
PERSISTENT: Final = 2
"""AMQP delivery mode: written to disk."""


class BrokerUnavailable(Exception):
    """The broker is away, refuses, or did not confirm in time."""


class QueueMissing(BrokerUnavailable):
    """The broker is there, but has no queue (or exchange) of this name."""
