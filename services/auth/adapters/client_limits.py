"""Counts what clients ask: in Redis for all replicas together, else in this process alone."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

import redis

from libs.common import clock
from libs.common.companions import Companion
from libs.common.telemetry import logger
from services.auth.domain.limits import ALLOWANCES, ClientLimited, Limit
from services.auth.domain.secrets import MasterSecret

REDIS_SECONDS: Final = 0.25
"""How long Redis may take to connect or to answer before it counts as away."""
AWAY_SECONDS: Final = 5.0
"""How long nobody asks Redis after it was away: requests do not wait for it one after the other."""
REMEMBERED_MAXIMUM: Final = 100_000
"""Windows that one process remembers; the oldest goes when another is one too many. Some 20 MB."""

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Window:
    """How often something was counted, and when that is forgotten."""

    count: int
    left: timedelta


class Windows(Protocol):
    """Counts by key, each from its first time until the window is over."""

    def add(self, key: str, window: timedelta) -> Window:
        """Count one more."""
        ...

    def look(self, key: str) -> Window:
        """What was counted."""
        ...


class RedisWindows:
    """In Redis: one atomic step for all replicas. Nothing outlives its window. Raises redis.RedisError."""

    def __init__(self, url: str) -> None:
        """Connect with the first count, not before."""
        self._redis = redis.Redis.from_url(url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS)

    def add(self, key: str, window: timedelta) -> Window:
        """Count one more."""
        with self._redis.pipeline(transaction=True) as steps:
            steps.set(key, 0, px=window, nx=True)
            steps.incr(key)
            steps.pttl(key)
            _, count, left = steps.execute()
        return Window(int(count), timedelta(milliseconds=int(left)))

    def look(self, key: str) -> Window:
        """What was counted."""
        with self._redis.pipeline(transaction=True) as steps:
            steps.get(key)
            steps.pttl(key)
            count, left = steps.execute()
        return Window(int(count or 0), timedelta(milliseconds=max(0, int(left))))

    def ping(self) -> None:
        """Pass when it answers."""
        self._redis.ping()


class MemoryWindows:
    """In this process: each counts alone, and forgets when it ends."""

    def __init__(self, maximum: int = REMEMBERED_MAXIMUM) -> None:
        """Remember so many windows."""
        self._maximum = maximum
        self._lock = threading.Lock()
        self._windows: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def add(self, key: str, window: timedelta) -> Window:
        """Count one more."""
        with self._lock:
            now = clock.epoch()
            count, until = self._windows.get(key, (0, 0.0))
            if until <= now:
                self._windows.pop(key, None)
                count, until = 0, now + window.total_seconds()
            self._windows[key] = (count + 1, until)
            while len(self._windows) > self._maximum:
                self._windows.popitem(last=False)
            return Window(count + 1, timedelta(seconds=until - now))

    def look(self, key: str) -> Window:
        """What was counted."""
        with self._lock:
            now = clock.epoch()
            count, until = self._windows.get(key, (0, 0.0))
            return Window(count, timedelta(seconds=until - now)) if until > now else Window(0, timedelta())


class CountedClients:
    """The limits of `domain.limits`, times `factor`. While Redis is away this process counts for itself."""

    def __init__(self, secret: MasterSecret, factor: int, shared: Windows | None, companion: Companion | None = None) -> None:
        """Count in `shared`, or in this process where there is nothing shared; `companion` is told whether that answers."""
        self._secret = secret
        self._factor = factor
        self._shared = shared
        self._companion = companion
        self._own = MemoryWindows()
        self._away_until = 0.0

    def refusal(self, limit: Limit, client: str) -> ClientLimited | None:
        """Say why nothing more is taken from this client now, or None."""
        seen = self._ask(lambda windows: windows.look(self._key(limit, client)))
        return _limited(seen) if seen.count >= self._allowed(limit) else None

    def count(self, limit: Limit, client: str) -> ClientLimited | None:
        """Count one; the refusal when it is one too many."""
        seen = self._ask(lambda windows: windows.add(self._key(limit, client), ALLOWANCES[limit].window))
        return _limited(seen) if seen.count > self._allowed(limit) else None

    def _allowed(self, limit: Limit) -> int:
        return ALLOWANCES[limit].times * self._factor

    def _key(self, limit: Limit, client: str) -> str:
        # Hashed once more: what lies in Redis cannot be laid beside what the gateway counts.
        return f"lumiere:auth:{limit}:{self._secret.pseudonym(f'client {client}').hex()}"

    def _ask(self, question: Callable[[Windows], Window]) -> Window:
        if self._shared is not None and clock.monotonic() >= self._away_until:
            try:
                answer = question(self._shared)
            except redis.RedisError as error:
                self._away_until = clock.monotonic() + AWAY_SECONDS
                log.warning("auth.limits.redis_away", reason=type(error).__name__)
                self._tell(error)
            else:
                self._tell(None)
                return answer
        return question(self._own)

    def _tell(self, failure: redis.RedisError | None) -> None:
        if self._companion is None:
            return
        if failure is None:
            self._companion.found()
        else:
            self._companion.lost(type(failure).__name__)


def _limited(seen: Window) -> ClientLimited:
    seconds = max(1, -(-seen.left // timedelta(seconds=1)))
    return ClientLimited("Too much of this was asked from here. Wait before trying again.", retry_after=seconds)
