"""Postgres and RabbitMQ of a fault run's own, so that killing them disturbs nobody.

Two kinds, and the suite is the same for both. Without further words: private processes under a supervisor, as `make up` runs
them. With `LUMIERE_FAULT_SERVERS=compose`: Postgres 16 and RabbitMQ 4 in containers (`servers.yml` beside this file), for
which `docker compose` must reach an engine on this machine:

    LUMIERE_FAULT_SERVERS=compose make test-faults
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from libs.common.config import process_environment
from libs.common.events.tests.live import eventually
from ops.lifecycle import Platform
from ops.plan import Plan
from ops.postgres import answers
from ops.rabbitmq import broker_answers, server_script
from ops.supervisor import clean_environment
from ops.testing import TEST_FOLDER, private_servers, running_servers

KIND: Final = "LUMIERE_FAULT_SERVERS"
POSTGRES: Final = "postgres"
RABBITMQ: Final = "rabbitmq"
UP_SECONDS: Final = 90.0
COMMAND_SECONDS: Final = 60
MEMORY_ALARM: Final = ("0",)
"""A watermark of nothing: whatever the broker uses is too much, and it takes in no more messages."""
MEMORY_ENOUGH: Final = ("absolute", "512MB")

Name = Literal["postgres", "rabbitmq"]


@dataclass(frozen=True)
class Killed:
    """A server that ended by SIGKILL, and the process that took its place."""

    name: Name
    old_pid: int
    new_pid: int


class Servers(Protocol):
    """What a fault run does to its servers."""

    database_url: str
    """Administrative."""
    amqp_url: str
    amqp_port: int

    def kill(self, names: Sequence[Name]) -> list[Killed]:
        """Kill -9 all of them at once and see them replaced. Raises AssertionError unless each ended by that signal."""

    def stop(self, name: Name) -> None:
        """Stop one in order: its port is closed."""

    def start(self, name: Name) -> None:
        """Start one that was stopped."""

    def alarm(self, memory: Sequence[str]) -> None:
        """Set the broker's memory watermark: MEMORY_ALARM blocks publishers, MEMORY_ENOUGH lets them go on."""


def await_up(servers: Servers) -> None:
    """Until both answer."""
    eventually(lambda: answers(servers.database_url), "Postgres answers", UP_SECONDS)
    eventually(lambda: broker_answers(servers.amqp_port), "RabbitMQ answers", UP_SECONDS)


@contextmanager
def fault_servers() -> Iterator[Servers]:
    """The servers that the environment asks for. Raises ValueError for a kind that does not exist."""
    kind = process_environment().get(KIND) or "private"
    if kind == "private":
        with private_servers(TEST_FOLDER / "fault-servers") as addresses:
            yield PrivateServers(addresses["DATABASE_URL"], addresses["AMQP_URL"])
    elif kind == "compose":
        from tests.faults.containers import containers

        with containers() as servers:
            yield servers
    else:
        raise ValueError(f"{KIND}={kind} is not known: leave it unset for private servers, or say compose for containers")


class PrivateServers:
    """Processes under a supervisor, which starts again what dies."""

    def __init__(self, database_url: str, amqp_url: str) -> None:
        running = running_servers(TEST_FOLDER / "fault-servers")
        assert running is not None, "the private servers do not run"
        self.database_url = database_url
        self.amqp_url = amqp_url
        self._platform: Platform = running
        self.amqp_port = running.layout.amqp_port

    def kill(self, names: Sequence[Name]) -> list[Killed]:
        before = {name: (self._pid(name), self._killed(name)) for name in names}
        for name, (pid, _) in before.items():
            assert pid, f"{name} does not run: killing it would prove nothing"
            os.kill(pid, signal.SIGKILL)
        killed = []
        for name, (pid, count) in before.items():
            eventually(lambda name=name, pid=pid: self._pid(name) not in (0, pid), f"another {name}", UP_SECONDS)  # type: ignore[misc]
            assert self._killed(name) == count + 1, f"{name} did not end by the signal"
            killed.append(Killed(name, pid, self._pid(name)))
        return killed

    def stop(self, name: Name) -> None:
        self._platform.supervisor.stop([name])

    def start(self, name: Name) -> None:
        assert name in self._platform.supervisor.revive(), f"{name} was not stopped"

    def alarm(self, memory: Sequence[str]) -> None:
        (node,) = (each for each in Plan(self._platform.layout).broker.programs() if each.name == RABBITMQ)
        tool = server_script().with_name("rabbitmqctl")
        arguments = (str(tool), "-n", node.environment["RABBITMQ_NODENAME"], "set_vm_memory_high_watermark", *memory)
        run(arguments, clean_environment() | node.environment)

    def _pid(self, name: Name) -> int:
        state = self._platform.supervisor.processes()[name]
        return state.pid

    def _killed(self, name: Name) -> int:
        """How often the supervisor saw it end by SIGKILL."""
        log: Path = self._platform.layout.logs / "supervisor.log"
        return log.read_text(encoding="utf-8", errors="replace").count(f"exited: {name} (terminated by SIGKILL")


def run(arguments: Sequence[str], environment: dict[str, str]) -> str:
    """Run a tool of a server; what it printed. Raises AssertionError with its complaint."""
    done = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS, cwd="/"
    )
    assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr or done.stdout}"
    return done.stdout
