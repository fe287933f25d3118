"""A validated task pays once, however it arrives."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID

from sqlalchemy import func, select

from libs.common import clock
from libs.common.ids import new_id
from libs.common.money import Money
from libs.common.testing import Harness
from services.payments import use_cases
from services.payments.domain import AccountKind, Payer
from services.payments.models import account, entry, payment
from services.payments.subscriptions import pay_for_validated_task
from services.payments.tests.factories import task_validated
from services.tasks.events import TaskClaimed, TaskOpened


def balance_of(harness: Harness, owner_id: UUID) -> int:
    with harness.database.reader() as db:
        return int(db.scalar(select(func.coalesce(func.sum(account.c.balance), 0)).where(account.c.owner_id == owner_id)))


def count(harness: Harness, table: object) -> int:
    with harness.database.reader() as db:
        return int(db.scalar(select(func.count()).select_from(table)))  # type: ignore[arg-type]


def test_a_validated_task_opens_what_is_owed_and_books_the_lumens(harness: Harness) -> None:
    event = task_validated(cents=5_000, lumens=10)

    harness.deliver(event)

    with harness.database.reader() as db:
        row = db.one(select(payment))
        platform = db.scalar(select(account.c.balance).where(account.c.kind == AccountKind.PLATFORM_REWARDS))
    assert (row.task_id, row.contributor_id, row.amount_amount, row.status) == (
        event.task_id,
        event.contributor_id,
        5_000,
        "PENDING",
    )
    assert (balance_of(harness, event.contributor_id), platform) == (10, -10)


def test_a_validated_task_is_told_as_two_facts(harness: Harness) -> None:
    event = task_validated(cents=5_000, lumens=10)

    harness.deliver(event)

    (created,) = harness.published("payments.payment.created")
    (changed,) = harness.published("payments.lumens.changed")
    assert created.data["task_id"] == str(event.task_id)
    assert created.data["amount"] == {"amount": 5_000, "currency": "EUR"}
    assert changed.subject == str(event.contributor_id)
    told = {key: changed.data[key] for key in ("amount", "reason", "reference_id", "balance_after")}
    assert told == {"amount": 10, "reason": "TASK_REWARD", "reference_id": str(event.task_id), "balance_after": 10}


def test_delivered_twice_it_changes_once(harness: Harness) -> None:
    event = task_validated()

    harness.deliver(event, times=2)

    assert (count(harness, payment), count(harness, entry), balance_of(harness, event.contributor_id)) == (1, 2, 10)
    assert len(harness.published()) == 2


def test_the_same_fact_under_another_id_still_pays_once(harness: Harness) -> None:
    event = task_validated()
    with harness.transaction() as tx:
        pay_for_validated_task(event, tx, Payer.MOCK)
    with harness.transaction() as tx:
        pay_for_validated_task(event, tx, Payer.MOCK)

    assert (count(harness, payment), count(harness, entry), balance_of(harness, event.contributor_id)) == (1, 2, 10)
    assert len(harness.published()) == 2


def test_delivered_before_its_predecessors_it_waits_for_them_and_changes_once(harness: Harness) -> None:
    event = task_validated()
    opened = TaskOpened(task_id=event.task_id, film_id=event.film_id)
    claimed = TaskClaimed(
        task_id=event.task_id, film_id=event.film_id, contributor_id=event.contributor_id, deadline=clock.now()
    )

    third = harness.envelope(event, sequence=3)
    harness.deliver(third)
    assert count(harness, payment) == 0
    harness.deliver(harness.envelope(claimed, sequence=2))
    assert count(harness, payment) == 0
    harness.deliver(harness.envelope(opened, sequence=1))
    assert count(harness, payment) == 1
    harness.deliver(third)

    assert (count(harness, payment), balance_of(harness, event.contributor_id)) == (1, 10)


def test_delivered_to_many_consumers_at_once_it_changes_once(harness: Harness) -> None:
    envelope = harness.envelope(task_validated())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: harness.deliver(envelope), range(4)))

    assert (count(harness, payment), count(harness, entry), len(harness.published())) == (1, 2, 2)


def test_many_tasks_of_one_person_at_once_are_all_paid(harness: Harness) -> None:
    contributor = new_id()
    envelopes = [harness.envelope(task_validated(contributor, lumens=3)) for _ in range(12)]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(harness.deliver, envelopes))

    assert (count(harness, payment), balance_of(harness, contributor)) == (12, 36)
    assert sorted(each.data["balance_after"] for each in harness.published("payments.lumens.changed")) == list(range(3, 37, 3))


def test_an_account_of_the_platform_that_many_open_at_once_is_opened_once(harness: Harness) -> None:
    together = Barrier(8)

    def open_it(_: int) -> UUID:
        together.wait(10)
        with harness.transaction() as tx:
            return use_cases.open_account(tx, AccountKind.PLATFORM_REWARDS, None)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            harness.clean()
            assert len(set(pool.map(open_it, range(8)))) == 1
            assert count(harness, account) == 1


def test_a_task_without_a_price_earns_lumens_alone(harness: Harness) -> None:
    event = task_validated(cents=0)

    harness.deliver(event)

    assert (count(harness, payment), balance_of(harness, event.contributor_id)) == (0, 10)


def test_a_task_without_lumens_is_owed_alone(harness: Harness) -> None:
    event = task_validated(lumens=0)

    harness.deliver(event)

    assert (count(harness, payment), count(harness, entry)) == (1, 0)
    assert harness.published("payments.payment.created")[0].data["amount"] == Money(amount=5_000).model_dump(mode="json")
