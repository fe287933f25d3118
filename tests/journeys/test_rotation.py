"""Secrets are replaced while people work: nobody is signed out, nothing is lost, and the old ones open nothing."""

from collections.abc import Iterator

import pytest

from ops.backup.opening import run_on_server
from ops.errors import OperationError
from ops.plan import Plan
from ops.postgres import answers
from ops.secrets import register
from ops.secrets.rotating import PREVIOUS, rotate
from ops.testing import TEST_FOLDER, LivePlatform, live_platform
from tests.journeys.people import Person, Studio

pytestmark = [pytest.mark.long, pytest.mark.timeout(1_800)]
PATIENCE_SECONDS = 300


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Iterator[LivePlatform]:
    """A platform that this test alone uses."""
    monkeypatch.setattr("ops.lifecycle.READY_SECONDS", PATIENCE_SECONDS)
    with live_platform(TEST_FOLDER / "rotated") as found:
        yield found


@pytest.fixture
def studio(live: LivePlatform) -> Iterator[Studio]:
    people = Studio(live)
    yield people
    people.close()


def work_goes_on(studio: Studio, person: Person) -> None:
    """Who was signed in still is, and a whole task goes its way: every service, the broker, e-mail and the log."""
    assert person.status() == 200
    task = studio.plan_task(studio.film(), "After a rotation")
    studio.finish(person, task)
    studio.wait_for_effects(person, task, PATIENCE_SECONDS)


def test_secrets_are_replaced_while_people_work(live: LivePlatform, studio: Studio) -> None:
    person = studio.newcomer()
    vault = Plan(live.layout, durable=False).backing.vault
    before = {path.name: path.read_text() for path in vault.folder.iterdir() if path.is_file()}

    old_address = Plan(live.layout, durable=False).backing.database_url("lumiere_tasks")
    assert rotate(live.operations, "DATABASE_PASSWORD_LUMIERE_TASKS").restarted == ["tasks-web-1", "tasks-worker-1"]
    assert not answers(old_address)
    assert answers(Plan(live.layout, durable=False).backing.database_url("lumiere_tasks"))

    assert rotate(live.operations, "AMQP_PASSWORD_TASKS").restarted == ["tasks-web-1", "tasks-worker-1"]
    assert rotate(live.operations, "POSTGRES_PASSWORD").restarted == []
    run_on_server(Plan(live.layout, durable=False).backing.maintenance_url(), "COMMENT ON DATABASE {} IS 'ours'", "lumiere")
    work_goes_on(studio, person)

    rotate(live.operations, "AUTH_SECRET")
    assert vault.path(PREVIOUS).read_text() == before["AUTH_SECRET"]
    with pytest.raises(OperationError, match="--finish"):
        rotate(live.operations, "AUTH_SECRET")
    rotate(live.operations, "NOTIFY_PRIVATE_KEY")
    assert vault.path("NOTIFY_PRIVATE_KEY").read_text().split()[1:] == [before["NOTIFY_PRIVATE_KEY"]]
    rotate(live.operations, "AUTH_SECRET", finish=True)
    assert not vault.path(PREVIOUS).exists()
    rotate(live.operations, "REVOCATION_LIST_TOKEN")
    assert studio.newcomer().status() == 200
    person.sign_in(person.email, person.password)
    work_goes_on(studio, person)

    changed = {name for name, value in before.items() if vault.path(name).exists() and vault.path(name).read_text() != value}
    assert {"AUTH_SECRET", "NOTIFY_PRIVATE_KEY", "POSTGRES_PASSWORD", "REVOCATION_LIST_TOKEN"} <= changed
    known = register.read(vault.folder)
    assert min(known[name] for name in changed if name in known) > known["STORAGE_SECRET"]


def test_what_is_not_ours_to_replace_says_whose_it_is(live: LivePlatform) -> None:
    for name, reason in (
        ("LOG_SIGNING_KEY", "a new key is a new log"),
        ("DATABASE_URL_TASKS", "rotate the password in it"),
        ("STRIPE_SECRET_KEY", "get a new one from who issued it"),
        ("DATABASE_PASSWORD_NOBODY", "There is no role nobody"),
        ("AMQP_PASSWORD_NOBODY", "no user nobody"),
    ):
        with pytest.raises(OperationError, match=reason):
            rotate(live.operations, name)
    with pytest.raises(OperationError, match="nothing is to be finished"):
        rotate(live.operations, "AUTH_SECRET", finish=True)
