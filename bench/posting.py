"""Booking a reward through the posting function, against the smallest transaction that Postgres can be asked for."""

from contextlib import ExitStack
from itertools import cycle

from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, named like a function by its library

from bench.figures import Figure, NothingMeasured, against, limit
from bench.servers import TRIVIAL_INSERT, harness, plain_postgres
from bench.timing import Work, bounded, costs, rates
from libs.common import clock
from libs.common.ids import new_id
from libs.common.testing import Harness
from services.payments.app import service
from services.payments.domain import AccountId, AccountKind, task_reward
from services.payments.use_cases import open_account, post

ACCOUNTS, CLIENTS, LUMENS = 10, 4, 10
ROW = b"a row without a meaning"


def measure(seconds: float) -> list[Figure]:
    """Transactions a second, by one client and by CLIENTS at once; each reward takes from the one issuing account."""
    with bounded(), ExitStack() as stack:
        payments = stack.enter_context(harness(service))
        plain = [stack.enter_context(plain_postgres(payments)) for _ in range(CLIENTS)]
        accounts = _accounts(payments)
        inserts = [_insert(connection) for connection in plain]
        rewards = [_reward(payments, accounts[index:] + accounts[:index]) for index in range(CLIENTS)]
        alone = costs({"insert": inserts[0], "reward": rewards[0]}, seconds, clock.monotonic)
        together = rates({"insert": inserts, "reward": rewards}, seconds)
    one = limit("Postgres alone: one row a transaction, 1 client", 1 / alone["insert"], "transactions/s")
    many = limit(f"Postgres alone: one row a transaction, {CLIENTS} clients", together["insert"], "transactions/s")
    return [
        one,
        against(one, "a reward booked, 1 client", 1 / alone["reward"]),
        many,
        against(many, f"a reward booked, {CLIENTS} clients", together["reward"]),
    ]


def _accounts(payments: Harness) -> list[AccountId]:
    with payments.transaction() as tx:
        open_account(tx, AccountKind.PLATFORM_REWARDS, None)
        return [open_account(tx, AccountKind.CONTRIBUTOR, new_id()) for _ in range(ACCOUNTS)]


def _reward(payments: Harness, accounts: list[AccountId]) -> Work:
    turn = cycle(accounts)

    def book() -> None:
        with payments.transaction() as tx:
            if len(post(tx, task_reward(new_id(), next(turn), LUMENS))) != 2:
                raise NothingMeasured("A reward was not booked.")

    return book


def _insert(connection: Connection) -> Work:
    def insert() -> None:
        with connection, connection.cursor() as cursor:
            cursor.execute(TRIVIAL_INSERT, (ROW,))

    return insert
