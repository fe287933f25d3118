"""Waiting between attempts: doubling, capped, with full jitter, so that replicas do not come back all at once."""

import random
import threading
from typing import Final

FIRST_SECONDS: Final = 0.1
CAP_SECONDS: Final = 5.0


class Backoff:
    """Counts failures in a row; a success resets it."""

    def __init__(self, first_seconds: float = FIRST_SECONDS, cap_seconds: float = CAP_SECONDS) -> None:
        self._first_seconds = first_seconds
        self._cap_seconds = cap_seconds
        self.failures = 0

    def reset(self) -> None:
        self.failures = 0

    def next_seconds(self) -> float:
        """Count one more failure; how long to wait: between half and all of a limit that doubles up to the cap."""
        limit = min(self._cap_seconds, self._first_seconds * 2 ** min(self.failures, 30))
        self.failures += 1
        return random.uniform(limit / 2, limit)  # noqa: S311 - jitter, not a secret

    def wait(self, stopping: threading.Event) -> None:
        """Wait, or return at once when stopping."""
        stopping.wait(self.next_seconds())
