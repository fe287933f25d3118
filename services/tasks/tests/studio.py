"""Short ways to bring production into a state, through its real doors."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from libs.common.auth.policy import Role, Subject
from libs.common.ids import new_id
from libs.common.testing import Harness
from services.media.events import UploadCompleted
from services.tasks.models import task

FILM = {
    "title": "Le Voyage dans la Lune",
    "genre": "SCIENCE_FICTION",
    "budget": {"amount": 3_000_000, "currency": "EUR"},
    "is_public": True,
}
TASK = {
    "title": "Draw the shell in the Moon's eye",
    "description": "One frame, ink.",
    "type": "IMAGE_GEN",
    "difficulty": "EASY",
    "phase": "SCRIPT",
    "price": {"amount": 5_000, "currency": "EUR"},
}
NOTES = "The shell lands in the right eye, as in the print of 1902."


@dataclass
class Person:
    """Somebody with a client of their own."""

    harness: Harness
    subject: Subject

    @property
    def id(self) -> UUID:
        """Who they are."""
        return self.subject.id

    @cached_property
    def client(self) -> FlaskClient:
        """Signed in as them."""
        return self.harness.client(self.subject)

    def get(self, path: str, expected: int = 200) -> Any:
        """Read a resource."""
        return _checked(self.client.get(f"/api/v1{path}"), expected)

    def post(self, path: str, body: object = None, expected: int = 200, **options: Any) -> Any:
        """Call a verb."""
        return _checked(self.client.post(f"/api/v1{path}", **({} if body is None else {"json": body}), **options), expected)


def _checked(response: TestResponse, expected: int) -> Any:
    assert response.status_code == expected, response.get_data(as_text=True)
    return response.get_json(silent=True)


class Studio:
    """A studio with one administrator."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.admin = self.person(Role.ADMIN)

    def person(self, *roles: Role) -> Person:
        """Somebody new; a contributor unless said otherwise."""
        return Person(self.harness, self.harness.subject(*(roles or (Role.CONTRIBUTOR,))))

    def film(self, **changes: object) -> dict[str, Any]:
        """A film, planned."""
        return dict(self.admin.post("/admin/films", {**FILM, **changes}, 201))

    def plan(self, film: Mapping[str, Any], *tasks: Mapping[str, object]) -> list[dict[str, Any]]:
        """Tasks of a film, each the usual one with changes."""
        return list(self.admin.post(f"/admin/films/{film['id']}/tasks", [{**TASK, **each} for each in tasks], 201)["items"])

    def task(self, **changes: object) -> dict[str, Any]:
        """One task in a film of its own."""
        return self.plan(self.film(), changes)[0]

    def upload(self, owner: Person) -> str:
        """A file that media has confirmed."""
        media_id = new_id()
        digest = hashlib.sha256(media_id.bytes).hexdigest()
        self.harness.deliver(
            UploadCompleted(
                media_id=media_id,
                owner_id=owner.id,
                category="image",
                mime="image/png",
                size=2_048,
                sha256=digest,
                purpose="SUBMISSION",
            )
        )
        return str(media_id)

    def claim(self, person: Person, task: Mapping[str, Any]) -> str:
        """A lease token."""
        return str(person.post(f"/tasks/{task['id']}/claim")["lease_token"])

    def submit(self, person: Person, task: Mapping[str, Any], lease_token: str | None = None) -> dict[str, Any]:
        """Work handed in."""
        token = lease_token or self.claim(person, task)
        body = {"lease_token": token, "media_ids": [self.upload(person)], "notes": NOTES}
        return dict(person.post(f"/tasks/{task['id']}/submissions", body, 201))

    def submitted(self, person: Person, task: Mapping[str, Any]) -> dict[str, Any]:
        """Work that waits for a person's verdict."""
        submission = self.submit(person, task)
        self.harness.run_job("run_advisory_reviews")
        return submission

    def review(self, submission: Mapping[str, Any], verdict: str = "APPROVE", expected: int = 200) -> Any:
        """A verdict by the administrator."""
        body = {"verdict": verdict, "feedback": "Seen."}
        return self.admin.post(f"/admin/submissions/{submission['id']}/review", body, expected)

    def validate(self, person: Person, task: Mapping[str, Any]) -> None:
        """The whole way of one task."""
        self.review(self.submitted(person, task))

    def facts(self) -> list[str]:
        """The types of what was published, in order, without audit records."""
        return [each.type.removeprefix("tasks.") for each in self.harness.published() if each.type != "tasks.audit.recorded"]


def pass_deadline(harness: Harness, task_id: str) -> datetime:
    """Let the deadline of a claim be just past, and return it."""
    with harness.transaction() as tx:
        deadline = tx.now - timedelta(seconds=1)
        tx.execute(update(task).where(task.c.id == UUID(task_id)).values(deadline=deadline))
    return deadline
