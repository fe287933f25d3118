"""What stands beside a service and may be away, such as Redis or a bucket: without it a service is degraded, never unready."""

import threading
from collections.abc import Callable
from typing import Final

from prometheus_client import Gauge

from libs.common import clock
from libs.common.telemetry import logger

PROBE_SECONDS: Final = 5.0
"""From one probe of a companion to the next, while somebody asks how it is."""

UP = Gauge("lumiere_companion_up", "1 while what stands beside a service answers, 0 while it is away", ["companion"])

log = logger(__name__)


class Companion:
    """One of them, and whether it answers. Safe to use from any thread.

    Who uses it says what came of it (`lost`, `found`); a `probe`, which raises when there is no answer, finds out what nobody
    has used for a while. It runs in a thread of its own, so that a companion which hangs holds up nobody who asks.
    """

    def __init__(self, name: str, meanwhile: str, probe: Callable[[], object] | None = None) -> None:
        self._name = name
        self._meanwhile = meanwhile
        self._probe = probe
        self._lock = threading.Lock()
        self._probing = threading.Lock()
        self._probed_at = -PROBE_SECONDS
        self._away = ""
        UP.labels(name).set(1)

    @property
    def away(self) -> bool:
        """Whether it did not answer when it was last asked."""
        return bool(self._away)

    def check(self) -> str:
        """What readiness is told: `ok`, or what the service does meanwhile. Never waits for the companion."""
        probe = self._probe
        if probe and clock.monotonic() - self._probed_at >= PROBE_SECONDS and self._probing.acquire(blocking=False):
            threading.Thread(target=self._ask, args=(probe,), name=f"probe {self._name}", daemon=True).start()
        away = self._away
        return f"degraded: {self._meanwhile} ({away})" if away else "ok"

    def lost(self, reason: str) -> None:
        """It did not answer; `reason` is the kind of failure, without an address or a secret."""
        with self._lock:
            known, self._away = self._away, reason
        if not known:
            UP.labels(self._name).set(0)
            log.warning("companion.away", companion=self._name, reason=reason, meanwhile=self._meanwhile)

    def found(self) -> None:
        """It answered."""
        with self._lock:
            known, self._away = self._away, ""
        if known:
            UP.labels(self._name).set(1)
            log.info("companion.back", companion=self._name)

    def _ask(self, probe: Callable[[], object]) -> None:
        try:
            probe()
        except Exception as error:  # noqa: BLE001 — whatever keeps it from answering, it does not answer
            self.lost(type(error).__name__)
        else:
            self.found()
        finally:
            self._probed_at = clock.monotonic()
            self._probing.release()


class Companions(dict[str, Companion]):
    """A service's companions by name: the resource by which the kernel knows them."""
