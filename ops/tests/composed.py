"""deploy/compose.yml and its overlays, read without an engine: as `docker compose config` has them, as far as tests ask."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from ops.containers import BASE, DEPLOY

MOUNTED: Final = "/run/secrets/"
_VARIABLE: Final = re.compile(r"\$\{([A-Z0-9_]+)(?:(:-|:\?)((?:[^{}]|\{[^{}]*\})*))?\}")


class OnceOnly(yaml.SafeLoader):
    """As compose reads YAML: what is said twice in one mapping is an error, not the last word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping. Raises ValueError."""
        said = [key.value for key, _ in node.value if key.value != "<<"]
        if twice := sorted({each for each in said if said.count(each) > 1}):
            raise ValueError(f"line {node.start_mark.line + 1}: {', '.join(twice)} is said twice")
        return super().construct_mapping(node, deep)


class Composed:
    """Some compose files, merged, with the variables of an environment."""

    def __init__(self, *overlays: str, **environment: str) -> None:
        self.environment = environment
        self._document: dict[str, Any] = {}
        for name in (BASE, *overlays):
            read = yaml.load((DEPLOY / name).read_text(encoding="utf-8"), OnceOnly)  # noqa: S506 - a safe loader
            self._document = _merged(self._document, self._filled({key: each for key, each in read.items() if key[:2] != "x-"}))

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        """Every service by name."""
        found: dict[str, dict[str, Any]] = self._document["services"]
        return found

    @property
    def networks(self) -> dict[str, dict[str, Any]]:
        """Every network by name."""
        return {name: each or {} for name, each in self._document["networks"].items()}

    def environment_of(self, service: str, secrets: Path) -> dict[str, str]:
        """What a service's settings read, its mounted secrets found in this folder."""
        each = self.services[service]
        mounted = dict(_mounted(one) for one in each.get("secrets", ()))
        values = {name: str(value) for name, value in each.get("environment", {}).items()}
        for name, value in values.items():
            if value.startswith(MOUNTED):
                target = value.removeprefix(MOUNTED)
                assert target in mounted, f"{service}: {name} names {target}, which is not among its secrets"
                values[name] = str(secrets / mounted[target])
        return values

    def _filled(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: self._filled(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._filled(each) for each in value]
        return _VARIABLE.sub(self._value, value) if isinstance(value, str) else value

    def _value(self, found: re.Match[str]) -> str:
        given = self.environment.get(found[1])
        return given or (found[3] if found[2] == ":-" else "")


def _mounted(given: str | Mapping[str, str]) -> tuple[str, str]:
    """The name inside the container, and the secret's."""
    return (given, given) if isinstance(given, str) else (given["target"], given["source"])


def _merged(below: Any, above: Any) -> Any:
    """Compose's rule: maps are merged, lists follow each other, anything else is replaced."""
    if isinstance(below, Mapping) and isinstance(above, Mapping):
        return {**below, **{name: _merged(below[name], each) if name in below else each for name, each in above.items()}}
    if isinstance(below, list) and isinstance(above, list):
        return [*below, *(each for each in above if each not in below)]
    return above
