"""Auth as an operator runs it, a web process and a worker, behind lines to Postgres and RabbitMQ that can be cut and mended."""

import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pika  # type: ignore[import-untyped]
from sqlalchemy import func, select
from sqlalchemy.engine import make_url

from libs.common.db import kernel_tables
from libs.common.events.tests.live import eventually
from libs.common.events.topology import EVENTS_EXCHANGE
from libs.common.ids import new_id, random_token
from libs.common.testing import Harness
from ops.ports import LOOPBACK, free_range
from ops.settings import ROOT
from ops.testing import PLATFORM_FROM
from services.auth.models import user_account
from tests.faults.proxy import FINE, Proxy, Weather

SHUT: Final = Weather(closed=True)
START_SECONDS: Final = 60.0
HEARTBEAT_SECONDS: Final = 2
KINDS: Final = ("web", "worker")


@dataclass
class Stage:
    """Two processes and their lines; `log` is a folder."""

    harness: Harness
    log: Path
    postgres: Proxy
    broker: Proxy
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    def start(self) -> None:
        """Start both processes, whatever the lines are like."""
        base = free_range(PLATFORM_FROM, len(KINDS))
        url = make_url(self.harness.environ["DATABASE_URL"]).set(host=LOOPBACK, port=self.postgres.port)
        environ = {
            "PATH": "/usr/bin:/bin",
            **self.harness.environ,
            "DATABASE_URL": url.render_as_string(hide_password=False),
            "AMQP_URL": self.broker.url(self.harness.environ["AMQP_URL"], HEARTBEAT_SECONDS),
            "LUMIERE_ENV": "test",
        }
        for number, kind in enumerate(KINDS):
            self.ports[kind] = base + number
            with (self.log / f"{kind}.log").open("ab") as log:
                command = [sys.executable, "-m", "services.auth", kind]
                given = {**environ, "PORT": str(base + number)}
                self.processes[kind] = subprocess.Popen(command, env=given, stdout=log, stderr=log, cwd=ROOT)
        for kind in KINDS:
            eventually(lambda kind=kind: self.get("/health/live", kind).status_code == 200, f"{kind} answers", START_SECONDS)  # type: ignore[misc]

    def stop(self) -> None:
        """End both."""
        for process in self.processes.values():
            process.send_signal(signal.SIGKILL)
            process.wait(10)

    def alive(self) -> bool:
        """Whether both still run as they were started."""
        return all(process.poll() is None for process in self.processes.values())

    def get(self, path: str, kind: str = "web") -> httpx.Response:
        """Ask a process; 0 stands for no answer."""
        with suppress(httpx.HTTPError):
            return httpx.get(f"http://{LOOPBACK}:{self.ports[kind]}{path}", timeout=10, trust_env=False)
        return httpx.Response(0)

    def readiness(self, kind: str = "web") -> tuple[int, dict[str, Any]]:
        """Status and document of /health/ready."""
        answer = self.get("/health/ready", kind)
        return answer.status_code, answer.json() if answer.content else {}

    def ready(self, kind: str = "web") -> bool:
        """Whether the process says that all is well."""
        return self.readiness(kind)[1].get("status") == "ready"

    def outbox_depth(self) -> int:
        """What the worker's metrics tell of events that wait."""
        lines = self.get("/metrics", "worker").text.splitlines()
        found = [line for line in lines if line.startswith("lumiere_outbox_depth")]
        return int(float(found[0].rpartition(" ")[2])) if found else -1

    def command(self) -> httpx.Response:
        """A command that leaves facts: somebody registers, and the worker opens their account."""
        body = {"email": f"{new_id()}@example.org", "password": random_token(), "display_name": "Ada", "role": "CONTRIBUTOR"}
        address = f"http://{LOOPBACK}:{self.ports['web']}/api/v1/auth/register"
        return httpx.post(address, json=body, timeout=20, trust_env=False)

    def registered(self) -> int:
        """Accounts that were opened."""
        with self.harness.database.reader() as db:
            return int(db.scalar(select(func.count()).select_from(user_account)))

    def told(self) -> list[str]:
        """The ids of every event that was committed."""
        tables = kernel_tables(self.harness.service.metadata)
        with self.harness.database.reader() as db:
            rows = [*db.all(select(tables.event_archive.c.event_id)), *db.all(select(tables.outbox.c.event_id))]
        return sorted({str(row.event_id) for row in rows})


def line_to(url: str) -> Proxy:
    """A line to the server of an address, not laid yet."""
    port = urlsplit(url).port
    assert port is not None
    return Proxy(port)


class Listening:
    """A queue of the test's own that takes a copy of every event, by way of the broker itself and not of a line."""

    def __init__(self, amqp_url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
        self._channel = self._connection.channel()
        self._queue = self._channel.queue_declare("", exclusive=True).method.queue
        self._channel.queue_bind(self._queue, EVENTS_EXCHANGE, "#")

    def taken(self) -> list[str]:
        """The ids of the events that came since the last call."""
        found = []
        while (message := self._channel.basic_get(self._queue, auto_ack=True))[0] is not None:
            found.append(str(message[1].message_id))
        return found

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()


__all__ = ["FINE", "SHUT", "Listening", "Stage", "line_to"]
