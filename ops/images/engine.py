"""What is asked of a container engine to build images and to look at them; `docker` speaks to it."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ops.containers import docker
from ops.images.contents import GATEWAY, OPERATOR

REPOSITORY: Final = "lumiere"
TARGETS: Final = {GATEWAY: "gateway", OPERATOR: "operator"}
"""Targets of deploy/Dockerfile that are not the services'."""
UNKNOWN: Final = "unknown"


@dataclass(frozen=True)
class Stamp:
    """What an image's labels say of where it comes from."""

    version: str
    revision: str
    moment: datetime

    @property
    def created(self) -> str:
        """The moment as RFC 3339, in UTC."""
        return self.moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Built:
    """An image as the engine knows it. `identity` is the digest of its configuration, and so of its layers and settings."""

    name: str
    tag: str
    identity: str
    layers: tuple[str, ...]
    size: int
    labels: Mapping[str, str]

    @property
    def reference(self) -> str:
        """What `docker run` takes."""
        return reference(self.name, self.tag)


def reference(name: str, tag: str) -> str:
    """The name of an image with its tag."""
    return f"{REPOSITORY}/{name}:{tag}"


def build(name: str, tag: str, stamp: Stamp, source: Path, *, fresh: bool = False) -> Built:
    """Build one image from a checkout; `fresh` uses nothing that was built before. Raises OperationError."""
    arguments = {
        "SERVICE": name,
        "VERSION": stamp.version,
        "REVISION": stamp.revision,
        "CREATED": stamp.created,
        # The builder dates the image itself by this.
        "SOURCE_DATE_EPOCH": str(int(stamp.moment.timestamp())),
    }
    given = [word for each in arguments.items() for word in ("--build-arg", "=".join(each))]
    command = ["build", "--quiet", "--file", str(source / "deploy" / "Dockerfile"), "--target", TARGETS.get(name, "service")]
    docker(*command, *(["--no-cache"] if fresh else []), *given, "--tag", reference(name, tag), str(source))
    return inspect(name, tag)


def inspect(name: str, tag: str) -> Built:
    """Look at one image. Raises OperationError when the engine has it not."""
    found: dict[str, Any] = json.loads(docker("image", "inspect", reference(name, tag)))[0]
    labels = found["Config"].get("Labels") or {}
    return Built(name, tag, found["Id"], tuple(found["RootFS"]["Layers"]), found["Size"], labels)


def inside(built: Built, *command: str) -> str:
    """What a program inside the image writes, run as the image's user without network, rights or a place to write."""
    shut = ("--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    return docker("run", *shut, "--entrypoint", command[0], built.reference, *command[1:])


def stamp_of(source: Path, version: str) -> Stamp:
    """Version, commit and its moment; a changed checkout says so. Without git the revision is unknown."""
    asked = _git(source, "show", "--no-patch", "--format=%H %ct", "HEAD").split()
    if len(asked) != 2:
        return Stamp(version, UNKNOWN, datetime(2026, 1, 1, tzinfo=UTC))
    changed = "-changed" if _git(source, "status", "--porcelain") else ""
    return Stamp(version, asked[0] + changed, datetime.fromtimestamp(int(asked[1]), UTC))


def _git(source: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(source), *words], capture_output=True, text=True, check=False)  # noqa: S607
    return done.stdout.strip() if done.returncode == 0 else ""
