"""Logs, traces, metrics and error reports, all redacted, all carrying the identifiers of the work in hand."""

from libs.common.telemetry import context
from libs.common.telemetry.logs import configure_logs, logger
from libs.common.telemetry.redaction import redact
from libs.common.telemetry.reports import configure_reports
from libs.common.telemetry.traces import Part, configure_traces, linked_span, new_traceparent, recording, span, spans_beside

__all__ = [
    "Part",
    "configure_logs",
    "configure_reports",
    "configure_traces",
    "context",
    "linked_span",
    "logger",
    "new_traceparent",
    "recording",
    "redact",
    "span",
    "spans_beside",
]
