"""A gateway that has itself compiled by another process, which ends: compiling takes as much memory as all the rest together.

The child is handed a document: the replicas, as they are known here (a name server that fails takes none away), and auth's key
set when that is another one. It answers with one document on standard output; what it logs stands in the same log.
"""

import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from gateway import limits
from gateway.children import PYTHON, child
from gateway.current import CompilationRefused, KeptCurrent, KeySetRefused
from gateway.discovery import TargetSource
from gateway.door import Door, Targets
from gateway.folder import Folder
from gateway.manifest import manifest_paths

COMMAND = "put-in-force"
Outcome = Literal["in_force", "unchanged", "refused", "key_set_refused"]


class Wanted(BaseModel):
    """What the child is handed."""

    targets: dict[str, dict[str, list[str]]]
    key_set: dict[str, Any] | None = None


class Answer(BaseModel):
    """What came of it."""

    outcome: Outcome
    reason: str = ""
    expiries: dict[str, float] = {}


class DelegatingGateway(KeptCurrent):
    """A gateway that never compiles in this process. What is to be refused at once waits for no child."""

    def __init__(
        self,
        door: Door,
        folder: Folder,
        targets: TargetSource,
        manifests: Callable[[], Iterable[Path]] = manifest_paths,
        *,
        command: Sequence[str] = (*PYTHON, COMMAND),
        seconds: float = limits.COMPILE_SECONDS,
    ) -> None:
        super().__init__(door, folder, targets, manifests)
        self._command = command
        self._seconds = seconds

    def _put_in_force(self, key_set: Mapping[str, Any] | None) -> bool:
        answer = self._answer(wanted(self._targets.read(), key_set))
        self.expiries = answer.expiries
        return answer.outcome == "in_force"

    def _answer(self, document: Wanted) -> Answer:
        with TemporaryFile(dir=self.folder.run) as handed:
            handed.write(document.model_dump_json().encode())
            handed.seek(0)
            with child(self._command, handed.fileno(), stdout=subprocess.PIPE) as started:
                try:
                    said, _ = started.process.communicate(timeout=self._seconds)
                except subprocess.TimeoutExpired:
                    raise CompilationRefused(f"it was not done within {self._seconds:g} s, and was ended") from None
        return _understood(said, started.process.returncode)


def wanted(targets: Targets, key_set: Mapping[str, Any] | None) -> Wanted:
    """The document of these inputs."""
    listed = {service: {process: [*found] for process, found in kinds.items()} for service, kinds in targets.items()}
    return Wanted(targets=listed, key_set=None if key_set is None else dict(key_set))


def _understood(said: bytes, code: int) -> Answer:
    try:
        answer = Answer.model_validate_json(said)
    except ValidationError:
        raise CompilationRefused(f"the process that compiles ended with {code}; the log says why") from None
    if answer.outcome == "key_set_refused":
        raise KeySetRefused(answer.reason)
    if answer.outcome == "refused":
        raise CompilationRefused(answer.reason)
    return answer
