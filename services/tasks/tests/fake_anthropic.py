"""A fake Anthropic: answers a request for a score as it is told."""

from dataclasses import dataclass, field
from typing import Any, Final

from libs.common.testing.providers import Answered, FakeProvider

KEY: Final = "fake-anthropic-key-of-the-tests"  # pragma: allowlist secret


def scored(score: Any, tool: str = "advise") -> dict[str, Any]:
    """An answer that uses the tool."""
    return {"type": "message", "role": "assistant", "content": [{"type": "tool_use", "name": tool, "input": {"score": score}}]}


@dataclass
class FakeAnthropic(FakeProvider):
    """What it was asked, and what it answers next."""

    document: Any = field(default_factory=lambda: scored(90))
    status: int = 200
    asked: list[dict[str, Any]] = field(default_factory=list)

    def respond(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Answered | None:
        """One request for a score."""
        self.asked.append(body)
        sent = {name.lower(): value for name, value in headers.items()}
        known = path == "/v1/messages" and sent.get("x-api-key") == KEY and sent.get("anthropic-version")
        return Answered(self.document, self.status) if known else Answered({"type": "error"}, 401)
