"""What follows from an event carries its cause."""

from collections.abc import Iterator
from contextlib import contextmanager

from libs.common.events.envelope import Envelope
from libs.common.telemetry import context


@contextmanager
def caused_by(envelope: Envelope) -> Iterator[None]:
    """What is published, audited and logged in here is caused by this event, and continues its trace.

    For set-based handlers: called for many events, they have no cause of their own.
    """
    with context.bound(
        correlation_id=envelope.correlation_id,
        causation_id=str(envelope.id),
        actor=envelope.actor,
        traceparent=envelope.traceparent,
    ):
        yield
