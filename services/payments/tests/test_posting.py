"""The posting function against a model ledger, against real concurrency, and against attempts to go around it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from operator import itemgetter
from threading import Barrier
from typing import TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from libs.common.db import Transaction
from libs.common.ids import new_id
from libs.common.testing import Harness
from services.payments.domain import (
    PLATFORM_REWARDS_ID,
    AccountId,
    AccountKind,
    InsufficientLumens,
    Leg,
    Transfer,
    TransferAlreadyBooked,
    TransferReason,
)
from services.payments.models import account, entry, transfer
from services.payments.use_cases import open_account, post

T = TypeVar("T")
AMOUNTS = st.integers(-30, 30).filter(bool)


class ModelLedger:
    """What the book must do, in a few lines without a database."""

    def __init__(self) -> None:
        self.floors: dict[AccountId, int | None] = {}
        self.entries: dict[AccountId, list[int]] = {}
        self.booked: dict[UUID, dict[AccountId, int]] = {}

    def open(self, account_id: AccountId, floor: int | None) -> None:
        self.floors[account_id] = floor
        self.entries[account_id] = []

    def balance(self, account_id: AccountId) -> int:
        return sum(self.entries[account_id])

    def balances(self) -> dict[AccountId, int]:
        return {account_id: self.balance(account_id) for account_id in self.entries}

    def post(self, reference: UUID, legs: dict[AccountId, int]) -> str:
        if reference in self.booked:
            return "repeated" if self.booked[reference] == legs else "refused: other legs"
        for account_id, amount in legs.items():
            floor = self.floors[account_id]
            if floor is not None and self.balance(account_id) + amount < floor:
                return "refused: floor"
        for account_id, amount in legs.items():
            self.entries[account_id].append(amount)
        self.booked[reference] = legs
        return "booked"


def outcome_of(harness: Harness, reference: UUID, legs: dict[AccountId, int]) -> str:
    try:
        with harness.transaction() as tx:
            booked = post(tx, Transfer(TransferReason.TASK_REWARD, reference, tuple(Leg(*leg) for leg in legs.items())))
    except InsufficientLumens:
        return "refused: floor"
    except TransferAlreadyBooked:
        return "refused: other legs"
    return "booked" if booked else "repeated"


def booked_balances(harness: Harness) -> dict[UUID, int]:
    with harness.database.reader() as db:
        return {row.id: row.balance for row in db.all(select(account.c.id, account.c.balance))}


def machine_for(harness: Harness) -> type[RuleBasedStateMachine]:
    """A state machine that drives the posting function and the model side by side."""

    class Book(RuleBasedStateMachine):
        accounts = Bundle("accounts")
        references = Bundle("references")

        def __init__(self) -> None:
            super().__init__()
            self.model = ModelLedger()
            with harness.transaction() as tx:
                self.platform = open_account(tx, AccountKind.PLATFORM_REWARDS, None)
            # The book outlives an example, so each one begins from what the platform has issued before.
            self.model.open(self.platform, None)
            self.model.entries[self.platform] = [booked_balances(harness)[self.platform]]

        @rule(target=accounts, kind=st.sampled_from([AccountKind.CONTRIBUTOR, AccountKind.HELD]))
        def open(self, kind: AccountKind) -> AccountId:
            with harness.transaction() as tx:
                account_id = open_account(tx, kind, new_id())
            self.model.open(account_id, 0)
            return account_id

        @rule(target=references, to=accounts, lumens=st.integers(1, 100))
        def reward(self, to: AccountId, lumens: int) -> UUID:
            return self._both(new_id(), {self.platform: -lumens, to: lumens})

        @rule(target=references, one=accounts, other=accounts, amount=AMOUNTS)
        def move(self, one: AccountId, other: AccountId, amount: int) -> UUID:
            partner = self.platform if one == other else other
            return self._both(new_id(), {one: amount, partner: -amount})

        @rule(target=references, shares=st.lists(st.tuples(accounts, AMOUNTS), min_size=2, max_size=3, unique_by=itemgetter(0)))
        def split(self, shares: list[tuple[AccountId, int]]) -> UUID:
            legs = {**dict(shares), self.platform: -sum(amount for _, amount in shares)}
            return self._both(new_id(), {account_id: amount for account_id, amount in legs.items() if amount})

        @rule(reference=references, factor=st.sampled_from([1, 2]))
        def use_a_reference_again(self, reference: UUID, factor: int) -> None:
            booked = self.model.booked.get(reference, {})
            if booked:
                self._both(reference, {account_id: amount * factor for account_id, amount in booked.items()})

        @invariant()
        def the_book_and_the_model_agree(self) -> None:
            balances = booked_balances(harness)
            assert {key: balances[key] for key in self.model.entries} == self.model.balances()
            assert sum(balances.values()) == 0

        def _both(self, reference: UUID, legs: dict[AccountId, int]) -> UUID:
            assert outcome_of(harness, reference, legs) == self.model.post(reference, legs)
            return reference

    return Book


def test_the_posting_function_does_what_the_model_ledger_does(harness: Harness) -> None:
    run_state_machine_as_test(
        machine_for(harness),
        settings=settings(max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)),
    )


@pytest.fixture
def accounts(harness: Harness) -> list[AccountId]:
    """Four persons' accounts with 100 Lumens each."""
    with harness.transaction() as tx:
        open_account(tx, AccountKind.PLATFORM_REWARDS, None)
        opened = [open_account(tx, AccountKind.CONTRIBUTOR, new_id()) for _ in range(4)]
        for account_id in opened:
            post(tx, issue(account_id, 100))
    return opened


