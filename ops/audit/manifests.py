"""What orchestrators are given is what they take: Kustomize builds it, each object has its shape, Swarm reads it."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from libs.common.config import process_environment
from ops.audit.outcome import Outcome, failed, not_checked, passed
from ops.locked import last_line

KUBERNETES: Final = "deploy/kubernetes"
OVERLAYS: Final = ("production-migrations", "production")
VERSIONS: Final = ("1.29", "1.34")
"""The oldest and the newest Kubernetes whose schemas everything must fit."""
WITHOUT_SCHEMA: Final = frozenset({"ScaledObject", "TriggerAuthentication"})
"""KEDA's, of which Kubernetes knows nothing."""
PLACEHOLDER: Final = "placeholder\n"


def manifests(root: Path, programs: Path) -> Outcome:
    """Both overlays built and judged. Not checked where kubectl is not installed."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        return not_checked("manifests", "kubectl is not installed: it builds what Kustomize describes")
    lines, objects = list[str](), 0
    with with_placeholders(root) as folder:
        for overlay in OVERLAYS:
            built = _run([kubectl, "kustomize", str(folder / "overlays" / overlay)])
            if built.returncode:
                lines.append(f"{overlay}: {last_line(built.stderr)}")
                continue
            objects += built.stdout.count("\nkind: ")
            document = folder / f"{overlay}.yaml"
            document.write_text(built.stdout, encoding="utf-8")
            lines += [fault for version in VERSIONS for fault in _shape_faults(programs, document, version)]
    lines += _swarm_faults(root)
    return (
        failed("manifests", lines)
        if lines
        else passed("manifests", f"{objects} objects fit Kubernetes {' and '.join(VERSIONS)}")
    )


@contextmanager
def with_placeholders(root: Path) -> Iterator[Path]:
    """A copy of the Kubernetes files in which every secret is there."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "kubernetes"
        shutil.copytree(root / KUBERNETES, folder, ignore=shutil.ignore_patterns("files"))
        for line in (folder / "secrets" / "kustomization.yaml").read_text(encoding="utf-8").splitlines():
            name = line.strip().removeprefix("- ")
            if name.startswith("files/"):
                (folder / "secrets" / name).parent.mkdir(exist_ok=True)
                (folder / "secrets" / name).write_text(PLACEHOLDER, encoding="utf-8")
        yield folder


def _shape_faults(programs: Path, document: Path, version: str) -> list[str]:
    done = _run([str(programs / "kubernetes-validate"), "--strict", "-k", version, str(document)])
    said = (done.stdout + done.stderr).splitlines()
    if not any(line.startswith("INFO") for line in said):
        return [f"kubernetes-validate said nothing of {document.name}: {last_line(done.stderr)}"]
    unknown = [line for line in said if line.startswith("WARN") and not any(kind in line for kind in WITHOUT_SCHEMA)]
    return [line for line in said if line.startswith("ERROR")] + unknown


def _swarm_faults(root: Path) -> list[str]:
    """What `docker stack` says of the Swarm file; nothing where there is no such command, which needs no engine."""
    docker = shutil.which("docker")
    if docker is None:
        return []
    done = _run([docker, "stack", "config", "--compose-file", str(root / "deploy" / "swarm.yml")])
    return [f"swarm.yml: {last_line(done.stderr)}"] if done.returncode else []


def _run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    environ = process_environment()
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, cwd="/")
