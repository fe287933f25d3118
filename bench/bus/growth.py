"""Whether work costs more as tables grow: the same rates with nothing behind them and with ten million events."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import product

from rich.progress import Progress
from sqlalchemy import Connection, text

from bench.bus.notes import outgoing
from bench.bus.stage import Stage, children, twin
from bench.bus.throughput import EVENTS_A_SECOND, ONE_BY_ONE, RELAY, TOGETHER, consuming, relaying
from bench.figures import Figure, against, limit
from bench.timing import ROUNDS, in_turns
from libs.common.events.tests.live import Noted
from ops.console import err

EVENTS = 10_000_000
AT_ONCE = 250_000
WORKS = (RELAY, ONE_BY_ONE, TOGETHER)
NOTHING, MUCH = "nothing behind it", f"{EVENTS:,} events archived and applied"

# Ids ascend as those of real events do, and all stand in this week's partition, where the relay writes.
_ARCHIVE = """
INSERT INTO {schema}.event_archive (event_id, type, aggregate_type, aggregate_id, sequence, body, recorded_at)
SELECT id, :type, :aggregate, id::text, 1, '{{}}', now()
FROM (SELECT ('01900000' || lpad(to_hex(n), 24, '0'))::uuid AS id FROM generate_series(:first, :last) AS n) AS made
"""
_INBOX = """
INSERT INTO {schema}.inbox (subscription, event_id, applied_at)
SELECT :subscription, ('01900000' || lpad(to_hex(n), 24, '0'))::uuid, now() FROM generate_series(:first, :last) AS n
"""


def measure(set_up: Stage, seconds: float) -> list[Figure]:
    """Relay and consumer on an empty database and on a full one, in turns; the disk is free again when they are dropped."""
    with twin(set_up) as grown:
        with grown.administration() as connection:
            _fill(connection, grown)
            # What autovacuum would do in the middle of the measurement.
            connection.exec_driver_sql("VACUUM (ANALYZE)")
            connection.exec_driver_sql("CHECKPOINT")
        rates = _rates({NOTHING: set_up, MUCH: grown}, seconds)
    figures = []
    for name in WORKS:
        base = limit(f"{name}; {NOTHING}", rates[name, NOTHING], "events/s")
        figures += [base, against(base, f"{name}; {MUCH}", rates[name, MUCH])]
    return figures


def _fill(connection: Connection, set_up: Stage) -> None:
    values = {
        "type": Noted.event_type,
        "aggregate": Noted.aggregate_type(),
        "subscription": set_up.subscription.name,
    }
    archive, inbox = (
        text(_ARCHIVE.format(schema=set_up.studio.schema)),
        text(_INBOX.format(schema=set_up.cinema.schema)),
    )
    with Progress(console=err) as progress:
        task = progress.add_task(f"{EVENTS:,} events into archive and inbox", total=EVENTS)
        for first in range(1, EVENTS + 1, AT_ONCE):
            portion = values | {"first": first, "last": first + AT_ONCE - 1}
            connection.execute(archive, portion)
            connection.execute(inbox, portion)
            progress.advance(task, AT_ONCE)


def _rates(stages: Mapping[str, Stage], seconds: float) -> dict[tuple[str, str], float]:
    """By work and stage."""
    events = int(EVENTS_A_SECOND * seconds) // ROUNDS
    bodies = [outgoing() for _ in range(events)]
    turns: dict[tuple[str, str], Callable[[], float]] = {}
    with ExitStack() as stack:
        for title, each in stages.items():
            relay, consumer = stack.enter_context(children(each, "relay", "consumer"))
            turns[RELAY, title] = partial(relaying, each, relay, events)
            turns[ONE_BY_ONE, title] = partial(consuming, each, [consumer], "keep", bodies[: events // 2])
            turns[TOGETHER, title] = partial(consuming, each, [consumer], "keep_all", bodies)
        return in_turns({key: turns[key] for key in product(WORKS, stages)})
