"""What surrounds the work on an event: its cause and its span. Apart from the inbox, since who only listens has no database."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.trace import SpanKind

from libs.common.events.cause import caused_by
from libs.common.events.envelope import Envelope
from libs.common.telemetry import Part, context, linked_span, span, spans_beside


@contextmanager
def handling(envelope: Envelope, subscription: str) -> Iterator[None]:
    """What is logged, published and traced in here is caused by this event."""
    with (
        caused_by(envelope),
        span(f"{envelope.type} process", envelope.traceparent, SpanKind.CONSUMER, subscription=subscription),
    ):
        yield


@contextmanager
def handling_together(envelopes: Sequence[Envelope], subscription: str) -> Iterator[None]:
    """A call for a set of events has no cause, however small the set: `caused_by` names the one that something follows from.

    Its span is the beginning of a trace of its own, linked to those of the events that are sampled; each of these has a span
    of the same length, so that none ends where the set begins.
    """
    parts = [Part(f"{each.type} process", each.traceparent) for each in envelopes if each.traceparent]
    with (
        context.bound(correlation_id=None, causation_id=None, actor=None, traceparent=None),
        linked_span(
            f"{subscription} process together",
            [each.traceparent for each in parts],
            SpanKind.CONSUMER,
            subscription=subscription,
        ),
        spans_beside(parts, SpanKind.CONSUMER, subscription=subscription),
    ):
        yield
