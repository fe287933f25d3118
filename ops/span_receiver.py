"""A receiver of traces for tests: takes OTLP over HTTP, in Protobuf or JSON, and keeps what arrives as it came."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class Span:
    """One span as it was exported; ids in hexadecimal, moments in nanoseconds since 1970."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    began: int
    ended: int


class SpanReceiver:
    """Listens on a loopback port of its own for the length of a block."""

    def __init__(self) -> None:
        received: list[bytes] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.append(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
                self.send_response(200)
                self.send_header("Content-Type", self.headers.get("Content-Type", "application/x-protobuf"))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self.received = received
        """Export requests (not compressed: texts stand in them as they are)."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="span-receiver", daemon=True)

    @property
    def endpoint(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of one trace that have arrived so far."""
        # Most requests are of other traces: reading them all, again and again, would leave no time to receive more.
        names = (bytes.fromhex(trace_id), trace_id.encode())
        bodies = [body for body in list(self.received) if any(name in body for name in names)]
        return [span for body in bodies for span in spans_in(body) if span.trace_id == trace_id]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def spans_in(body: bytes) -> Iterator[Span]:
    """The spans of one export request."""
    if body.startswith(b"{"):
        yield from _json_spans(json.loads(body))
        return
    request = ExportTraceServiceRequest.FromString(body)
    for group in request.resource_spans:
        service = next(each.value.string_value for each in group.resource.attributes if each.key == "service.name")
        for span in (span for scope in group.scope_spans for span in scope.spans):
            ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
            yield Span(service, span.name, *ids, span.start_time_unix_nano, span.end_time_unix_nano)


def _json_spans(request: dict[str, Any]) -> Iterator[Span]:
    for group in request["resourceSpans"]:
        attributes = {each["key"]: each["value"] for each in group["resource"]["attributes"]}
        for span in (span for scope in group["scopeSpans"] for span in scope["spans"]):
            yield Span(
                service=attributes["service.name"]["stringValue"],
                name=span["name"],
                trace_id=span["traceId"],
                span_id=span["spanId"],
                parent_id=span.get("parentSpanId", ""),
                began=int(span["startTimeUnixNano"]),
                ended=int(span["endTimeUnixNano"]),
            )
