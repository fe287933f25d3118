"""What counts once, whichever replica sees it: proofs of possession, and statements by which clients show who they are."""

from datetime import datetime
from typing import Protocol


class UsedOnce(Protocol):
    """Remembers what was used, in a transaction of its own."""

    def spend(self, digest: bytes, forgotten_at: datetime) -> bool:
        """Use it up; whether it was new. Of two at once one is. From `forgotten_at` on its age alone refuses it."""
        ...
