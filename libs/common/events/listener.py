"""One LISTEN connection a process: Postgres notifications become calls in this process."""

import select
import threading
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from libs.common.db import Database
from libs.common.db.database import single_connection_engine
from libs.common.events.backoff import Backoff
from libs.common.telemetry import logger

WAIT_SECONDS: Final = 0.5
KEEPALIVE_SECONDS: Final = 15
"""A silent connection is asked after this long whether it still lives."""

log = logger(__name__)


class Listener:
    """Calls back on notifications of `Transaction.notify`. Callbacks must be quick: they run in the listening thread.

    Notifications may be lost while Postgres is away, so every callback is also called after each (re)connection.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._callbacks: dict[str, list[Callable[[str], None]]] = {}
        self._backoff = Backoff()
        self.listening = threading.Event()

    def subscribe(self, name: str, callback: Callable[[str], None]) -> None:
        """Call `callback(payload)` on each notification of this name. Only before `run`."""
        if self.listening.is_set():
            raise RuntimeError("subscribe before the listener runs")
        self._callbacks.setdefault(self._database.channel(name), []).append(callback)

    def run(self, stopping: threading.Event) -> None:
        """Listen until stopping."""
        while not stopping.is_set():
            try:
                with single_connection_engine(self._database.url).connect() as connection:
                    self._listen(connection, stopping)
            except (SQLAlchemyError, OSError) as error:
                self.listening.clear()
                log.warning("listener.interrupted", reason=type(error).__name__)
                self._backoff.wait(stopping)

    def _listen(self, connection: Connection, stopping: threading.Event) -> None:
        for channel in sorted(self._callbacks):
            # A channel cannot be bound; its name is one of our own.
            connection.execute(text(f'LISTEN "{channel}"'))  # nosemgrep: sql-built-from-text
        self.listening.set()
        for channel in self._callbacks:
            self._dispatch(channel, "")
        self._backoff.reset()
        driver: Any = connection.connection.driver_connection
        silent_seconds = 0.0
        while not stopping.is_set():
            if select.select([driver], [], [], WAIT_SECONDS)[0]:
                driver.poll()
                silent_seconds = 0.0
            else:
                silent_seconds += WAIT_SECONDS
            if silent_seconds >= KEEPALIVE_SECONDS or driver.closed:
                connection.execute(text("SELECT 1"))
                silent_seconds = 0.0
            self._dispatch_all(driver)

    def _dispatch_all(self, driver: Any) -> None:
        while driver.notifies:
            notification = driver.notifies.pop(0)
            self._dispatch(notification.channel, notification.payload)

    def _dispatch(self, channel: str, payload: str) -> None:
        for callback in self._callbacks.get(channel, ()):
            callback(payload)
