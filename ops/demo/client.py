"""A client of the gateway, as a browser or an app would be one."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

import httpx

from ops.demo.report import StepFailed

API = "/api/v1"
TIMEOUT_SECONDS = 20.0
WAIT_SECONDS = 20.0
POLL_SECONDS = 0.01

T = TypeVar("T")


class Client:
    """Somebody at the gateway, signed in or not."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.http = httpx.Client(base_url=origin, timeout=TIMEOUT_SECONDS, trust_env=False)
        self.tokens: dict[str, Any] = {}

    def call(self, method: str, path: str, *, status: int = 200, **options: Any) -> httpx.Response:
        """One request; raises StepFailed with the problem's own words when the answer has another status."""
        headers = {**self.authorization, **options.pop("headers", {})}
        try:
            answer = self.http.request(method, path if path.startswith("http") else API + path, headers=headers, **options)
        except httpx.HTTPError as error:
            raise StepFailed(f"{method} {path}: {type(error).__name__} {error}") from error
        if answer.status_code != status:
            raise StepFailed(f"{method} {path} answered {answer.status_code}, not {status}: {_words(answer)}")
        return answer

    @property
    def authorization(self) -> dict[str, str]:
        """The header that carries the access token."""
        return {"Authorization": f"Bearer {self.tokens['access_token']}"} if self.tokens else {}

    def get(self, path: str, **options: Any) -> Any:
        """Read a JSON resource."""
        return self.call("GET", path, **options).json()

    def post(self, path: str, body: Any = None, *, status: int = 200, **options: Any) -> Any:
        """Call a verb with a JSON body; None when there is no content."""
        if body is not None:
            options["json"] = body
        answer = self.call("POST", path, status=status, **options)
        return answer.json() if answer.content else None

    def sign_in(self, email: str, password: str) -> None:
        """Take a session."""
        self.tokens = {}
        self.tokens = self.post("/auth/login", {"email": email, "password": password})

    def upload(self, file: Path, category: str, content_type: str, sha256: str) -> dict[str, Any]:
        """Announce a file, send its bytes to the one-time address, and have it checked."""
        content = file.read_bytes()
        announced: dict[str, Any] = {"category": category, "filename": file.name, "content_type": content_type}
        announced |= {"size": len(content), "sha256": sha256}
        opened = self.post("/uploads", announced, status=201)
        sent = httpx.request(
            opened["method"],
            self._absolute(opened["url"]),
            headers=opened["headers"],
            content=content,
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )
        if sent.status_code not in (200, 201, 204):
            raise StepFailed(f"{opened['method']} of the file answered {sent.status_code}: {_words(sent)}")
        return dict(self.post(f"/uploads/{opened['media_id']}/complete"))

    def _absolute(self, url: str) -> str:
        return str(httpx.URL(self.origin).join(url))


def _words(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
    except ValueError:
        return answer.text[:300]
    faults = "; ".join(f"{each.get('pointer')}: {each.get('detail')}" for each in problem.get("errors", [])[:5])
    return " ".join(part for part in (problem.get("title", ""), problem.get("detail", ""), faults) if part)


def wait_for(what: str, read: Callable[[], T | None], seconds: float = WAIT_SECONDS, every: float = POLL_SECONDS) -> T:
    """Ask again and again until there is an answer. Raises StepFailed that says what was waited for."""
    deadline = monotonic() + seconds
    while True:
        found = read()
        if found:
            return found
        if monotonic() > deadline:
            raise StepFailed(f"waited {seconds:.0f} s in vain for {what}")
        sleep(every)
