"""Room for data, for the write-ahead log, for logs."""

import shutil
from typing import Final

from sqlalchemy import text

from ops.doctor.box import Finding, NotExamined, box, judged
from ops.doctor.examined import Examined

FREE_SHARE_MIN: Final = 0.10
FREE_BYTES_MIN: Final = 2 * 1024**3
"""Postgres stops when its disk is full, RabbitMQ before that: both need hours, not minutes, of room."""
WAL_TIMES_MAX: Final = 4
"""How many times max_wal_size the write-ahead log may have: beyond, something keeps Postgres from recycling it."""
GIBIBYTE: Final = 1024**3
_UNITS: Final = {"B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}


@box(
    "disk-space",
    "There is room on the disks",
    fix="Make room or give more: old backups, old logs; data of the archive go by EVENT_RETENTION_DAYS.",
)
def space(examined: Examined) -> Finding:
    """Is a tenth and are 2 GiB free where data, logs and secrets stand (in a container: on the engine's disk)?"""
    faults, seen = [], []
    for folder in examined.folders:
        usage = shutil.disk_usage(folder)
        share = usage.free / usage.total
        words = f"{folder}: {usage.free / GIBIBYTE:.1f} GiB free ({share:.0%})"
        seen.append(words)
        if share < FREE_SHARE_MIN or usage.free < FREE_BYTES_MIN:
            faults.append(words)
    if not seen:
        raise NotExamined("no folder of the platform is known here")
    return judged(faults, "; ".join(seen))


@box(
    "disk-wal",
    "The write-ahead log does not pile up",
    fix="Look for what holds it: an archive_command that fails, a replication slot that nobody reads (pg_replication_slots).",
)
def wal(examined: Examined) -> Finding:
    """Is Postgres's write-ahead log at most four times max_wal_size?"""
    with examined.database() as db:
        server = db.one(text("SELECT wal_bytes, database_bytes FROM monitoring.server()"))
        most = _bytes(str(db.scalar(text("SHOW max_wal_size"))))
    evidence = f"{server.wal_bytes / GIBIBYTE:.2f} GiB of write-ahead log, {server.database_bytes / GIBIBYTE:.2f} GiB of data"
    return judged([evidence] if server.wal_bytes > WAL_TIMES_MAX * most else [], evidence)


@box(
    "disk-broker",
    "The broker has memory and disk",
    fix="RabbitMQ blocks publishers until it has room (docs/bus.md, a growing outbox): give it some, or let queues empty.",
)
def broker(examined: Examined) -> Finding:
    """Does every node of the broker run without an alarm for memory or disk, and with all its partners?"""
    nodes = examined.broker(lambda broker: broker.nodes())
    faults = []
    for node in nodes:
        name = str(node["name"]).partition("@")[0]
        if not node.get("running", False):
            faults.append(f"{name} does not run")
        alarms = {"memory": "mem_alarm", "disk": "disk_free_alarm"}
        faults += [f"{name} has an alarm for {what}" for what, field in alarms.items() if node.get(field)]
        if node.get("partitions"):
            faults.append(f"{name} is cut off from {', '.join(node['partitions'])}")
    free = min((node.get("disk_free", 0) for node in nodes), default=0)
    return judged(faults, f"{len(nodes)} node{'s' * (len(nodes) > 1)}, no alarm, {free / GIBIBYTE:.1f} GiB free")


def _bytes(size: str) -> int:
    """A size as Postgres shows it: `512MB`."""
    number = size.rstrip("kMGTB")
    return int(number) * _UNITS[size.removeprefix(number)]
