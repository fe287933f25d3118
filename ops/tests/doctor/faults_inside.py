"""Faults of servers and services: the database, the broker, processes, people, keys, the log, what comes from outside."""

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import patch

from redis import Redis

from libs.common.db import runtime_role
from libs.common.events.topology import UNROUTABLE_QUEUE
from ops.doctor.box import Target
from ops.doctor.boxes import database
from ops.doctor.processes import Unread
from ops.tests.doctor.planting import changed, fault
from ops.tests.doctor.redis_server import PASSWORD, redis_server
from ops.tests.doctor.stage import REVISION, Stage, a_process, connection, proofs_of
from ops.tests.small_log import OTHER_SIGNER

# ---- the database


@fault("database-tls", "lumiere-tasks-web")
def a_connection_without_tls(stage: Stage) -> Iterator[None]:
    plain = [connection("lumiere-auth-web"), connection("lumiere-tasks-web", encrypted=False)]
    with changed(stage.rows, str(database._CONNECTIONS), plain):
        yield


@fault("database-roles", "lumiere_tasks may use the schema auth")
def a_role_that_sees_a_second_schema(stage: Stage) -> Iterator[None]:
    schemas = str(database._SCHEMAS)
    more = SimpleNamespace(role=runtime_role("tasks"), schema="auth", creates=False)
    with changed(stage.rows, schemas, [*stage.rows[schemas], more]):
        yield


@fault("database-append-only", "may change ledger.leaf")
def a_table_whose_rows_can_be_changed(stage: Stage) -> Iterator[None]:
    statement = str(database._TABLES)
    told = stage.rows[statement]

    def loosened(parameters: dict[str, str]) -> list[SimpleNamespace]:
        rows = [SimpleNamespace(schema=each.schema, name=each.name, changes=each.changes) for each in told(parameters)]
        return [replaced(each, changes=True) if each.name == "leaf" else each for each in rows]

    with changed(stage.rows, statement, loosened):
        yield


def replaced(row: SimpleNamespace, **values: object) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(row), **values})


@fault("database-connections", "40 are allowed")
def a_database_with_little_room(stage: Stage) -> Iterator[None]:
    with changed(stage.rows, "SHOW max_connections", "43"):
        yield


@fault("database-migrations", "tasks is at 0000")
def a_schema_that_is_behind(stage: Stage) -> Iterator[None]:
    with changed(stage.rows, REVISION.format("tasks"), "0000"):
        yield


@fault("disk-wal", "8.00 GiB of write-ahead log")
def a_log_that_piles_up(stage: Stage) -> Iterator[None]:
    with changed(
        stage.rows,
        "SELECT wal_bytes, database_bytes FROM monitoring.server()",
        [SimpleNamespace(wal_bytes=2**33, database_bytes=1)],
    ):
        yield


# ---- the broker


@fault("broker-users", "guest")
def a_default_user(stage: Stage) -> Iterator[None]:
    with changed(stage.management, "listed", [*stage.management.listed, {"name": "guest", "tags": ["administrator"]}]):
        yield


@fault("broker-permissions", "tasks's rights are")
def a_user_that_may_do_more(stage: Stage) -> Iterator[None]:
    loose = [{**each, "write": ".*"} if each["user"] == "tasks" else each for each in stage.management.rights]
    with changed(stage.management, "rights", loose):
        yield


@fault("queues-declared", "has other arguments")
def a_queue_of_another_kind(stage: Stage) -> Iterator[None]:
    name = next(iter(stage.queue_documents))
    with changed(stage.queue_documents, name, {**stage.queue_documents[name], "arguments": {"x-queue-type": "classic"}}):
        yield


@fault("queues-unexpected", "nobody declared left.over")
def a_queue_that_nobody_declared(stage: Stage) -> Iterator[None]:
    with changed(stage.queue_documents, "left.over", {"name": "left.over", "durable": True, "arguments": {}}):
        yield


