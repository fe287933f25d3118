"""A client of the service as the tests need it: honest by default, lying where told."""

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from werkzeug.test import TestResponse

from libs.common.auth.policy import Role, Subject
from libs.common.testing import Harness
from services.media.tests.samples import PNG


def path_of(url: str) -> str:
    """Path and query: what the gateway would hand on."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def body_of(answer: TestResponse) -> dict[str, Any]:
    """The JSON object of an answer."""
    body = answer.get_json()
    assert isinstance(body, dict), answer.text
    return body


@dataclass
class Uploader:
    """One person with a token."""

    harness: Harness
    folder: Path
    subject: Subject = field(init=False)

    def __post_init__(self) -> None:
        self.subject = self.harness.subject(Role.CONTRIBUTOR)
        self.http = self.harness.client(self.subject)

    def announce(self, data: bytes = PNG, **changes: Any) -> TestResponse:
        """`POST /uploads` for these bytes; `changes` replace members, None leaves them out."""
        body: dict[str, Any] = {
            "category": "IMAGE",
            "filename": "storyboard.png",
            "content_type": "image/png",
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            **changes,
        }
        return self.http.post("/api/v1/uploads", json={name: value for name, value in body.items() if value is not None})

    def opened(self, data: bytes = PNG, **changes: Any) -> dict[str, Any]:
        """An announced upload."""
        answer = self.announce(data, **changes)
        assert answer.status_code == 201, answer.text
        opened: dict[str, Any] = body_of(answer)
        return opened

    def send(self, opened: dict[str, Any], data: bytes = PNG, **changes: Any) -> TestResponse:
        """`PUT` to the signed address, without a token of one's own."""
        options: dict[str, Any] = {"data": data, "headers": opened["headers"], **changes}
        return self.harness.client().put(path_of(options.pop("url", opened["url"])), **options)

    def complete(self, opened: dict[str, Any]) -> TestResponse:
        """`POST /uploads/{media_id}/complete`."""
        return self.http.post(f"/api/v1/uploads/{opened['media_id']}/complete")

    def uploaded(self, data: bytes = PNG, **changes: Any) -> dict[str, Any]:
        """A file that went all the way."""
        opened = self.opened(data, **changes)
        assert self.send(opened, data).status_code == 200
        answer = self.complete(opened)
        assert body_of(answer)["status"] == "READY", answer.text
        return {**opened, **body_of(answer)}

    def files(self) -> list[Path]:
        """Everything in storage, whole or partial."""
        return [path for path in self.folder.rglob("*") if path.is_file()]


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Run the act in several threads that start together."""
    gate = threading.Barrier(count)

    def run(number: int) -> Any:
        gate.wait(10)
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))
