"""The doctor tells the truth about a running platform: before a fault is planted, while it is there, and after it is mended."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from libs.common.db import monitor_role
from libs.common.db.provision import monitor_engine
from libs.common.events.topology import RETRY_DELAYS_MS, definitions, password_hash
from ops.doctor.box import Finding, State, boxes
from ops.doctor.examination import ask
from ops.doctor.examined import Examined
from ops.doctor.places import local
from ops.environment import LOG_KEY_FILE
from ops.management import Management
from ops.plan import Plan
from ops.testing import LivePlatform
from ops.tests.small_log import OTHER_SIGNER
from services.payments.app import service as payments
from tests.journeys.conftest import Lumiere
from tests.journeys.inside import Inside

pytestmark = [pytest.mark.platform, pytest.mark.timeout(180)]

BOXES = {each.name: each for each in boxes()}
SWAYED_BY_OTHERS = {
    *("dead-letters", "queues-unexpected", "outbox", "parked-events", "log-lag", "consumers", "maintenance", "disk-space"),
}
"""What other journeys on this platform may leave behind for a while."""
COSTLY = {"administrator-password"}
"""Hashes passwords for seconds; services/auth/tests asks it."""


@pytest.fixture(scope="module")
def inside(platform: LivePlatform) -> Inside:
    return Inside(platform)


@pytest.fixture
def broker(platform: LivePlatform) -> Iterator[Management]:
    with Management(Plan(platform.layout).backing.management_url()) as management:
        yield management


@contextmanager
def examined(platform: LivePlatform, *, production: bool = False) -> Iterator[Examined]:
    """What a command that starts now would look at."""
    with closing(local(production=production, layout=platform.layout)) as found:
        yield found


def found(name: str, platform: LivePlatform, *, production: bool = False) -> Finding:
    with examined(platform, production=production) as now:
        return ask(BOXES[name], now)


def test_a_platform_that_is_well_has_every_box_ticked(lumiere: Lumiere) -> None:
    wanted = [name for name in BOXES if name not in SWAYED_BY_OTHERS | COSTLY]
    code, answers = lumiere("doctor", *(word for name in wanted for word in ("--only", name)))
    assert [each for each in answers if not each["ok"]] == []
    assert code == 0
    assert [each["name"] for each in answers] == wanted


@contextmanager
def sql(inside: Inside, plant: str, mend: str) -> Iterator[None]:
    inside.execute(plant)
    try:
        yield
    finally:
        inside.execute(mend)


@contextmanager
def a_guest(broker: Management) -> Iterator[None]:
    broker.put_user("guest", password_hash("guest"))
    try:
        yield
    finally:
        broker.delete_user("guest")


@contextmanager
def a_loose_permission(broker: Management) -> Iterator[None]:
    names = ["media", "gateway", "operator"]
    declared = definitions(["media"], dict.fromkeys(names, "-"))["permissions"][0]
    broker.permit("media", configure=declared["configure"], write=".*", read=declared["read"])
    try:
        yield
    finally:
        broker.permit("media", **{name: declared[name] for name in ("configure", "write", "read")})


@contextmanager
def a_missing_queue(broker: Management) -> Iterator[None]:
    """A retry queue, which is empty but for seconds; what was in it is told again by the archive."""
    subscription = payments.declared_subscriptions.queues[0]
    name = subscription.retry_queue(len(RETRY_DELAYS_MS) - 1)
    arguments = next(each["arguments"] for each in broker.queues() if each["name"] == name)
    broker.delete_queue(name)
    try:
        yield
    finally:
        broker.put_queue(name, arguments)
        broker.bind(f"{subscription.consumer}.queues", name, name)


@contextmanager
def another_key(platform: LivePlatform) -> Iterator[None]:
    path = platform.state / LOG_KEY_FILE
    kept = path.read_text(encoding="utf-8")
    path.write_text(f"{OTHER_SIGNER.verifier_key}\n", encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(kept, encoding="utf-8")


@contextmanager
def an_open_secret(platform: LivePlatform) -> Iterator[None]:
    path = platform.layout.secrets / "AUTH_SECRET"
    path.chmod(0o644)
    try:
        yield
    finally:
        path.chmod(0o600)


Planting = Callable[[LivePlatform, Inside, Management], AbstractContextManager[None]]
FAULTS: dict[str, tuple[Planting, str]] = {
    "database-roles": (
        lambda _p, inside, _b: sql(
            inside, "GRANT USAGE ON SCHEMA auth TO lumiere_tasks", "REVOKE USAGE ON SCHEMA auth FROM lumiere_tasks"
        ),
        "lumiere_tasks may use the schema auth",
    ),
    "database-append-only": (
        lambda _p, inside, _b: sql(
            inside, "GRANT UPDATE ON ledger.leaf TO lumiere_ledger", "REVOKE UPDATE ON ledger.leaf FROM lumiere_ledger"
        ),
        "lumiere_ledger may change ledger.leaf",
    ),
    "database-migrations": (
        lambda _p, inside, _b: sql(
            inside,
            "UPDATE tasks.alembic_version SET version_num = 'old' || version_num",
            "UPDATE tasks.alembic_version SET version_num = substr(version_num, 4)",
        ),
        "tasks is at old",
    ),
    "broker-users": (lambda _p, _i, broker: a_guest(broker), "the default user guest exists"),
    "broker-permissions": (lambda _p, _i, broker: a_loose_permission(broker), "media's rights are"),
    "queues-declared": (lambda _p, _i, broker: a_missing_queue(broker), "is missing"),
    "log-checkpoint": (lambda platform, _i, _b: another_key(platform), "not signed by this key"),
    "secret-files": (lambda platform, _i, _b: an_open_secret(platform), "AUTH_SECRET is open to others"),
}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_fault_of_the_running_platform_is_seen_and_its_mending_too(
    name: str, platform: LivePlatform, inside: Inside, broker: Management
) -> None:
    plant, words = FAULTS[name]

    assert found(name, platform).state is State.OK
    with plant(platform, inside, broker):
        finding = found(name, platform)
        assert finding.state is State.FAILED, finding.evidence
        assert words in finding.evidence
    assert found(name, platform).state is State.OK


def test_a_queue_that_nobody_declared_is_named(platform: LivePlatform, broker: Management) -> None:
    broker.put_queue("left.over", {"x-queue-type": "quorum"})
    try:
        assert "nobody declared left.over" in found("queues-unexpected", platform).evidence
    finally:
        broker.delete_queue("left.over")
    assert "left.over" not in found("queues-unexpected", platform).evidence


def test_what_production_asks_is_told_of_a_platform_for_development(platform: LivePlatform) -> None:
    for name in ("database-tls", "https", "hsts", "environment", "mock-providers", "sentry-dsn"):
        assert found(name, platform, production=True).state is State.FAILED, name
    # The doors for machines are open on the platform of the tests.
    for name in ("cron-secret", "stripe-webhook-secret"):
        assert found(name, platform, production=True).state is State.OK, name


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT email FROM auth.user_account",
        "SELECT body FROM tasks.outbox",
        "SELECT count(*) FROM payments.entry",
        "CREATE TABLE auth.mine (a int)",
        "DELETE FROM auth.alembic_version",
    ],
)
def test_the_role_that_watches_sees_no_row_and_changes_nothing(platform: LivePlatform, statement: str) -> None:
    with examined(platform) as now:
        url = str(now.addresses.database)
    assert f"//{monitor_role()}:" in url
    engine = monitor_engine(url)
    with engine.connect() as connection, pytest.raises(ProgrammingError, match="permission denied"):
        connection.execute(text("SET default_transaction_read_only = off"))
        connection.execute(text(statement))
    engine.dispose()


def test_the_role_that_watches_does_not_read_what_others_ask(platform: LivePlatform) -> None:
    with examined(platform) as now, now.database() as db:
        seen = {row.query for row in db.all(text("SELECT query FROM pg_stat_activity WHERE usename <> current_user"))}
    assert seen <= {"<insufficient privilege>", None, ""}
