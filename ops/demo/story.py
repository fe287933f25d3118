"""The story, step by step. Every run makes a film and a contributor of its own, so it can run for ever."""

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from statistics import median
from threading import Thread
from time import monotonic
from typing import Any

import httpx

from libs.common.ids import random_token
from ops.demo.client import API, Client, wait_for
from ops.demo.mailbox import Letters, mails_to, text_of, verification_token
from ops.demo.report import Report, StepFailed, expect
from ops.demo.stream import EventStream

FOLDER = Path(__file__).resolve().parent
SHEET = FOLDER / "voyage.csv"
TEXT, FRAME = FOLDER / "tableau.md", FOLDER / "frame.png"
FILM = {
    "title": "Le Voyage dans la Lune",
    "synopsis": "Six astronomers are shot to the Moon, meet those who live there, and fall home into the sea.",
    "genre": "SCIENCE_FICTION",
    "catalogue": "LUMIERE",
    "budget": {"amount": 3_000_000, "currency": "EUR"},
    "is_public": True,
}
NEWCOMER = {"display_name": "Jehanne d'Alcy", "role": "ARTIST", "locale": "en"}
PHASES = 10
MEASURED_PHASES = ("SCRIPT", "STORYBOARD")
FIRST_TASK = "S01"
NOTES = "Checked against the catalogue of 1902 and the surviving print; sources are named in the file."
REVOKED_WITHIN_SECONDS = 1.0
WATCH_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Access:
    """What the story is given: where the gateway is, where mail lands, how an administrator is made."""

    origin: str
    mail: Letters
    admin_email: str
    admin_password: str
    create_admin: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the reviewer's request to what it causes."""

    booked: float
    proved: float
    noticed: float

    @property
    def all(self) -> float:
        """Until the last of the three."""
        return max(self.booked, self.proved, self.noticed)


