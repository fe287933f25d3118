"""People at work on the platform, through the gateway as anybody would be; nothing here looks behind the doors."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

from libs.common.ids import new_id, random_token
from ops import demo
from ops.demo.client import API, Client, wait_for
from ops.demo.mailbox import mails_to, text_of, verification_token
from ops.demo.stream import EventStream
from ops.proof import Proved, VerifierKey, verify
from ops.testing import LivePlatform

EXAMPLES: Final = Path(demo.__file__).parent
SHEET: Final = EXAMPLES / "voyage.csv"
FILM: Final[dict[str, Any]] = {
    "title": "Le Voyage dans la Lune",
    "synopsis": "Six astronomers travel to the Moon in a shell.",
    "genre": "SCIENCE_FICTION",
    "budget": {"amount": 1_000_000, "currency": "EUR"},
    "is_public": True,
}
NOTES: Final = "Compared with the catalogue of 1902."
POLL_SECONDS: Final = 0.05
EFFECT_POLL_SECONDS: Final = 0.15
"""However long it waits for an effect, a person stays below 600 reads a minute."""
LIST_POLL_SECONDS: Final = 1.0
"""Slow enough for one person's share of requests."""
AClient = TypeVar("AClient", bound=Client)


@dataclass(frozen=True)
class Deliverable:
    """A real file to hand in."""

    path: Path
    category: str
    content_type: str


FRAME: Final = Deliverable(EXAMPLES / "frame.png", "IMAGE", "image/png")
TEXT: Final = Deliverable(EXAMPLES / "tableau.md", "DOCUMENT", "text/markdown")


class Person(Client):
    """Somebody with an account."""

    def __init__(self, origin: str, email: str, display_name: str) -> None:
        super().__init__(origin)
        self.email = email
        self.display_name = display_name
        self.password = random_token()

    @cached_property
    def id(self) -> str:
        """The account's id."""
        return str(self.get("/profile")["id"])

    def status(self, path: str = "/profile", base: str | None = None) -> int:
        """The status of a GET with this person's token, at the gateway or straight at a service."""
        return self.http.get(f"{base or self.origin}{API}{path}", headers=self.authorization).status_code


@dataclass(frozen=True)
class Film:
    """A planned film and the tasks of its sheet by reference."""

    id: str
    tasks: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Work:
    """A task that was claimed and handed in."""

    task: dict[str, Any]
    lease: dict[str, Any]
    media: dict[str, Any]
    submission: dict[str, Any]


