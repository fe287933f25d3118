"""Containers and images, as the engine that runs them tells it."""

import re
from collections.abc import Callable
from typing import Any, Final

from ops.doctor.box import Finding, Target, box, judged
from ops.doctor.engine import Inspected
from ops.doctor.examined import Examined

OUTSIDE: Final = {Target.ENGINE}
NAMED_MAX: Final = 5
ROOT_NAMES: Final = frozenset({"", "0", "root"})
DOOR: Final = "gateway"
TELLING: Final = re.compile(
    r"(SECRET|SECRET_PREVIOUS|SECRET_ID|PASSWORD|TOKEN|(PRIVATE|SIGNING|API|SECRET|ACCESS|ROUTING|RELEASE)_KEY|DSN|WEBHOOK|"
    r"OIDC_PROVIDERS|(DATABASE|ADMIN|AMQP|MANAGEMENT|REDIS|SMTP)_URL)$"
)
"""Variables whose values no image and no environment of a container may hold; `…_FILE` names a file instead."""
PASSWORD_IN_ADDRESS: Final = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
"""Under whatever name."""
GAINING_NOTHING: Final = frozenset({"no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"})
HOST: Final = "host"
IMAGE_SECONDS: Final = 60.0


@box(
    "containers-run",
    "Every container runs and is healthy",
    fix="`docker compose ps -a` and `docker compose logs SERVICE` say why it does not.",
    targets=OUTSIDE,
)
def running(examined: Examined) -> Finding:
    """Does every container run and call itself healthy, and did those that run once end well?"""
    faults, counted = [], 0
    engine = examined.around()
    for each in engine.containers:
        state, counted = each["State"], counted + 1
        health = state.get("Health", {}).get("Status", "healthy")
        if state["Running"] and health != "healthy":
            faults.append(f"{engine.service(each)} is {health}")
        elif not state["Running"] and not (
            state["ExitCode"] == 0 and each["HostConfig"]["RestartPolicy"]["Name"] == "on-failure"
        ):
            faults.append(f"{engine.service(each)} is {state['Status']} ({state['ExitCode']})")
    return judged(faults[:NAMED_MAX], f"{counted} containers, each healthy or done")


@box(
    "containers-user",
    "No container runs as root",
    fix="Run the image as it is built (USER 1001), without `user:` or `privileged:` in an overlay.",
    targets=OUTSIDE,
)
def users(examined: Examined) -> Finding:
    """Runs every container of our images as a user other than root, unprivileged, without a way to more rights?"""

    def fault(each: Inspected) -> str:
        user = str(each["Config"].get("User", "")).partition(":")[0]
        host = each["HostConfig"]
        if user in ROOT_NAMES:
            return "runs as root"
        if host.get("Privileged"):
            return "is privileged"
        return "" if GAINING_NOTHING & set(host.get("SecurityOpt") or ()) else "may gain rights"

    return _judged(examined, fault, "none as root, none may gain rights")


@box(
    "containers-read-only",
    "No container can change its own code",
    fix="Keep `read_only: true`; what is written stands in volumes and in tmpfs.",
    targets=OUTSIDE,
)
def read_only(examined: Examined) -> Finding:
    """Is the root file system of every container of our images read-only?"""
    return _judged(
        examined, lambda each: "" if each["HostConfig"].get("ReadonlyRootfs") else "can write its root", "all roots read-only"
    )


@box(
    "containers-capabilities",
    "No container holds a capability",
    fix="Keep `cap_drop: [ALL]` and add none; a port below 1024 is published, never bound inside.",
    targets=OUTSIDE,
)
def capabilities(examined: Examined) -> Finding:
    """Has every container of our images dropped all Linux capabilities and been given none?"""

    def fault(each: Inspected) -> str:
        host = each["HostConfig"]
        if "ALL" not in (host.get("CapDrop") or ()):
            return "keeps capabilities"
        return f"was given {', '.join(host['CapAdd'])}" if host.get("CapAdd") else ""

    return _judged(examined, fault, "all capabilities dropped")


@box(
    "containers-ports",
    "Only the gateway publishes a port",
    fix="Take `ports:` away: whoever needs a server uses `docker compose exec`, or an SSH tunnel.",
    targets=OUTSIDE,
)
def ports(examined: Examined) -> Finding:
    """Does no container but the gateway's publish a port, databases and brokers included?"""
    engine, faults, published = examined.around(), [], []
    for each in engine.running:
        service, host = engine.service(each), each["HostConfig"]
        bound = [port for port, held in (host.get("PortBindings") or {}).items() if held]
        if host.get("NetworkMode") == HOST or host.get("PublishAllPorts"):
            faults.append(f"{service} publishes whatever it listens on")
        published += bound if service == DOOR else []
        if bound and service != DOOR:
            faults.append(f"{service} publishes {', '.join(bound)}")
    return judged(
        faults[:NAMED_MAX], f"the gateway publishes {', '.join(sorted(set(published))) or 'nothing'}, and nobody else anything"
    )


@box(
    "containers-secrets",
    "No secret stands in an image or in a container's environment",
    fix="Give it as a file (`NAME_FILE`, compose `secrets:`); a value that was in an image or environment must be rotated.",
    targets=OUTSIDE,
    seconds=IMAGE_SECONDS,
)
def secrets(examined: Examined) -> Finding:
    """Holds no image and no container's environment a variable that is a secret by its name?"""
    engine = examined.around()
    faults = [
        f"{engine.service(each)} has {name} in its environment"
        for each in engine.containers
        for name in _secret_names(each["Config"])
    ]
    images = engine.images(engine.built_services())
    for image, about in images.items():
        faults += [f"{(about.get('RepoTags') or [image])[0]} holds {name}" for name in _secret_names(about["Config"])]
    return judged(sorted(set(faults))[:NAMED_MAX], f"{len(engine.containers)} containers and {len(images)} images hold none")


def _secret_names(configuration: dict[str, Any]) -> list[str]:
    pairs = [each.partition("=") for each in configuration.get("Env") or ()]
    return [name for name, _, value in pairs if value and (TELLING.search(name) or PASSWORD_IN_ADDRESS.search(value))]


def _judged(examined: Examined, fault: Callable[[Inspected], str], evidence: str) -> Finding:
    """Of the containers of our own images; those of databases and brokers are made by others and start as they must."""
    engine = examined.around()
    ours = [each for each in engine.running if engine.service(each) in engine.built_services()]
    found = {engine.service(each): words for each in ours if (words := fault(each))}
    faults = [f"{service} {words}" for service, words in sorted(found.items())]
    return judged(faults[:NAMED_MAX], f"{len(ours)} containers of our images: {evidence}")
