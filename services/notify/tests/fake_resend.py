"""A fake Resend: takes e-mails by their idempotency key as the real one does, or refuses as it is told."""

import threading
from dataclasses import dataclass, field
from typing import Any, Final

from libs.common.testing.providers import Answered, FakeProvider

KEY: Final = "re_fake_key_of_the_tests"  # pragma: allowlist secret


@dataclass(frozen=True)
class Refusal:
    """An answer other than success, with Resend's name of the error."""

    status: int
    name: str = ""


@dataclass
class FakeResend(FakeProvider):
    """What it took, and how it answers next."""

    taken: dict[str, dict[str, Any]] = field(default_factory=dict)
    """E-mails by idempotency key: each left once."""
    asked: list[str] = field(default_factory=list)
    """The key of every request."""
    refusals: list[Refusal] = field(default_factory=list)
    silent: threading.Event = field(default_factory=threading.Event)
    """Set: takes an e-mail, and is gone before it answers."""

    def respond(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Answered | None:
        """One e-mail."""
        refusal, document = self.answer(path, headers, body)
        if self.silent.is_set():
            return None
        if refusal is None:
            return Answered(document)
        elsewhere = {"Location": f"{self.endpoint}/elsewhere"} if refusal.status in range(300, 400) else {}
        return Answered(document, refusal.status, elsewhere)

    def answer(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> tuple[Refusal | None, dict[str, Any]]:
        """As documented at https://resend.com/docs/api-reference/errors."""
        key = headers.get("Idempotency-Key", "")
        self.asked.append(key)
        if path != "/emails" or not headers.get("User-Agent") or headers.get("Authorization") != f"Bearer {KEY}":
            return Refusal(403), {"name": "invalid_api_key"}
        if self.refusals:
            refusal = self.refusals.pop(0)
            return refusal, {"name": refusal.name, "statusCode": refusal.status, "message": "as the test wants"}
        if self.taken.get(key, body) != body:
            return Refusal(409), {"name": "invalid_idempotent_request"}
        self.taken[key] = body
        return None, {"id": key}
