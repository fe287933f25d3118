"""The platform's main job, from an empty film to a proof in the contributor's hands."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from libs.common import clock
from libs.common.ids import new_id
from ops.demo.client import API, wait_for
from ops.demo.stream import EventStream
from ops.proof import Refused, VerifierKey, verify
from tests.journeys.inside import Inside
from tests.journeys.people import (
    FILM,
    FRAME,
    NOTES,
    ONCE,
    POLL_SECONDS,
    SHEET,
    TEXT,
    Deliverable,
    Film,
    Person,
    Studio,
    Work,
    entries_for,
    listening,
    payments_for,
    upload,
)

pytestmark = pytest.mark.platform

AGE_SPENT_TOKENS = (
    "UPDATE auth.refresh_token SET used_at = used_at - interval '1 hour' WHERE session_id = :session_id AND used_at IS NOT NULL"
)
TASK = "S01"
PHASES = ["SCRIPT", "STORYBOARD", "PREVIZ", "DESIGN", "ANIMATION", "VFX", "AUDIO", "EDITING", "COLOR", "FINAL"]


@pytest.fixture(scope="module")
def contributor(studio: Studio) -> Person:
    return studio.newcomer()


@pytest.fixture(scope="module")
def film(studio: Studio) -> Film:
    return studio.film(SHEET)


@pytest.fixture(scope="module")
def task(film: Film) -> dict[str, Any]:
    return film.tasks[TASK]


@pytest.fixture(scope="module")
def work(studio: Studio, contributor: Person, task: dict[str, Any]) -> Work:
    return studio.deliver(contributor, task, TEXT)


@pytest.fixture(scope="module")
def advised(studio: Studio, contributor: Person, work: Work) -> dict[str, Any]:
    return studio.advised(contributor, work)


@pytest.fixture(scope="module")
def stream(contributor: Person) -> Iterator[EventStream]:
    with listening(contributor) as opened:
        yield opened


@pytest.fixture(scope="module")
def validated(studio: Studio, contributor: Person, work: Work, advised: dict[str, Any], stream: EventStream) -> Work:
    studio.approve(work)
    studio.wait_for_effects(contributor, work.task)
    return replace(work, submission=advised)


def refused(answer: httpx.Response, status: int, problem: str) -> bool:
    """Whether the answer is this problem (RFC 9457)."""
    return answer.status_code == status and answer.json()["type"].endswith(f"/{problem}")


class TestPeople:
    def test_nobody_signs_in_before_the_address_is_confirmed(self, studio: Studio) -> None:
        person = studio.register()
        token = studio.mailed_token(person)
        credentials = {"email": person.email, "password": person.password}
        assert refused(person.http.post(f"{API}/auth/login", json=credentials), 403, "account-not-verified")
        person.post("/auth/verify-email", {"token": token}, status=204)
        person.sign_in(person.email, person.password)
        assert person.get("/profile")["verified"] is True

    def test_registering_a_known_address_is_answered_like_a_new_one(self, studio: Studio, contributor: Person) -> None:
        body = {"email": contributor.email, "password": new_id().hex, "display_name": "Another", "role": "ARTIST"}
        known = studio.anyone.call("POST", "/auth/register", status=202, json=body)
        new = studio.anyone.call("POST", "/auth/register", status=202, json=body | {"email": f"{new_id()}@studio.example"})
        assert known.json() == new.json()

    def test_a_refresh_gives_new_tokens_of_the_same_session(self, studio: Studio, contributor: Person) -> None:
        device = studio.another_session(contributor)
        before = dict(device.tokens)
        device.tokens = device.post("/auth/refresh", {"refresh_token": before["refresh_token"]})
        assert device.tokens["session_id"] == before["session_id"]
        assert device.tokens["refresh_token"] != before["refresh_token"]
        assert device.tokens["access_token"] != before["access_token"]
        assert device.get("/profile")["email"] == contributor.email

    def test_a_refresh_token_exchanged_twice_at_once_gives_one_successor(self, studio: Studio, contributor: Person) -> None:
        device = studio.another_session(contributor)
        body = {"refresh_token": device.tokens["refresh_token"]}
        first, second = device.post("/auth/refresh", body), device.post("/auth/refresh", body)
        assert first["refresh_token"] == second["refresh_token"]

    def test_an_old_refresh_token_that_comes_back_late_ends_its_session(
        self, studio: Studio, inside: Inside, contributor: Person
    ) -> None:
        device = studio.another_session(contributor)
        stolen = device.tokens["refresh_token"]
        device.tokens = device.post("/auth/refresh", {"refresh_token": stolen})
        inside.execute(AGE_SPENT_TOKENS, session_id=device.tokens["session_id"])
        answer = device.http.post(f"{API}/auth/refresh", json={"refresh_token": stolen})
        assert answer.status_code == 401
        wait_for("the end of the session", lambda: device.status() == 401, every=POLL_SECONDS)
        assert contributor.status() == 200


class TestPlanning:
    def test_a_film_comes_with_ten_phases_of_which_the_first_is_open(self, studio: Studio, film: Film) -> None:
        phases = studio.anyone.get(f"/films/{film.id}/phases")["items"]
        assert [each["phase"] for each in phases] == PHASES
        assert [each["status"] for each in phases] == ["ACTIVE"] + ["LOCKED"] * 9

    def test_everybody_reads_a_public_film_and_only_administrators_its_budget(self, studio: Studio, film: Film) -> None:
        public = studio.anyone.get(f"/films/{film.id}")
        assert public["title"] == FILM["title"]
        assert "budget" not in public
        planned = studio.administrator.get("/admin/films", params={"limit": 100})["items"]
        assert next(each for each in planned if each["id"] == film.id)["budget"] == FILM["budget"]

    def test_the_production_sheet_becomes_a_task_a_line(self, contributor: Person, film: Film) -> None:
        lines = SHEET.read_text(encoding="utf-8").strip().splitlines()[1:]
        assert len(film.tasks) == len(lines)
        listed = contributor.get("/tasks", params={"film_id": film.id, "limit": 100})["items"]
        assert [each["reference"] for each in listed] == [line.split(",")[0] for line in lines]

    def test_only_tasks_of_the_open_phase_that_wait_for_nothing_are_open(self, studio: Studio) -> None:
        fresh = studio.film(SHEET)
        waiting = {name for name, each in fresh.tasks.items() if each["phase"] != "SCRIPT" or each["depends_on"]}
        assert {name for name, each in fresh.tasks.items() if each["status"] == "LOCKED"} == waiting


class TestWork:
    def test_a_task_under_lease_is_refused_to_others(self, studio: Studio, work: Work) -> None:
        other = studio.newcomer()
        answer = other.http.post(f"{API}/tasks/{work.task['id']}/claim", headers=other.authorization)
        assert answer.status_code == 409

    def test_the_lease_has_a_token_and_a_deadline(self, work: Work) -> None:
        assert len(work.lease["lease_token"]) == 43
        assert work.lease["deadline"] > clock.now().isoformat()

    def test_size_type_and_sha256_of_the_upload_are_what_was_announced(self, work: Work) -> None:
        content = TEXT.path.read_bytes()
        assert work.media["status"] == "READY"
        assert work.media["size"] == len(content)
        assert work.media["mime"] == TEXT.content_type
        assert work.media["sha256"] == hashlib.sha256(content).hexdigest()

    def test_the_uploader_gets_the_same_bytes_back(self, contributor: Person, work: Work) -> None:
        grant = contributor.call("GET", f"/media/{work.media['media_id']}/content", status=302)
        content = contributor.http.get(httpx.URL(contributor.origin).join(grant.headers["Location"])).content
        assert content == TEXT.path.read_bytes()

    def test_a_file_that_is_not_of_the_announced_type_is_rejected(self, contributor: Person) -> None:
        disguised = Deliverable(TEXT.path, "IMAGE", "image/png")
        verdict = upload(contributor, disguised)
        assert verdict["status"] == "REJECTED"
        assert verdict["reason"]

    def test_a_file_with_another_sha256_is_rejected(self, contributor: Person) -> None:
        verdict = contributor.upload(FRAME.path, FRAME.category, FRAME.content_type, hashlib.sha256(b"another").hexdigest())
        assert verdict["status"] == "REJECTED"

    def test_the_submission_names_the_files_by_their_hash(self, work: Work) -> None:
        named = [{"media_id": work.media["media_id"], "sha256": work.media["sha256"]}]
        assert work.submission["media"] == named
        assert work.submission["notes"] == NOTES

    def test_the_advisory_review_is_marked_as_a_mock_and_decides_nothing(self, advised: dict[str, Any]) -> None:
        assert advised["mock"] is True
        assert 0 <= advised["score"] <= 100
        assert advised["status"] in ("AI_APPROVED", "AI_FLAGGED")

    def test_a_lease_that_was_used_is_refused(self, contributor: Person, work: Work) -> None:
        body = {"lease_token": work.lease["lease_token"], "media_ids": [work.media["media_id"]], "notes": ""}
        answer = contributor.http.post(
            f"{API}/tasks/{work.task['id']}/submissions", json=body, headers=contributor.authorization
        )
        assert answer.status_code in (403, 409)


class TestValidation:
    def test_a_contributor_may_not_validate(self, contributor: Person, work: Work) -> None:
        answer = contributor.http.post(
            f"{API}/admin/submissions/{work.submission['id']}/review",
            json={"verdict": "APPROVE", "feedback": ""},
            headers=contributor.authorization,
        )
        assert answer.status_code == 403

    def test_every_effect_is_there_once(self, studio: Studio, contributor: Person, validated: Work) -> None:
        assert studio.effects(contributor, validated.task) == ONCE

    @pytest.mark.usefixtures("validated")
    def test_the_balance_is_the_sum_of_the_entries(self, contributor: Person) -> None:
        lumens = contributor.get("/lumens")
        entries = contributor.get("/lumens/entries", params={"limit": 100})["items"]
        assert lumens["balance"] == sum(each["amount"] for each in entries) > 0
        assert lumens["available"] == lumens["balance"] - lumens["held"]

    def test_the_payable_is_the_price_of_the_task(self, contributor: Person, validated: Work) -> None:
        (payment,) = payments_for(contributor, validated.task)
        assert payment["amount"] == validated.task["price"]
        assert payment["contributor_id"] == contributor.id

    def test_the_notice_came_on_the_open_stream(self, stream: EventStream, validated: Work) -> None:
        arrival = wait_for(
            "the notice on the stream",
            lambda: stream.find("notification", type="TASK_VALIDATED", task_id=validated.task["id"]),
            every=POLL_SECONDS,
        )
        assert validated.task["title"] in arrival.data["body"]
        assert not stream.fault

    def test_the_task_is_final_and_its_followers_are_open(self, contributor: Person, film: Film, validated: Work) -> None:
        assert contributor.get(f"/tasks/{validated.task['id']}")["status"] == "VALIDATED"
        script = [each for each in film.tasks.values() if each["phase"] == "SCRIPT"]
        freed = [each["id"] for each in script if each["depends_on"] == [validated.task["id"]]]
        assert {contributor.get(f"/tasks/{task_id}")["status"] for task_id in freed} == {"AVAILABLE"}

    def test_a_second_request_with_the_same_key_is_answered_alike_and_changes_nothing(
        self, studio: Studio, contributor: Person, film: Film
    ) -> None:
        work = studio.deliver(contributor, studio.plan_task(film, f"Twice with one key {new_id()}"))
        studio.advised(contributor, work)
        key = {"Idempotency-Key": str(new_id())}
        assert studio.approve(work, headers=key) == studio.approve(work, headers=key)
        self.and_after_another_task_everything_is_there_once(studio, contributor, film, work)

    def test_of_two_administrators_who_validate_at_once_one_is_told_that_it_is_decided(
        self, studio: Studio, contributor: Person, film: Film
    ) -> None:
        work = studio.deliver(contributor, studio.plan_task(film, f"Two at once {new_id()}"))
        studio.advised(contributor, work)
        together = threading.Barrier(2)
        statuses: list[int] = []

        def decide(administrator: Person) -> None:
            path = f"{API}/admin/submissions/{work.submission['id']}/review"
            together.wait(10)
            answer = administrator.http.post(
                path, json={"verdict": "APPROVE", "feedback": ""}, headers=administrator.authorization
            )
            statuses.append(answer.status_code)

        threads = [threading.Thread(target=decide, args=(each,)) for each in studio.administrators]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(statuses) == [200, 409]
        self.and_after_another_task_everything_is_there_once(studio, contributor, film, work)

    def and_after_another_task_everything_is_there_once(
        self, studio: Studio, contributor: Person, film: Film, work: Work
    ) -> None:
        """What comes later in the same queues has passed, so nothing of this task is still on its way."""
        later = studio.finish(contributor, studio.plan_task(film, f"Later {new_id()}"))
        studio.wait_for_effects(contributor, work.task)
        studio.wait_for_effects(contributor, later.task)
        assert studio.effects(contributor, work.task) == ONCE
        assert studio.effects(contributor, later.task) == ONCE
        assert len(entries_for(contributor, work.task)) == 1


class TestProof:
    def test_a_downloaded_proof_is_verified_offline(self, studio: Studio, validated: Work) -> None:
        (sealed,) = studio.proofs_of(validated.task)
        proved = studio.verify_offline(sealed["event_id"])
        assert (proved.type, proved.subject) == ("tasks.task.validated", validated.task["id"])
        assert proved.data == "whole"

    def test_a_proof_with_one_character_changed_is_refused(self, studio: Studio, validated: Work) -> None:
        (sealed,) = studio.proofs_of(validated.task)
        content = bytearray(studio.anyone.call("GET", f"/proofs/events/{sealed['event_id']}").content)
        place = content.index(b"\nextra ") + 40
        content[place] = ord("A") if content[place] != ord("A") else ord("B")
        with pytest.raises(Refused):
            verify(bytes(content), studio.log_key)

    def test_the_log_tells_the_key_that_its_operator_has(self, studio: Studio) -> None:
        told = studio.anyone.call("GET", "/proofs/key").text.strip()
        assert VerifierKey.parse(told) == studio.log_key

    @pytest.mark.parametrize("event_type", ["tasks.task.claimed", "tasks.task.submitted", "tasks.task.reviewed"])
    def test_the_way_of_a_task_is_in_the_log_step_by_step(self, studio: Studio, validated: Work, event_type: str) -> None:
        expected = {"tasks.task.reviewed": 2}.get(event_type, 1)
        sealed = studio.proofs_of(validated.task, event_type)
        assert len(sealed) == expected
        assert all(studio.verify_offline(each["event_id"]).type == event_type for each in sealed)
