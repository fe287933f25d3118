"""Whether a request costs more as routes grow: manifests made for this, most routes with ids in their paths, random ids."""

import json
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench.figures import Figure, NothingMeasured, against, limit
from bench.gateway.load import Load, turn, write_requests
from bench.gateway.processes import LOOPBACK, Running, await_answers, cores, free_port, running
from bench.gateway.stage import published
from bench.timing import MICROSECONDS, ROUNDS
from gateway import haproxy
from gateway.discovery import FileTargets
from gateway.door import Door
from gateway.folder import Folder
from gateway.manifest import ROOT
from gateway.state import Gateway
from libs.common.auth import Role
from libs.common.ids import new_id, random_token
from libs.common.testing import TestKeys, a_subject, claims_for, mint
from ops.environment import AUDIENCE

SIZES = (10, 100, 500)
REQUESTS = 3_000
PEOPLE = 500
ROUTES_A_SERVICE = 50
FREE_TEXT_EVERY = 10
"""Each so manieth route has free text in its path, which needs a regular expression."""
ORIGIN = "http://127.0.0.1"


def measure(service: str, folder: Path, seconds: float) -> list[Figure]:
    """Processor time a request with few routes and with many, in turns."""
    keys = TestKeys()
    tokens = [mint(keys, claims_for(a_subject(Role.ADMIN), ORIGIN, AUDIENCE)) for _ in range(PEOPLE)]
    costs: dict[int, list[float]] = {size: [] for size in SIZES}
    with ExitStack() as stack:
        doors = {size: stack.enter_context(_door(folder / f"routes-{size}", size, keys, service)) for size in SIZES}
        asked = {size: _requests(folder / f"requests-{size}", size, tokens) for size in SIZES}
        for _ in range(ROUNDS):
            for size, (port, process) in doors.items():
                costs[size].append(_cost(port, process, asked[size], turn(seconds)))
    few = limit(f"{SIZES[0]} routes", median(costs[SIZES[0]]) * MICROSECONDS, "CPU µs a request")
    return [few, *(against(few, f"{size} routes", median(costs[size]) * MICROSECONDS) for size in SIZES[1:])]


def _cost(port: int, process: Running, requests: Path, seconds: float) -> float:
    before = process.cpu_seconds()
    outcome = Load(port, requests).after(seconds)
    if outcome.failed or not outcome.requests:
        raise NothingMeasured(f"Of {outcome.requests} requests {outcome.failed} failed: {outcome}")
    return (process.cpu_seconds() - before) / outcome.requests


def path(number: int) -> str:
    """The template of a route."""
    noun = f"/api/v1/kind{number}"
    if number % FREE_TEXT_EVERY == 0:
        return f"{noun}/{{slug}}"
    return (f"{noun}/{{item_id}}", f"{noun}/{{item_id}}/parts", f"{noun}/{{item_id}}/parts/{{part_id}}")[number % 3]


def filled(template: str) -> str:
    """A path with random ids."""
    words = {"{item_id}": str(new_id()), "{part_id}": str(new_id()), "{slug}": f"film-{random.randrange(10**6)}"}  # noqa: S311 - no secret
    return "/".join(words.get(segment, segment) for segment in template.split("/"))


def manifest(service: str, numbers: range) -> dict[str, Any]:
    """What a service with these routes would declare."""
    kinds = {"item_id": "uuid", "part_id": "uuid", "slug": "string"}
    return {
        "service": service,
        "processes": ["web"],
        "routes": [
            {
                "method": "GET",
                "path": path(number),
                "parameters": {name: kind for name, kind in kinds.items() if f"{{{name}}}" in path(number)},
                "operation": f"{service}.read_{number}",
                "allow": [Role.ADMIN, Role.ARTIST],
                "rate": "read",
                "body_limit": 32_768,
                "timeout": 15,
                "source": "made for the benchmark",
            }
            for number in numbers
        ],
    }


def _requests(file: Path, size: int, tokens: list[str]) -> Path:
    return write_requests(file, ((filled(path(number % size)), tokens[number % PEOPLE]) for number in range(REQUESTS)))


@contextmanager
def _door(folder: Path, size: int, keys: TestKeys, service: str) -> Iterator[tuple[int, Running]]:
    """HAProxy with the rules for so many routes, and nothing that changes them."""
    files, targets, port = [ROOT / "gateway" / "policy.json"], {}, free_port()
    for first in range(0, size, ROUTES_A_SERVICE):
        name = f"service{first}"
        file = folder / name / "policy.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(manifest(name, range(first, min(first + ROUTES_A_SERVICE, size)))), encoding="utf-8")
        files.append(file)
        targets[name] = {"web": [service]}
    named = folder / "targets.json"
    named.write_text(json.dumps(targets), encoding="utf-8")
    door = Door(ORIGIN, AUDIENCE, "development", LOOPBACK, port, random_token().encode())
    gateway = Gateway(door, Folder(folder / "gateway"), FileTargets(named), lambda: files)
    gateway.take_keys(published(keys))
    with running(haproxy.command_line(gateway.folder), cores()[0]) as process:
        await_answers(port, f"the gateway with {size} routes", process)
        yield port, process
