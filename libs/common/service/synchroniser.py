"""Keeps what a process must know of the others: withdrawn sessions and signing keys, by broadcast and by polling."""

import threading

from libs.common.auth import revocations
from libs.common.auth.tokens import PublishedKeys
from libs.common.http.health import Check
from libs.common.service.assembly import Assembled
from libs.common.telemetry import logger

POLL_SECONDS = 10.0
POLL_SECONDS_UNTIL_FIRST = 0.3

log = logger(__name__)


class Synchroniser:
    """A thread beside the requests; what it learned stays in force when auth or the broker is away."""

    def __init__(self, assembled: Assembled) -> None:
        self._assembled = assembled
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="synchroniser", daemon=True)

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def stop(self) -> None:
        """End at the next opportunity."""
        self._stopped.set()

    def checks(self) -> dict[str, Check]:
        """Nothing beyond what the process itself checks."""
        return {}

    def _poll(self) -> None:
        known = self._assembled.revocations
        while not self._stopped.is_set():
            was_synchronised = known.synchronised
            worked = revocations.poll(known, self._assembled.fetch_revocations)
            if worked and not was_synchronised:
                log.info("revocations.synchronised")
            if isinstance(self._assembled.keys, PublishedKeys):
                self._assembled.keys.find("")  # refetches when the keys known are older than they may be
            self._stopped.wait(POLL_SECONDS if known.synchronised else POLL_SECONDS_UNTIL_FIRST)
