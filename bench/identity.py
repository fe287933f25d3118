"""A real web process of auth, on a database of its own, with one account in it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from bench.bus.stage import await_
from bench.figures import NothingMeasured
from bench.gateway.processes import LOOPBACK, Running, await_answers, free_port, running
from bench.servers import harness
from libs.common.auth.policy import Role
from libs.common.ids import random_token
from libs.common.testing import Harness
from services.auth.app import service
from services.auth.domain.accounts import Address, Locale
from services.auth.domain.passwords import BCRYPT_ROUNDS_MINIMUM
from services.auth.use_cases.keeping import Keeping
from services.auth.use_cases.registration import Newcomer, add_account, confirm_address

EMAIL, PASSWORD = "somebody@example.org", "a password nobody guesses"  # pragma: allowlist secret
ROUNDS = BCRYPT_ROUNDS_MINIMUM
TIMEOUT_SECONDS = 15.0


@dataclass(frozen=True)
class Auth:
    """The service, ready."""

    address: str
    process: Running

    def client(self) -> httpx.Client:
        """A client with connections of its own."""
        return httpx.Client(base_url=self.address, timeout=TIMEOUT_SECONDS, trust_env=False)


def answered(answer: httpx.Response, status: int = 200) -> Any:
    """What was answered. Raises NothingMeasured for another status: only work that was done counts."""
    if answer.status_code != status:
        raise NothingMeasured(f"{answer.request.url.path} was answered {answer.status_code}, not {status}.")
    return answer.json()


def sign_in(client: httpx.Client) -> Any:
    """Tokens for the account."""
    return answered(client.post("/api/v1/auth/login", json={"email": EMAIL, "password": PASSWORD}))


@contextmanager
def auth(password_threads: int) -> Iterator[Auth]:
    """Auth at the cost of production, with so many threads for passwords."""
    given = {"AUTH_SECRET": random_token(), "PASSWORD_THREADS": str(password_threads), "BCRYPT_ROUNDS": str(ROUNDS)}
    with harness(service, given) as made:
        _open_account(made)
        port = free_port()
        command = [sys.executable, "-m", "services.auth", "web"]
        environ = {**made.environ, "PORT": str(port), "DRAIN_SECONDS": "0", "AUTH_URL": f"http://{LOOPBACK}:{port}"}
        with running(command, environ=environ) as process:
            await_answers(port, "auth", process)
            ready = Auth(f"http://{LOOPBACK}:{port}", process)
            with ready.client() as client:
                await_("auth to be ready", lambda: client.get("/health/ready").status_code == 200)
            yield ready


def _open_account(made: Harness) -> None:
    password_hash = made.resource(Keeping).hasher.hash(PASSWORD)
    newcomer = Newcomer(Address(EMAIL), password_hash, "Somebody", Role.CONTRIBUTOR, Locale.EN)
    with made.transaction() as tx:
        account = add_account(tx, newcomer)
        if account is None or not confirm_address(tx, account.id):
            raise NothingMeasured("No account could be opened.")