@fault("dead-letters", f"3 in {UNROUTABLE_QUEUE}")
def events_that_nobody_wanted(stage: Stage) -> Iterator[None]:
    with changed(stage.queue_documents[UNROUTABLE_QUEUE], "messages", 3):
        yield


@fault("consumers", "nobody consumes payments.tasks.task")
def a_queue_without_a_consumer(stage: Stage) -> Iterator[None]:
    with changed(stage.queue_documents["payments.tasks.task.q2"], "consumers", 0):
        yield


@fault("disk-broker", "an alarm for memory")
def a_broker_without_memory(stage: Stage) -> Iterator[None]:
    with changed(stage.management.running[0], "mem_alarm", True):
        yield


# ---- processes


@fault("processes-answer", "tasks-web-2 does not answer")
def a_replica_that_is_silent(stage: Stage) -> Iterator[None]:
    with changed(stage, "told", [*stage.told, Unread("tasks-web-2", "ConnectError")]):
        yield


@fault("no-root", "run as root: tasks-web-1", Target.COMPOSE)
def a_process_of_root(stage: Stage) -> Iterator[None]:
    with changed(stage, "told", [*stage.told, a_process("tasks", user=0)]):
        yield


@fault("revision", "1 at r2")
def a_replica_of_other_code(stage: Stage) -> Iterator[None]:
    with changed(stage, "told", [*stage.told, a_process("tasks", revision="r2")]):
        yield


@fault("environment", "1 processes as development")
def a_replica_that_takes_this_for_development(stage: Stage) -> Iterator[None]:
    with changed(stage, "told", [*stage.told, a_process("tasks", environment="development")]):
        yield


@fault("versions", "HAProxy 2.4.1 is older than 2.6")
def an_old_haproxy(stage: Stage) -> Iterator[None]:
    with changed(stage, "version", "2.4.1"):
        yield


@contextmanager
def a_service_that_listens_here(stage: Stage) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        ports = {"auth-web-1": [opened.getsockname()[1]], "gateway": [1]}
        with changed(stage.operations, "ports", lambda: ports):
            yield


@fault("inner-ports", "tasks-web-1 listens on 0.0.0.0:", around=a_service_that_listens_here)
def a_service_that_listens_on_every_address(stage: Stage) -> Iterator[None]:
    with ExitStack() as stack:
        opened = stack.enter_context(socket.create_server(("0.0.0.0", 0)))  # noqa: S104 — the fault
        port = opened.getsockname()[1]
        inner = stage.operations.ports()  # type: ignore[union-attr]
        stack.enter_context(changed(stage.operations, "ports", lambda: {**inner, "tasks-web-1": [port]}))
        yield


# ---- people and keys


@fault("administrators", "1 active")
def an_administrator_alone(stage: Stage) -> Iterator[None]:
    with changed(stage.numbers, "administrators", 1.0):
        yield


@fault("administrators-second-factor", "1 of 2 have none")
def an_administrator_with_a_password_alone(stage: Stage) -> Iterator[None]:
    with changed(stage.numbers, "administrators_with_second_factor", 1.0):
        yield


@fault("administrator-hashes", "cost 10")
def a_hash_that_is_quickly_tried(stage: Stage) -> Iterator[None]:
    with changed(stage.numbers, "administrators_password_cost_least", 10.0):
        yield


@fault("administrator-password", "1 of 2 administrators have a password")
def a_password_that_anybody_tries(stage: Stage) -> Iterator[None]:
    with changed(stage.said, "guessed", 1):
        yield


@fault("signing-keys", "92 days old")
def a_key_that_nobody_rotated(stage: Stage) -> Iterator[None]:
    with changed(stage.numbers, "signing_key_seconds", 92 * 86_400.0):
        yield


# ---- the log and the bus


@fault("log-checkpoint", "not signed by this key")
def a_log_signed_by_another(stage: Stage) -> Iterator[None]:
    forged = proofs_of(OTHER_SIGNER)
    with changed(stage, "answers", forged):
        yield


