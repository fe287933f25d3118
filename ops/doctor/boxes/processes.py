"""What runs: that it answers, whose it is, and that it is the same code everywhere."""

import re
from collections import Counter
from pathlib import Path
from typing import Final

from sqlalchemy import text

from ops.doctor.box import Finding, NotApplicable, NotExamined, Target, box, judged
from ops.doctor.examined import Examined
from ops.doctor.sockets import listening

NAMED_MAX: Final = 5
OLDEST: Final = {"Python": (3, 11), "Postgres": (15,), "RabbitMQ": (3, 10), "HAProxy": (2, 6)}
"""The oldest releases that the tests run on."""
ROOT_USER: Final = 0
UNKNOWN: Final = frozenset({"", "unknown"})
"""What images say that were built by hand."""
_HAPROXY: Final = re.compile(r'haproxy_process_build_info\{version="([^"]+)"')


@box(
    "processes-answer",
    "Every process answers",
    fix="`make status` names the state of each, its log says why: `make logs SERVICE=…`, `docker compose logs SERVICE`.",
)
def answering(examined: Examined) -> Finding:
    """Does every replica of every service, and the gateway's control process, answer and say what it is?"""
    silent = examined.silent()
    found = Counter(each.service for each in examined.processes())
    evidence = f"{sum(found.values())} processes: " + ", ".join(f"{name} {count}" for name, count in sorted(found.items()))
    return judged([f"{name} does not answer" for name in silent], evidence)


@box(
    "no-root",
    "Nothing runs as root",
    fix="Start the platform as a user of its own: `sudo -u lumiere make up`; images run as 1001 by themselves.",
    production=True,
)
def without_root(examined: Examined) -> Finding:
    """Does no process of the platform run as root (as the system sees them here, as they say themselves in containers)?"""
    users = (
        _users_here(examined) if examined.target is Target.LOCAL else {each.name: each.user for each in examined.processes()}
    )
    if not users:
        raise NotExamined("no process answers")
    rooted = sorted(name for name, user in users.items() if user == ROOT_USER)
    more = f" and {len(rooted) - NAMED_MAX} more" if len(rooted) > NAMED_MAX else ""
    faults = [f"{len(rooted)} of {len(users)} processes run as root: {', '.join(rooted[:NAMED_MAX])}{more}"] if rooted else []
    return judged(faults, f"{len(users)} processes, run by the users {', '.join(map(str, sorted(set(users.values()))))}")


def _users_here(examined: Examined) -> dict[str, int]:
    if examined.operations is None:
        raise NotExamined("the supervisor is not known here")
    states = examined.operations.supervisor.processes()
    running = {name: Path(f"/proc/{state.pid}") for name, state in states.items() if state.pid}
    return {name: path.stat().st_uid for name, path in running.items() if path.exists()}


@box(
    "revision",
    "All replicas run the same code",
    fix="Start those that are behind anew: `make up`, or `docker compose up -d --force-recreate SERVICE`.",
)
def revision(examined: Examined) -> Finding:
    """Do all processes of all services and of the gateway say the same revision?"""
    found = Counter(each.revision for each in examined.processes())
    if not found:
        raise NotExamined("no process answers")
    unknown = sum(count for name, count in found.items() if name in UNKNOWN)
    if unknown:
        why = f"{unknown} processes do not know their revision: `lumiere images build` writes it into their images"
        raise NotExamined(why) if examined.production else NotApplicable(why)
    faults = [f"{count} at {name}" for name, count in found.most_common()] if len(found) > 1 else []
    return judged(faults, f"{sum(found.values())} processes at {next(iter(found))}")


@box(
    "environment",
    "Every process knows whether this is production",
    fix="Set LUMIERE_ENV to the same value for every process, `production` where people are served.",
)
def environment(examined: Examined) -> Finding:
    """Does every process run with the same LUMIERE_ENV, and with `production` where it is judged so?"""
    found = Counter(each.environment for each in examined.processes())
    if not found:
        raise NotExamined("no process answers")
    wrong = examined.production and set(found) != {"production"}
    words = [f"{count} processes as {name}" for name, count in found.most_common()]
    return judged(words if wrong or len(found) > 1 else [], ", ".join(words))


@box(
    "versions",
    "Servers are of releases that are known to work",
    fix="Upgrade the server that is named; docs/dependencies.md says which releases are tested.",
)
def versions(examined: Examined) -> Finding:
    """Are Python, Postgres, RabbitMQ and HAProxy at least of the oldest releases that the tests run on?"""
    with examined.database() as db:
        postgres = str(db.scalar(text("SHOW server_version")))
    found = {
        "Python": ", ".join(sorted({each.python for each in examined.processes()})),
        "Postgres": postgres.split(" ", 1)[0],
        "RabbitMQ": str(examined.broker(lambda broker: broker.overview())["rabbitmq_version"]),
        "HAProxy": _haproxy(examined),
    }
    faults = [
        f"{name} {version} is older than {'.'.join(map(str, OLDEST[name]))}"
        for name, versions_found in found.items()
        for version in versions_found.split(", ")
        if _numbers(version) < OLDEST[name]
    ]
    return judged(faults, ", ".join(f"{name} {version}" for name, version in found.items()))


def _haproxy(examined: Examined) -> str:
    version = _HAPROXY.search(examined.haproxy())
    if version is None:
        raise NotExamined("HAProxy does not tell its version")
    return version[1].partition("-")[0]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


@box(
    "inner-ports",
    "Only the gateway's port is open to other machines",
    fix="Something of the platform listens on every address: HOST must be 127.0.0.1 for the services on this machine.",
    targets={Target.LOCAL},
)
def inner_ports(examined: Examined) -> Finding:
    """Do all the platform's servers and services listen on the loopback interface alone?"""
    if examined.operations is None:
        raise NotExamined("the plan is not known here")
    ports = {port: name for name, held in examined.operations.ports().items() for port in held if name != "gateway"}
    found = [(port, address) for port, address in listening() if port in ports]
    faults = [f"{ports[port]} listens on {address}:{port}" for port, address in found if not address.startswith("127.")]
    seen = {port for port, _ in found}
    if not seen:
        raise NotExamined("none of the platform's ports was found among those that listen here")
    return judged(faults, f"{len(seen)} inner ports, all on the loopback interface")
