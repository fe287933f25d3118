"""A stream process inside the test, and listeners on its streams."""

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from libs.common.auth import Subject
from libs.common.http.health import Health
from libs.common.testing import Harness
from services.notify.adapters.hub import Hub
from services.notify.domain import StreamHub

PATH = "/api/v1/notifications/stream"
DEADLINE_SECONDS = 10


@dataclass
class Heard:
    """What one stream said: its events in order, and how many heartbeats."""

    events: list[tuple[str, str | None, Any]] = field(default_factory=list)
    heartbeats: int = 0
    ended: bool = False

    def data(self, kind: str) -> list[Any]:
        """The data of every event of this kind."""
        return [data for name, _, data in self.events if name == kind]

    @property
    def last_event_id(self) -> str | None:
        """The id to come back with."""
        return next((event_id for _, event_id, _ in reversed(self.events) if event_id), None)


class Listening:
    """One listener, reading in a thread of its own."""

    def __init__(self, chunks: Iterable[bytes], close: Callable[[], None]) -> None:
        self.heard = Heard()
        self._close = close
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(chunks,), daemon=True)
        self._thread.start()

    def until(self, condition: Callable[[Heard], bool]) -> Heard:
        """Wait for a condition on what was heard; fails after a deadline."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.heard), DEADLINE_SECONDS), self.heard
        return self.heard

    def notified(self, count: int) -> list[Any]:
        """The notices heard, once there are so many."""
        return self.until(lambda heard: len(heard.data("notification")) >= count).data("notification")

    def close(self) -> None:
        """Go away, as a client that disconnects."""
        self._close()

    def _read(self, chunks: Iterable[bytes]) -> None:
        buffer = b""
        for chunk in chunks:
            buffer += chunk
            *blocks, buffer = buffer.split(b"\n\n")
            with self._changed:
                for block in blocks:
                    self._take(block.decode())
                self._changed.notify_all()
        with self._changed:
            self.heard.ended = True
            self._changed.notify_all()

    def _take(self, block: str) -> None:
        if block == ":":
            self.heard.heartbeats += 1
            return
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        self.heard.events.append((fields["event"], fields.get("id"), json.loads(fields["data"])))


class StreamProcess:
    """The stream process of notify as the service assembles it, with its own hub and connections."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self.assembled = harness.service.assemble(harness.settings, "stream", harness.keys)
        self.hub = cast(Hub, self.assembled.resources[StreamHub])
        self.health = Health({})
        self._application = self.assembled.application(self.health)

    def client(self) -> FlaskClient:
        """An anonymous client of this process."""
        return cast(FlaskClient, self._application.test_client())

    def get(
        self,
        subject: Subject,
        last_event_id: str | None = None,
        query_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        **claims: Any,
    ) -> TestResponse:
        """Ask for a stream; `claims` of the token may be others than usual."""
        headers = {"Authorization": f"Bearer {self._harness.token(subject, **claims)}", **(headers or {})}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        return self.client().get(PATH, headers=headers, query_string={"last_event_id": query_id} if query_id else {})

    def listen(
        self, subject: Subject, last_event_id: str | None = None, query_id: str | None = None, **claims: Any
    ) -> Listening:
        """Open a stream and listen; returns once it is connected."""
        response = self.get(subject, last_event_id, query_id, **claims)
        assert response.status_code == 200, response.text
        listening = Listening(response.iter_encoded(), response.close)
        listening.until(lambda heard: bool(heard.data("connected")))
        return listening

    def stop(self) -> None:
        """End every stream, then the process's connections."""
        self.hub.stop()
        self.assembled.database.dispose()