class Studio:
    """Who works on one platform, and what they do over and over."""

    def __init__(self, platform: LivePlatform, before: "Studio | None" = None) -> None:
        """`before`: the studio of a platform that came back; its two administrators sign in, as an operator makes no more."""
        self.platform = platform
        self._clients: list[Client] = []
        self.anyone = self._known(Client(platform.origin))
        if before is None:
            self.administrators = (self._administrator("Georges Méliès"), self._administrator("Jehanne d'Alcy"))
        else:
            first, second = before.administrators
            self.administrators = (self._returning(first), self._returning(second))

    def close(self) -> None:
        """Let go of every connection."""
        for client in self._clients:
            client.http.close()

    def _known(self, client: AClient) -> AClient:
        self._clients.append(client)
        return client

    def _person(self, name: str, display_name: str) -> Person:
        return self._known(Person(self.platform.origin, f"{name}-{new_id()}@studio.example", display_name))

    def _administrator(self, display_name: str) -> Person:
        person = self._person("producer", display_name)
        self.platform.operations.create_admin(person.email, person.password)
        person.sign_in(person.email, person.password)
        return person

    def _returning(self, known: Person) -> Person:
        person = self._known(Person(self.platform.origin, known.email, known.display_name))
        person.password = known.password
        person.sign_in(person.email, person.password)
        return person

    @property
    def administrator(self) -> Person:
        """The one who plans and reviews."""
        return self.administrators[0]

    def register(
        self, display_name: str = "Bleuette Bernon", role: str = "ARTIST", headers: Mapping[str, str] | None = None
    ) -> Person:
        """Somebody whose address is not confirmed yet; `headers` go with every request of theirs."""
        person = self._person("artist", display_name)
        person.http.headers.update(headers or {})
        body = {"email": person.email, "password": person.password, "display_name": display_name, "role": role, "locale": "en"}
        person.post("/auth/register", body, status=202)
        return person

    def mailed_token(self, person: Person) -> str:
        """The token in the verification mail, as soon as it is there."""
        folder = self.platform.mail
        return wait_for("the verification mail", lambda: verification_token(folder, person.email), every=POLL_SECONDS)

    def newcomer(self, display_name: str = "Bleuette Bernon", role: str = "ARTIST") -> Person:
        """Somebody registered, confirmed and signed in."""
        person = self.register(display_name, role)
        person.post("/auth/verify-email", {"token": self.mailed_token(person)}, status=204)
        person.sign_in(person.email, person.password)
        return person

    def another_session(self, person: Person) -> Person:
        """The same person on another device."""
        device = self._known(Person(person.origin, person.email, person.display_name))
        device.password = person.password
        device.sign_in(person.email, person.password)
        return device

    def film(self, sheet: Path | None = None) -> Film:
        """A film with the tasks of a sheet, or with a single one that is left undone so that its first phase stays open."""
        film = Film(self.administrator.post("/admin/films", FILM, status=201)["id"], {})
        if sheet:
            film.tasks.update(self.plan_sheet(film.id, sheet))
        else:
            self.plan_task(film, "Keep the phase open")
        return film

    def plan_sheet(self, film_id: str, sheet: Path) -> dict[str, dict[str, Any]]:
        """Tasks from a production sheet, by reference."""
        answer = self.administrator.call(
            "POST",
            f"/admin/films/{film_id}/tasks",
            status=201,
            content=sheet.read_bytes(),
            headers={"Content-Type": "text/csv"},
        )
        return {task["reference"]: task for task in answer.json()["items"]}

    def plan_task(self, film: Film, title: str) -> dict[str, Any]:
        """One more task that is open at once."""
        body = {
            "title": title,
            "description": "One frame from the tableau.",
            "type": "IMAGE_GEN",
            "difficulty": "EASY",
            "phase": "SCRIPT",
            "price": {"amount": 5_000, "currency": "EUR"},
        }
        answer = self.administrator.post(f"/admin/films/{film.id}/tasks", body, status=201)
        return dict(answer["items"][0])

    def deliver(self, person: Person, task: dict[str, Any], deliverable: Deliverable = FRAME) -> Work:
        """Claim, upload, hand in."""
        lease = person.post(f"/tasks/{task['id']}/claim")
        media = upload(person, deliverable)
        return Work(task, lease, media, hand_in(person, task["id"], lease["lease_token"], media["media_id"]))

    def advised(self, person: Person, work: Work) -> dict[str, Any]:
        """The submission once the advisory reviewer has spoken."""

        def read() -> dict[str, Any] | None:
            items = person.get(f"/tasks/{work.task['id']}/submissions")["items"]
            found = next(each for each in items if each["id"] == work.submission["id"])
            return None if found["score"] is None else dict(found)

        return wait_for("the advisory review", read, every=POLL_SECONDS)

    def approve(self, work: Work, administrator: Person | None = None, **options: Any) -> Any:
        """Validate a submission."""
        path = f"/admin/submissions/{work.submission['id']}/review"
        return (administrator or self.administrator).post(
            path, {"verdict": "APPROVE", "feedback": "As in the print."}, **options
        )

    def finish(self, person: Person, task: dict[str, Any]) -> Work:
        """The whole way from the claim to the validation."""
        work = self.deliver(person, task)
        self.advised(person, work)
        self.approve(work)
        return work

    def wait_for_effects(self, person: Person, task: dict[str, Any], seconds: float = 30) -> None:
        """Until the validation of a task has reached everyone whom it concerns."""
        for what, seen in (
            ("the Lumens", lambda: entries_for(person, task)),
            ("the payable", lambda: payments_for(person, task)),
            ("the notice", lambda: notices_for(person, task)),
            ("the proof", lambda: self.proofs_of(task)),
            ("the e-mail", lambda: self.mails_about(person, task)),
        ):
            wait_for(f"{what} of {task['title']}", seen, seconds=seconds, every=EFFECT_POLL_SECONDS)

    def effects(self, person: Person, task: dict[str, Any]) -> dict[str, int]:
        """How often each effect of a validation is there."""
        return self.effects_of(person, [task])[0]

    def effects_of(self, person: Person, tasks: Sequence[dict[str, Any]]) -> list[dict[str, int]]:
        """The same for many tasks: the person's lists are read once, so that nobody's rate is used up."""
        entries = [each["reference_id"] for each in every_item(person, "/lumens/entries")]
        payments = [each["task_id"] for each in every_item(person, "/payments")]
        notices = [each["data"]["task_id"] for each in every_item(person, "/notifications") if each["type"] == "TASK_VALIDATED"]
        return [
            {
                "entries": entries.count(task["id"]),
                "payments": payments.count(task["id"]),
                "notices": notices.count(task["id"]),
                "proofs": len(self.proofs_of(task)),
                "e-mails": len(self.mails_about(person, task)),
            }
            for task in tasks
        ]

    def wait_for_all_effects(self, person: Person, tasks: Sequence[dict[str, Any]], seconds: float) -> None:
        """Until the validations of many tasks have reached everyone whom they concern."""
        wait_for(
            f"every effect of {len(tasks)} tasks",
            lambda: all(all(found.values()) for found in self.effects_of(person, tasks)),
            seconds=seconds,
            every=LIST_POLL_SECONDS,
        )

    def proofs_of(self, task: dict[str, Any], event_type: str = "tasks.task.validated") -> list[dict[str, Any]]:
        """Sealed events of one type about a task."""
        return list(self.anyone.get("/proofs", params={"type": event_type, "entity_id": task["id"]})["items"])

    def verify_offline(self, event_id: str) -> Proved:
        """Download a proof and check it with nothing but the key that the platform's operator has."""
        content = self.anyone.call("GET", f"/proofs/events/{event_id}").content
        return verify(content, self.log_key)

    @cached_property
    def log_key(self) -> VerifierKey:
        """The log's verifier key from the operator's own file: not from the log that is checked."""
        return VerifierKey.parse((self.platform.state / "log.vkey").read_text(encoding="utf-8").strip())

    def mails_about(self, person: Person, task: dict[str, Any]) -> list[str]:
        """The texts of the e-mails to this person that speak of a task."""
        texts = [" ".join(text_of(mail).split()) for mail in mails_to(self.platform.mail, person.email)]
        return [text for text in texts if task["title"] in text]


