"""The picture in the terminal."""

import math

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ops.bus.members import age
from ops.top.figures import Door, Share, Standing

OLD_SECONDS = 60.0
MEBIBYTE = 1024 * 1024


def picture(now: Standing) -> RenderableType:
    """Everything, from the door inwards."""
    tables = (_processes(now), _outboxes(now), _subscriptions(now))
    return Group(_door(now.door), *(part for table in tables for part in (Text(), table)), Text(), _below(now))


def _door(door: Door | None) -> Text:
    if door is None:
        return Text("The gateway does not tell its figures.", style="bold red")
    line = Text("gateway  ", style="bold")
    line.append(f"{door.requests.per_second:.1f}/s", style="default")
    line.append(f"  5xx {door.requests.errors_per_second:.2f}/s", style=_bad(door.requests.errors_per_second > 0))
    line.append(f"  refused {door.refused_per_second:.1f}/s  {_times(door.requests)}  streams {door.streams:.0f}")
    line.append(f"  replicas {door.replicas_up:.0f}/{door.replicas:.0f}", style=_bad(door.replicas_up < door.replicas))
    if door.maintenance:
        line.append("  shut for maintenance", style="bold red")
    return line


def _processes(now: Standing) -> Table:
    table = _table("PROCESS", "REQ/S", "5XX/S", "P50", "P99", "IN HAND", "WAITING", "CPU", "MEMORY", "POOL")
    for each in now.processes:
        if not each.answers:
            table.add_row(Text(each.name), Text("does not answer", style="bold red"))
            continue
        requests = each.requests
        told = (
            (f"{requests.per_second:.1f}", _marked(f"{requests.errors_per_second:.2f}", requests.errors_per_second > 0))
            if requests
            else ("", Text())
        )
        table.add_row(
            each.name,
            *told,
            _time(requests.median_seconds) if requests else "",
            _time(requests.slow_seconds) if requests else "",
            f"{each.in_hand:.0f}" if requests else "",
            _marked(f"{each.waiting:.0f}", each.waiting > 0) if requests else "",
            f"{each.cpu:.0%}",
            f"{each.memory_bytes / MEBIBYTE:.0f} MiB",
            _marked(f"{each.connections:.0f}/{each.connections_max:.0f}", 0 < each.connections_max <= each.connections),
        )
    return table


def _outboxes(now: Standing) -> Table:
    table = _table("OUTBOX", "DEPTH", "OLDEST", "PUBLISHED/S", "RELAYS")
    for each in now.outboxes:
        table.add_row(
            each.service,
            f"{each.depth:.0f}",
            _marked(age(each.oldest_seconds), each.oldest_seconds > OLD_SECONDS),
            f"{each.published_per_second:.1f}",
            _marked(f"{each.relays:.0f}", not each.relays),
        )
    return table


def _subscriptions(now: Standing) -> Table:
    table = _table("SUBSCRIPTION", "DEPTH", "CONSUMERS", "APPLIED/S", "P99", "RETRY", "PARKED", "DEAD")
    for each in now.subscriptions:
        table.add_row(
            each.name,
            f"{each.depth:.0f}",
            _marked(f"{each.consumers:.0f}", not each.consumers),
            f"{each.applied_per_second:.1f}",
            _time(each.slow_seconds),
            f"{each.retrying:.0f}",
            f"{each.parked:.0f}",
            _marked(f"{each.dead:.0f}", each.dead > 0),
        )
    return table


def _below(now: Standing) -> Text:
    line = Text("ledger  ", style="bold")
    pending, oldest = now.ledger["pending_leaves"] or 0, now.ledger["oldest_seconds"] or 0
    line.append(f"{now.ledger['size'] or 0:.0f} sealed, {pending:.0f} waiting", style="default")
    line.append(f" ({age(oldest)})", style=_bad(oldest > OLD_SECONDS))
    line.append("   mail  ", style="bold")
    line.append(f"{now.mail['queued'] or 0:.0f} queued", style="default")
    line.append("   Lumens  ", style="bold")
    off = now.lumens_difference
    line.append("not measured yet" if off is None else f"off by {off:g}" if off else "balanced", style=_bad(bool(off)))
    return line


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    for title in others:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _times(requests: Share) -> str:
    return f"p50 {_time(requests.median_seconds) or '-'}  p99 {_time(requests.slow_seconds) or '-'}"


def _time(seconds: float | None) -> str:
    """An upper estimate from the histogram's bounds."""
    if seconds is None:
        return ""
    if math.isinf(seconds):
        return "longer"
    return f"≤{seconds * 1000:.0f} ms" if seconds < 1 else f"≤{seconds:g} s"


def _marked(text: str, bad: bool) -> Text:
    return Text(text, style=_bad(bad))


def _bad(bad: bool) -> str:
    return "bold red" if bad else "default"
