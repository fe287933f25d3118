"""The full list of what should run, derived from the layout and the wanted scale."""

import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

from ops.environment import Backing, Environments
from ops.layout import Layout, Replica
from ops.postgres import Postgres
from ops.programs import DOOR, SERVICES, Program
from ops.rabbitmq import RabbitMQ
from ops.vault import Vault

Scale = dict[tuple[str, str], int]
GATEWAY_PROCESS, CONTROL_PROCESS = "gateway", "gateway-control"
# Kinds whose replicas the gateway sends requests to.
SERVED_KINDS = ("web", "stream")
GUARD = ("setpriv", "--pdeathsig", "TERM")
# Longer than draining and what a request may take after it.
STOP_SECONDS = 30
# What was taken is answered within; open event streams and idle connections are then cut.
DOOR_STOP_SECONDS = 5
SOURCES = ("services", "libs", "gateway", "requirements")


@dataclass
class Plan:
    """What a platform consists of. `scale` names replicas other than one."""

    layout: Layout
    scale: Scale = field(default_factory=dict)
    durable: bool = True

    def __post_init__(self) -> None:
        vault = Vault(self.layout.secrets)
        self.postgres = Postgres(self.layout, vault, durable=self.durable)
        self.broker = RabbitMQ(self.layout, vault)
        self.backing = Backing(self.layout, vault, self.postgres, self.broker)
        self.environments = Environments(self.backing, revision(self.layout))

    @property
    def replicas(self) -> list[Replica]:
        """Every service process, service by service."""
        return [
            Replica(service, kind, number)
            for service, kinds in self.layout.services.items()
            for kind in kinds
            for number in range(1, self.scale.get((service, kind), 1) + 1)
        ]

    def servers(self) -> list[Program]:
        """The private servers; those given from outside are left out."""
        database = [self.postgres.program()] if self.backing.private_database else []
        return database + (self.broker.programs() if self.backing.private_broker else [])

    def services(self) -> list[Program]:
        """Every service process and the gateway's two."""
        return [*(self._service(replica) for replica in self.replicas), *self._gateway()]

    def everything(self) -> list[Program]:
        """Servers, services and the gateway."""
        return [*self.servers(), *self.services()]

    def targets(self, replicas: Iterable[Replica] | None = None) -> dict[str, dict[str, list[str]]]:
        """The gateway's targets: addresses of the served processes by service and kind."""
        found: dict[str, dict[str, list[str]]] = {}
        for replica in self.replicas if replicas is None else replicas:
            if replica.kind in SERVED_KINDS:
                address = f"127.0.0.1:{self.layout.replica_port(replica)}"
                found.setdefault(replica.service, {}).setdefault(replica.kind, []).append(address)
        return found

    def addresses(self, replicas: Iterable[Replica]) -> set[str]:
        """The addresses among them that the gateway sends requests to."""
        return {address for kinds in self.targets(replicas).values() for found in kinds.values() for address in found}

    def write_targets(self, replicas: Iterable[Replica] | None = None) -> bool:
        """Write the targets file; returns whether it changed. The file appears whole or not at all."""
        text = json.dumps(self.targets(replicas), indent=1, sort_keys=True) + "\n"
        path = self.layout.targets
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return False
        draft = path.with_suffix(".draft")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
        return True

    def _service(self, replica: Replica) -> Program:
        return Program(
            name=replica.name,
            command=(*GUARD, sys.executable, "-m", f"services.{replica.service}", replica.kind),
            directory=self.layout.root,
            environment=self.environments.replica(replica),
            port=self.layout.replica_port(replica),
            health="http",
            stop_seconds=STOP_SECONDS,
            priority=SERVICES,
        )

    def _gateway(self) -> list[Program]:
        environment = self.environments.gateway()
        return [
            Program(
                name=CONTROL_PROCESS,
                command=(*GUARD, sys.executable, "-m", "gateway", "control"),
                directory=self.layout.root,
                environment=environment,
                priority=DOOR - 10,
            ),
            Program(
                name=GATEWAY_PROCESS,
                command=(*GUARD, sys.executable, "-m", "gateway", "run"),
                directory=self.layout.root,
                environment=environment,
                port=self.layout.settings.lumiere_port,
                other_ports=(
                    self.layout.metrics_port,
                    *((amqps,) if (amqps := self.layout.settings.lumiere_amqps_port) else ()),
                ),
                health="http",
                port_variable="LUMIERE_PORT",
                # HAProxy takes nothing new and answers what it took; TERM would cut it off.
                stop_signal="USR1",
                stop_seconds=DOOR_STOP_SECONDS,
                priority=DOOR,
            ),
        ]


def revision(layout: Layout) -> str:
    """Sixteen characters that change with the code, so that `make up` restarts what runs old code."""
    digest = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((layout.root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and "tests" not in path.parts:
                facts = path.stat()
                digest.update(f"{path.relative_to(layout.root)} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
