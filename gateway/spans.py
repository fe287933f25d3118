"""The gateway's part of each trace, made of the lines of its access log and sent as OTLP in JSON.

HAProxy 2.6 speaks no OpenTelemetry. It names a span for each request that is traced and hands the name on as the parent of the
service's; the line in the log has everything else that a span is made of. Nothing here holds up a request: a full queue loses
spans. Made with the standard library, as OpenTelemetry's own exporter would be a third of the control process's memory.
Source: OpenTelemetry protocol specification 1.5 (JSON Protobuf encoding), semantic conventions for HTTP spans 1.27.
"""

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from prometheus_client.core import CounterMetricFamily, Metric

from libs.common.telemetry import logger

QUEUE_SPANS: Final = 4_096
"""Spans that wait to be sent; more are lost and counted."""
BATCH_SPANS: Final = 512
SEND_SECONDS: Final = 1.0
TIMEOUT_SECONDS: Final = 5.0
SERVER: Final = 2
"""SpanKind in OTLP."""
ERROR: Final = 2
"""Status code in OTLP."""
ATTRIBUTES: Final[Mapping[str, str]] = {
    "method": "http.request.method",
    "operation": "lumiere.operation",
    "decision": "lumiere.decision",
    "access": "lumiere.access",
    "request_id": "lumiere.request_id",
    "backend": "lumiere.backend",
    "protocol": "network.protocol.version",
}
"""Member of the log → attribute of the span; the log has nothing that says who asked for what, and so has the span."""
TIMINGS: Final = ("request_milliseconds", "queue_milliseconds", "connect_milliseconds", "upstream_milliseconds")

log = logger(__name__)


class Spans:
    """Takes entries of the log, sends spans. Safe to call from several threads."""

    def __init__(self, endpoint: str) -> None:
        self._address = urlsplit(f"{endpoint.rstrip('/')}/v1/traces")
        self._waiting: deque[Mapping[str, Any]] = deque()
        self._lock = threading.Lock()
        self.sent = 0
        self.lost = 0

    def take(self, entry: Mapping[str, Any]) -> None:
        """Make a span of this entry, when its request is traced."""
        if entry.get("span_id", "-") == "-":
            return
        with self._lock:
            if len(self._waiting) >= QUEUE_SPANS:
                self.lost += 1
            else:
                self._waiting.append(entry)

    def run(self, stopped: threading.Event) -> None:
        """Send what waits until told to stop; what waits then is sent too."""
        while not stopped.wait(SEND_SECONDS):
            self.send()
        self.send()

    def send(self) -> None:
        """Send everything that waits. What the collector does not take is lost, and counted."""
        while batch := self._batch():
            try:
                self._post(document(batch))
            except (OSError, HTTPException, ValueError) as error:
                self.lost += len(batch)
                log.warning("gateway.spans.lost", spans=len(batch), reason=str(error) or type(error).__name__)
            else:
                self.sent += len(batch)

    def metrics(self) -> Iterator[Metric]:
        """Sent and lost."""
        family = CounterMetricFamily("lumiere_gateway_spans", "Spans of the gateway by outcome", labels=["outcome"])
        family.add_metric(["sent"], self.sent)
        family.add_metric(["lost"], self.lost)
        yield family

    def _batch(self) -> list[Mapping[str, Any]]:
        with self._lock:
            return [self._waiting.popleft() for _ in range(min(BATCH_SPANS, len(self._waiting)))]

    def _post(self, body: bytes) -> None:
        kind = HTTPSConnection if self._address.scheme == "https" else HTTPConnection
        connection = kind(self._address.hostname or "", self._address.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("POST", self._address.path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise ValueError(f"the collector answered {answer.status}")


def document(entries: list[Mapping[str, Any]]) -> bytes:
    """An ExportTraceServiceRequest."""
    resource = {"attributes": [_attribute("service.name", "gateway")]}
    spans = [span_of(each) for each in entries]
    return orjson.dumps(
        {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "lumiere"}, "spans": spans}]}]}
    )


def span_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One span. The log counts whole milliseconds: it ends at the end of the last one, so that what happened inside fits in."""
    ended = datetime.fromisoformat(entry["timestamp"]) + timedelta(milliseconds=1)
    began = ended - timedelta(milliseconds=max(0, entry["milliseconds"]) + 1)
    said = [_attribute(name, str(entry[member])) for member, name in ATTRIBUTES.items() if entry.get(member, "-") != "-"]
    counted = [_attribute(f"lumiere.{name}", int(entry[name])) for name in TIMINGS if int(entry.get(name, -1)) >= 0]
    status = int(entry["status"])
    parent = entry.get("parent_id", "-")
    return {
        "traceId": entry["trace_id"],
        "spanId": entry["span_id"],
        **({} if parent == "-" else {"parentSpanId": parent}),
        "name": _name(entry),
        "kind": SERVER,
        "startTimeUnixNano": str(_nanoseconds(began)),
        "endTimeUnixNano": str(_nanoseconds(ended)),
        "attributes": [*said, *counted, _attribute("http.response.status_code", status)],
        "status": {"code": ERROR} if status >= 500 or status < 0 else {},
    }


def _name(entry: Mapping[str, Any]) -> str:
    known = [entry[name] for name in ("method", "operation") if entry.get(name, "-") != "-"]
    return " ".join(known) or "request"


def _nanoseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000) * 1_000_000


def _attribute(name: str, value: str | int) -> dict[str, Any]:
    # 64-bit numbers are written as texts in OTLP's JSON.
    return {"key": name, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