ONCE: Final = {"entries": 1, "payments": 1, "notices": 1, "proofs": 1, "e-mails": 1}
"""What a validation leaves behind, whatever happened on the way."""


@contextmanager
def listening(person: Person) -> Iterator[EventStream]:
    """The person's event stream, open."""
    with EventStream(person) as stream:
        wait_for("the stream", lambda: stream.find("connected") or stream.ended, every=POLL_SECONDS)
        assert stream.find("connected"), stream.fault
        yield stream


def upload(person: Person, deliverable: Deliverable) -> dict[str, Any]:
    """Announce a file, send it to its one-time address, have it checked."""
    digest = sha256(deliverable.path.read_bytes()).hexdigest()
    return person.upload(deliverable.path, deliverable.category, deliverable.content_type, digest)


def hand_in(person: Person, task_id: str, lease_token: str, media_id: str, seconds: float = 20) -> dict[str, Any]:
    """Submit; tasks learns of the finished upload by an event, and says 409 until then."""
    body = {"lease_token": lease_token, "media_ids": [media_id], "notes": NOTES}

    def attempt() -> dict[str, Any] | None:
        answer = person.http.post(f"{API}/tasks/{task_id}/submissions", json=body, headers=person.authorization)
        if answer.status_code == 409 and answer.json()["type"].endswith("/media-not-confirmed"):
            return None
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    return wait_for("the upload to be known to tasks", attempt, seconds=seconds, every=POLL_SECONDS)


def every_item(person: Person, path: str) -> list[dict[str, Any]]:
    """A whole list, page after page."""
    page = person.get(path, params={"limit": 100})
    items = list(page["items"])
    while page["next_cursor"]:
        page = person.get(path, params={"limit": 100, "cursor": page["next_cursor"]})
        items += page["items"]
    return items


def entries_for(person: Person, task: dict[str, Any]) -> list[dict[str, Any]]:
    """Movements of Lumens for a task."""
    return [each for each in every_item(person, "/lumens/entries") if each["reference_id"] == task["id"]]


def payments_for(person: Person, task: dict[str, Any]) -> list[dict[str, Any]]:
    """Payables for a task."""
    return [each for each in every_item(person, "/payments") if each["task_id"] == task["id"]]


def notices_for(person: Person, task: dict[str, Any]) -> list[dict[str, Any]]:
    """Notices that a task was validated."""
    items = every_item(person, "/notifications")
    return [each for each in items if each["type"] == "TASK_VALIDATED" and each["data"]["task_id"] == task["id"]]
