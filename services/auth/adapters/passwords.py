"""bcrypt in a small pool of its own: it frees the interpreter lock, so what needs a bound is threads and waiting."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedTooLong
from typing import TypeVar

import bcrypt

from libs.common.errors import Unavailable
from services.auth.domain.passwords import PREHASH_VERSION, StoredPassword, prehash, unmatchable
from services.auth.domain.secrets import MasterSecret

T = TypeVar("T")

NICENESS = 5
"""Measured: at 5 light requests stay quick while logins saturate; at 15 logins starve."""
NICENESS_MAX = 19
RETRY_AFTER_SECONDS = 2


class Busy(Unavailable):
    """More people sign in than passwords can be hashed."""


class BcryptHasher:
    """Hashes and verifies passwords, `threads` at a time; `queue` more may wait, each for `wait_seconds`."""

    def __init__(self, secret: MasterSecret, rounds: int, *, threads: int, queue: int, wait_seconds: float) -> None:
        """Start no thread yet: that happens with the first password, after any fork."""
        self._secret = secret
        self._rounds = rounds
        self._wait_seconds = wait_seconds
        self._places = threading.BoundedSemaphore(threads + queue)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="password", initializer=be_nice)

    def hash(self, password: str) -> str:
        """Return the form to store. Raises Busy."""
        given = prehash(password, self._secret)
        hashed = self._in_pool(lambda: bcrypt.hashpw(given, bcrypt.gensalt(self._rounds)))
        return str(StoredPassword(PREHASH_VERSION, self._secret.id, hashed.decode()))

    def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether the password is the stored one; for None the same work is done. Raises Busy."""
        given = prehash(password, self._secret)
        against = unmatchable(self._rounds) if stored is None else StoredPassword.parse(stored).bcrypt
        matches = self._in_pool(lambda: bcrypt.checkpw(given, against.encode()))
        return matches and stored is not None

    def _in_pool(self, work: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            raise Busy("Too many people sign in at this moment; try again in a few seconds.", retry_after=RETRY_AFTER_SECONDS)
        try:
            future = self._pool.submit(work)
            try:
                return future.result(self._wait_seconds)
            except WaitedTooLong:
                if future.cancel():
                    raise Busy(
                        "Too many people sign in at this moment; try again in a few seconds.", retry_after=RETRY_AFTER_SECONDS
                    ) from None
                return future.result()  # it has begun: the answer is a fraction of a second away
        finally:
            self._places.release()


def be_nice() -> None:
    """Let requests go before password hashes on a busy machine."""
    # Relative to the process: an absolute value would be refused where the whole service already runs nicer than that.
    thread = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, min(NICENESS_MAX, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS))
