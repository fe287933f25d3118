"""The Python side while HAProxy carries the traffic: watches, fetches, listens, pushes. It may die at any moment.

It stays for weeks and does little, so it holds little: what takes cryptography, templates or a web framework is done by
processes that it starts and that end (gateway/delegated.py, gateway/on_demand.py).
"""

import signal
import threading
from collections.abc import Callable, Mapping
from typing import Any

from gateway import limits
from gateway.auth_client import AuthClient, AuthError
from gateway.current import CompilationRefused, KeptCurrent
from gateway.delegated import DelegatingGateway
from gateway.door import TargetError
from gateway.folder import Folder
from gateway.gauges import gauges
from gateway.haproxy import HaproxyAway, HaproxyError
from gateway.maintenance import Decision
from gateway.manifest import GATEWAY, ManifestError
from gateway.measures import Measures
from gateway.on_demand import OnDemand
from gateway.revocations import SessionRevoked
from gateway.settings import GatewaySettings
from gateway.spans import Spans
from gateway.sweep import Sweeper
from gateway.telling import Teller
from libs.common import clock
from libs.common.events.broadcast import Broadcast
from libs.common.events.envelope import Envelope
from libs.common.events.subscriptions import EnvelopeHandler
from libs.common.telemetry import logger
from libs.common.telemetry.introduction import introduce

SESSION_REVOKED, KEY_CHANGED, MAINTENANCE_CHANGED = "auth.session.revoked", "auth.key.changed", "auth.maintenance.changed"
WATCH_SECONDS = 0.3
KEYS_SECONDS = 5.0
REVOCATIONS_SECONDS = 10.0
MAINTENANCE_SECONDS = 10.0
FIRST_SECONDS = 0.5
"""Pause between attempts until auth has answered once."""
FETCH_TIMEOUT_SECONDS = 2.0

FORESEEN = (ManifestError, TargetError, HaproxyError, CompilationRefused, AuthError, OSError, ValueError)

log = logger(__name__)
Fetch = Callable[[], None]


class Control:
    """Threads around one gateway: files, keys, revocations, broadcast, pages, measures. None waits for another."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.gateway = DelegatingGateway(settings.door(), Folder(settings.gateway_folder), settings.targets())
        self._stopped = threading.Event()
        self._auth = AuthClient(
            settings.auth_url,
            settings.revocation_list_token.get_secret_value(),
            FETCH_TIMEOUT_SECONDS,
            authority=settings.tls_authority,
            certificate=settings.tls_certificate,
        )
        self._compiling = Compiling(self.gateway)
        self._keys = Periodic("keys", self._fetch_keys, KEYS_SECONDS)
        self._revocations = Periodic("revocations", self._fetch_revocations, REVOCATIONS_SECONDS)
        self._maintenance = Periodic("maintenance", self._fetch_maintenance, MAINTENANCE_SECONDS)
        heard = {
            SESSION_REVOKED: self._session_revoked,
            KEY_CHANGED: self._key_changed,
            MAINTENANCE_CHANGED: self._maintenance_changed,
        }
        handlers = [EnvelopeHandler(function, None, {"envelope": Envelope}, topic) for topic, function in heard.items()]
        self._broadcast = Broadcast(settings.amqp_url.get_secret_value(), GATEWAY, handlers, {}, on_connected=self._connected)
        self._unstated = settings.operator().unstated
        endpoint = settings.otel_exporter_otlp_endpoint
        self._spans = Spans(endpoint) if endpoint else None
        self._measures = Measures(self.gateway.folder, lambda: gauges(self.gateway, self.status()), self._spans)
        introduce(GATEWAY, "control", settings, self._measures.registry)
        self._teller = Teller(self.gateway.folder, self.status, self.exposition)
        self._pages = OnDemand(self.gateway.folder)

    def run(self) -> None:
        """Work until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopped.set())
        threads = [
            threading.Thread(target=target, args=(self._stopped,), name=name, daemon=True)
            for name, target in {
                "compile": self._compiling.run,
                "watch": self._watch,
                "keys": self._keys.run,
                "revocations": self._revocations.run,
                "maintenance": self._maintenance.run,
                "broadcast": self._broadcast.run,
                "pages": self._pages.run,
                "teller": self._teller.run,
                "sweep": self._sweep,
                "measures": self._measures.run,
                **({"spans": self._spans.run} if self._spans else {}),
            }.items()
        ]
        for thread in threads:
            thread.start()
        log.info("gateway.control.started")
        if self._unstated:  # visitors of a public installation are owed this; its legal pages say that it is missing
            log.warning("gateway.operator.unstated", settings=self._unstated)
        self._stopped.wait()
        for fetched in (self._keys, self._revocations, self._maintenance):
            fetched.wake()
        for thread in threads:
            thread.join(FETCH_TIMEOUT_SECONDS)
        log.info("gateway.control.stopped")

    def status(self) -> dict[str, Any]:
        """What an administrator may see of this process."""
        return {
            "release": self.gateway.folder.current_release(),
            "unstated": self._unstated,
            "keys": self.gateway.key_ids,
            "revocations": self.gateway.revocation_counts(),
            "broadcast": self._broadcast.receiving.is_set(),
            "keys_fetched": self._keys.worked,
            "revocations_fetched": self._revocations.worked,
            "maintenance": self.gateway.maintenance.document(),
            "maintenance_fetched": self._maintenance.worked,
            "fetched_at": {each.name: each.worked_at for each in (self._keys, self._revocations, self._maintenance)},
        }

    def exposition(self) -> bytes:
        """What Prometheus is told."""
        return self._measures.exposition()

    def _watch(self, stopped: threading.Event) -> None:
        unknown_keys = 0
        while not stopped.is_set():
            guarded("reconcile", self.gateway.reconcile)
            guarded("tell acts", self.gateway.tell_acts)
            counted = self._unknown_keys()
            if counted > unknown_keys:
                self._keys.wake()
            unknown_keys = counted
            stopped.wait(WATCH_SECONDS)

    def _sweep(self, stopped: threading.Event) -> None:
        look = Sweeper(self.gateway.haproxy).sweep
        while not stopped.wait(limits.SWEEP_SECONDS):
            guarded("sweep", look, quiet=True)

    def _unknown_keys(self) -> int:
        try:
            return self.gateway.haproxy.unknown_keys()
        except HaproxyAway:
            return 0

    def _fetch_keys(self) -> None:
        self._compiling.take_keys(self._auth.document("/.well-known/jwks.json"))

    def _fetch_revocations(self) -> None:
        self.gateway.take_revocations(self._auth.document("/internal/revocations"))

    def _fetch_maintenance(self) -> None:
        known = self.gateway.maintenance.revision
        self.gateway.hear_auth(Decision.model_validate(self._auth.document("/internal/maintenance")), known)

    def _session_revoked(self, envelope: Envelope) -> None:
        self.gateway.revoke(SessionRevoked.model_validate(envelope.data))

    def _key_changed(self, envelope: Envelope) -> None:
        if envelope.data.get("action") == "WITHDRAWN":
            # Refused by the running worker from now on; that the next configuration lacks it, whoever compiles sees to.
            guarded("withdraw key", lambda: self.gateway.withdraw_key(str(envelope.data.get("key_id"))))
        self._keys.wake()

    def _maintenance_changed(self, envelope: Envelope) -> None:
        self.gateway.hear_auth(Decision.model_validate(envelope.data))

    def _connected(self) -> None:
        for fetched in (self._keys, self._revocations, self._maintenance):
            fetched.wake()


