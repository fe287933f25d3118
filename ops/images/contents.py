"""What belongs into each image of ours. Standard library only: images are gathered before anything is installed.

A service's image holds its own folder, the part of the kernel that it can reach and the published events that it listens to;
the gateway's the policy manifests and no service; the operator's the `lumiere` command, with what services declare: their
queues, tables and revisions are what the doctor compares the platform with.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from ops.images.reach import OURS, Reach, reach

ROOT: Final = Path(__file__).resolve().parents[2]
GATEWAY: Final = "gateway"
OPERATOR: Final = "operator"
OPERATOR_ENTRIES: Final = ("ops.cli", "ops.compose", "libs.common.db.provisioning")
BOXES: Final = Path("ops") / "doctor" / "boxes"
"""Found by their folder, and not by an import."""
DOCUMENTS: Final = ("policy.json", "openapi.json", "asyncapi.json")
"""What services commit of themselves for those who may not hold their code."""
OF_SERVICES: Final = ("libs.common.probe",)
"""What a health check runs beside a service."""
OF_PROCESS: Final = {"stream": ("libs.common.service.hub",)}
"""Modules of the kernel that a kind of process loads by name, which no import shows."""
LEFT_OUT: Final = frozenset({"tests", "__pycache__"})


@dataclass(frozen=True)
class Image:
    """One image. `folder` is the part of the repository that is wholly its own."""

    name: str
    folder: Path | None
    entries: tuple[str, ...]
    root: Path = ROOT

    @property
    def service(self) -> bool:
        """Whether it is one of the services, which all stand on the whole kernel."""
        return self.folder is not None and self.name != GATEWAY

    @property
    def lock(self) -> Path:
        """Where its dependencies are pinned."""
        return self.root / "requirements" / "images" / f"{self.name}.lock"

    @cached_property
    def reach(self) -> Reach:
        """What it can import."""
        return reach(self.root, self.entries)

    @property
    def _with_data(self) -> tuple[str, ...]:
        """What of the repository is read beside the code; the operator's image imports services, which read theirs."""
        return ("libs", "ops", "services") if self.name == OPERATOR else ("libs", "ops")

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """Every file of ours that it holds, relative to the root of the repository."""
        chosen = set(self.reach.files) | set(_below(self.folder) if self.folder else ())
        for package in {path.parent for path in self.reach.files}:
            if package.relative_to(self.root).parts[0] in self._with_data:
                chosen |= set(_data(package))
        if self.name == OPERATOR:
            chosen |= {path for each in (self.root / "services").glob("*/migrations") for path in _below(each)}
        if self.name in (GATEWAY, OPERATOR):
            chosen |= {path for name in DOCUMENTS for path in (self.root / "services").glob(f"*/{name}")}
        return tuple(sorted(path.relative_to(self.root) for path in chosen))


def images(root: Path = ROOT) -> dict[str, Image]:
    """Every image by name: the services', the gateway's, the operator's."""
    services = sorted(path.parent.name for path in (root / "services").glob("*/app.py"))
    found = [_of_service(root, name) for name in services]
    if (root / GATEWAY).is_dir():
        found.append(Image(GATEWAY, root / GATEWAY, tuple(_modules(root, root / GATEWAY)), root))
    if (root / "ops").is_dir():
        declared = tuple(f"services.{name}.app" for name in services)
        boxes = tuple(_modules(root, root / BOXES))
        found.append(Image(OPERATOR, None, (*OPERATOR_ENTRIES, *boxes, *declared), root))
    return {each.name: each for each in found}


def _of_service(root: Path, name: str) -> Image:
    folder = root / "services" / name
    processes = json.loads((folder / "policy.json").read_bytes())["processes"]
    loaded = [module for each in processes for module in OF_PROCESS.get(each, ())]
    beside = [name for name in OF_SERVICES if (root / f"{name.replace('.', '/')}.py").exists()]
    return Image(name, folder, (*_modules(root, folder), *beside, *loaded), root)


def _modules(root: Path, folder: Path) -> list[str]:
    """Every module of a folder but its tests and the revisions of its schema, whose names no import can say."""
    files = [path for path in _below(folder) if path.suffix == ".py" and path.stem.isidentifier()]
    names = [".".join(path.relative_to(root).with_suffix("").parts) for path in files]
    return sorted(name.removesuffix(".__init__") for name in names)


def _below(folder: Path) -> list[Path]:
    """All files of a folder of ours without tests and what Python leaves behind."""
    inside = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in inside if LEFT_OUT.isdisjoint(path.relative_to(folder).parts)]


def _data(package: Path) -> list[Path]:
    """Files of a package that are no Python, in folders that are no packages themselves."""
    found: list[Path] = []
    for path in package.iterdir():
        if path.is_file() and path.suffix != ".py":
            found.append(path)
        elif path.is_dir() and path.name not in LEFT_OUT and not any(path.rglob("*.py")):
            found += _below(path)
    return found


def is_ours(name: str) -> bool:
    """Whether a module is written here."""
    return name.partition(".")[0] in OURS
