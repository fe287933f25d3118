"""How many files may be on the line at once: each occupies a thread for as long as its sender or reader likes."""

import threading
from types import TracebackType
from typing import Self
from uuid import UUID

from libs.common.errors import TooManyRequests, Unavailable

TRANSFERS_PER_OWNER = 8
"""Files of one person on the line at once; more than a browser opens towards one server."""
THREADS_KEPT_FREE = 8
"""Threads that no file takes: whatever the lines are like, short requests are answered."""
RETRY_AFTER_SECONDS = 5


class TooManyTransfers(TooManyRequests):
    """One person's files are sent or read too often at once."""


class TransfersBusy(Unavailable):
    """Every place for a file on the line is taken."""


class Transfer:
    """One file on the line, counted until it ends or is forgotten; ending twice is no error."""

    def __init__(self, transfers: "Transfers", owner_id: UUID) -> None:
        self._transfers: Transfers | None = transfers
        self._owner_id = owner_id

    def end(self) -> None:
        """The file is off the line."""
        transfers, self._transfers = self._transfers, None
        if transfers is not None:
            transfers.ended(self._owner_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    def __del__(self) -> None:
        self.end()


class Transfers:
    """The files on the line in one process."""

    def __init__(self, threads: int) -> None:
        self._places = max(1, threads - THREADS_KEPT_FREE)
        self._running: dict[UUID, int] = {}
        self._lock = threading.RLock()  # a forgotten transfer may be collected, and end, while its thread begins another

    def begin(self, owner_id: UUID) -> Transfer:
        """Count one more file of this owner. Raises TooManyTransfers, TransfersBusy."""
        with self._lock:
            if self._running.get(owner_id, 0) >= TRANSFERS_PER_OWNER:
                raise TooManyTransfers(
                    f"{TRANSFERS_PER_OWNER} files of this person are being sent or read. Wait until one is done.",
                    retry_after=RETRY_AFTER_SECONDS,
                )
            if sum(self._running.values()) >= self._places:
                raise TransfersBusy("Too many files are being sent and read. Try again later.", retry_after=RETRY_AFTER_SECONDS)
            self._running[owner_id] = self._running.get(owner_id, 0) + 1
        return Transfer(self, owner_id)

    def ended(self, owner_id: UUID) -> None:
        """Count one less; a transfer says this itself, once."""
        with self._lock:
            left = self._running.pop(owner_id) - 1
            if left:
                self._running[owner_id] = left
