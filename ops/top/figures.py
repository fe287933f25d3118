"""Two looks at the same processes → what happened in between, and what stands now."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from ops.top.reading import Reading

GATEWAY: Final = "gateway"
PASSED: Final = frozenset({"public", "permitted"})


@dataclass(frozen=True)
class Share:
    """Requests of one process, or of the door, between two looks."""

    per_second: float
    errors_per_second: float
    median_seconds: float | None
    """None when there was no request."""
    slow_seconds: float | None
    """The 99th percentile, as far as the bounds of the histogram tell."""


@dataclass(frozen=True)
class Process:
    """One process."""

    name: str
    service: str
    kind: str
    answers: bool
    requests: Share | None = None
    cpu: float = 0.0
    """Processors in use: 1 is one of them whole."""
    memory_bytes: float = 0.0
    in_hand: float = 0.0
    waiting: float = 0.0
    connections: float = 0.0
    connections_max: float = 0.0


@dataclass(frozen=True)
class Outbox:
    """Facts of one service that are committed and not yet published."""

    service: str
    depth: float
    oldest_seconds: float
    published_per_second: float
    relays: float


@dataclass(frozen=True)
class Subscription:
    """One queue, as its consumers measure it every quarter of a minute."""

    name: str
    depth: float
    consumers: float
    retrying: float
    dead: float
    parked: float
    applied_per_second: float
    slow_seconds: float | None


@dataclass(frozen=True)
class Door:
    """What the gateway counted."""

    requests: Share
    refused_per_second: float
    streams: float
    maintenance: bool
    replicas_up: float
    replicas: float


@dataclass(frozen=True)
class Standing:
    """The platform at one moment."""

    seconds: float
    """Between the two looks."""
    door: Door | None
    """None when the gateway does not tell."""
    processes: list[Process]
    outboxes: list[Outbox]
    subscriptions: list[Subscription]
    ledger: dict[str, float | None]
    """`pending_leaves`, `oldest_seconds`, `size`."""
    mail: dict[str, float | None]
    """`queued`, `oldest_seconds`."""
    lumens_difference: float | None
    """What should be zero; None while it was not measured."""

    @property
    def silent(self) -> list[str]:
        """Processes that do not answer."""
        return [each.name for each in self.processes if not each.answers]

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


Pair = tuple[Reading, Reading]


def standing(before: Sequence[Reading], now: Sequence[Reading]) -> Standing:
    """What happened between two looks, the first of which may lack processes that are new."""
    earlier = {each.address.name: each for each in before}
    pairs = [(earlier.get(each.address.name, Reading(each.address, each.at)), each) for each in now]
    spans = [_seconds(pair) for pair in pairs if pair[0].samples]
    services = [pair for pair in pairs if pair[1].address.service != GATEWAY]
    gateways = [pair for pair in pairs if pair[1].address.service == GATEWAY and pair[1].samples]
    alive = [each for _, each in services if each.samples]
    return Standing(
        seconds=round(max(spans, default=0.0), 2),
        door=_door(gateways, alive) if gateways else None,
        processes=[_process(pair) for pair in pairs],
        outboxes=_outboxes(services),
        subscriptions=_subscriptions(services),
        ledger={
            "pending_leaves": _most(alive, "lumiere_ledger_pending_leaves"),
            "oldest_seconds": _most(alive, "lumiere_ledger_pending_oldest_seconds"),
            "size": _most(alive, "lumiere_ledger_checkpoint_size"),
        },
        mail={"queued": _most(alive, "lumiere_mail_queued"), "oldest_seconds": _most(alive, "lumiere_mail_oldest_seconds")},
        lumens_difference=_most_off(alive, "lumiere_lumens_difference"),
    )


def _process(pair: Pair) -> Process:
    now = pair[1]
    if not now.samples:
        return Process(now.address.name, now.address.service, now.address.kind, answers=False)
    served = now.address.kind in {"web", "stream"}
    return Process(
        name=now.address.name,
        service=now.address.service,
        kind=now.address.kind,
        answers=True,
        requests=share([pair], "lumiere_http_requests_total", "lumiere_http_request_seconds_bucket") if served else None,
        cpu=_rate(pair, "process_cpu_seconds_total"),
        memory_bytes=now.one("process_resident_memory_bytes") or 0,
        in_hand=now.one("lumiere_web_requests_in_progress") or 0,
        waiting=now.one("lumiere_web_requests_waiting") or 0,
        connections=now.one("lumiere_database_connections_in_use") or 0,
        connections_max=now.one("lumiere_database_connections_limit") or 0,
    )


def _door(pairs: Sequence[Pair], services: Iterable[Reading]) -> Door:
    now = [each for _, each in pairs]
    refused = sum(
        max(0.0, value - _earlier(before, "lumiere_gateway_requests_total", labels)) / _seconds((before, after))
        for before, after in pairs
        for labels, value in after.of("lumiere_gateway_requests_total")
        if labels["decision"] not in PASSED
    )
    return Door(
        requests=share(pairs, "lumiere_gateway_requests_total", "lumiere_gateway_request_seconds_bucket"),
        refused_per_second=refused,
        streams=sum(each.one("lumiere_web_requests_in_progress") or 0 for each in services if each.address.kind == "stream"),
        maintenance=any(each.one("lumiere_gateway_maintenance") for each in now),
        replicas_up=max(each.one("lumiere_gateway_replicas_up") or 0 for each in now),
        replicas=max(each.one("lumiere_gateway_replicas") or 0 for each in now),
    )


def _outboxes(pairs: Sequence[Pair]) -> list[Outbox]:
    workers = [pair for pair in pairs if pair[1].address.kind == "worker" and pair[1].samples]
    found = []
    for service in sorted({after.address.service for _, after in workers}):
        own = [pair for pair in workers if pair[1].address.service == service]
        readings = [after for _, after in own]
        found.append(
            Outbox(
                service,
                depth=_most(readings, "lumiere_outbox_depth") or 0,
                oldest_seconds=_most(readings, "lumiere_outbox_oldest_seconds") or 0,
                published_per_second=sum(_rate(pair, "lumiere_events_published_total") for pair in own),
                relays=sum(each.one("lumiere_relay_active") or 0 for each in readings),
            )
        )
    return found


def _subscriptions(pairs: Sequence[Pair]) -> list[Subscription]:
    readings = [after for _, after in pairs if after.samples]
    names = sorted({labels["subscription"] for each in readings for labels, _ in each.of("lumiere_queue_depth")})
    return [
        Subscription(
            name,
            depth=_most(readings, "lumiere_queue_depth", subscription=name) or 0,
            consumers=_most(readings, "lumiere_queue_consumers", subscription=name) or 0,
            retrying=_most(readings, "lumiere_events_waiting_for_retry", subscription=name) or 0,
            dead=_most(readings, "lumiere_dead_letters", subscription=name) or 0,
            parked=_most(readings, "lumiere_parked_events", subscription=name) or 0,
            applied_per_second=sum(
                _rate(pair, "lumiere_events_consumed_total", subscription=name, outcome="applied") for pair in pairs
            ),
            slow_seconds=_quantile(0.99, _buckets(pairs, "lumiere_event_delivery_seconds_bucket", subscription=name)),
        )
        for name in names
    ]


def share(pairs: Sequence[Pair], counter: str, buckets: str) -> Share:
    """Requests between the two looks, of one process or of several together."""
    grown = _buckets(pairs, buckets)
    failed = sum(
        max(0.0, value - _earlier(before, counter, labels)) / _seconds((before, after))
        for before, after in pairs
        for labels, value in after.of(counter)
        if labels["status"].startswith("5")
    )
    return Share(sum(_rate(pair, counter) for pair in pairs), failed, _quantile(0.5, grown), _quantile(0.99, grown))


def _rate(pair: Pair, name: str, **wanted: str) -> float:
    before, after = pair
    if not before.samples:
        return 0.0
    # A counter that went back belongs to a process that was started anew.
    return max(0.0, (after.one(name, **wanted) or 0) - (before.one(name, **wanted) or 0)) / _seconds(pair)


def _seconds(pair: Pair) -> float:
    return max(pair[1].at - pair[0].at, 0.001)


def _earlier(before: Reading, name: str, labels: dict[str, str]) -> float:
    return before.samples.get((name, tuple(sorted(labels.items()))), 0.0)


def _buckets(pairs: Sequence[Pair], name: str, **wanted: str) -> dict[float, float]:
    """Bound → how many more there are at or below it."""
    grown: dict[float, float] = {}
    for before, after in pairs:
        for labels, value in after.of(name, **wanted) if before.samples else ():
            bound = float(labels["le"])
            grown[bound] = grown.get(bound, 0.0) + max(0.0, value - _earlier(before, name, labels))
    return grown


def _quantile(share: float, grown: dict[float, float]) -> float | None:
    """The bound below which this share lies: an upper estimate. None when nothing happened."""
    whole = max(grown.values(), default=0.0)
    if not whole:
        return None
    return next(bound for bound, count in sorted(grown.items()) if count >= share * whole)


def _most(readings: Iterable[Reading], name: str, **wanted: str) -> float | None:
    found = [value for each in readings for _, value in each.of(name, **wanted)]
    return max(found, default=None)


def _most_off(readings: Iterable[Reading], name: str) -> float | None:
    found = [value for each in readings for _, value in each.of(name)]
    return max(found, key=abs, default=None)
