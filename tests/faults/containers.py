"""The servers of a fault run in containers, driven through `docker compose`."""

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from libs.common.config import process_environment
from libs.common.events.tests.live import eventually
from libs.common.events.topology import GATEWAY, OPERATOR, definitions
from ops.ports import free_range
from ops.testing import TEST_FOLDER
from tests.faults.servers import UP_SECONDS, Killed, Name, await_up, run

COMPOSE_FILE: Final = Path(__file__).with_name("servers.yml")
PROJECT: Final = "lumiere-faults"
PORTS_FROM: Final = 31_000
EXIT_OF_SIGKILL: Final = 137
"""128 + 9: how a container's end by SIGKILL is told."""


class Containers:
    """Two containers with ports on loopback; their data last as long as they do."""

    def __init__(self, folder: Path) -> None:
        base = free_range(PORTS_FROM, 2, step=10)
        password = secrets.token_hex(16)
        folder.mkdir(parents=True, exist_ok=True)
        loaded = folder / "definitions.json"
        loaded.write_text(json.dumps(definitions([], {GATEWAY: secrets.token_hex(16), OPERATOR: password})), encoding="utf-8")
        self.amqp_port = base + 1
        self.database_url = f"postgresql://postgres:{password}@127.0.0.1:{base}/postgres"
        self.amqp_url = f"amqp://{OPERATOR}:{password}@127.0.0.1:{self.amqp_port}/"
        self._environment = process_environment() | {
            "LUMIERE_FAULT_POSTGRES_PORT": str(base),
            "LUMIERE_FAULT_AMQP_PORT": str(self.amqp_port),
            "LUMIERE_FAULT_PASSWORD": password,
            "LUMIERE_FAULT_DEFINITIONS": str(loaded),
        }

    def up(self) -> None:
        self._compose("up", "--detach")
        await_up(self)

    def down(self) -> None:
        self._compose("down", "--volumes", "--timeout", "5")

    def kill(self, names: Sequence[Name]) -> list[Killed]:
        before = {name: self._state(name)["Pid"] for name in names}
        assert all(before.values()), f"{before} do not all run: killing them would prove nothing"
        self._compose("kill", "--signal", "SIGKILL", *names)
        for name in names:
            eventually(lambda name=name: not self._state(name)["Running"], f"{name} is no more", UP_SECONDS)  # type: ignore[misc]
            assert self._state(name)["ExitCode"] == EXIT_OF_SIGKILL, f"{name} did not end by the signal"
        self._compose("start", *names)
        killed = [Killed(name, before[name], self._state(name)["Pid"]) for name in names]
        assert all(each.new_pid not in (0, each.old_pid) for each in killed)
        return killed

    def stop(self, name: Name) -> None:
        self._compose("stop", name)

    def start(self, name: Name) -> None:
        self._compose("start", name)

    def alarm(self, memory: Sequence[str]) -> None:
        # As root the tool would take the cookie file from the server.
        self._compose(
            "exec", "--no-TTY", "--user", "rabbitmq", "rabbitmq", "rabbitmqctl", "set_vm_memory_high_watermark", *memory
        )

    def _state(self, name: Name) -> dict[str, int]:
        state: dict[str, int] = json.loads(self._docker("inspect", "--format", "{{json .State}}", f"{PROJECT}-{name}-1"))
        return state

    def _compose(self, *arguments: str) -> str:
        return self._docker("compose", "--file", str(COMPOSE_FILE), "--project-name", PROJECT, *arguments)

    def _docker(self, *arguments: str) -> str:
        return run(("docker", *arguments), self._environment)


@contextmanager
def containers() -> Iterator[Containers]:
    """New containers, removed afterwards with their data."""
    servers = Containers(TEST_FOLDER / "fault-containers")
    servers.down()
    try:
        servers.up()
        yield servers
    finally:
        servers.down()
