"""bcrypt in a small pool of its own: it frees the interpreter lock, so what needs a bound is threads and waiting."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedTooLong
from typing import TypeVar

import bcrypt

from libs.common.errors import Unavailable
from libs.common.telemetry import logger
from services.auth.domain.passwords import PREHASH_VERSION, StoredPassword, prehash, unmatchable
from services.auth.domain.secrets import MasterSecret

T = TypeVar("T")

log = logger(__name__)

NICENESS = 5
"""Measured: at 5 light requests stay quick while logins saturate; at 15 logins starve."""
NICENESS_MAX = 19
RETRY_AFTER_SECONDS = 2


class Busy(Unavailable):
    """More people sign in than passwords can be hashed."""


class BcryptHasher:
    """Hashes and verifies passwords, `threads` at a time; `queue` more may wait, each for `wait_seconds`.

    Checking a password costs the same whether there is an account or not, and whatever cost its hash was made with.
    """

    def __init__(
        self,
        secret: MasterSecret,
        rounds: int,
        *,
        threads: int,
        queue: int,
        wait_seconds: float,
        earlier: Sequence[MasterSecret] = (),
    ) -> None:
        """Start no thread and open no secret yet: that happens with the first password, after any fork.

        Passwords are hashed under `secret`; those that were hashed under an `earlier` one still match.
        """
        self._secret = secret
        self._earlier = tuple(earlier)
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
        kept = None if stored is None else StoredPassword.parse(stored)
        secret = self._secret_of(kept.secret_id) if kept else None
        if kept and secret is None:
            log.error("auth.password.secret_unknown", secret_id=kept.secret_id)
        if kept is None or secret is None:
            kept, secret = None, self._secret
        given = prehash(password, secret, kept.version if kept else PREHASH_VERSION)
        matches = self._in_pool(lambda: self._check(given, kept))
        return matches and kept is not None

    def outdated(self, stored: str) -> bool:
        """Tell whether `hash` would make another form now."""
        return StoredPassword.parse(stored).outdated(PREHASH_VERSION, self._secret.id, self._rounds)

    def _secret_of(self, secret_id: str) -> MasterSecret | None:
        return next((each for each in (self._secret, *self._earlier) if each.id == secret_id), None)

    def _check(self, given: bytes, kept: StoredPassword | None) -> bool:
        """Check against the hash, then do what a hash of today's cost takes longer: 2^c + 2^c + … + 2^(n-1) = 2^n."""
        if kept is None:
            return bcrypt.checkpw(given, unmatchable(self._rounds).encode())
        matches = bcrypt.checkpw(given, kept.bcrypt.encode())
        for rounds in range(kept.rounds, self._rounds):
            bcrypt.checkpw(given, unmatchable(rounds).encode())
        return matches

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
