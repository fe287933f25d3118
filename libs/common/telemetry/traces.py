"""OpenTelemetry traces that cross HTTP, outbox and broker by W3C trace context. A span is made only when it is sampled."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from libs.common.telemetry import context
from libs.common.telemetry.redaction import redact

SAMPLED = "01"
_propagator = TraceContextTextMapPropagator()
_tracer: trace.Tracer | None = None


def configure_traces(service: str, endpoint: str | None) -> None:
    """Send spans to an OTLP endpoint; without one no span is recorded, and trace context is still carried on."""
    global _tracer  # noqa: PLW0603 — one tracer a process, set once at the start
    if not endpoint:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")))
    _tracer = provider.get_tracer("lumiere")


class CollectedSpans(SpanExporter):
    """Keeps finished spans in memory, for tests."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Any) -> SpanExportResult:
        """Keep the spans."""
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


def collect_spans(service: str) -> CollectedSpans:
    """Record spans in memory from now on; for tests."""
    global _tracer  # noqa: PLW0603
    exporter = CollectedSpans()
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    _tracer = provider.get_tracer("lumiere")
    return exporter


def recording() -> bool:
    """Whether this process sends spans anywhere: what takes work to find out is then worth it."""
    return _tracer is not None


def new_traceparent(*, sampled: bool) -> str:
    """A fresh W3C traceparent (Trace Context section 3.2)."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-{'01' if sampled else '00'}"


@contextmanager
def span(name: str, traceparent: str | None, kind: SpanKind = SpanKind.INTERNAL, **attributes: Any) -> Iterator[None]:
    """Work under a span that continues `traceparent`; the context's traceparent names it for what follows."""
    if _tracer is None or traceparent is None or not traceparent.endswith("01"):
        if context.current().traceparent == traceparent:
            yield
            return
        with context.bound(traceparent=traceparent):
            yield
        return
    parent = _propagator.extract({"traceparent": traceparent})
    with _tracer.start_as_current_span(name, parent, kind=kind, attributes=redact(attributes)) as current:
        with context.bound(traceparent=_format(current.get_span_context())):
            yield


@contextmanager
def linked_span(
    name: str, traceparents: Sequence[str], kind: SpanKind = SpanKind.INTERNAL, **attributes: Any
) -> Iterator[None]:
    """Work that comes from several traces at once: the first span of a new one, linked to each of those that is sampled."""
    sampled = [each for each in traceparents if each.endswith("01")]
    if _tracer is None or not sampled:
        yield
        return
    sources = [_propagator.extract({"traceparent": each}, Context()) for each in sampled]
    links = [trace.Link(trace.get_current_span(each).get_span_context()) for each in sources]
    with _tracer.start_as_current_span(name, Context(), kind=kind, attributes=redact(attributes), links=links) as current:
        with context.bound(traceparent=_format(current.get_span_context())):
            yield


@dataclass(frozen=True, slots=True)
class Part:
    """The share of one trace in work that is done for several."""

    name: str
    traceparent: str


@contextmanager
def spans_beside(parts: Sequence[Part], kind: SpanKind = SpanKind.INTERNAL, **attributes: Any) -> Iterator[None]:
    """Work for several traces: a span in each of those that are sampled, as long as the block, linked to the span in hand.

    So each trace shows where its own event went, and leads to the others that it shared the work with.
    """
    sampled = [part for part in parts if part.traceparent.endswith(SAMPLED)]
    if _tracer is None or not sampled:
        yield
        return
    shared = trace.get_current_span().get_span_context()
    links = [trace.Link(shared)] if shared.is_valid else []
    opened = [
        _tracer.start_span(
            part.name,
            _propagator.extract({"traceparent": part.traceparent}, Context()),
            kind=kind,
            attributes=redact(attributes),
            links=links,
        )
        for part in sampled
    ]
    try:
        yield
    finally:
        for each in opened:
            each.end()


def _format(span_context: SpanContext) -> str:
    carrier: dict[str, str] = {}
    sampled = SpanContext(
        span_context.trace_id, span_context.span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )
    _propagator.inject(carrier, set_span_in_context(NonRecordingSpan(sampled)))
    return carrier["traceparent"]
