"""Signing in with a password, against bcrypt alone on the same processors; and what light requests feel of it meanwhile."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Event

import bcrypt

from bench.figures import Figure, against, limit, percentile
from bench.identity import ROUNDS, Auth, answered, auth, sign_in
from bench.timing import MILLISECONDS, Work, bounded, rates, timed

LONGER = 3
"""A login takes a quarter of a second: each figure is measured for so many times the seconds that others are."""
WAITING = 2
"""Clients more than threads: while an answer travels, another password is hashed."""
LIGHT_EVERY_SECONDS = 0.02
SHARE_WANTED = 0.9
LIGHT_P99_WANTED_MS = 100.0
BARE = f"bcrypt alone at cost {ROUNDS}, a thread a processor"
LOGINS = "logins"
LIGHT = "a light request while logins saturate the service, p99"


def measure(seconds: float) -> list[Figure]:
    """Logins a second, and the time that reading one's profile takes meanwhile."""
    threads = len(os.sched_getaffinity(0))
    with bounded(), ExitStack() as stack:
        service = stack.enter_context(auth(threads))
        clients = [stack.enter_context(service.client()) for _ in range(threads + WAITING)]
        token = sign_in(clients[0])["access_token"]
        idle = [timed(_light(service, token)) for _ in range(100)]
        hashed = rates({BARE: [_hash] * threads}, seconds * LONGER)[BARE]
        with _light_requests(service, token) as took:
            signed_in = rates({LOGINS: [_login(client) for client in clients]}, seconds * LONGER)[LOGINS]
    base = limit(BARE, hashed, "logins/s")
    quiet = limit("a light request while nobody signs in, p99", percentile(idle, 99) * MILLISECONDS, "ms")
    return [base, against(base, LOGINS, signed_in), quiet, against(quiet, LIGHT, percentile(took, 99) * MILLISECONDS)]


def missed(figures: list[Figure]) -> list[str]:
    """The promises that these figures do not keep."""
    kept = {figure.name: figure for figure in figures}
    share, light = kept[LOGINS].ratio or 0, kept[LIGHT].value
    return [
        *([f"Logins are {share:.2f} of what bcrypt allows, not {SHARE_WANTED}."] if share < SHARE_WANTED else []),
        *([f"Light requests take {light:.0f} ms (p99), not {LIGHT_P99_WANTED_MS:.0f}."] if light > LIGHT_P99_WANTED_MS else []),
    ]


def _hash() -> None:
    bcrypt.checkpw(b"a password nobody guesses", f"$2b${ROUNDS:02d}${'.' * 53}".encode())


def _login(client: object) -> Work:
    return lambda: sign_in(client)  # type: ignore[arg-type]


def _light(service: Auth, token: str) -> Work:
    client = service.client()
    client.headers["Authorization"] = f"Bearer {token}"
    return lambda: answered(client.get("/api/v1/profile"))


@contextmanager
def _light_requests(service: Auth, token: str) -> Iterator[list[float]]:
    """Ask lightly at a fixed pace within; the seconds that each answer took."""
    took: list[float] = []
    over, ask = Event(), _light(service, token)

    def repeat() -> None:
        while not over.wait(LIGHT_EVERY_SECONDS):
            took.append(timed(ask))

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(repeat)
        try:
            yield took
        finally:
            over.set()
        asking.result()
