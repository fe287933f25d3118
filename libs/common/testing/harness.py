"""A service on a real database of its own, driven through its real doors."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Table, select, text
from sqlalchemy.engine import make_url

from libs.common import clock
from libs.common.auth.policy import Role, Subject
from libs.common.config import load, process_environment
from libs.common.db import Database, Transaction, kernel_tables, migrate, owner_role, provision, runtime_role
from libs.common.db.database import single_connection_engine
from libs.common.events import Envelope, Event, Keyring, Recipient
from libs.common.events.envelope import schema_address
from libs.common.events.golden import check
from libs.common.events.inbox import apply
from libs.common.events.personal import generate_key_pair
from libs.common.http.health import Health
from libs.common.ids import new_id, random_token
from libs.common.jobs import Job, run_once
from libs.common.service import Assembled, Service
from libs.common.testing.tokens import TestKeys, a_subject, claims_for, mint

ORIGIN = "http://127.0.0.1:8080"
AUDIENCE = "lumiere"
ROLE_PREFIX = "lumiere_test"
PASSWORD = "a-password-for-databases-of-tests-only"  # noqa: S105 — databases made and dropped by a test run

T = TypeVar("T")


class Harness:
    """One service under test."""

    def __init__(self, service: Service, environ: Mapping[str, str]) -> None:
        self.service = service
        self.keys = TestKeys()
        self.private_key, public_key = generate_key_pair()
        self.recipient = Recipient(public_key)
        self.keyring = Keyring([self.private_key])
        self._admin_url = _backing("DATABASE_URL")
        self._name = f"test_{service.name}_{new_id().hex[-12:]}"
        self._create_database()
        self.environ = {
            "LUMIERE_ORIGIN": ORIGIN,
            "AUDIENCE": AUDIENCE,
            "DATABASE_URL": self.database_url(runtime_role(service.name, ROLE_PREFIX)),
            "AMQP_URL": _backing("AMQP_URL"),
            "REVOCATION_LIST_TOKEN": random_token(),
            "NOTIFY_PUBLIC_KEY": public_key,
            **environ,
        }
        self.settings = load(service.settings, self.environ)
        migrate(service.name, self.owner_url, service.metadata)
        self._seeds = self._read_seeds()
        self._sequences: dict[tuple[str, str], int] = {}

    @property
    def owner_url(self) -> str:
        """The database as the migration role."""
        return self.database_url(owner_role(self.service.name, ROLE_PREFIX))

    @property
    def superuser_url(self) -> str:
        """The database as the server's administrator."""
        return make_url(self._admin_url).set(database=self._name).render_as_string(hide_password=False)

    def database_url(self, role: str) -> str:
        """The database as some role."""
        url = make_url(self._admin_url).set(database=self._name, username=role, password=PASSWORD)
        return url.render_as_string(hide_password=False)

    @cached_property
    def assembled(self) -> Assembled:
        """The service as its web process has it."""
        assembled = self.service.assemble(self.settings, "web", self.keys)
        self.keys.beside = assembled.own_keys
        return assembled

    @property
    def database(self) -> Database:
        """The service's database, as its runtime role."""
        return self.assembled.database

    @property
    def resources(self) -> Mapping[type, Any]:
        """The service's resources by type."""
        return self.assembled.resources

    def resource(self, kind: type[T]) -> T:
        """One resource, typed."""
        return cast(T, self.assembled.resources[kind])

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction of the service."""
        with self.database.transaction() as tx:
            yield tx

    def application(self, process: str = "web") -> Flask:
        """The WSGI application of a process."""
        return self._web_application if process == "web" else self._other_application(process)

    @cached_property
    def _web_application(self) -> Flask:
        return cast(Flask, self.assembled.application(Health(self.assembled.checks())))

    def _other_application(self, process: str) -> Flask:
        assembled = self.service.assemble(self.settings, process, self.keys)
        return cast(Flask, assembled.application(Health(assembled.checks())))

    def subject(self, *roles: Role, **members: Any) -> Subject:
        """Somebody with these roles."""
        return a_subject(*roles, **members)

    def token(self, subject: Subject, **changes: Any) -> str:
        """An access token for them; `changes` are claims to alter."""
        return mint(self.keys, claims_for(subject, ORIGIN, AUDIENCE, **changes))

    def client(self, subject: Subject | Role | Sequence[Role] | None = None, process: str = "web") -> FlaskClient:
        """An HTTP client: anonymous, or signed in as this subject (or as somebody with these roles)."""
        client = self.application(process).test_client()
        if isinstance(subject, Role):
            subject = self.subject(subject)
        elif isinstance(subject, list | tuple | set):
            subject = self.subject(*subject)
        if isinstance(subject, Subject):
            client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {self.token(subject)}"
        return client

    def envelope(self, event: Event, sequence: int | None = None) -> Envelope:
        """An event as it would arrive from the broker, personal values sealed to this harness's key."""
        cls = type(event)
        key = (cls.aggregate_type(), event.aggregate_id())
        number = sequence if sequence is not None else self._sequences.get(key, 0) + 1
        self._sequences[key] = max(number, self._sequences.get(key, 0))
        return Envelope(
            id=new_id(),
            source=f"/services/{cls.service()}",
            type=cls.event_type,
            subject=event.aggregate_id(),
            time=clock.now(),
            dataschema=schema_address(cls.event_type, cls.event_version),
            sequence=number,
            correlation_id=new_id().hex,
            data=event.wire_data(self.recipient),
        )

    def deliver(self, event: Event | Envelope, times: int = 1, subscription: str | None = None) -> Envelope:
        """Deliver to every subscription that binds the event, through inbox and gate, several times if asked."""
        envelope = event if isinstance(event, Envelope) else self.envelope(event)
        queues = [each for each in self.service.declared_subscriptions.queues if each.name == (subscription or each.name)]
        bound = [each for each in queues if each.source in {envelope.aggregate_type, "every.event"}]
        assert bound, f"{self.service.name} does not listen to {envelope.type}"
        for _ in range(times):
            for each in bound:
                apply(self.database, each, [envelope], self.resources)
        return envelope

    def published(self, kind: str | None = None) -> list[Envelope]:
        """The events that wait in the outbox, oldest first."""
        outbox = kernel_tables(self.service.metadata).outbox
        with self.database.reader() as db:
            bodies = [row.body for row in db.all(select(outbox).order_by(outbox.c.id))]
        envelopes = [Envelope.decode(bytes(body)) for body in bodies]
        return [each for each in envelopes if kind is None or each.type == kind]

    def run_job(self, name: str) -> int:
        """Run one job of the service now; returns what it returned."""
        job: Job = next(each for each in self.service.declared_jobs if each.name == name)
        return run_once(self.database, job, self.resources)

    def clean(self) -> None:
        """Back to how the migrations left the tables."""
        self._sequences.clear()
        tables = ", ".join(f'"{table.schema}"."{table.name}"' for table in self.service.metadata.sorted_tables)
        engine = single_connection_engine(self.superuser_url)
        with engine.connect() as connection:
            # Append-only tables refuse this even to their owner; only the server's administrator may, and only so.
            connection.execute(text("SET session_replication_role = replica"))
            connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
            for table, rows in self._seeds:
                connection.execute(table.insert(), rows)
        engine.dispose()

    def drop(self) -> None:
        """Drop the database."""
        if "assembled" in self.__dict__:
            self.database.dispose()
        self._on_server(f'DROP DATABASE IF EXISTS "{self._name}" WITH (FORCE)')

    def _create_database(self) -> None:
        self._on_server(f'CREATE DATABASE "{self._name}"')
        provision(self.superuser_url, self.service.name, PASSWORD, PASSWORD, prefix=ROLE_PREFIX)

    def _on_server(self, statement: str) -> None:
        engine = single_connection_engine(self._admin_url)
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()

    def _read_seeds(self) -> list[tuple[Table, list[dict[str, Any]]]]:
        engine = single_connection_engine(self.superuser_url)
        with engine.connect() as connection:
            found = [
                (table, [dict(row) for row in connection.execute(select(table)).mappings()])
                for table in self.service.metadata.sorted_tables
            ]
        engine.dispose()
        return [(table, rows) for table, rows in found if rows]


def service_harness(service: Service, environ: Mapping[str, str] | None = None) -> Any:
    """A pytest fixture named by what it is assigned to: the service's harness with clean tables for each test."""
    made: list[Harness] = []

    @pytest.fixture
    def harness(request: pytest.FixtureRequest) -> Harness:
        if not made:
            made.append(Harness(service, environ or {}))
            request.config.add_cleanup(made[0].drop)
        made[0].clean()
        return made[0]

    return harness


def check_golden(event: Event, folder: Path) -> None:
    """Compare an event with its golden file; UPDATE_GOLDEN=1 writes it."""
    check(event, folder, update=process_environment().get("UPDATE_GOLDEN") == "1")


def _backing(name: str) -> str:
    value = process_environment().get(name)
    if not value:
        pytest.fail(f"{name} is not set; run the tests with `make test`, which starts what they need.")
    return value
