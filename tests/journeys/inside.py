"""What stands behind the doors of a running platform, seen with its operator's rights: tables, messages, log files."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pika  # type: ignore[import-untyped]
from sqlalchemy import Row, text
from sqlalchemy.engine import Connection

from libs.common.db.database import psycopg2_url, single_connection_engine
from libs.common.events.topology import EVENTS_EXCHANGE, OPERATOR
from ops.layout import Replica
from ops.plan import Plan
from ops.testing import LivePlatform
from services.ledger.domain.leaves import is_logged


class Inside:
    """One running platform from within."""

    def __init__(self, platform: LivePlatform) -> None:
        self.platform = platform
        self._plan = Plan(platform.layout, durable=False)

    @property
    def services(self) -> list[str]:
        """Every service; a schema has the name of its service."""
        return list(self.platform.layout.services)

    def straight(self, service: str, kind: str = "web", number: int = 1) -> str:
        """The base address of one process, past the gateway."""
        return f"http://127.0.0.1:{self.platform.layout.replica_port(Replica(service, kind, number))}"

    # ---- tables

    @cached_property
    def _engine(self) -> Any:
        return single_connection_engine(psycopg2_url(self._plan.backing.admin_url()))

    @contextmanager
    def database(self) -> Iterator[Connection]:
        """A transaction with the rights of a superuser."""
        with self._engine.begin() as connection:
            yield connection
        self._engine.dispose()

    def rows(self, statement: str, **parameters: Any) -> list[Row[Any]]:
        """What a query finds."""
        with self.database() as connection:
            return list(connection.execute(text(statement), parameters))

    def execute(self, statement: str, **parameters: Any) -> int:
        """Change rows; how many."""
        with self.database() as connection:
            return int(connection.execute(text(statement), parameters).rowcount)

    def outboxes_are_empty(self) -> bool:
        """Whether every fact has been handed to the broker."""
        waiting = " UNION ALL ".join(f"SELECT 1 FROM {service}.outbox" for service in self.services)  # noqa: S608 - our names
        return not self.rows(f"{waiting} LIMIT 1")

    def everything_is_sealed(self) -> bool:
        """Whether every fact that ever was published is a leaf of the log; what the log says of itself never is."""
        logged = [service for service in self.services if is_logged(f"/services/{service}")]
        archives = " UNION ALL ".join(f"SELECT event_id FROM {service}.event_archive" for service in logged)  # noqa: S608
        missing = f"SELECT 1 FROM ({archives}) AS fact WHERE event_id NOT IN (SELECT event_id FROM ledger.sequenced) LIMIT 1"  # noqa: S608
        return self.outboxes_are_empty() and not self.rows(missing)

    # ---- messages

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """A channel to the broker as its operator."""
        connection = pika.BlockingConnection(pika.URLParameters(self._plan.backing.amqp_url(OPERATOR)))
        try:
            yield connection.channel()
        finally:
            connection.close()

    @contextmanager
    def every_message(self) -> Iterator[list[bytes]]:
        """Collects a copy of every message that passes the events exchange; the list is filled when the block ends."""
        collected: list[bytes] = []
        with self.channel() as channel:
            queue = channel.queue_declare("", exclusive=True).method.queue
            channel.queue_bind(queue, EVENTS_EXCHANGE, "#")
            try:
                yield collected
            finally:
                while (found := channel.basic_get(queue, auto_ack=True))[0] is not None:
                    collected.append(str(found[1].headers).encode() + b"\n" + found[2])

    def queues(self) -> list[str]:
        """Every queue on the broker."""
        address = f"http://127.0.0.1:{self.platform.layout.management_port}/api/queues"
        answer = httpx.get(address, auth=(OPERATOR, self._plan.broker.password(OPERATOR)), trust_env=False)
        return [each["name"] for each in answer.raise_for_status().json() if not each.get("exclusive")]

    def waiting_messages(self) -> dict[str, list[bytes]]:
        """The messages that lie in queues, by queue; they stay where they are."""
        found: dict[str, list[bytes]] = {}
        with self.channel() as channel:
            for queue in self.queues():
                while (message := channel.basic_get(queue))[0] is not None:
                    found.setdefault(queue, []).append(str(message[1].headers).encode() + b"\n" + message[2])
            # The connection ends without settling them: the broker puts them back.
        return found

    # ---- files

    def logs(self) -> list[Path]:
        """Every log file, rotated ones too."""
        return sorted(path for path in self.platform.layout.logs.rglob("*") if path.is_file())
