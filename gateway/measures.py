"""What Prometheus is told of the gateway's work, counted from HAProxy's own log lines (ADR 0028).

HAProxy hands each line of the access log over through a ring and a Unix socket; a full ring loses lines, never requests. Lines
carry a number a worker, so what was lost is known. Counting costs under 10 µs of processor time a line.
"""

import socket
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import orjson
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway import sockets
from gateway.access_log import WELL
from gateway.folder import Folder
from gateway.spans import Spans
from libs.common.telemetry import logger

SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Upper bounds of the histogram, the kernel's own; HAProxy measures whole milliseconds."""
MILLISECONDS: Final = tuple(round(bound * 1000) for bound in SECONDS)
READ_BYTES: Final = 256 * 1024
BACKLOG: Final = 8
POLL_SECONDS: Final = 0.5
WORKERS_KEPT: Final = 8
"""Workers whose numbers are followed; a reload makes a new one, and the oldest is done by then."""
PASSED: Final = frozenset({"public", "permitted"})
"""Decisions of requests that were let through."""
POLICY: Final = frozenset({"not_found", "method_not_allowed", "token_missing", "role_missing", "body_too_large"})
"""Refusals that another policy could turn round; the others judge the token, the form or the number of requests."""
PAGE_DECISIONS: Final = {"sent_to_login": "token_missing", "sent_to_dashboard": "role_missing"}

log = logger(__name__)
Labels = TypeVar("Labels", bound=tuple[str, ...])
Gauges = Callable[[], Iterator[Metric]]


def changed_by(decision: str, candidate: str) -> str | None:
    """What a candidate policy would make of a request: `refuse`, `permit`, or None when it changes nothing."""
    decision = PAGE_DECISIONS.get(decision, decision)
    if candidate == "-":
        return None
    if decision in PASSED and candidate not in PASSED:
        return "refuse"
    return "permit" if decision in POLICY and candidate in PASSED else None


class Tally:
    """Counts lines. Safe to call from several threads."""

    def __init__(self, spans: Spans | None = None) -> None:
        self._lock = threading.Lock()
        self._spans = spans
        self.requests: Counter[tuple[str, str, str]] = Counter()
        self.candidates: Counter[tuple[str, str, str, str]] = Counter()
        self.refused: Counter[str] = Counter()
        self.subscribers: Counter[str] = Counter()
        self.unreadable = 0
        self._durations: dict[str, list[int]] = {}
        self._milliseconds: Counter[str] = Counter()
        self._workers: dict[int, tuple[int, int, int]] = {}
        self._lost = 0

    def take(self, lines: list[bytes]) -> None:
        """Count these lines; one that is no JSON (HAProxy's own remarks) is passed over."""
        with self._lock:
            for line in lines:
                if line.startswith(b"{"):
                    self._one(line)

    def _one(self, line: bytes) -> None:
        try:
            entry = orjson.loads(line)
            event = entry["event"]
            if event == "request":
                self._request(entry)
            elif event == "refused" and entry["reason"] == WELL and "status" in entry:
                self.requests["", "malformed", str(entry["status"])] += 1
            elif event == "refused":
                self.refused[entry["reason"]] += 1
            elif event == "subscriber":
                self.subscribers[entry["termination"]] += 1
        except (ValueError, KeyError, TypeError):
            self.unreadable += 1

    def _request(self, entry: Mapping[str, Any]) -> None:
        operation, decision, milliseconds = _named(entry["operation"]), _named(entry["decision"]), max(0, entry["milliseconds"])
        self.requests[operation, decision, str(entry["status"])] += 1
        durations = self._durations.get(operation)
        if durations is None:
            durations = self._durations[operation] = [0] * (len(MILLISECONDS) + 1)
        durations[bisect_left(MILLISECONDS, milliseconds)] += 1
        self._milliseconds[operation] += milliseconds
        self._number(entry["worker"], entry["number"])
        if self._spans is not None:
            self._spans.take(entry)
        candidate = entry.get("candidate")
        if candidate is not None and (change := changed_by(decision, candidate)):
            self.candidates[operation, entry["access"], change, candidate] += 1

    def _number(self, worker: int, number: int) -> None:
        first, last, count = self._workers.get(worker, (number, number, 0))
        self._workers[worker] = (min(first, number), max(last, number), count + 1)
        if len(self._workers) > WORKERS_KEPT:
            oldest = next(iter(self._workers))
            self._lost += _missing(*self._workers.pop(oldest))

    @property
    def lost(self) -> int:
        """Lines that were numbered and never came. Those on their way are counted until they arrive."""
        with self._lock:
            return self._lost + sum(_missing(*each) for each in self._workers.values())

    def metrics(self) -> Iterator[Metric]:
        """Everything counted so far."""
        with self._lock:
            requests, candidates = dict(self.requests), dict(self.candidates)
            refused, subscribers = ({(name,): n for name, n in each.items()} for each in (self.refused, self.subscribers))
            durations = {operation: list(counts) for operation, counts in self._durations.items()}
            milliseconds = dict(self._milliseconds)
        family: Metric = CounterMetricFamily(
            "lumiere_gateway_requests", "Requests by operation, decision and status", labels=["operation", "decision", "status"]
        )
        yield _filled(family, requests)
        yield _histograms(durations, milliseconds)
        family = CounterMetricFamily(
            "lumiere_gateway_candidate_changes",
            "Requests that the candidate policy would refuse or permit",
            labels=["operation", "access", "change", "candidate"],
        )
        yield _filled(family, candidates)
        family = CounterMetricFamily(
            "lumiere_gateway_refused_connections", "Connections that ended before a request", labels=["reason"]
        )
        yield _filled(family, refused)
        family = CounterMetricFamily(
            "lumiere_gateway_subscriber_connections", "Connections of subscribers that have ended", labels=["termination"]
        )
        yield _filled(family, subscribers)
        yield GaugeMetricFamily("lumiere_gateway_log_lines_lost", "Lines that these figures lack", self.lost)
        yield CounterMetricFamily("lumiere_gateway_log_lines_unreadable", "Lines that are no log lines", self.unreadable)


