"""Claiming, giving back and handing in, through the doors."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from libs.common import clock
from libs.common.auth.policy import Role
from libs.common.ids import random_token
from services.media.events import ObjectDeleted, UploadRejected
from services.tasks.domain.review import FEEDBACK_LENGTH, NOTES_LENGTH
from services.tasks.tests.studio import Person, Studio, pass_deadline


def body_for(studio: Studio, person: Person, token: str, **changes: object) -> dict[str, object]:
    return {"lease_token": token, "media_ids": [studio.upload(person)], "notes": "Done.", **changes}


def problem(answer: dict[str, object]) -> str:
    return str(answer["type"]).removeprefix("https://lumiere.film/problems/")


def test_a_claim_lasts_forty_eight_hours(studio: Studio) -> None:
    ada, task = studio.person(), studio.task()
    before = clock.now()
    claim = ada.post(f"/tasks/{task['id']}/claim")
    deadline = datetime.fromisoformat(claim["deadline"])
    assert timedelta(0) <= deadline - before - timedelta(hours=48) < timedelta(minutes=1)
    assert claim["attempts_left"] == 3
    told = studio.harness.published("tasks.task.claimed")[0].data
    assert (told["contributor_id"], datetime.fromisoformat(told["deadline"])) == (str(ada.id), deadline)


def test_the_lease_token_is_kept_nowhere_in_clear(studio: Studio) -> None:
    token = studio.claim(studio.person(), studio.task())
    with studio.harness.database.reader() as db:
        for table in studio.harness.service.metadata.sorted_tables:
            assert not [row for row in db.all(table.select()) if token in str(row)]


def test_a_task_that_is_held_is_refused_to_others(studio: Studio) -> None:
    task = studio.task()
    studio.claim(studio.person(), task)
    assert problem(studio.person().post(f"/tasks/{task['id']}/claim", expected=409)) == "transition-refused"


def test_asking_again_gives_a_new_token_and_voids_the_old_one(studio: Studio) -> None:
    ada, task = studio.person(), studio.task()
    first = ada.post(f"/tasks/{task['id']}/claim")
    second = ada.post(f"/tasks/{task['id']}/claim")
    assert second["deadline"] == first["deadline"]
    path = f"/tasks/{task['id']}/submissions"
    assert problem(ada.post(path, body_for(studio, ada, first["lease_token"]), 409)) == "stale-lease"
    ada.post(path, body_for(studio, ada, second["lease_token"]), 201)
    assert studio.facts().count("task.claimed") == 1


@pytest.mark.parametrize(
    ("role", "kind", "expected"),
    [
        (Role.CONTRIBUTOR, "IMAGE_GEN", 200),
        (Role.CONTRIBUTOR, "COLOR_GRADE", 403),
        (Role.ARTIST, "COLOR_GRADE", 200),
        (Role.ARTIST, "STUNT_CAPTURE", 403),
        (Role.STUNT_PERFORMER, "STUNT_CAPTURE", 200),
        (Role.STUNT_PERFORMER, "IMAGE_GEN", 403),
        (Role.VIEWER, "IMAGE_GEN", 403),
        (Role.ADMIN, "STUNT_CAPTURE", 200),
    ],
)
def test_roles_bound_what_may_be_claimed(studio: Studio, role: Role, kind: str, expected: int) -> None:
    task = studio.task(type=kind)
    studio.person(role).post(f"/tasks/{task['id']}/claim", expected=expected)


def test_a_required_level_is_reached_by_points(studio: Studio) -> None:
    ada, film = studio.person(), studio.film()
    hard, paid = studio.plan(film, {"required_level": "PRO"}, {"price": {"amount": 50_000, "currency": "EUR"}})
    assert problem(ada.post(f"/tasks/{hard['id']}/claim", expected=403)) == "level-too-low"
    studio.validate(ada, paid)
    assert ada.get("/profile/progress")["level"] == "PRO"
    ada.post(f"/tasks/{hard['id']}/claim")


def test_the_fourth_task_is_refused_until_one_is_given_back(studio: Studio) -> None:
    ada = studio.person()
    tasks = studio.plan(studio.film(), *[{}] * 4)
    for task in tasks[:3]:
        studio.claim(ada, task)
    assert problem(ada.post(f"/tasks/{tasks[3]['id']}/claim", expected=409)) == "too-many-active-tasks"
    ada.post(f"/tasks/{tasks[0]['id']}/abandon", expected=204)
    studio.claim(ada, tasks[3])


def test_work_under_review_counts_as_active(studio: Studio) -> None:
    ada = studio.person()
    tasks = studio.plan(studio.film(), *[{}] * 4)
    for task in tasks[:3]:
        studio.submitted(ada, task)
    ada.post(f"/tasks/{tasks[3]['id']}/claim", expected=409)


def test_only_the_holder_gives_a_task_back(studio: Studio) -> None:
    ada, task = studio.person(), studio.task()
    token = studio.claim(ada, task)
    assert problem(studio.person().post(f"/tasks/{task['id']}/abandon", expected=409)) == "not-your-claim"
    ada.post(f"/tasks/{task['id']}/abandon", expected=204)
    assert studio.harness.published("tasks.task.released")[0].data["reason"] == "ABANDONED"
    assert problem(ada.post(f"/tasks/{task['id']}/submissions", body_for(studio, ada, token), 409)) == "not-your-claim"


def test_claims_past_their_deadline_go_back_to_everyone(studio: Studio) -> None:
    ada, task = studio.person(), studio.task()
    token = studio.claim(ada, task)
    assert studio.harness.run_job("release_expired_claims") == 0
    pass_deadline(studio.harness, task["id"])
    assert problem(ada.post(f"/tasks/{task['id']}/submissions", body_for(studio, ada, token), 409)) == "claim-expired"
    assert studio.harness.run_job("release_expired_claims") == 1
    assert studio.harness.run_job("release_expired_claims") == 0
    assert studio.harness.published("tasks.task.released")[0].data["reason"] == "EXPIRED"
    studio.claim(studio.person(), task)


def test_a_claim_past_its_deadline_bars_nobody_even_before_the_job_has_run(studio: Studio) -> None:
    ada, bea, task = studio.person(), studio.person(), studio.task()
    studio.claim(ada, task)
    pass_deadline(studio.harness, task["id"])
    studio.claim(bea, task)
    assert studio.facts()[-3:] == ["task.claimed", "task.released", "task.claimed"]
    pass_deadline(studio.harness, task["id"])
    studio.claim(bea, task)
    assert studio.facts()[-2:] == ["task.released", "task.claimed"]
    assert studio.admin.get(f"/tasks/{task['id']}")["claimant_id"] == str(bea.id)


def test_only_one_s_own_confirmed_uploads_can_be_handed_in(studio: Studio) -> None:
    ada, task = studio.person(), studio.task()
    token, path = studio.claim(ada, task), f"/api/v1/tasks/{task['id']}/submissions"
    foreign = studio.upload(studio.person())
    unknown = str(task["id"])
    for media_id in (foreign, unknown):
        response = ada.client.post(path, json={"lease_token": token, "media_ids": [studio.upload(ada), media_id]})
        assert (response.status_code, response.headers["Retry-After"]) == (409, "1")
        answer = response.get_json()
        assert (problem(answer), answer["media_ids"]) == ("media-not-confirmed", [media_id])
        assert "not confirmed yet" in answer["detail"]
    ada.post(f"/tasks/{task['id']}/submissions", body_for(studio, ada, token), 201)


def test_refused_and_deleted_uploads_cannot_be_handed_in(studio: Studio) -> None:
    ada, task = studio.person(), studio.task()
    token = studio.claim(ada, task)
    deleted, refused = studio.upload(ada), studio.upload(ada)
    studio.harness.deliver(ObjectDeleted(media_id=UUID(deleted), owner_id=ada.id, reason="OWNER"))
    studio.harness.deliver(UploadRejected(media_id=UUID(refused), owner_id=ada.id, reason="TYPE"))
    answer = ada.post(f"/tasks/{task['id']}/submissions", body_for(studio, ada, token, media_ids=[deleted, refused]), 409)
    assert (problem(answer), answer["media_ids"]) == ("media-rejected", [deleted, refused])


def test_the_content_digest_is_told_and_covers_media_and_notes(studio: Studio) -> None:
    ada, task = studio.person(), studio.task()
    submission = studio.submit(ada, task)
    told = studio.harness.published("tasks.task.submitted")[0].data
    assert told["content_sha256"] == submission["content_sha256"]
    assert told["media"] == submission["media"]
    assert told["attempt"] == 1
    assert len(submission["content_sha256"]) == 64


@pytest.mark.parametrize(("count", "expected"), [(0, 422), (1, 201), (10, 201), (11, 422)])
def test_one_to_ten_media_are_handed_in(studio: Studio, count: int, expected: int) -> None:
    ada, task = studio.person(), studio.task()
    media_ids = [studio.upload(ada) for _ in range(count)]
    body = body_for(studio, ada, studio.claim(ada, task), media_ids=media_ids)
    ada.post(f"/tasks/{task['id']}/submissions", body, expected)


@pytest.mark.parametrize(("length", "expected"), [(NOTES_LENGTH - 1, 201), (NOTES_LENGTH, 201), (NOTES_LENGTH + 1, 422)])
def test_notes_have_a_limit(studio: Studio, length: int, expected: int) -> None:
    ada, task = studio.person(), studio.task()
    ada.post(f"/tasks/{task['id']}/submissions", body_for(studio, ada, studio.claim(ada, task), notes="é" * length), expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"lease_token": "short"},
        {"lease_token": 1},
        {"media_ids": "one"},
        {"media_ids": ["no-id"]},
        {"notes": None},
        {"notes": "nul \0"},
        {"surprise": 1},
    ],
    ids=str,
)
def test_a_submission_of_another_shape_is_refused(studio: Studio, changes: dict[str, object]) -> None:
    ada, task = studio.person(), studio.task()
    answer = ada.post(f"/tasks/{task['id']}/submissions", body_for(studio, ada, random_token(), **changes), 422)
    assert {each["pointer"].split("/")[1] for each in answer["errors"]} == set(changes)


def test_the_same_upload_twice_in_one_submission_is_refused(studio: Studio) -> None:
    ada, task = studio.person(), studio.task()
    body = body_for(studio, ada, studio.claim(ada, task), media_ids=[studio.upload(ada)] * 2)
    ada.post(f"/tasks/{task['id']}/submissions", body, 422)


def test_feedback_has_a_limit_and_a_rejection_needs_it(studio: Studio) -> None:
    path = f"/admin/submissions/{studio.submitted(studio.person(), studio.task())['id']}/review"
    studio.admin.post(path, {"verdict": "REJECT"}, 422)
    studio.admin.post(path, {"verdict": "REJECT", "feedback": " \n"}, 422)
    studio.admin.post(path, {"verdict": "APPROVE", "feedback": "x" * (FEEDBACK_LENGTH + 1)}, 422)
    studio.admin.post(path, {"verdict": "APPROVE", "feedback": "x" * FEEDBACK_LENGTH})
