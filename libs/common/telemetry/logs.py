"""One JSON object a line on standard error, redacted, with the identifiers of the work in hand."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import orjson
import structlog

from libs.common.telemetry import context
from libs.common.telemetry.redaction import redact, redact_text
from libs.common.telemetry.reports import report

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_KEPT = ("event", "level", "timestamp", "service", "process", "request_id", "correlation_id", "trace_id")


def logger(name: str) -> Any:
    """A structured logger: `log.info("task.claimed", task_id=…)`. The event is a dotted name, the rest are members."""
    return structlog.get_logger(logger_name=name)


def configure_logs(service: str, process: str, level: str = "info") -> None:
    """Set up logging for this process. Standard library loggers (gunicorn, kombu, …) are carried along."""

    def identify(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        current = context.current()
        entry["service"] = service
        entry["process"] = process
        for name in ("request_id", "correlation_id", "causation_id", "actor"):
            value = getattr(current, name)
            if value is not None:
                entry.setdefault(name, value)
        if current.traceparent:
            entry.setdefault("trace_id", current.traceparent.split("-")[1])
        return entry

    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        identify,
        _reported,
        structlog.processors.format_exc_info,
        _redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_dumps)],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        # One write a line: two threads must not end up in one another's.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared[:-1]],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _redact,
                structlog.processors.JSONRenderer(serializer=_dumps),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING if level == "info" else _LEVELS[level])
    # Each attempt of a library at something that is away; who uses the library says what came of it.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def _reported(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception that is logged as an error is reported too: what is worth a line at that level is worth a look."""
    if entry.get("level") in {"error", "critical"} and (found := entry.get("exc_info")):
        error = sys.exc_info()[1] if found is True else found[1] if isinstance(found, tuple) else found
        if isinstance(error, BaseException):
            report(error)
    return entry


def _redact(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in entry.items():
        if name in _KEPT:
            entry[name] = redact_text(value) if name == "event" and isinstance(value, str) else value
        else:
            entry[name] = redact(value, name)
    return entry


def _dumps(value: Any, **_: Any) -> str:
    return orjson.dumps(value, default=str).decode()
