import sys, types
try:
    import libs.common.audit
except ImportError:
    from libs.common.events import Event as _E
    m = types.ModuleType("libs.common.audit")
    class AuditEvent(_E):
        audit_id: __import__("uuid").UUID
    m.AuditEvent = AuditEvent
    sys.modules["libs.common.audit"] = m
import os
from contextlib import contextmanager
import pytest
from sqlalchemy import create_engine, text
from libs.common.db import Database, migrate, provision
from services.payments.models import metadata

ADMIN = "postgresql://admin@127.0.0.1:15999/pay_try"

class Out:
    def __init__(self): self.events = []
    def append(self, tx, fact): self.events.append(fact); return __import__("uuid").uuid4()

class Harness:
    def __init__(self):
        with create_engine("postgresql+psycopg2://admin@127.0.0.1:15999/postgres", isolation_level="AUTOCOMMIT").connect() as c:
            c.execute(text("drop database if exists pay_try with (force)")); c.execute(text("create database pay_try"))
        provision(ADMIN,"payments","owner","runtime")
        migrate("payments", ADMIN.replace("admin@","lumiere_payments_owner:owner@"), metadata)
        self.out = Out()
        self.database = Database(ADMIN.replace("admin@","lumiere_payments:runtime@"), metadata, outbox=self.out)
        self.admin = create_engine(ADMIN.replace("postgresql:","postgresql+psycopg2:"))
    def transaction(self): return self.database.transaction()
    def empty(self):
        self.out.events.clear()
        with self.admin.begin() as c:
            c.execute(text("set local session_replication_role = replica"))
            c.execute(text("truncate payments.payment, payments.entry, payments.transfer, payments.account"))

@pytest.fixture(scope="session")
def _session(): return Harness()

@pytest.fixture
def harness(_session):
    _session.empty()
    return _session


@pytest.fixture
def owner_transaction(harness):
    def run(statement):
        with harness.admin.begin() as c:
            c.execute(text("set local search_path = payments"))
            c.execute(text("set local role lumiere_payments_owner"))
            c.execute(text(statement)); c.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    return run
