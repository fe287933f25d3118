"""Takes places at services back from clients that hold them without end.

HAProxy measures silence, not progress: who takes one byte every few seconds is never silent. So a plain request ends when all
the time that anything in it may take is spent, and an upload or download when its pace is too slow to be meant.

What HAProxy calls the age of a request begins when the one before it on its connection ended: over HTTP/2, beside an event
stream, that may be hours. So time counts from when a request was first seen here; HAProxy's figure says which are the same one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from gateway import limits
from gateway.door import BULK_SUFFIX
from gateway.haproxy import Haproxy
from libs.common import clock
from libs.common.telemetry import logger

PLAIN = re.compile(r"-web$")
BULK = re.compile(rf"-web{BULK_SUFFIX}$")
SESSION = re.compile(r"^(0x[0-9a-f]+): .*? be=(\S+) .*? age=(\S+) ", re.MULTILINE)
AGE = re.compile(r"(\d+)([dhms])")
TOTAL = re.compile(r" total=(\d+)")
SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
SAME_SECONDS = 2
"""HAProxy writes whole seconds: what began this far apart may be one request."""

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """A request under way: HAProxy's name for it, its backend, and for how many seconds."""

    name: str
    backend: str
    seconds: int


def held(listing: str) -> Iterator[Held]:
    """The requests in what `show sess` says. The addresses in it are not looked at."""
    for name, backend, age in SESSION.findall(listing):
        yield Held(name, backend, sum(int(count) * SECONDS[unit] for count, unit in AGE.findall(age)))


@dataclass(frozen=True, slots=True)
class _Seen:
    """When HAProxy says that a request began, and when it was first seen here."""

    began: float
    first: float


class Sweeper:
    """Looks again and again, and remembers since when it has seen a request."""

    def __init__(self, haproxy: Haproxy) -> None:
        self._haproxy = haproxy
        self._seen: dict[str, _Seen] = {}

    def sweep(self) -> int:
        """Cut off who holds a place for too long; how many. Event streams are meant to last. Raises HaproxyAway."""
        late = [each for each in self._held() if _too_long(self._haproxy, each)]
        for each in late:
            self._haproxy.command(f"shutdown session {each.name}")
            log.info("gateway.swept", backend=each.backend, seconds=each.seconds)
        return len(late)

    def _held(self) -> list[Held]:
        """The requests under way, with the seconds that are certain."""
        now, before = clock.monotonic(), self._seen
        found = list(held(self._haproxy.command("show sess")))
        self._seen = {each.name: _recognised(before.get(each.name), now - each.seconds, now) for each in found}
        return [replace(each, seconds=min(each.seconds, int(now - self._seen[each.name].first))) for each in found]


def _recognised(before: _Seen | None, began: float, now: float) -> _Seen:
    if before is not None and abs(before.began - began) <= SAME_SECONDS:
        return before
    return _Seen(began, now)


def _too_long(haproxy: Haproxy, each: Held) -> bool:
    if PLAIN.search(each.backend):
        return each.seconds > limits.HELD_SECONDS_MAX
    if not BULK.search(each.backend) or each.seconds <= limits.BULK_GRACE_SECONDS:
        return False
    if each.seconds > limits.BULK_SECONDS_MAX:
        return True
    moved = sum(map(int, TOTAL.findall(haproxy.command(f"show sess {each.name}"))))
    return moved < each.seconds * limits.BULK_BYTES_A_SECOND_MIN
