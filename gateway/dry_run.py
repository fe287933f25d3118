"""A candidate policy on trial: kept with the state, compiled beside the policy in force; what it would change is counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.parser import text_string_to_metric_families
from pydantic import AwareDatetime, BaseModel, ConfigDict

from gateway import rules
from gateway.folder import Folder
from gateway.manifest import Manifest
from gateway.telling import METRICS, ControlAway, ask
from libs.common import clock
from libs.common.telemetry import logger

CANDIDATE_FILE = "candidate.json"
METRIC = "lumiere_gateway_candidate_changes_total"

log = logger(__name__)


class Trial(BaseModel):
    """A candidate, since when, and what had been counted before it."""

    model_config = ConfigDict(frozen=True)

    source: str
    started_at: AwareDatetime
    before: list[tuple[tuple[str, str, str, str], float]]
    manifests: tuple[Manifest, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """How many requests of one kind a candidate would turn round. `access` is who may today."""

    operation: str
    access: str
    change: str
    candidate: str
    requests: int


class DryRun:
    """The trial of one gateway, if there is one. Works on its folder alone; the control process sees the file and compiles."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def trial(self) -> Trial | None:
        """What is tried now. A file that cannot be read is none: a trial never stands in the way of the policy in force."""
        content = self._folder.read_state(CANDIDATE_FILE)
        if not content:
            return None
        try:
            return Trial.model_validate_json(content)
        except ValueError as error:
            log.warning("gateway.candidate.unreadable", error_class=type(error).__name__)
            return None

    def start(self, manifests: Sequence[Manifest], source: str, now: datetime | None = None) -> Trial:
        """Try these manifests from now on. Raises ManifestError."""
        rules.refuse(manifests)
        try:
            before = sorted(self.counted().items())
        except ControlAway:
            before = []
        trial = Trial(source=source, started_at=now or clock.now(), before=before, manifests=tuple(manifests))
        self._folder.write_state(CANDIDATE_FILE, trial.model_dump_json().encode())
        return trial

    def stop(self) -> bool:
        """End the trial; whether there was one."""
        tried = self.trial() is not None
        self._folder.write_state(CANDIDATE_FILE, b"")
        return tried

    def compiled(self) -> bool:
        """Whether the release in force judges by a candidate."""
        return (self._folder.current / "maps" / "candidate_routes.map").exists()

    def report(self, trial: Trial) -> list[Finding]:
        """What the trial found so far, the most frequent first. Raises ControlAway."""
        before = dict(trial.before)
        now = self.counted()
        # A control process that was started again counts from nothing.
        restarted = any(now.get(labels, 0) < count for labels, count in before.items())
        found = {labels: count - (0 if restarted else before.get(labels, 0)) for labels, count in now.items()}
        findings = [Finding(*labels, requests=round(count)) for labels, count in found.items() if count > 0]
        return sorted(findings, key=lambda each: (-each.requests, each.operation, each.change))

    def counted(self) -> Mapping[tuple[str, str, str, str], float]:
        """The counts of the control process, by operation, access, change and the candidate's decision. Raises ControlAway."""
        text = ask(self._folder, METRICS).decode()
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        names = ("operation", "access", "change", "candidate")
        return {
            (labels[0], labels[1], labels[2], labels[3]): sample.value
            for sample in samples
            if sample.name == METRIC
            for labels in [[sample.labels[name] for name in names]]
        }
