"""Whether somebody has an account shows neither in an answer, nor in the work behind it, nor in the time that it takes."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import exp
from random import Random
from time import perf_counter
from typing import Any

import bcrypt
import pytest
from sqlalchemy import Engine, event, text

from libs.common.testing import Harness
from services.auth.tests.conftest import PASSWORD, Person


def _login(email: str) -> tuple[str, dict[str, Any]]:
    return "/auth/login", {"email": email, "password": "a wrong password"}  # pragma: allowlist secret


def _register(email: str) -> tuple[str, dict[str, Any]]:
    return "/auth/register", {"email": email, "password": PASSWORD, "display_name": "Ada Lovelace"}


def _forgot(email: str) -> tuple[str, dict[str, Any]]:
    return "/auth/password/forgot", {"email": email}


def _resend(email: str) -> tuple[str, dict[str, Any]]:
    return "/auth/verify-email/resend", {"email": email}


Ask = Callable[[str], tuple[str, dict[str, Any]]]
ASKS: tuple[Ask, ...] = (_login, _register, _forgot, _resend)


@dataclass
class Work:
    """What an answer cost."""

    hashes: list[int] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)


@contextmanager
def observed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """Note every hash and every statement within."""
    work = Work()
    check, make = bcrypt.checkpw, bcrypt.hashpw

    def checking(password: bytes, hashed: bytes) -> bool:
        work.hashes.append(int(hashed.split(b"$")[2]))
        return check(password, hashed)

    def making(password: bytes, salt: bytes) -> bytes:
        work.hashes.append(int(salt.split(b"$")[2]))
        return make(password, salt)

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        work.statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    with monkeypatch.context() as patches:
        patches.setattr(bcrypt, "checkpw", checking)
        patches.setattr(bcrypt, "hashpw", making)
        try:
            yield work
        finally:
            event.remove(Engine, "before_cursor_execute", note)


@pytest.fixture
def waiting(harness: Harness) -> Person:
    """Somebody whose address waits to be confirmed."""
    somebody = Person(harness, "grace@example.org")
    somebody.register()
    return somebody


@pytest.mark.parametrize("ask", ASKS, ids=lambda each: each.__name__)
def test_known_unknown_and_unconfirmed_accounts_cost_the_same_work_and_get_the_same_answer(
    person: Person, waiting: Person, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    seen = []
    for email in (person.email, waiting.email, "nobody@example.org"):
        with observed(monkeypatch) as work:
            answer = person.post(*ask(email))
        members = {name: value for name, value in answer.get_json().items() if name != "request_id"}
        seen.append((answer.status_code, members, work.hashes, work.statements))
    assert seen[1:] == seen[:1] * 2
    assert len(seen[0][2]) == (1 if ask in (_login, _register) else 0)


def test_locked_accounts_cost_the_same_work_and_get_the_same_answer_at_every_attempt(
    harness: Harness, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for somebody in (person, Person(harness, "nobody@example.org")):
        with observed(monkeypatch) as work:
            statuses = [somebody.login("a wrong password").status_code for _ in range(7)]
        seen.append((statuses, work.hashes, work.statements))
    assert seen[0] == seen[1]


# -- time

SAMPLES = 80
"""Answers timed of each kind, known and unknown in random order."""
LEVEL = 0.0001
"""How seldom two samples of one distribution may be taken for two."""
PLANTED_ROUNDS = 20_000
"""Work of some milliseconds, a small part of one bcrypt hash. The guard must see it."""


def p_value(one: list[float], other: list[float]) -> float:
    """How likely two samples of one distribution are as far apart (Kolmogorov-Smirnov, two-sided, asymptotic)."""
    apart = max(abs(_part(one, at) - _part(other, at)) for at in (*one, *other))
    size = (len(one) * len(other) / (len(one) + len(other))) ** 0.5
    scaled = (size + 0.12 + 0.11 / size) * apart  # Stephens' correction for small samples
    return min(1.0, 2 * sum((-1) ** (k - 1) * exp(-2 * (k * scaled) ** 2) for k in range(1, 101))) if scaled > 0.2 else 1.0


def _part(sample: list[float], at: float) -> float:
    return sum(value <= at for value in sample) / len(sample)


def timed(somebody: Person, ask: Ask, known: list[str], extra: Callable[[], object]) -> tuple[list[float], list[float]]:
    """Seconds that answers took for known and for unknown accounts; `extra` is done beside the known ones."""
    client, took = somebody.harness.client(), {True: list[float](), False: list[float]()}
    accounts, order = iter(known), [True, False] * SAMPLES
    Random(5).shuffle(order)  # noqa: S311  an order, not a secret
    for number, is_known in enumerate([False] * 10 + order):
        path, body = ask(next(accounts) if is_known else f"nobody{number}@example.org")
        started = perf_counter()
        client.post(f"/api/v1{path}", json=body)
        if is_known:
            extra()
        took[is_known].append(perf_counter() - started)
    return took[True], took[False][10:]  # the first ones are slow for their own reasons


@pytest.fixture
def known(harness: Harness) -> list[str]:
    """Addresses of many accounts, confirmed."""
    emails = [f"known{number}@example.org" for number in range(SAMPLES)]
    somebody = Person(harness, emails[0])
    for email in emails:
        assert somebody.post(*_register(email)).status_code == 202
    assert harness.run_job("open_accounts") == SAMPLES
    with harness.transaction() as tx:
        tx.execute(text("UPDATE auth.user_account SET verified_at = now()"))
    return emails


@pytest.mark.long
@pytest.mark.parametrize("ask", ASKS, ids=lambda each: each.__name__)
def test_the_times_of_answers_for_known_and_unknown_accounts_are_of_one_distribution(
    newcomer: Person, known: list[str], ask: Ask
) -> None:
    assert p_value(*timed(newcomer, ask, known, lambda: None)) > LEVEL


@pytest.mark.long
@pytest.mark.parametrize("ask", ASKS, ids=lambda each: each.__name__)
def test_a_difference_of_some_milliseconds_would_be_seen(newcomer: Person, known: list[str], ask: Ask) -> None:
    times = timed(newcomer, ask, known, lambda: hashlib.pbkdf2_hmac("sha256", b"x", b"y", PLANTED_ROUNDS))
    assert p_value(*times) < LEVEL


def test_the_statistic_tells_two_distributions_from_one() -> None:
    numbers = Random(7)  # noqa: S311  a sample, not a secret
    one, alike = ([numbers.gauss(10, 1) for _ in range(SAMPLES)] for _ in range(2))
    assert p_value(one, alike) > 0.01
    assert p_value(one, [value + 1 for value in alike]) < LEVEL
    assert p_value(one, one) == 1