class Measures(Collector):
    """Listens to HAProxy, and answers Prometheus. `gauges` are read when it asks."""

    def __init__(self, folder: Folder, gauges: Gauges, spans: Spans | None = None) -> None:
        self.tally = Tally(spans)
        self._spans = spans
        self._folder = folder
        self._gauges = gauges
        self.registry = CollectorRegistry()
        self.registry.register(self)
        for kind in (ProcessCollector, PlatformCollector, GCCollector):
            kind(registry=self.registry)

    def describe(self) -> list[Metric]:
        """Nothing in advance: reading the gauges costs a question to HAProxy."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Counts and gauges."""
        yield from self.tally.metrics()
        yield from self._gauges()
        if self._spans is not None:
            yield from self._spans.metrics()

    def exposition(self) -> bytes:
        """What `/metrics` answers."""
        return generate_latest(self.registry)

    def run(self, stopped: threading.Event) -> None:
        """Take the connections of HAProxy's workers until told to stop."""
        with self._listener() as listener:
            while not stopped.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=self._read, args=(connection, stopped), name="lines", daemon=True).start()

    def _read(self, connection: socket.socket, stopped: threading.Event) -> None:
        rest = b""
        connection.settimeout(POLL_SECONDS)
        with connection:
            while not stopped.is_set():
                try:
                    part = connection.recv(READ_BYTES)
                except TimeoutError:
                    continue
                except OSError as error:
                    log.warning("gateway.measures.cut", reason=str(error))
                    return
                if not part:
                    return
                *lines, rest = (rest + part).split(b"\n")
                self.tally.take(lines)

    def _listener(self) -> socket.socket:
        listener = sockets.listening(self._folder, sockets.MEASURES, BACKLOG)
        listener.settimeout(POLL_SECONDS)
        return listener


def _named(value: str) -> str:
    """HAProxy writes `-` for what was never set."""
    return "" if value == "-" else value


def _missing(first: int, last: int, count: int) -> int:
    return max(0, last - first + 1 - count)


def _filled(family: Metric, counts: Mapping[Labels, int]) -> Metric:
    for labels, count in sorted(counts.items()):
        family.add_metric(labels, count)  # type: ignore[attr-defined]
    return family


def _histograms(durations: Mapping[str, list[int]], milliseconds: Mapping[str, int]) -> Metric:
    family = HistogramMetricFamily(
        "lumiere_gateway_request_seconds", "From the first byte of a request to the last of its answer", labels=["operation"]
    )
    for operation, counts in sorted(durations.items()):
        total, buckets = 0, []
        for bound, count in zip((*map(str, SECONDS), "+Inf"), counts, strict=True):
            total += count
            buckets.append((bound, total))
        family.add_metric([operation], buckets, milliseconds[operation] / 1000)
    return family
