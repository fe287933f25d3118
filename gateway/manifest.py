"""Policy manifests: what each service declared of its routes, read strictly. Nothing is compiled that was not declared."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from libs.common.auth.policy import STEP_UP_SECONDS_MAX, Access, Idempotency, Rate, Role

Kind = Literal["uuid", "int", "string", "path"]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
GATEWAY = "gateway"
ROOT = Path(__file__).resolve().parent.parent
NAME = r"^[a-z][a-z0-9_]{0,31}$"
TEMPLATE = re.compile(r"^/(?:(?:[A-Za-z0-9._~-]+|\{[a-z][a-z0-9_]*\})(?:/(?!$)|$))*$")
PARAMETER = re.compile(r"^\{([a-z][a-z0-9_]*)\}$")


def manifest_paths(root: Path = ROOT) -> list[Path]:
    """The gateway's own manifest and those of the services beside it."""
    return [root / "gateway" / "policy.json", *sorted((root / "services").glob("*/policy.json"))]


class ManifestError(Exception):
    """Manifests that must not be compiled. The message names file and route of every fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class Route(BaseModel):
    """One route as its service declared it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    method: Method
    path: str
    parameters: dict[str, Kind] = {}
    operation: str = Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$", max_length=100)
    allow: Access | Annotated[tuple[Role, ...], Field(min_length=1)]
    rate: Rate
    body_limit: int = Field(ge=0, le=2**40, strict=True)
    timeout: float = Field(gt=0, le=3_600)
    stream: bool = False
    page: bool = False
    step_up: int | None = Field(default=None, ge=1, le=STEP_UP_SECONDS_MAX, strict=True)
    idempotency: Idempotency = Idempotency.REFUSED
    consumes: tuple[str, ...] = ()
    process: str = Field(default="web", pattern=NAME)
    source: str

    @property
    def segments(self) -> tuple[str, ...]:
        """The path cut at its slashes; `/` has one empty segment."""
        return tuple(self.path[1:].split("/"))

    @property
    def kinds(self) -> tuple[tuple[Kind | None, str], ...]:
        """Per segment its parameter kind, or None and the literal text."""
        found = [(PARAMETER.match(segment), segment) for segment in self.segments]
        return tuple((self.parameters[match[1]], "") if match else (None, segment) for match, segment in found)

    @property
    def exposed(self) -> bool:
        """Whether the gateway lets it be seen at all."""
        return self.allow is not Access.SERVICE

    @property
    def name(self) -> str:
        """Method and path, for people."""
        return f"{self.method} {self.path}"

    @model_validator(mode="after")
    def _path_and_parameters_agree(self) -> "Route":
        if not TEMPLATE.match(self.path):
            raise ValueError(
                f"path {self.path!r} is not made of whole literal or {{parameter}} segments of unreserved characters"
            )
        named = [match[1] for segment in self.segments if (match := PARAMETER.match(segment))]
        if sorted(named) != sorted(self.parameters):
            raise ValueError(f"path names the parameters {sorted(named)} but declares {sorted(self.parameters)}")
        if "path" in [kind for kind, _ in self.kinds[:-1]]:
            raise ValueError("a parameter of kind path must be the last segment")
        if any(segment in {".", ".."} for segment in self.segments):
            raise ValueError("a path may not hold dot segments")
        if self.step_up is not None and self.allow in {Access.PUBLIC, Access.SERVICE}:
            raise ValueError("step_up is for routes that a person signs in for")
        return self


def _distinct(routes: tuple[Route, ...]) -> tuple[Route, ...]:
    operations = [route.operation for route in routes]
    twice = sorted({operation for operation in operations if operations.count(operation) > 1})
    if twice:
        raise ValueError(f"operations must be unique: {', '.join(twice)}")
    return routes


class Manifest(BaseModel):
    """All routes of one service."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    service: str = Field(pattern=NAME)
    processes: tuple[Annotated[str, Field(pattern=NAME)], ...]
    routes: Annotated[tuple[Route, ...], AfterValidator(_distinct)]

    @model_validator(mode="after")
    def _processes_are_declared(self) -> "Manifest":
        unknown = sorted({route.process for route in self.routes} - set(self.processes))
        if unknown:
            raise ValueError(f"routes name processes that the service does not have: {', '.join(unknown)}")
        return self


def read(paths: Iterable[Path]) -> tuple[Manifest, ...]:
    """Read manifests in the order of their services. Raises ManifestError that names every fault with file and route."""
    manifests: list[tuple[str, Manifest]] = []
    faults: list[str] = []
    for path in sorted(paths):
        name = f"{path.parent.name}/{path.name}"
        try:
            manifests.append((name, Manifest.model_validate_json(path.read_bytes())))
        except ValidationError as error:
            faults += [
                _sentence(name, path, item["loc"], item["msg"]) for item in error.errors(include_url=False, include_input=False)
            ]
        except OSError as error:
            faults.append(f"{name}: cannot be read: {error.strerror}")
    services = [manifest.service for _, manifest in manifests]
    faults += [
        f"{name}: a second manifest of service {m.service}"
        for i, (name, m) in enumerate(manifests)
        if m.service in services[:i]
    ]
    if faults:
        raise ManifestError(faults)
    return tuple(sorted((manifest for _, manifest in manifests), key=lambda manifest: manifest.service))


def _sentence(name: str, path: Path, location: tuple[int | str, ...], message: str) -> str:
    route = _route_at(path, location)
    field = ".".join(str(part) for part in (location[2:3] if route else location))
    return f"{name}: {f'route {route}: ' if route else ''}{f'{field}: ' if field else ''}{message}"


def _route_at(path: Path, location: tuple[int | str, ...]) -> str:
    if len(location) < 2 or location[0] != "routes" or not isinstance(location[1], int):
        return ""
    raw = _Names.model_validate_json(path.read_bytes()).routes[location[1]]
    return f"{raw.method} {raw.path} ({raw.source})"


class _Names(BaseModel):
    """Just enough of a faulty manifest to say which route is meant."""

    class Entry(BaseModel):
        """The names of one route, whatever else is wrong with it."""

        method: object = "?"
        path: object = "?"
        source: object = "?"

    routes: list[Entry] = []
