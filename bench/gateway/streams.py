"""Thousands of idle event streams of the real hub through the gateway: none is dropped, and an event is there at once."""

import resource
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from uuid import UUID

from bench.bus.stage import await_
from bench.figures import Figure, NothingMeasured, against, limit, percentile
from bench.gateway.listeners import Listener, Listeners
from bench.gateway.notify import Notify
from bench.gateway.stage import Door
from bench.timing import MILLISECONDS
from libs.common import clock
from libs.common.auth import Role
from libs.common.ids import new_id
from libs.common.testing import Harness, a_subject
from ops.console import err
from services.notify import use_cases
from services.notify.domain import NoticeKind

STREAMS = 5_000
STRAIGHT = 100
"""People who also listen straight at the hub, past the gateway."""
HOLD = 40
"""The streams stay open that many times as long as was asked for: two minutes by default."""
OPENED, DROPPED = f"idle event streams through the gateway, opened of {STREAMS:,}", "of these dropped within"
TOLD_P50 = "commit → listener through the gateway, p50"
EVENTS = 100
PACE_SECONDS = 0.02
ALL_SECONDS = 60.0
OPEN_FILES = 20_000
TOLD = {"amount": 10, "balance_after": 10, "reason": "TASK_VALIDATED"}


def measure(door: Door, real: Notify, seconds: float) -> list[Figure]:
    """Dropped streams, time from an event's commit to its listener, memory of the gateway and of the hub."""
    with ExitStack() as stack:
        hub = stack.enter_context(real.replica("stream"))
        door.send_to(door.with_notify("stream", [hub.address]))
        people = [a_subject(Role.VIEWER) for _ in range(STREAMS)]
        tokens = [door.token(each) for each in people]
        straight = [(int(hub.address.rpartition(":")[2]), token) for token in tokens[:STRAIGHT]]
        before = door.haproxy.memory_mb(), hub.process.memory_mb()
        listeners = stack.enter_context(closing(Listeners([*((door.port, token) for token in tokens), *straight])))
        listeners.await_connected()
        through = listeners.all[:STREAMS]
        opened = sum(each.connected for each in through)
        if opened < len(through):
            refused = next(each for each in through if not each.connected)
            raise NothingMeasured(f"Only {opened:,} of {len(through):,} streams opened; one was answered {refused.begun!r}.")
        with err.status(f"{opened:,} streams stay open for {HOLD * seconds:.0f} s"):
            threading.Event().wait(HOLD * seconds)
        dropped = sum(each.dropped for each in through)
        used = door.haproxy.memory_mb(), hub.process.memory_mb()
        figures = [
            Figure(OPENED, opened, "streams"),
            Figure(f"{DROPPED} {HOLD * seconds:.0f} s", dropped, "streams"),
        ]
        figures += _one(real.harness, [each.id for each in people[:STRAIGHT]], through, listeners.all[STREAMS:])
        figures += _all(real.harness, [each.id for each in people], through)
        return [
            *figures,
            Figure("HAProxy with these streams", used[0], "MB"),
            Figure("HAProxy, more a stream", (used[0] - before[0]) / opened * 1_024, "KB"),
            Figure("the hub, more a stream", (used[1] - before[1]) / (opened + STRAIGHT) * 1_024, "KB"),
        ]


def _one(made: Harness, people: Sequence[UUID], through: Sequence[Listener], straight: Sequence[Listener]) -> list[Figure]:
    """One event to one person, again and again; who listens straight at the hub is the limit."""
    alone, passed = list[float](), list[float]()
    for number in range(EVENTS):
        which = number % len(people)
        pair = through[which], straight[which]
        known = [len(each.heard) for each in pair]
        committing = _tell(made, [people[which]])
        await_("the event", partial(_heard_more, pair, known))
        passed.append((pair[0].heard[-1] - committing) * MILLISECONDS)
        alone.append((pair[1].heard[-1] - committing) * MILLISECONDS)
        threading.Event().wait(PACE_SECONDS)
    figures = []
    for percent in (50, 99):
        base = limit(f"commit → listener straight at the hub, p{percent}", percentile(alone, percent), "ms")
        figures += [
            base,
            against(base, f"commit → listener through the gateway, p{percent}", percentile(passed, percent)),
        ]
    return figures


def _heard_more(listeners: Sequence[Listener], known: Sequence[int]) -> bool:
    return all(len(each.heard) > before for each, before in zip(listeners, known, strict=True))


def _all(made: Harness, people: Sequence[UUID], through: Sequence[Listener]) -> list[Figure]:
    """An event for everybody, committed at once."""
    known = {id(each): len(each.heard) for each in through if not each.dropped}
    committing = _tell(made, people)

    def told() -> list[Listener]:
        return [each for each in through if id(each) in known and len(each.heard) > known[id(each)]]

    def settled() -> bool:
        return len(told()) + sum(each.dropped for each in through if id(each) in known) >= len(known)

    with suppress(NothingMeasured):  # who has heard nothing by then is told of in the figures
        await_("everybody to hear", settled, ALL_SECONDS)
    took = [(each.heard[-1] - committing) * MILLISECONDS for each in told()]
    title = f"events for all {len(known):,} committed at once → their listeners"
    return [
        Figure(f"{title}, heard within {ALL_SECONDS:.0f} s", len(took), "streams"),
        Figure(f"{title}, p50", percentile(took, 50), "ms"),
        Figure(f"{title}, the last", max(took), "ms"),
    ]


def _tell(made: Harness, people: Sequence[UUID]) -> float:
    """A notice for each of these people in one transaction; the moment when it was about to be committed."""
    with made.transaction() as tx:
        for each in people:
            use_cases.write_notice(tx, user_id=each, kind=NoticeKind.LUMENS_CHANGED, data=TOLD, event_id=new_id())
        return clock.monotonic()


@contextmanager
def many_open_files() -> Iterator[None]:
    """As many as this user may have, for this process and all that it starts. Raises NothingMeasured when those are too few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else hard
    if wanted < 2 * STREAMS + 1_000:
        raise NothingMeasured(
            f"{STREAMS:,} streams need {2 * STREAMS + 1_000:,} open files: raise `ulimit -Hn`, which is {hard:,}."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
