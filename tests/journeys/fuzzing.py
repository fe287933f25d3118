"""Requests drawn by schemathesis from the platform's own OpenAPI document, and what was wrong with the answers."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import schemathesis
from schemathesis import Case
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.schemas import BaseSchema

CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "ignored_auth",
)
LEFT_OUT: Final = ("notify.notification_stream", "auth.decide_maintenance")
"""One answers for as long as its caller listens, the other shuts the door before all others: each has tests of its own."""
REQUEST_SECONDS: Final = 30
TEXT_MAX: Final = 600


@dataclass
class Findings:
    """What a run asked and found: answers by status, and each fault once, with how to repeat it."""

    statuses: Counter[int] = field(default_factory=Counter)
    faults: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """How many were answered."""
        return self.statuses.total()

    def take(self, recorder: ScenarioRecorder) -> None:
        """Everything that one scenario recorded."""
        answers = [each.response for each in recorder.interactions.values() if each.response is not None]
        self.statuses.update(answer.status_code for answer in answers)
        for case_id, checks in recorder.checks.items():
            for failed in checks:
                if failed.failure_info is None:
                    continue
                answer = recorder.interactions[case_id].response
                text = "" if answer is None else f"{answer.status_code} {answer.content[:TEXT_MAX]!r}"
                told = f"{failed.failure_info.failure.message[:TEXT_MAX]}\n{failed.failure_info.code_sample[:TEXT_MAX]}\n{text}"
                self.faults.setdefault((recorder.label, failed.name), told)

    def report(self) -> str:
        """All faults, each with the request that shows it."""
        return "\n\n".join(f"{label}: {check}\n{told}" for (label, check), told in sorted(self.faults.items()))


def fuzz(document: dict[str, Any], token: Callable[[], str] | None, *, seed: int, examples: int) -> Findings:
    """Ask everything the document has, `examples` drawn cases an operation beside those at its edges; 0: at the edges alone.

    `token` makes a new one for each request, so that no limit of one subject and no sign-out ends the run early; None asks as
    nobody.
    """
    schema = schemathesis.openapi.from_dict(document, config=_configuration(document, seed, examples))
    chosen = schema.exclude(operation_id=list(LEFT_OUT))
    if token is not None:
        _sign(chosen, token)
    findings = Findings()
    for event in from_schema(chosen).execute():
        if isinstance(event, events.ScenarioFinished):
            findings.take(event.recorder)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            told = event.info if isinstance(event, events.NonFatalError) else event.exception
            findings.faults.setdefault((getattr(event, "label", "the run"), "run"), str(told))
    return findings


def _configuration(document: dict[str, Any], seed: int, examples: int) -> SchemathesisConfig:
    return SchemathesisConfig.from_dict(
        {
            "base-url": document["servers"][0]["url"],
            "seed": seed,
            "request-timeout": REQUEST_SECONDS,
            "continue-on-failure": True,
            "auth": {"auto-signup": False},
            "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
            "generation": {
                "max-examples": max(examples, 1),
                "no-shrink": True,
                "database": "none",
                "with-security-parameters": False,
            },
            "phases": {"fuzzing": {"enabled": examples > 0}, "stateful": {"enabled": False}},
        }
    )


def _sign(schema: BaseSchema, token: Callable[[], str]) -> None:
    class Signed:
        def get(self, _case: Case[Any], _context: object) -> str:
            return token()

        def set(self, case: Case[Any], data: str, _context: object) -> None:
            case.headers["Authorization"] = f"Bearer {data}"

    schema.auth(refresh_interval=None)(Signed)