class Story:
    """One run."""

    def __init__(self, access: Access, report: Report) -> None:
        self.access = access
        self.report = report
        self.admin = Client(access.origin)
        self.artist = Client(access.origin)
        self.anyone = Client(access.origin)
        self.email = f"artist-{random_token()[:12].lower().strip('-_')}@studio.example"
        self.password = random_token()
        self.film: dict[str, Any] = {}
        self.tasks: dict[str, dict[str, Any]] = {}
        self.work: dict[str, Any] = {}
        self.latencies: list[Latency] = []

    def run(self) -> None:
        """All steps in order; a failed one ends the story, because the rest stands on it."""
        try:
            self._people()
            self._planning()
            with self._stream():
                self._work()
                self._consequences()
                self._proof()
                self._more_work()
            self._end_of_session()
        except StepFailed:
            return
        finally:
            for client in (self.admin, self.artist, self.anyone):
                client.http.close()

    # ---- people

    def _people(self) -> None:
        step = self.report.step
        with step("The operator makes the first administrator with a one-time command") as now:
            now.note = self._administrator()
        with step("The administrator signs in"):
            self.admin.sign_in(self.access.admin_email, self.access.admin_password)
        with step("A contributor registers; the answer is the same for a known address"):
            body = {
                "email": self.email,
                "password": self.password,
                "display_name": "Jehanne d'Alcy",
                "role": "ARTIST",
                "locale": "en",
            }
            first = self.anyone.post("/auth/register", body, status=202)
            expect(
                self.anyone.post("/auth/register", body, status=202) == first,
                "the second answer tells that the address is known",
            )
        with step("The verification link arrives by e-mail") as now:
            token = wait_for("the e-mail", lambda: verification_token(self.access.mail, self.email))
            now.note = f"{self.access.mail.name}/*.eml"
        with step("The contributor confirms the address and signs in"):
            self.anyone.post("/auth/verify-email", {"token": token}, status=204)
            self.artist.sign_in(self.email, self.password)
        with step("The session is refreshed and its refresh token rotated"):
            old = self.artist.tokens["refresh_token"]
            self.artist.tokens = self.anyone.post("/auth/refresh", {"refresh_token": old})
            expect(self.artist.tokens["refresh_token"] != old, "the refresh token stayed the same")

    def _administrator(self) -> str:
        try:
            return self.access.create_admin()
        except StepFailed as refusal:
            # Made by an earlier run: then the password fits. Otherwise two others exist, and the refusal says so.
            try:
                self.admin.sign_in(self.access.admin_email, self.access.admin_password)
            except StepFailed:
                raise refusal from None
            return "made by an earlier run"

    # ---- planning

    def _planning(self) -> None:
        step = self.report.step
        with step("A film is planned with its ten phases, the first one open"):
            self.film = self.admin.post("/admin/films", FILM, status=201)
            phases = self.anyone.get(f"/films/{self.film['id']}/phases")
            phases = phases["items"] if isinstance(phases, dict) else phases
            expect(len(phases) == PHASES, f"the film has {len(phases)} phases")
            expect(
                [each["status"] for each in phases] == ["ACTIVE"] + ["LOCKED"] * (PHASES - 1),
                "not exactly the first phase is open",
            )
        with step("The production sheet is imported") as now:
            answer = self.admin.call(
                "POST",
                f"/admin/films/{self.film['id']}/tasks",
                status=201,
                content=SHEET.read_bytes(),
                headers={"Content-Type": "text/csv"},
            ).json()
            self.tasks = {task["reference"]: task for task in answer["items"]}
            expect(len(self.tasks) == self._sheet_lines, f"{self._sheet_lines} tasks were sent, {len(self.tasks)} came back")
            now.note = f"{len(self.tasks)} tasks from {SHEET.name}"

    def _phases(self) -> list[dict[str, Any]]:
        answer = self.anyone.get(f"/films/{self.film['id']}/phases")
        return sorted(answer["items"] if isinstance(answer, dict) else answer, key=lambda each: int(each["position"]))

    @cached_property
    def _sheet_lines(self) -> int:
        return len(SHEET.read_text(encoding="utf-8").strip().splitlines()) - 1

    # ---- work

    def _stream(self) -> EventStream:
        self.stream = EventStream(self.artist)
        return self.stream

    def _work(self) -> None:
        step = self.report.step
        with step("The contributor opens the event stream"):
            wait_for("the stream's first event", lambda: self._arrived("connected"))
        with step("The contributor claims a task and holds its lease; nobody else gets it"):
            task = self.tasks[FIRST_TASK]
            lease = self.artist.post(f"/tasks/{task['id']}/claim")
            self.admin.post(f"/tasks/{task['id']}/claim", status=409)
        with step("The deliverable goes through a one-time address and is checked: size, type, SHA-256") as now:
            media = self._deliverable(TEXT, "DOCUMENT", "text/markdown")
            now.note = f"{media['size']} bytes, sha256 {media['sha256'][:12]}…"
        with step("The work is submitted"):
            self.work = self._submit(task, lease, media)
        with step("The advisory review scores it, marked as a mock") as now:
            reviewed = wait_for("the advisory review", lambda: self._advised(self.work), every=0.05)
            expect(
                reviewed["mock"] is True and reviewed["score"] is not None,
                "the review has no score, or is not marked as a mock",
            )
            now.note = f"score {reviewed['score']}"
        with step("The contributor may not judge it: 403 before anything is read"):
            self.artist.post(f"/admin/submissions/{self.work['id']}/review", {"nonsense": True}, status=403)
        with step("The administrator validates it; Lumens, proof and notice follow") as now:
            latency = self._validate(task, self.work["id"])
            now.note = f"Lumens {latency.booked:.0f} ms, proof {latency.proved:.0f} ms, notice {latency.noticed:.0f} ms"

    def _arrived(self, event: str, **members: Any) -> Any:
        if self.stream.fault:
            raise StepFailed(self.stream.fault)
        return self.stream.find(event, **members)

    def _deliverable(self, file: Path, category: str, content_type: str) -> dict[str, Any]:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        media = self.artist.upload(file, category, content_type, digest)
        expect(media["status"] == "READY", f"the file was rejected: {media.get('detail') or media.get('reason')}")
        expect(media["sha256"] == digest, "another SHA-256 was computed")
        return media

    def _submit(self, task: dict[str, Any], lease: dict[str, Any], media: dict[str, Any]) -> dict[str, Any]:
        body = {"lease_token": lease["lease_token"], "media_ids": [media["media_id"]], "notes": NOTES}

        def attempt() -> dict[str, Any] | None:
            # Tasks learns of the finished upload by an event, a moment after the uploader did.
            answer = self.artist.http.post(
                f"/api/v1/tasks/{task['id']}/submissions", json=body, headers=self.artist.authorization
            )
            if answer.status_code in (201, 409, 422) and answer.status_code != 201 and "media" in answer.text.lower():
                return None
            expect(answer.status_code == 201, f"the submission answered {answer.status_code}: {answer.text[:300]}")
            return dict(answer.json())

        return wait_for("the upload to be known to tasks", attempt, every=0.05)

    def _advised(self, submission: dict[str, Any]) -> dict[str, Any] | None:
        # The task's own list: that of all submissions grows with every run, and its first page is the oldest.
        handed_in = self.artist.get(f"/tasks/{submission['task_id']}/submissions")["items"]
        return next((each for each in handed_in if each["id"] == submission["id"] and each["score"] is not None), None)

    # ---- validation, measured

    def _validate(self, task: dict[str, Any], submission_id: str) -> Latency:
        before = self.artist.get("/lumens")["balance"]
        moments: dict[str, float] = {}
        faults: list[str] = []
        watchers = {
            "booked": lambda: self.artist.get("/lumens")["balance"] > before,
            "proved": lambda: self._sealed(task["id"]),
            "noticed": lambda: self._arrived("notification", type="TASK_VALIDATED", task_id=task["id"]),
        }
        threads = [Thread(target=_watch, args=(name, read, moments, faults), daemon=True) for name, read in watchers.items()]
        begun = monotonic()
        for thread in threads:
            thread.start()
        self.admin.post(f"/admin/submissions/{submission_id}/review", {"verdict": "APPROVE", "feedback": "As in the print."})
        for thread in threads:
            thread.join()
        expect(not faults, "; ".join(faults))
        latency = Latency(**{name: (moment - begun) * 1000 for name, moment in moments.items()})
        self.latencies.append(latency)
        return latency

    def _sealed(self, task_id: str) -> dict[str, Any] | None:
        query = {"type": "tasks.task.validated", "entity_id": task_id}
        return next(iter(self.anyone.get("/proofs", params=query)["items"]), None)

    # ---- consequences

    def _consequences(self) -> None:
        step = self.report.step
        task = self.tasks[FIRST_TASK]
        with step("Lumens are booked once, in the book's own entries") as now:
            entries = self.artist.get("/lumens/entries")["items"]
            expect(len(entries) == 1, f"{len(entries)} entries instead of one")
            expect(self.artist.get("/lumens")["balance"] == entries[0]["amount"] > 0, "balance and entry differ")
            now.note = f"{entries[0]['amount']} Lumens, {entries[0]['reason']}"
        with step("A payable is opened once, with the task's price"):
            payments = wait_for("the payable", lambda: self.artist.get("/payments")["items"])
            expect(
                [(each["task_id"], each["amount"]) for each in payments] == [(task["id"], task["price"])],
                f"payables are {payments}",
            )
        with step("The notice stands in the list"):
            notices = self.artist.get("/notifications")["items"]
            found = [each for each in notices if each["type"] == "TASK_VALIDATED" and each["data"].get("task_id") == task["id"]]
            expect(len(found) == 1, f"{len(found)} notices instead of one")
        with step("The e-mail about it arrives"):
            wait_for("the e-mail", self._told_by_mail)

    def _told_by_mail(self) -> bool:
        title = self.tasks[FIRST_TASK]["title"]
        return any(title in " ".join(text_of(mail).split()) for mail in mails_to(self.access.mail, self.email))

    # ---- proof

    def _proof(self) -> None:
        step = self.report.step
        with tempfile.TemporaryDirectory(prefix="lumiere-demo-") as name:
            folder = Path(name)
            with step("Anyone downloads the proof") as now:
                sealed = self._sealed(self.tasks[FIRST_TASK]["id"])
                expect(sealed, "no proof is listed")
                event_id = (sealed or {})["event_id"]
                proof = self.anyone.call("GET", f"/proofs/events/{event_id}").content
                key = self.anyone.call("GET", "/proofs/key").text
                (folder / "proof").write_bytes(proof)
                (folder / "log.vkey").write_text(key, encoding="utf-8")
                now.note = f"leaf {(sealed or {})['index']}, {len(proof)} bytes"
            with step("`lumiere proof verify` accepts it offline"):
                done = _verify(folder / "proof", folder / "log.vkey", event_id)
                expect(done.returncode == 0, f"exit code {done.returncode}: {done.stderr.strip()}")
            with step("`lumiere proof verify` refuses it with one bit changed"):
                (folder / "changed").write_bytes(_with_one_bit_changed(proof))
                done = _verify(folder / "changed", folder / "log.vkey", event_id)
                expect(done.returncode == 1, f"exit code {done.returncode} for a changed proof")

    # ---- more work

    def _more_work(self) -> None:
        step = self.report.step
        for phase in MEASURED_PHASES:
            file = (TEXT, "DOCUMENT", "text/markdown") if phase == "SCRIPT" else (FRAME, "IMAGE", "image/png")
            names = [name for name, task in self.tasks.items() if task["phase"] == phase and name != FIRST_TASK]
            with step(f"{len(names)} more tasks of the phase {phase} are done, and the next phase opens") as now:
                for name in names:
                    self._whole_task(self.tasks[name], file)
                wait_for("the next phase", partial(self._followed, phase), every=0.05)
                now.note = ", ".join(names)
        with step("Validated → Lumens booked, proof recorded, notice on the stream") as now:
            self._figures()
            now.note = ", ".join(f"{name} p50 {value['p50_ms']:.0f} ms" for name, value in self.report.figures.items())

    def _whole_task(self, task: dict[str, Any], file: tuple[Path, str, str]) -> None:
        lease = wait_for(f"the task {task['reference']} to open", lambda: self._claimed(task), every=0.05)
        submission = self._submit(task, lease, self._deliverable(*file))
        wait_for("the advisory review", lambda: self._advised(submission), every=0.05)
        self._validate(task, submission["id"])

    def _claimed(self, task: dict[str, Any]) -> dict[str, Any] | None:
        if self.artist.get(f"/tasks/{task['id']}")["status"] == "LOCKED":
            return None
        return dict(self.artist.post(f"/tasks/{task['id']}/claim"))

    def _followed(self, phase: str) -> bool:
        states = {each["phase"]: str(each["status"]) for each in self._phases()}
        following = list(states)[list(states).index(phase) + 1]
        return (states[phase], states[following]) == ("COMPLETED", "ACTIVE")

    def _figures(self) -> None:
        for name in ("booked", "proved", "noticed", "all"):
            values = sorted(getattr(latency, name) for latency in self.latencies)
            self.report.figures[name] = {
                "tasks": len(values),
                "p50_ms": round(median(values), 1),
                "max_ms": round(values[-1], 1),
            }

    # ---- end

    def _end_of_session(self) -> None:
        with self.report.step("A session that was ended gets 401 at the gateway within a second; others go on") as now:
            self.artist.post("/auth/logout", status=204)
            begun = monotonic()
            wait_for("401", lambda: self._refused(self.artist), seconds=5, every=0.02)
            took = monotonic() - begun
            expect(took < REVOKED_WITHIN_SECONDS, f"it took {took:.2f} s")
            self.admin.get("/profile")
            now.note = f"{took * 1000:.0f} ms"

    def _refused(self, client: Client) -> bool:
        answer = client.http.get(f"{API}/profile", headers=client.authorization)
        return answer.status_code == httpx.codes.UNAUTHORIZED


def _watch(name: str, read: Callable[[], Any], moments: dict[str, float], faults: list[str]) -> None:
    try:
        # Asking more often would take the cores from the services that are measured.
        found = wait_for(name, read, every=WATCH_SECONDS)
        moments[name] = getattr(found, "at", monotonic())
    except StepFailed as failure:
        faults.append(str(failure))


def _verify(proof: Path, key: Path, event_id: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ops.cli", "proof", "verify", str(proof), "--key", str(key), "--event", event_id, "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _with_one_bit_changed(proof: bytes) -> bytes:
    middle = len(proof) // 2
    return proof[:middle] + bytes([proof[middle] ^ 1]) + proof[middle + 1 :]
