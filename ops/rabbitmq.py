"""A private RabbitMQ: its own node, port mapper, ports, cookie and users, beside whatever the system runs.

Debian's wrappers insist on root or the rabbitmq user, so the server's own script is called with a clean environment.
"""

import json
import os
import socket
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ops.errors import OperationError
from ops.layout import Layout
from ops.programs import SERVERS, Program
from ops.vault import Vault

LIBRARIES = Path("/usr/lib/rabbitmq/lib")
AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME = b"\x01"
EPMD_NAMES_REQUEST = b"\x00\x01n"
PROBE_SECONDS = 2
# Schedulers that spin while idle would take the laptop's cores from everybody else.
NODE_ARGUMENTS = "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"


@dataclass(frozen=True)
class RabbitMQ:
    """The private broker of one platform."""

    layout: Layout
    vault: Vault

    @property
    def home(self) -> Path:
        """The node's folder: cookie, data, configuration."""
        return self.layout.state / "rabbitmq"

    def url(self, user: str) -> str:
        """Address as one of the platform's users."""
        return f"amqp://{user}:{quote(self.password(user), safe='')}@127.0.0.1:{self.layout.amqp_port}/"

    def password(self, user: str) -> str:
        """The user's password; generated when it is new."""
        return self.vault.ensure(f"AMQP_PASSWORD_{user.upper()}")

    def configure(self, definitions: dict[str, Any]) -> None:
        """Write the node's files. `definitions` is what the broker loads when it starts."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in ("mnesia", "log"):
            (self.home / folder).mkdir(exist_ok=True)
        loaded = self.home / "definitions.json"
        draft = loaded.with_suffix(".draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(definitions, file, indent=1, sort_keys=True)
        draft.replace(loaded)
        (self.home / "enabled_plugins").write_text("[rabbitmq_management].\n", encoding="ascii")
        (self.home / "rabbitmq.conf").write_text(self._configuration(loaded), encoding="utf-8")

    def _configuration(self, definitions: Path) -> str:
        return "\n".join(
            [
                f"listeners.tcp.1 = 127.0.0.1:{self.layout.amqp_port}",
                "management.tcp.ip = 127.0.0.1",
                f"management.tcp.port = {self.layout.management_port}",
                f"load_definitions = {definitions}",
                "log.file = false",
                "log.console = true",
                "log.console.level = warning",
                # Connection lines name client addresses, which are logged nowhere.
                "log.connection.level = error",
                "vm_memory_high_watermark.absolute = 512MB",
                "disk_free_limit.absolute = 200MB",
                "raft.wal_max_size_bytes = 33554432",
                "collect_statistics_interval = 10000",
                "",
            ]
        )

    def programs(self) -> list[Program]:
        """The port mapper and the node. The mapper is supervised because one that the node starts would outlive it."""
        common = {
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(self.layout.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        node = common | {
            # Without this the script stays in between as a shell, and kill -9 of it would leave the node behind.
            "RUNNING_UNDER_SYSTEMD": "1",
            "RABBITMQ_LOG": "-color",
            "RABBITMQ_NODENAME": f"lumiere-{self.layout.identity}@localhost",
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(self.home / "rabbitmq-env.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.home / "advanced.config"),
            "RABBITMQ_MNESIA_BASE": str(self.home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self.home / "pid"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.home / "generated"),
            "RABBITMQ_DIST_PORT": str(self.layout.distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": NODE_ARGUMENTS,
        }
        guard = ("setpriv", "--pdeathsig", "TERM")
        return [
            Program(
                name="epmd",
                command=(*guard, "epmd", "-port", str(self.layout.epmd_port), "-address", "127.0.0.1"),
                directory=Path("/"),
                environment=common,
                port=self.layout.epmd_port,
                health="epmd",
                priority=SERVERS - 10,
            ),
            Program(
                name="rabbitmq",
                command=(*guard, str(server_script())),
                directory=self.home,
                environment=node,
                port=self.layout.amqp_port,
                other_ports=(self.layout.management_port, self.layout.distribution_port),
                health="amqp",
                stop_seconds=30,
                priority=SERVERS,
            ),
        ]


def server_script() -> Path:
    """The newest server script. Raises OperationError when RabbitMQ is not installed."""
    found = sorted(LIBRARIES.glob("rabbitmq_server-*/sbin/rabbitmq-server"), key=_version)
    if not found:
        raise OperationError("RabbitMQ is not installed. `make up` installs it as root, or names the line to run.")
    return found[-1]


def _version(script: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in script.parent.parent.name.rpartition("-")[2].split(".") if part.isdecimal())


def broker_answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether an AMQP server greets; a port that merely accepts connections is not ready yet."""
    return _reply(host, port, AMQP_HEADER)[:1] == METHOD_FRAME


def mapper_answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a port mapper tells its names; its answer begins with its own port, big-endian."""
    return _reply(host, port, EPMD_NAMES_REQUEST)[:4] == port.to_bytes(4, "big")


def _reply(host: str, port: int, request: bytes) -> bytes:
    try:
        with closing(socket.create_connection((host, port), timeout=PROBE_SECONDS)) as connection:
            connection.sendall(request)
            return connection.recv(4)
    except OSError:
        return b""
