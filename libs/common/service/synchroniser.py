"""Keeps what a web process must know of the others: withdrawn sessions and signing keys, by broadcast and by polling."""

import threading
from datetime import datetime
from uuid import UUID

from prometheus_client import Gauge

from libs.common import clock
from libs.common.auth import revocations
from libs.common.auth.tokens import PublishedKeys
from libs.common.events import Envelope
from libs.common.events.broadcast import Broadcast
from libs.common.events.subscriptions import EnvelopeHandler
from libs.common.http.health import Check
from libs.common.service.assembly import Assembled
from libs.common.telemetry import logger

POLL_SECONDS = 10.0
POLL_SECONDS_UNTIL_FIRST = 0.3
SESSION_REVOKED = "auth.session.revoked"
KEY_CHANGED = "auth.key.changed"

SYNCHRONISED_AT = Gauge(
    "lumiere_revocations_synchronised_timestamp_seconds",
    "When withdrawals were last read, or this process started",
    ["service"],
)

log = logger(__name__)


class Synchroniser:
    """Two threads beside the requests; what they learned stays in force when auth or the broker is away."""

    def __init__(self, assembled: Assembled) -> None:
        self._assembled = assembled
        self._stopping = threading.Event()
        self._poll_now = threading.Event()
        service = assembled.service
        self._synchronised_at = SYNCHRONISED_AT.labels(service.name)
        self._synchronised_at.set(clock.epoch())
        own = [
            EnvelopeHandler(self._on_session_revoked, None, {"envelope": Envelope}, SESSION_REVOKED),
            EnvelopeHandler(self._on_key_changed, None, {"envelope": Envelope}, KEY_CHANGED),
        ]
        self._broadcast = Broadcast(
            assembled.settings.amqp_url.get_secret_value(),
            service.name,
            [*own, *service.declared_subscriptions.broadcasts],
            assembled.resources,
            on_connected=self._poll_now.set,
        )

    def start(self) -> None:
        """Begin to listen and to poll."""
        for name, run in (("broadcast", self._listen), ("synchroniser", self._poll)):
            threading.Thread(target=run, name=name, daemon=True).start()

    def checks(self) -> dict[str, Check]:
        """Without the broadcast, revocations still arrive by polling: degraded, not unready."""
        return {"broadcast": lambda: "ok" if self._broadcast.receiving.is_set() else "degraded: polling only"}

    def _listen(self) -> None:
        self._broadcast.run(self._stopping)

    def _poll(self) -> None:
        known = self._assembled.revocations
        while not self._stopping.is_set():
            self._poll_now.clear()
            was_synchronised = known.synchronised
            if revocations.poll(known, self._assembled.fetch_revocations):
                self._synchronised_at.set(clock.epoch())
                if not was_synchronised:
                    log.info("revocations.synchronised")
            if isinstance(self._assembled.keys, PublishedKeys):
                self._assembled.keys.refresh()
            self._poll_now.wait(POLL_SECONDS if known.synchronised else POLL_SECONDS_UNTIL_FIRST)

    def _on_session_revoked(self, envelope: Envelope) -> None:
        data = envelope.data
        if data.get("session_id"):
            self._assembled.revocations.revoke_session(UUID(data["session_id"]), _epoch(data["expires_at"]))
        if data.get("not_before"):
            self._assembled.revocations.revoke_subject(UUID(data["user_id"]), _epoch(data["not_before"]))

    def _on_key_changed(self, envelope: Envelope) -> None:
        keys = self._assembled.keys
        if not isinstance(keys, PublishedKeys):
            return
        if envelope.data.get("action") == "WITHDRAWN":
            keys.withdraw(str(envelope.data["key_id"]))
        keys.refresh(force=True)


def _epoch(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