class Compiling:
    """Has everything compiled whenever an input changed, and again after a while when it was refused."""

    def __init__(self, gateway: KeptCurrent) -> None:
        self._gateway = gateway
        self._lock = threading.Lock()
        self._seen: object = None
        self._compiled_at = float("-inf")
        self._keys_came = threading.Event()

    def run(self, stopped: threading.Event) -> None:
        """Look again and again until told to stop."""
        self._keys_came.wait(FIRST_SECONDS)  # one compilation then serves for both
        while not stopped.is_set():
            self.look()
            stopped.wait(WATCH_SECONDS)

    def take_keys(self, document: Mapping[str, Any]) -> None:
        """Take over auth's key set. Raises what `KeptCurrent.take_keys` raises."""
        try:
            with self._lock:
                now = self._fingerprint()
                if self._gateway.take_keys(document):
                    self._seen = now
        finally:
            self._keys_came.set()

    def look(self) -> None:
        """Compile when there is reason to."""
        with self._lock:
            now = self._fingerprint()
            waited = clock.monotonic() - self._compiled_at
            if now != self._seen or (not self._gateway.current and waited >= limits.COMPILE_AGAIN_SECONDS):
                self._seen = now
                guarded("compile", self._gateway.compile)
                self._compiled_at = clock.monotonic()

    def _fingerprint(self) -> object:
        try:
            return self._gateway.fingerprint()
        except FORESEEN as error:  # and so will compiling, which counts and tells it
            return str(error)


class Periodic:
    """Something fetched again and again, at once when woken, sooner until it has worked once."""

    def __init__(self, name: str, fetch: Fetch, seconds: float) -> None:
        self.name = name
        self._fetch = fetch
        self._seconds = seconds
        self._woken = threading.Event()
        self.worked = False
        self.worked_at = clock.epoch()
        """Seconds since 1970 of the last fetch that worked; before the first, of the start."""

    def wake(self) -> None:
        """Fetch now; several calls in a row are one."""
        self._woken.set()

    def run(self, stopped: threading.Event) -> None:
        """Fetch until told to stop. Two fetches are never closer than FIRST_SECONDS."""
        while not stopped.is_set():
            self._woken.clear()
            if guarded(self.name, self._fetch, quiet=not self.worked):
                self.worked, self.worked_at = True, clock.epoch()
            stopped.wait(FIRST_SECONDS)
            if self.worked:
                self._woken.wait(self._seconds)


def guarded(doing: str, work: Callable[[], object], *, quiet: bool = False) -> bool:
    """Do it; a failure is logged, what was in force stays so. Returns whether it worked."""
    try:
        work()
    except FORESEEN as error:
        (log.debug if quiet else log.error)("gateway.failed", doing=doing, error_class=type(error).__name__, reason=str(error))
        return False
    return True
