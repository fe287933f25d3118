"""The access log: one JSON object a request, with the kernel's member names, and nothing that says who asked for what.

There is no path, query string, header, address, subject or token in it. What clients can choose freely is left out or taken
only in a checked form, so a line is JSON whatever was sent. The same lines feed the metrics (gateway/measures.py).
"""

from collections.abc import Mapping
from typing import Final

TIMESTAMP: Final = "%[date(),utime(%Y-%m-%dT%H:%M:%S)].%[date(0,ms),concat(),bytes(10)]Z"
"""The moment of logging, to the millisecond (RFC 3339): HAProxy 2.6 has no converter of its own for it.

Milliseconds since 1970 have thirteen digits until 2286; as a text, what follows the tenth is the fraction.
"""

REQUEST: Final[Mapping[str, str]] = {
    "request_id": '"%[var(txn.request_id)]"',
    "trace_id": '"%[var(txn.trace_id)]"',
    "method": '"%[var(txn.verb)]"',
    "operation": '"%[var(txn.operation)]"',
    "decision": '"%[var(txn.decision)]"',
    "access": '"%[var(txn.access)]"',
    "status": "%ST",
    "bytes_in": "%U",
    "bytes_out": "%B",
    "milliseconds": "%Ta",
    "request_milliseconds": "%TR",
    "queue_milliseconds": "%Tw",
    "connect_milliseconds": "%Tc",
    "upstream_milliseconds": "%Tr",
    "backend": '"%b"',
    "server": '"%s"',
    "retries": '"%rc"',
    "termination": '"%tsc"',
    "protocol": '"%HV"',
    "tls": '"%sslv"',
    "worker": "%pid",
    "number": "%lc",
}
"""Member → what HAProxy writes. Docs: the table in docs/gateway.md."""
SPAN: Final[Mapping[str, str]] = {
    "span_id": '"%[var(txn.span_id)]"',
    "parent_id": '"%[var(txn.parent_id)]"',
}
"""Added where spans are sent: the name of the gateway's span, and of its caller's; `-` when the request is not traced."""
CANDIDATE: Final[Mapping[str, str]] = {"candidate": '"%[var(txn.candidate)]"'}
"""Added while a candidate policy is tried."""
REFUSED: Final[Mapping[str, str]] = {"reason": '"%[fc_err_str]"'}
"""A connection that ended before its first request."""
WELL: Final = "Success"
"""The reason when the handshake was well: what came after it was no HTTP."""
BROKEN: Final[Mapping[str, str]] = {**REFUSED, "status": "%ST", "bytes_out": "%B", "termination": '"%tsc"'}
"""The same where HTTP is spoken."""
SUBSCRIBER: Final[Mapping[str, str]] = {
    "bytes_in": "%U",
    "bytes_out": "%B",
    "milliseconds": "%Tt",
    "backend": '"%b"',
    "termination": '"%ts"',
}


def log_format(event: str, members: Mapping[str, str]) -> str:
    """One line, quoted for HAProxy's configuration."""
    written = {
        "timestamp": f'"{TIMESTAMP}"',
        "level": '"info"',
        "service": '"gateway"',
        "process": '"run"',
        "event": f'"{event}"',
        **members,
    }
    return "'{" + ",".join(f'"{name}":{value}' for name, value in written.items()) + "}'"


def formats(*, candidate: bool, spans: bool) -> dict[str, str]:
    """Every kind of line, by event."""
    return {
        "request": log_format("request", {**REQUEST, **(SPAN if spans else {}), **(CANDIDATE if candidate else {})}),
        "broken": log_format("refused", BROKEN),
        "refused": log_format("refused", REFUSED),
        "subscriber": log_format("subscriber", SUBSCRIBER),
    }
