"""Policy manifests: what each service declared of its routes, read strictly. Nothing is compiled that was not declared."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails

from gateway import places
from libs.common.auth.policy import STEP_UP_SECONDS_MAX, Access, Assurance, Idempotency, Rate, Role, Scope

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
    """Manifests that must not be compiled. The message names file, line and route of every fault."""

    def __init__(self, faults: Sequence[str], readable: Sequence["Manifest"] = ()) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)
        self.readable = tuple(readable)
        """The manifests that had no fault of their own."""


class Route(BaseModel):
    """One route as its service declared it."""

    # A member that nobody here knows could be a restriction that nobody here would enforce.
    model_config = ConfigDict(frozen=True, extra="forbid")

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
    cookies: bool = False
    step_up: int | None = Field(default=None, ge=1, le=STEP_UP_SECONDS_MAX, strict=True)
    scope: Scope | None = None
    machines: bool = False
    step_up_acr: Assurance | None = None
    enrolment: bool = False
    during_maintenance: bool = False
    concealed: bool = False
    idempotency: Idempotency = Idempotency.REFUSED
    consumes: tuple[str, ...] = ()
    process: str = Field(default="web", pattern=NAME)
    source: str
    _entry: tuple[Path, int] | None = PrivateAttr(None)

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

    @property
    def streams(self) -> bool:
        """Whether bodies and answers pass as they come, however long that takes."""
        return self.stream or self.rate in {Rate.STREAM, Rate.UPLOAD}

    @property
    def place(self) -> str:
        """`file:line` of the declaration; the source alone when it was not read from a file."""
        return places.place_of(*self._entry, self.source) if self._entry else self.source

    @property
    def described(self) -> str:
        """Where and what, to begin a fault with."""
        return f"{self.place}: route {self.name} ({self.source})"

    def read_from(self, manifest: Path, number: int) -> None:
        """Remember the manifest and which of its entries this is."""
        self._entry = (manifest, number)

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
        if self.step_up is not None and isinstance(self.allow, Access) and self.allow is not Access.SIGNED_IN:
            raise ValueError("step_up is for routes that a person signs in for")
        if self.scope is not None and isinstance(self.allow, Access) and self.allow is not Access.SIGNED_IN:
            raise ValueError("scope is for routes that a person signs in for")
        if self.machines and (self.scope is None or self.allow is not Access.SIGNED_IN):
            raise ValueError("machines is for routes for signed_in that name a scope")
        if self.step_up_acr is not None and self.step_up is None:
            raise ValueError("step_up_acr comes with step_up")
        if self.enrolment and self.allow is not Access.SIGNED_IN:
            raise ValueError("enrolment is for routes that anybody who is signed in may call")
        return self


class Manifest(BaseModel):
    """All routes of one service."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str = Field(pattern=NAME)
    processes: tuple[Annotated[str, Field(pattern=NAME)], ...]
    routes: tuple[Route, ...]


def read(paths: Iterable[Path]) -> tuple[Manifest, ...]:
    """Read manifests in the order of their services. Raises ManifestError that names every fault with file, line and route."""
    manifests: list[tuple[Path, Manifest]] = []
    faults: list[str] = []
    for path in sorted(paths):
        try:
            manifests.append((path, _read(path)))
        except ManifestError as error:
            faults += error.faults
    services = [manifest.service for _, manifest in manifests]
    faults += [
        f"{places.name_of(path)}:1: a second manifest of service {each.service}"
        for number, (path, each) in enumerate(manifests)
        if each.service in services[:number]
    ]
    found = tuple(sorted((manifest for _, manifest in manifests), key=lambda manifest: manifest.service))
    if faults:
        raise ManifestError(faults, found)
    return found


def written(manifests: Iterable[Manifest]) -> bytes:
    """Several manifests in one document, as `read_written` takes it."""
    return _SEVERAL.dump_json(tuple(manifests), indent=1)


def read_written(content: bytes) -> tuple[Manifest, ...]:
    """The manifests of one document. Raises ManifestError."""
    try:
        return _SEVERAL.validate_json(content)
    except ValidationError as error:
        raise ManifestError([f"{error.error_count()} faults in what was written: it is of another version"]) from None


_SEVERAL = TypeAdapter(tuple[Manifest, ...])


def _read(path: Path) -> Manifest:
    """One manifest. Raises ManifestError."""
    name = places.name_of(path)
    try:
        content = path.read_bytes()
        json.loads(content)
    except OSError as error:
        raise ManifestError([f"{name}:1: cannot be read: {error.strerror}"]) from None
    except json.JSONDecodeError as error:
        raise ManifestError([f"{name}:{error.lineno}: is no JSON: {error.msg}; run `make manifests`"]) from None
    except UnicodeDecodeError:
        raise ManifestError([f"{name}:1: is not written in UTF-8; run `make manifests`"]) from None
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        raise ManifestError([_sentence(path, item["loc"], item["msg"]) for item in _items(error)]) from None
    for number, route in enumerate(manifest.routes):
        route.read_from(path, number)
    if repeated := places.repeated_members(content.decode()):
        raise ManifestError([_sentence(path, () if number is None else ("routes", number), what) for number, what in repeated])
    return manifest


def _items(error: ValidationError) -> Sequence[ErrorDetails]:
    return error.errors(include_url=False, include_input=False)


def _sentence(path: Path, location: tuple[int | str, ...], message: str) -> str:
    """One fault: file, line, route, field, what is wrong."""
    if len(location) < 2 or location[0] != "routes" or not isinstance(location[1], int):
        field = ".".join(map(str, location))
        return f"{places.name_of(path)}:1: {f'{field}: ' if field else ''}{message}"
    try:
        raw = _Names.model_validate_json(path.read_bytes()).routes[location[1]]
    except ValidationError:  # an entry that is not even an object
        raw = _Names.Entry()
    place = places.place_of(path, location[1], str(raw.source))
    field = ".".join(map(str, location[2:3]))
    return f"{place}: route {raw.method} {raw.path} ({raw.source}): {f'{field}: ' if field else ''}{message}"


class _Names(BaseModel):
    """Just enough of a faulty manifest to say which route is meant."""

    class Entry(BaseModel):
        """The names of one route, whatever else is wrong with it."""

        method: object = "?"
        path: object = "?"
        source: object = "?"

    routes: list[Entry] = []
