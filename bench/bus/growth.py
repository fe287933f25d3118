"""Whether work costs more as tables grow: the same rates with nothing behind them and with ten million events."""

from rich.progress import Progress
from sqlalchemy import Connection, text

from bench.bus.notes import outgoing
from bench.bus.stage import Stage, children
from bench.bus.throughput import EVENTS_A_SECOND, ONE_BY_ONE, RELAY, TOGETHER, consuming, relaying
from bench.figures import Figure, against, limit
from bench.timing import ROUNDS, in_turns
from libs.common.events.tests.live import Noted
from ops.console import err

EVENTS = 10_000_000
AT_ONCE = 250_000

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
    """Relay and consumers before and after; the disk is free again when the database is dropped."""
    before = _rates(set_up, seconds)
    with set_up.administration() as connection:
        _fill(connection, set_up)
        # What autovacuum would do in the middle of the measurement.
        connection.exec_driver_sql("VACUUM (ANALYZE)")
        connection.exec_driver_sql("CHECKPOINT")
    after = _rates(set_up, seconds)
    figures = []
    for name, rate in before.items():
        base = limit(f"{name}; nothing behind it", rate, "events/s")
        figures += [base, against(base, f"{name}; {EVENTS:,} events archived and applied", after[name])]
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


def _rates(set_up: Stage, seconds: float) -> dict[str, float]:
    events = int(EVENTS_A_SECOND * seconds) // ROUNDS
    bodies = [outgoing() for _ in range(events)]
    with children(set_up, "relay", "consumer") as (relay, consumer):
        return in_turns(
            {
                RELAY: lambda: relaying(set_up, relay, events),
                ONE_BY_ONE: lambda: consuming(set_up, [consumer], "keep", bodies[: events // 2]),
                TOGETHER: lambda: consuming(set_up, [consumer], "keep_all", bodies),
            }
        )
