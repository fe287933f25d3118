"""Every file that an orchestrator is given, as `make manifests` writes it."""

from collections.abc import Iterator
from pathlib import Path

from ops.orchestration import kubernetes, swarm
from ops.orchestration.composed import read, written
from ops.settings import ROOT


def documents(root: Path = ROOT) -> Iterator[tuple[Path, bytes]]:
    """Path and content of each. Raises OperationError when compose.yml says what no orchestrator was taught."""
    platform = read(root / "deploy" / "compose.yml")
    yield root / "deploy" / "swarm.yml", written(swarm.HEADER, swarm.stack(platform))
    folder = root / "deploy" / "kubernetes"
    for name, found in kubernetes.files(platform).items():
        yield folder / name, written(kubernetes.HEADER, *found)
    for name, text in kubernetes.texts().items():
        yield folder / name, text.encode()
