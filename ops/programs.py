"""What runs: one `Program` for every process that the supervisor keeps alive."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

HealthKind = Literal["postgres", "amqp", "epmd", "http", "running"]


@dataclass(frozen=True, slots=True)
class Program:
    """A process under the supervisor. `priority` orders the start; the stop goes the other way round by `stage`."""

    name: str
    command: tuple[str, ...]
    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    port: int | None = None
    other_ports: tuple[int, ...] = ()
    health: HealthKind = "running"
    health_path: str = "/health/ready"
    port_variable: str = "LUMIERE_PORT_BASE"
    stop_signal: Literal["TERM", "INT", "QUIT", "USR1"] = "TERM"
    stop_seconds: int = 15
    priority: int = 500

    @property
    def ports(self) -> tuple[int, ...]:
        """Every port that it takes."""
        return ((self.port,) if self.port else ()) + self.other_ports


# Stages of start; the stop goes backwards, one stage after the other.
GUARDIAN, SERVERS, SERVICES, DOOR = 50, 100, 500, 900