@fault("log-lag", "the oldest for 10 min")
def a_log_that_seals_nothing(stage: Stage) -> Iterator[None]:
    with changed(stage, "numbers", stage.numbers | {"pending_leaves": 5.0, "pending_oldest_seconds": 600.0}):
        yield


@fault("outbox", "4 unpublished events, the oldest for 5 min")
def an_outbox_that_grows(stage: Stage) -> Iterator[None]:
    with changed(stage, "numbers", stage.numbers | {"outbox_events": 4.0, "outbox_oldest_seconds": 300.0}):
        yield


@fault("parked-events", "2 parked events, the oldest for 2 h")
def events_that_wait_for_earlier_ones(stage: Stage) -> Iterator[None]:
    with changed(stage, "numbers", stage.numbers | {"parked_events": 2.0, "parked_oldest_seconds": 7_200.0}):
        yield


# ---- what comes from outside


def without(stage: Stage, service: str, **settings: bool) -> AbstractContextManager[None]:
    """The stage's processes, those of one service with other settings."""
    told = [
        replace(each, settings={**each.settings, **settings})
        if not isinstance(each, Unread) and each.service == service
        else each
        for each in stage.told
    ]
    return changed(stage, "told", told)


@fault("stripe-webhook-secret", "no STRIPE_WEBHOOK_SECRET")
def webhooks_that_nobody_verifies(stage: Stage) -> Iterator[None]:
    with without(stage, "payments", stripe_webhook_secret=False):
        yield


@fault("cron-secret", "tasks-web-1")
def a_cron_door_that_is_shut(stage: Stage) -> Iterator[None]:
    with without(stage, "tasks", cron_secret=False):
        yield


@fault("sentry-dsn", "media-worker-1")
def errors_that_nobody_hears_of(stage: Stage) -> Iterator[None]:
    with without(stage, "media", sentry_dsn=False):
        yield


@fault("mail-provider", "mails are only written into a folder")
def mails_that_stay_here(stage: Stage) -> Iterator[None]:
    with without(stage, "notify", resend_api_key=False, mail_folder=True):
        yield


@fault("mock-providers", "MOCK_PROVIDERS is set for notify-web-1")
def a_mock_in_production(stage: Stage) -> Iterator[None]:
    with without(stage, "notify", mock_providers=True):
        yield


@contextmanager
def a_redis_with_a_password(stage: Stage) -> Iterator[None]:
    with redis_server() as address, changed(stage, "addresses", replace(stage.addresses, redis=address)):
        yield


@fault("redis-password", "Redis answers without a password", around=a_redis_with_a_password)
def a_redis_that_lets_everybody_in(stage: Stage) -> Iterator[None]:
    with Redis.from_url(str(stage.addresses.redis)) as client:
        client.config_set("requirepass", "")
        yield
        client.config_set("requirepass", PASSWORD)


@contextmanager
def a_clock_that_is_kept(_stage: Stage) -> Iterator[None]:
    with patch("ops.doctor.boxes.clock.kernel_clock", return_value=(0, 0.002)):
        yield


@fault("clock-kept", "nobody keeps its clock", around=a_clock_that_is_kept)
def a_clock_that_nobody_keeps(_stage: Stage) -> Iterator[None]:
    with patch("ops.doctor.boxes.clock.kernel_clock", return_value=(5, 16.0)):
        yield


@fault("clock-database", "ahead of this machine")
def a_database_in_the_future(stage: Stage) -> Iterator[None]:
    now = stage.rows["SELECT clock_timestamp()"]
    with changed(stage.rows, "SELECT clock_timestamp()", lambda: now().replace(year=now().year + 1)):
        yield


@fault("disk-space", "0.0 GiB free")
def a_disk_that_is_full(stage: Stage) -> Iterator[None]:
    with patch("shutil.disk_usage", return_value=SimpleNamespace(total=100, used=99, free=1)):
        yield
