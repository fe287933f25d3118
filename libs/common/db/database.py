"""Connections and the one transaction boundary. Nothing else in the platform commits."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from sqlalchemy import Connection, CursorResult, Engine, Executable, MetaData, Row, create_engine, event, text
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from libs.common import clock
from libs.common.addresses import one_address
from libs.common.db.pools import POOLS

POOL_SIZE = 8
POOL_WAIT_SECONDS = 5
CONNECT_TIMEOUT_SECONDS = 5
STATEMENT_TIMEOUT_MS = 10_000
LOCK_TIMEOUT_MS = 4_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 15_000
SILENCE: Final = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}
"""A server whose machine is gone says nothing: after 25 s without an answer (15 s for what was just sent, in milliseconds) the
connection is lost. The system's own times would hold every request of a service for a quarter of an hour."""

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None

_NOTIFY = text("SELECT pg_notify(:channel, :payload)")


class Outbox(Protocol):
    """Where a transaction puts the facts that leave with it."""

    def append(self, tx: "Transaction", fact: Any) -> UUID:
        """Write one outbox row in the transaction; returns the event's id."""


class AuditTrail(Protocol):
    """Where a transaction puts its audit records."""

    def record(self, tx: "Transaction", entry: Mapping[str, Any]) -> UUID:
        """Write one audit record in the transaction; returns its id."""


class Reader:
    """Runs statements. Outside a transaction each statement stands alone (autocommit)."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def execute(self, statement: Executable, parameters: Parameters = None) -> CursorResult[Any]:
        """Run one statement; several parameter sets make an executemany."""
        return self.connection.execute(statement, parameters)

    def first(self, statement: Executable, parameters: Parameters = None) -> Row[Any] | None:
        """The first row, or None."""
        return self.execute(statement, parameters).first()

    def one(self, statement: Executable, parameters: Parameters = None) -> Row[Any]:
        """The only row; anything else is a programming error."""
        return self.execute(statement, parameters).one()

    def all(self, statement: Executable, parameters: Parameters = None) -> list[Row[Any]]:
        """Every row."""
        return list(self.execute(statement, parameters).all())

    def scalar(self, statement: Executable, parameters: Parameters = None) -> Any:
        """The first column of the first row, or None."""
        return self.execute(statement, parameters).scalar()


class Transaction(Reader):
    """One unit of work: rows, facts and audit records that are committed together or not at all."""

    def __init__(self, connection: Connection, outbox: Outbox | None, audit_trail: AuditTrail | None) -> None:
        super().__init__(connection)
        self.now: datetime = clock.now()
        self._outbox = outbox
        self._audit_trail = audit_trail
        self._callbacks: list[Callable[[], None]] = []
        self._notifications: dict[tuple[str, str], None] = {}

    def publish(self, fact: Any) -> UUID:
        """Let a fact leave with this transaction (a row of the outbox); returns the event's id."""
        if self._outbox is None:
            raise RuntimeError("This database was opened without an outbox; facts cannot be published.")
        return self._outbox.append(self, fact)

    def audit(
        self, action: str, entity: str, entity_id: object, outcome: str = "done", details: Mapping[str, Any] | None = None
    ) -> UUID:
        """Record who did what to which entity, with this transaction."""
        if self._audit_trail is None:
            raise RuntimeError("This database was opened without an audit trail.")
        entry = {
            "action": action,
            "entity": entity,
            "entity_id": str(entity_id),
            "outcome": outcome,
            "details": dict(details or {}),
        }
        return self._audit_trail.record(self, entry)

    def notify(self, channel: str, payload: str = "") -> None:
        """Send a Postgres NOTIFY right after the commit (inside, it would serialise all committers)."""
        self._notifications[channel, payload] = None

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Run `callback` once the transaction is committed; never when it is rolled back."""
        self._callbacks.append(callback)

    def committed(self, notifier: Callable[[Sequence[tuple[str, str]]], None]) -> None:
        """Send what was promised for after the commit."""
        if self._notifications:
            notifier(list(self._notifications))
        for callback in self._callbacks:
            callback()


class Database:
    """One service's schema in Postgres, reached as the service's runtime role."""

    def __init__(
        self,
        url: str,
        metadata: MetaData,
        *,
        outbox: Outbox | None = None,
        audit_trail: AuditTrail | None = None,
        application_name: str = "lumiere",
    ) -> None:
        self.url = psycopg2_url(url)
        self.metadata = metadata
        self.schema = str(metadata.schema)
        self._outbox = outbox
        self._audit_trail = audit_trail
        self._engine = _engine(self.url, self.schema, application_name, "READ COMMITTED")
        self._autocommit = _engine(self.url, self.schema, application_name, "AUTOCOMMIT")
        for name, engine in {"transactions": self._engine, "reads": self._autocommit}.items():
            event.listen(engine, "handle_error", self._forget_broken_pools)
            POOLS.watch(engine, self.schema, name)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """One transaction. Returning commits, raising rolls back."""
        with self._engine.connect() as connection, connection.begin():
            tx = Transaction(connection, self._outbox, self._audit_trail)
            yield tx
        tx.committed(self._notify)

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Statements that each stand alone; for reads."""
        with self._autocommit.connect() as connection:
            yield Reader(connection)

    def channel(self, name: str) -> str:
        """The Postgres channel of this schema for `Transaction.notify(name)`."""
        return f"{self.schema}_{name}"

    def dispose(self) -> None:
        """Close all connections."""
        self._engine.dispose()
        self._autocommit.dispose()

    def _forget_broken_pools(self, context: ExceptionContext) -> None:
        """After a lost server every pooled connection is suspect, those of the other pool too.

        So the probe of readiness finds a restarted server out, and not the first command that comes after it.
        """
        original = str(context.original_exception)
        if "terminating connection" in original or "server closed the connection" in original:
            context.is_disconnect = True
        if context.is_disconnect:
            # SQLAlchemy itself drops the pool in which the error was met.
            other = self._autocommit if context.engine is self._engine else self._engine
            other.dispose()

    def _notify(self, notifications: Sequence[tuple[str, str]]) -> None:
        parameters = [{"channel": self.channel(name), "payload": payload} for name, payload in notifications]
        # The work is committed: a nudge that fails delays others until they poll, it must not look like a failure.
        with suppress(SQLAlchemyError), self._autocommit.connect() as connection:
            for each in parameters:
                connection.execute(_NOTIFY, each)


def psycopg2_url(url: str) -> URL:
    """The address with the driver named: `postgresql://` alone means another driver since SQLAlchemy 2.1.

    It may name several servers, as libpq has them: `postgresql://u:p@one,two/lumiere?target_session_attrs=read-write`.
    """
    return make_url(one_address(url)).set(drivername="postgresql+psycopg2")


def single_connection_engine(url: str | URL, *, connect_seconds: int = CONNECT_TIMEOUT_SECONDS) -> Engine:
    """An autocommit engine without a pool, for provisioning, listening and advisory locks held for long."""
    address = url if isinstance(url, URL) else psycopg2_url(url)
    return create_engine(
        address,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={"connect_timeout": connect_seconds, **SILENCE},
    )


def _engine(url: URL, schema: str, application_name: str, isolation_level: str) -> Engine:
    options = (
        f"-c search_path={schema} -c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS} "
        f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_TIMEOUT_MS} -c timezone=UTC"
    )
    return create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        pool_use_lifo=True,
        isolation_level=isolation_level,
        hide_parameters=True,  # an error that is logged must not quote what people wrote
        connect_args={
            "options": options,
            "application_name": application_name,
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            **SILENCE,
        },
    )
