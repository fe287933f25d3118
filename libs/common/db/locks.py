"""Session advisory locks: who among the replicas does what only one may do."""

import hashlib
import threading

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from libs.common.db.database import Database, single_connection_engine

_TRY = text("SELECT pg_try_advisory_lock(:key)")
_FREE = text("SELECT pg_advisory_unlock(:key)")
_PING = text("SELECT 1")


class AdvisoryLocks:
    """All advisory locks of this process, on one connection of their own.

    They are held until released; when the process or its connection dies, Postgres frees them and another replica takes over.
    """

    def __init__(self, database: Database) -> None:
        self._schema = database.schema
        self._engine = single_connection_engine(database.url)
        self._connection: Connection | None = None
        self._held: set[str] = set()
        self._mutex = threading.Lock()

    def try_acquire(self, name: str) -> bool:
        """Whether this process holds the lock, now or still. Raises SQLAlchemyError when Postgres is away."""
        with self._mutex:
            connection = self._connected()
            if name not in self._held and connection.execute(_TRY, {"key": self._key(name)}).scalar():
                self._held.add(name)
            return name in self._held

    def release(self, name: str) -> None:
        """Let another replica have it."""
        with self._mutex:
            if name in self._held and self._connection is not None:
                self._held.discard(name)
                try:
                    self._connection.execute(_FREE, {"key": self._key(name)})
                except SQLAlchemyError:
                    self._disconnect()

    def close(self) -> None:
        """Release everything."""
        with self._mutex:
            self._disconnect()

    def _connected(self) -> Connection:
        if self._connection is not None:
            try:
                # A lock is only ours while its session lives.
                self._connection.execute(_PING)
            except SQLAlchemyError:
                self._disconnect()
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _disconnect(self) -> None:
        self._held.clear()
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _key(self, name: str) -> int:
        digest = hashlib.sha256(f"{self._schema}:{name}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)
