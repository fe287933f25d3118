"""What `deploy/compose.yml` says, read once for all orchestrators. What they could not keep is refused, never dropped."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from libs.common.events.topology import GATEWAY
from ops.errors import OperationError
from ops.settings import ROOT

COMPOSE: Final = ROOT / "deploy" / "compose.yml"
SERVERS: Final = frozenset({"postgres", "rabbitmq", "redis"})
CONTROL: Final = f"{GATEWAY}-control"
KNOWN: Final = frozenset(
    {
        *("image", "build", "restart", "read_only", "cap_drop", "security_opt", "tmpfs", "networks", "stop_grace_period"),
        *("stop_signal", "deploy", "logging", "healthcheck", "command", "entrypoint", "environment", "secrets", "configs"),
        *("volumes", "ports", "depends_on", "user", "hostname", "shm_size", "profiles", "init"),
    }
)
"""What is understood here. Another word in compose.yml needs a thought about Swarm and Kubernetes first."""
_VARIABLE: Final = re.compile(r"\$\{(?P<name>[A-Z0-9_]+)(?::?-(?P<default>[^}]*))?\}")


@dataclass(frozen=True)
class Composed:
    """One service of the compose file."""

    name: str
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def once(self) -> bool:
        """Whether it is a job that ends."""
        return self.raw.get("restart") == "on-failure"

    @property
    def image(self) -> str:
        """With its variables in it."""
        return str(self.raw["image"])

    @property
    def networks(self) -> list[str]:
        """By name."""
        return list(self.raw.get("networks", []))

    @property
    def secrets(self) -> list[str]:
        """By name; each is a file below /run/secrets."""
        return list(self.raw.get("secrets", []))

    @property
    def environment(self) -> dict[str, str]:
        """Variable → value, with what an operator may set still in it."""
        return {name: str(value) for name, value in (self.raw.get("environment") or {}).items()}

    @property
    def grace_seconds(self) -> int:
        """From being told to end to being ended."""
        return int(str(self.raw.get("stop_grace_period", "10s")).removesuffix("s"))

    @property
    def memory(self) -> str | None:
        """The most that it may hold, as compose writes it (`384m`)."""
        return self._limits.get("memory")

    @property
    def cpus(self) -> str | None:
        """The most processors that it may use."""
        return self._limits.get("cpus")

    @property
    def _limits(self) -> Mapping[str, str]:
        limits: Mapping[str, str] = self.raw.get("deploy", {}).get("resources", {}).get("limits", {})
        return limits


@dataclass(frozen=True)
class Platform:
    """The whole file."""

    services: dict[str, Composed]
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def processes(self) -> list[Composed]:
        """What the platform itself runs and does not end: services and gateway, not the servers that they stand on."""
        return [each for each in self.services.values() if not each.once and each.name not in SERVERS]

    @property
    def jobs(self) -> list[Composed]:
        """What ends: roles and schemas."""
        return [each for each in self.services.values() if each.once]

    @property
    def secrets(self) -> list[str]:
        """Every secret that somebody mounts."""
        return sorted({name for each in self.services.values() for name in each.secrets})


def read(path: Path = COMPOSE) -> Platform:
    """The compose file, without what stands in a profile. Raises OperationError for a word that is not understood."""
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    services = {name: Composed(name, each) for name, each in raw["services"].items() if not each.get("profiles")}
    for each in services.values():
        if unknown := each.raw.keys() - KNOWN:
            words = ", ".join(sorted(unknown))
            known = "is not known to ops/orchestration; say there what Swarm and Kubernetes make of it."
            raise OperationError(f"{path.name}, {each.name}: {words} {known}")
    return Platform(services, raw)


def variables(text: str) -> dict[str, str]:
    """The variables that an operator may set in a text, each with its default."""
    return {found["name"]: found["default"] or "" for found in _VARIABLE.finditer(text)}


def with_defaults(text: str) -> str:
    """A text as it is when nobody sets anything."""
    return _VARIABLE.sub(lambda found: found["default"] or "", text).replace("$$", "$")


def written(header: str, *documents: Mapping[str, Any]) -> bytes:
    """YAML documents under a comment; the same input gives the same bytes."""
    body = "---\n".join(yaml.dump(each, Dumper=_Plain, sort_keys=False, width=128, allow_unicode=True) for each in documents)
    return f"# {header}\n{body}".encode()


class _Plain(yaml.SafeDumper):
    """Without anchors: what is the same in two places is written twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - as PyYAML calls it
        return True