def issue(to: AccountId, lumens: int) -> Transfer:
    return Transfer(TransferReason.TASK_REWARD, new_id(), (Leg(PLATFORM_REWARDS_ID, -lumens), Leg(to, lumens)))


def assert_book_is_sound(harness: Harness) -> None:
    """Every transfer sums to zero, every account equals its entries and stands on or above its floor."""
    with harness.database.reader() as db:
        assert db.all(select(entry.c.transfer_id).group_by(entry.c.transfer_id).having(func.sum(entry.c.amount) != 0)) == []
        summed = select(func.coalesce(func.sum(entry.c.amount), 0)).where(entry.c.account_id == account.c.id).scalar_subquery()
        counted = select(func.count()).where(entry.c.account_id == account.c.id).scalar_subquery()
        columns = (account.c.balance, account.c.floor, account.c.version, summed.label("sum"), counted.label("count"))
        rows = db.all(select(*columns))
    assert all(row.balance == row.sum and row.version == row.count for row in rows)
    assert all(row.floor is None or row.balance >= row.floor for row in rows)
    assert sum(row.balance for row in rows) == 0


def test_an_entry_keeps_the_balance_that_it_left_behind(harness: Harness, accounts: list[AccountId]) -> None:
    with harness.transaction() as tx:
        post(tx, issue(accounts[0], 7))
        post(tx, issue(accounts[0], 5))

    own = select(entry.c.amount, entry.c.balance_after).where(entry.c.account_id == accounts[0])
    with harness.database.reader() as db:
        rows = db.all(own.order_by(entry.c.account_version))

    assert [tuple(row) for row in rows] == [(100, 100), (7, 107), (5, 112)]


def test_an_account_can_be_emptied_and_not_one_lumen_more(harness: Harness, accounts: list[AccountId]) -> None:
    one, other = accounts[:2]

    assert outcome_of(harness, new_id(), {one: -99, other: 99}) == "booked"
    assert outcome_of(harness, new_id(), {one: -2, other: 2}) == "refused: floor"
    assert outcome_of(harness, new_id(), {one: -1, other: 1}) == "booked"
    assert outcome_of(harness, new_id(), {one: -1, other: 1}) == "refused: floor"
    assert booked_balances(harness)[one] == 0


def in_parallel(work: Callable[[int], T], threads: int) -> list[T]:
    barrier = Barrier(threads)

    def started_together(number: int) -> T:
        barrier.wait(timeout=10)
        return work(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(started_together, range(threads)))


def test_the_floor_holds_when_many_spend_at_once(harness: Harness, accounts: list[AccountId]) -> None:
    one, other = accounts[:2]

    outcomes = in_parallel(lambda _: [outcome_of(harness, new_id(), {one: -9, other: 9}) for _ in range(5)], threads=6)

    assert list(chain(*outcomes)).count("booked") == 100 // 9
    assert booked_balances(harness)[one] == 100 % 9
    assert_book_is_sound(harness)


def test_transfers_in_both_directions_at_once_never_block_each_other(harness: Harness, accounts: list[AccountId]) -> None:
    def work(number: int) -> list[str]:
        return [
            outcome_of(harness, new_id(), {accounts[turn % 4]: -1, accounts[(turn + 1 + number % 3) % 4]: 1})
            for turn in range(10)
        ]

    outcomes = in_parallel(work, threads=6)

    assert set(chain(*outcomes)) == {"booked"}
    assert_book_is_sound(harness)


def test_transactions_of_many_rewards_queue_up_without_a_deadlock(harness: Harness, accounts: list[AccountId]) -> None:
    def work(number: int) -> None:
        with harness.transaction() as tx:
            for turn in range(8):
                post(tx, issue(accounts[(number * 3 + turn) % 4], 1))

    in_parallel(work, threads=6)

    assert sum(booked_balances(harness)[each] for each in accounts) == 400 + 6 * 8
    assert_book_is_sound(harness)


