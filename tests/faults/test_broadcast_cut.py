"""A process is cut off from the broker and from auth for a while: it misses nothing of what was revoked meanwhile."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from pydantic import SecretStr

from libs.common import clock, ids
from libs.common.auth.revocations import Revocations
from libs.common.events import Envelope
from libs.common.events.broker.publisher import Outgoing, PipelinedPublisher
from libs.common.events.envelope import schema_address
from libs.common.events.tests.live import eventually, subscriptions
from libs.common.service import synchroniser
from libs.common.service.assembly import Assembled
from libs.common.service.synchroniser import SESSION_REVOKED, Synchroniser
from tests.faults.proxy import FINE, Proxy, Weather
from tests.faults.servers import Servers, await_up

pytestmark = pytest.mark.faults

HEARTBEAT_SECONDS = 2
LIFETIME_SECONDS = 3_600
REVOKED_EVERY_SECONDS = 0.2
RECOVERY_SECONDS = 20.0
A_MINUTE = 60.0
NEVER = 3_600.0


class Auth:
    """Auth as other processes see it: a list to be read, and a broadcast of each revocation."""

    def __init__(self, amqp_url: str) -> None:
        self.away = False
        self._revoked: dict[str, float] = {}
        self._publisher = PipelinedPublisher(amqp_url, "auth")
        self._publisher.open()

    def fetch(self) -> Mapping[str, Any]:
        if self.away:
            raise ConnectionError("auth is on the other side of the cut")
        return {"sessions": dict(self._revoked), "subjects": {}}

    def revoke(self) -> UUID:
        session_id = ids.new_id()
        now = clock.now()
        self._revoked[str(session_id)] = now.timestamp() + LIFETIME_SECONDS
        envelope = Envelope.model_validate(
            {
                "id": ids.new_id(),
                "source": "/services/auth",
                "type": SESSION_REVOKED,
                "subject": str(session_id),
                "time": now,
                "dataschema": schema_address(SESSION_REVOKED, 1),
                "sequence": 1,
                "correlation_id": "test",
                "data": {"session_id": str(session_id), "expires_at": now.isoformat(), "user_id": str(ids.new_id())},
            }
        )
        self._publisher.publish([Outgoing(str(envelope.id), envelope.type, envelope.encode())], timeout_seconds=5)
        return session_id

    def close(self) -> None:
        self._publisher.close()


class Listening:
    """A web process's synchroniser and what it knows."""

    def __init__(self, amqp_url: str, auth: Auth) -> None:
        self.revocations = Revocations()
        assembled = SimpleNamespace(
            service=SimpleNamespace(name="cinema", declared_subscriptions=subscriptions("cinema")),
            settings=SimpleNamespace(amqp_url=SecretStr(amqp_url)),
            resources={},
            revocations=self.revocations,
            keys=None,
            fetch_revocations=auth.fetch,
        )
        self.synchroniser = Synchroniser(cast(Assembled, assembled))

    def hears(self) -> bool:
        return self.synchroniser.checks()["broadcast"]() == "ok"

    def knows(self, session_id: UUID) -> bool:
        return session_id in self.revocations._sessions

    def end(self) -> None:
        self.synchroniser._stopping.set()
        self.synchroniser._poll_now.set()
        eventually(lambda: not self.hears(), "the synchroniser ends")


@pytest.fixture
def proxy(servers: Servers) -> Iterator[Proxy]:
    await_up(servers)
    with Proxy(servers.amqp_port) as standing:
        yield standing


@contextmanager
def listening(servers: Servers, proxy: Proxy) -> Iterator[tuple[Auth, Listening]]:
    auth = Auth(servers.amqp_url)
    process = Listening(proxy.url(servers.amqp_url, HEARTBEAT_SECONDS), auth)
    process.synchroniser.start()
    try:
        eventually(lambda: process.hears() and process.revocations.synchronised, "the process hears broadcasts")
        yield auth, process
    finally:
        process.end()
        auth.close()


def cut_off(proxy: Proxy, auth: Auth) -> None:
    auth.away = True
    proxy.weather(Weather(closed=True))
    assert proxy.cut() == 1


def test_a_process_that_was_cut_off_learns_on_its_return_what_it_did_not_hear(
    servers: Servers, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the regular poll only the one that comes with the new connection can tell it.
    monkeypatch.setattr(synchroniser, "POLL_SECONDS", NEVER)
    with listening(servers, proxy) as (auth, process):
        heard = auth.revoke()
        eventually(lambda: process.knows(heard), "the broadcast is heard")
        cut_off(proxy, auth)
        eventually(lambda: not process.hears(), "the process notices the cut")
        missed = [auth.revoke() for _ in range(20)]
        assert not any(map(process.knows, missed)), "the cut let something through"
        auth.away = False
        proxy.weather(FINE)
        eventually(lambda: all(map(process.knows, missed)), "the process knows all", RECOVERY_SECONDS)


@pytest.mark.long
@pytest.mark.timeout(180)
def test_a_process_that_was_cut_off_for_a_minute_misses_nothing(servers: Servers, proxy: Proxy) -> None:
    with listening(servers, proxy) as (auth, process):
        cut_off(proxy, auth)
        missed: list[UUID] = []
        pause, back_at = threading.Event(), clock.monotonic() + A_MINUTE
        while clock.monotonic() < back_at:
            missed.append(auth.revoke())
            pause.wait(REVOKED_EVERY_SECONDS)
        assert not any(map(process.knows, missed)), "the cut let something through"
        auth.away = False
        proxy.weather(FINE)
        eventually(lambda: all(map(process.knows, missed)), "the process knows all", RECOVERY_SECONDS)
