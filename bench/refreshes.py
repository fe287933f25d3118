"""Renewing sessions: what one processor of auth does, against what Keycloak publishes for its own.

Keycloak's guide "Concepts for sizing CPU and memory resources" reckons one vCPU for 120 refresh token requests a second; its
database is not in that figure, and Postgres is not in ours.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import httpx

from bench.figures import Figure, against, limit
from bench.identity import answered, auth, sign_in
from bench.timing import ROUNDS, Work, bounded, rates

CLIENTS = 4
KEYCLOAK_A_VCPU = 120.0
WANTED_A_CORE = 300.0
OURS = "auth: refreshes for each second of its processor time"


def measure(seconds: float) -> list[Figure]:
    """Refreshes a second of processor time, and as they came on this machine."""
    with bounded(), ExitStack() as stack:
        service = stack.enter_context(auth(1))
        works = [_renewing(stack.enter_context(service.client())) for _ in range(CLIENTS)]
        for work in works:
            work()
        before, done = service.process.cpu_seconds(), [count(1) for _ in works]
        rate = rates({OURS: [_counted(work, number) for work, number in zip(works, done, strict=True)]}, seconds)[OURS]
        spent = service.process.cpu_seconds() - before
    published = limit("Keycloak, published: refreshes for each second of a vCPU", KEYCLOAK_A_VCPU, "refreshes/s")
    return [
        published,
        against(published, OURS, sum(next(number) - 1 for number in done) / spent),
        Figure(f"the same on this machine, shared with Postgres and {CLIENTS} clients, {ROUNDS} turns", rate, "refreshes/s"),
    ]


def missed(figures: list[Figure]) -> list[str]:
    """The promise that these figures do not keep."""
    value = next(figure.value for figure in figures if figure.name == OURS)
    return [f"{value:.0f} refreshes a second of processor time, not {WANTED_A_CORE:.0f}."] if value < WANTED_A_CORE else []


def _renewing(client: httpx.Client) -> Work:
    """Exchange a session's refresh token for the next one, again and again."""
    token = [sign_in(client)["refresh_token"]]

    def renew() -> None:
        token[0] = answered(client.post("/api/v1/auth/refresh", json={"refresh_token": token[0]}))["refresh_token"]

    return renew


def _counted(work: Work, number: Iterator[int]) -> Work:
    def once() -> None:
        work()
        next(number)

    return once