def test_one_reference_booked_by_many_at_once_is_booked_once(harness: Harness, accounts: list[AccountId]) -> None:
    reference = new_id()

    outcomes = in_parallel(lambda _: outcome_of(harness, reference, {PLATFORM_REWARDS_ID: -10, accounts[0]: 10}), threads=6)

    assert sorted(outcomes) == ["booked"] + ["repeated"] * 5
    assert booked_balances(harness)[accounts[0]] == 110


def test_one_account_opened_by_many_at_once_is_one_account(harness: Harness) -> None:
    owner = new_id()

    def work(_: int) -> AccountId:
        with harness.transaction() as tx:
            return open_account(tx, AccountKind.CONTRIBUTOR, owner)

    assert len(set(in_parallel(work, threads=6))) == 1


def test_a_leg_on_an_account_that_is_not_there_is_refused(harness: Harness, accounts: list[AccountId]) -> None:
    with pytest.raises(IntegrityError, match="open account"), harness.transaction() as tx:
        post(tx, Transfer(TransferReason.TASK_REWARD, new_id(), (Leg(AccountId(new_id()), -1), Leg(accounts[0], 1))))


def test_a_refused_posting_leaves_nothing_behind(harness: Harness, accounts: list[AccountId]) -> None:
    reference = new_id()

    assert outcome_of(harness, reference, {accounts[0]: -101, accounts[1]: 101}) == "refused: floor"

    with harness.database.reader() as db:
        assert db.scalar(select(func.count()).where(transfer.c.reference_id == reference)) == 0


PLANTED = {
    "a changed amount": "UPDATE entry SET amount = amount + 1",
    "a removed entry": "DELETE FROM entry",
    "a removed transfer": "DELETE FROM transfer",
    "a re-dated transfer": "UPDATE transfer SET booked_at = now()",
    "emptied entries": "TRUNCATE entry CASCADE",
    "emptied transfers": "TRUNCATE transfer CASCADE",
    "emptied accounts": "TRUNCATE account CASCADE",
    "a removed account": "DELETE FROM account",
    "a raised balance": "UPDATE account SET balance = balance + 1",
    "a raised balance with its version": "UPDATE account SET balance = balance + 1, version = version + 1",
    "a lowered floor": "UPDATE account SET floor = -1000, version = version + 1",
    "another owner": "UPDATE account SET owner_id = gen_random_uuid(), version = version + 1 WHERE kind = 'CONTRIBUTOR'",
    "an account born rich": "INSERT INTO account SELECT gen_random_uuid(), 'HELD', gen_random_uuid(), 0, 50, 0, now()",
    "a transfer without legs": "INSERT INTO transfer SELECT gen_random_uuid(), 'TASK_REWARD', gen_random_uuid(), now()",
    "an entry added to a transfer": """INSERT INTO entry SELECT gen_random_uuid(), t.id, a.id, 1, a.balance + 1, a.version + 1
        FROM transfer t, account a WHERE a.id <> ALL (SELECT account_id FROM entry WHERE transfer_id = t.id) LIMIT 1""",
    "a one-sided booking": """WITH moved AS (
            UPDATE account SET balance = balance + 5, version = version + 1
            WHERE id = (SELECT id FROM account WHERE kind = 'CONTRIBUTOR' LIMIT 1) RETURNING *),
        booked AS (INSERT INTO transfer VALUES (gen_random_uuid(), 'TASK_REWARD', gen_random_uuid(), now()) RETURNING *)
        INSERT INTO entry SELECT gen_random_uuid(), booked.id, moved.id, 5, moved.balance, moved.version FROM moved, booked""",
}


GUARDED = r"append-only|Only booking|opens with nothing|differs from its entries|no legs|sum to zero|ahead of its account"


def plant(tx: Transaction, statement: str) -> None:
    tx.execute(text(statement))
    tx.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))


@pytest.mark.parametrize("statement", PLANTED.values(), ids=PLANTED.keys())
def test_the_running_service_cannot_tamper_with_the_book(harness: Harness, accounts: list[AccountId], statement: str) -> None:
    with pytest.raises(DBAPIError), harness.transaction() as tx:
        plant(tx, statement)

    assert_book_is_sound(harness)


@pytest.mark.parametrize("statement", PLANTED.values(), ids=PLANTED.keys())
def test_not_even_the_owner_of_the_tables_tampers_unnoticed(
    harness: Harness, owner_transaction: Callable[[str], None], accounts: list[AccountId], statement: str
) -> None:
    with pytest.raises(DBAPIError, match=GUARDED):
        owner_transaction(statement)

    assert_book_is_sound(harness)
