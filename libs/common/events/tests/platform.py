"""A database of its own with two schemas, and a clean corner of the broker."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import kombu as untyped_kombu
import pytest
from sqlalchemy import MetaData, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from libs.common import ids
from libs.common.config import process_environment
from libs.common.db import Database, owner_role, provision, runtime_role
from libs.common.db.append_only import REFUSE_CHANGE
from libs.common.db.database import psycopg2_url, single_connection_engine
from libs.common.db.migrate import complete_schema
from libs.common.events.outbox import Outbox
from libs.common.events.personal import Recipient
from libs.common.events.subscriptions import Subscription, Subscriptions
from libs.common.events.tests.live import CINEMA, STUDIO, cinema_metadata, studio_metadata
from libs.common.events.topology import service_exchange, subscription_topology

kombu: Any = untyped_kombu
PASSWORD = "for-databases-of-tests-only"


def backing(name: str) -> str:
    """A server's address from the environment."""
    value = process_environment().get(name)
    if not value:
        pytest.fail(f"{name} is not set; run the tests with `make test`, which starts what they need.")
    return value


@dataclass
class Platform:
    """Producer and consumer, each as its least-privileged role."""

    studio: Database
    cinema: Database
    amqp_url: str
    consumer: str
    """A name for this test's queues."""

    def dead_letters(self, subscription: Subscription) -> list[tuple[bytes, dict[str, Any]]]:
        """Take what lies in the dead-letter queue."""
        return self.take(subscription.dead_letter_queue)

    def take(self, queue: str) -> list[tuple[bytes, dict[str, Any]]]:
        """Take what lies in a queue."""
        found = []
        with kombu.Connection(self.amqp_url) as connection, connection.channel() as channel:
            while (message := channel.basic_get(queue, no_ack=True)) is not None:
                body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
                found.append((body, dict(message.headers or {})))
        return found

    def inject(self, subscription: Subscription, body: bytes) -> None:
        """Put a message straight into a subscription's queue, as the user that all services share here."""
        with kombu.Connection(self.amqp_url, transport_options={"confirm_publish": True}) as connection:
            channel = connection.channel()
            message = channel.prepare_message(body, properties={"delivery_mode": 2, "user_id": connection.info()["userid"]})
            exchange = service_exchange(subscription.consumer)
            channel.basic_publish(message, exchange=exchange, routing_key=subscription.queue, mandatory=True, confirm_timeout=5)


def forget(amqp_url: str, subscribed: Subscriptions) -> None:
    """Delete the queues and the exchange of a consumer."""
    with kombu.Connection(amqp_url) as connection, connection.channel() as channel:
        for subscription in subscribed.queues:
            for queue in subscription_topology(subscription).queues:
                channel.queue_delete(queue.name)
        channel.exchange_delete(service_exchange(subscribed.consumer))


@contextmanager
def databases(recipient: Recipient | None = None) -> Iterator[tuple[Database, Database]]:
    """(producer, consumer) in a new database that is dropped afterwards."""
    admin_url, name = backing("DATABASE_URL"), f"test_bus_{ids.new_id().hex[-12:]}"
    prefix = f"lumiere_{name[-8:]}"
    with single_connection_engine(admin_url).connect() as admin:
        admin.execute(text(f'CREATE DATABASE "{name}"'))
    url = make_url(admin_url).set(database=name).render_as_string(hide_password=False)
    opened = [_open(url, each, prefix, recipient) for each in (studio_metadata, cinema_metadata)]
    try:
        yield opened[0], opened[1]
    finally:
        for database in opened:
            database.dispose()
        with single_connection_engine(admin_url).connect() as admin:
            admin.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
            for service in (STUDIO, CINEMA):
                for role in (runtime_role(service, prefix), owner_role(service, prefix)):
                    admin.execute(text(f'DROP ROLE "{role}"'))


def _open(admin_url: str, metadata: MetaData, prefix: str, recipient: Recipient | None) -> Database:
    service = str(metadata.schema)
    provision(admin_url, service, PASSWORD, PASSWORD, prefix=prefix)
    owner = psycopg2_url(admin_url).set(username=owner_role(service, prefix), password=PASSWORD)
    engine = create_engine(owner, poolclass=NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(REFUSE_CHANGE.format(schema=service).replace("%", "%%"))
        metadata.create_all(connection)
        complete_schema(connection, metadata)
    runtime = psycopg2_url(admin_url).set(username=runtime_role(service, prefix), password=PASSWORD)
    return Database(
        runtime.render_as_string(hide_password=False), metadata, outbox=Outbox(metadata, recipient), application_name="test"
    )


def empty(admin_url: str, database: Database) -> None:
    """Delete every row of a schema."""
    url = make_url(admin_url).set(database=database.url.database)
    names = ", ".join(f'"{table.schema}"."{table.name}"' for table in database.metadata.sorted_tables)
    with single_connection_engine(psycopg2_url(url.render_as_string(hide_password=False))).connect() as admin:
        admin.execute(text("SET session_replication_role = replica"))
        admin.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
