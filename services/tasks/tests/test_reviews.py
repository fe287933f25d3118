"""Advisory reviews and verdicts."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from sqlalchemy import select, update

from libs.common.auth.policy import Role
from libs.common.ids import new_id
from services.tasks.adapters.reviewer import MockReviewer
from services.tasks.domain.review import ADVISORY_TRIES, Advice, Material, Media
from services.tasks.domain.rules import Rules
from services.tasks.domain.values import MediaId, SubmissionId, TaskType, UserId
from services.tasks.models import award, submission
from services.tasks.tests.studio import NOTES, Studio
from services.tasks.use_cases import reviews


def material(notes: str = "", media: int = 0, submission_id: SubmissionId | None = None) -> Material:
    return Material(
        submission_id=submission_id or SubmissionId(new_id()),
        task_type=TaskType.IMAGE_GEN,
        title="The shell",
        description="One frame.",
        notes=notes,
        media=tuple(Media(MediaId(new_id()), UserId(new_id()), True, "ab" * 32, "image/png", 1) for _ in range(media)),
    )


@dataclass
class FakeReviewer:
    """Answers as told; an answer that is an exception is raised."""

    answers: list[Advice | Exception]
    asked: list[Material] = field(default_factory=list)

    def review(self, shown: Material) -> Advice:
        self.asked.append(shown)
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


def advise(studio: Studio, *answers: Advice | Exception) -> tuple[int, FakeReviewer]:
    fake = FakeReviewer(list(answers))
    return reviews.advise_on_submissions(studio.harness.database, fake, studio.harness.resource(Rules)), fake


def make_due(studio: Studio) -> None:
    with studio.harness.transaction() as tx:
        tx.execute(update(submission).where(submission.c.status == "PENDING_AI").values(advisory_due_at=tx.now))


@pytest.mark.parametrize(
    ("score", "status"), [(69, "AI_FLAGGED"), (70, "AI_APPROVED"), (71, "AI_APPROVED"), (None, "AI_FLAGGED")]
)
def test_whatever_the_advice_a_person_decides(studio: Studio, score: int | None, status: str) -> None:
    ada, task = studio.person(), studio.task()
    made = studio.submit(ada, task)
    assert studio.admin.get(f"/tasks/{task['id']}")["status"] == "AI_REVIEW"
    count, fake = advise(studio, Advice(score, mock=False))
    assert count == 1
    assert studio.admin.get(f"/tasks/{task['id']}")["status"] == "HUMAN_REVIEW"
    (shown,) = studio.admin.get(f"/admin/submissions?status={status}")["items"]
    assert (shown["id"], shown["score"], shown["mock"], shown["ai_flagged"]) == (
        made["id"],
        score,
        False,
        status == "AI_FLAGGED",
    )
    told = studio.harness.published("tasks.task.reviewed")[0].data
    assert (told["stage"], told["score"], told["attempts_left"]) == ("ADVISORY", score, 2)
    assert told["verdict"] == ("FLAG" if status == "AI_FLAGGED" else "APPROVE")
    assert (fake.asked[0].notes, len(fake.asked[0].media)) == (NOTES, 1)


def test_a_reviewer_that_fails_is_asked_again_later_and_at_last_passed_over(studio: Studio) -> None:
    task = studio.task()
    studio.submit(studio.person(), task)
    for _ in range(ADVISORY_TRIES - 1):
        assert advise(studio, TimeoutError())[0] == 0
        count, fake = advise(studio, Advice(90, mock=False))
        assert (count, fake.asked) == (0, [])
        make_due(studio)
    assert advise(studio, TimeoutError())[0] == 1
    assert studio.admin.get(f"/tasks/{task['id']}")["status"] == "HUMAN_REVIEW"
    (told,) = studio.harness.published("tasks.task.reviewed")
    assert (told.data["verdict"], told.data["score"]) == ("FLAG", None)


def test_one_submission_that_cannot_be_judged_does_not_hold_up_the_others(studio: Studio) -> None:
    for task in studio.plan(studio.film(), {}, {}):
        studio.submit(studio.person(), task)
    count, fake = advise(studio, ValueError("no answer"), Advice(90, mock=False))
    assert (count, len(fake.asked)) == (1, 2)


def test_a_score_outside_its_range_is_no_advice() -> None:
    for score in (-1, 101):
        with pytest.raises(ValueError, match="between 0 and 100"):
            Advice(score, mock=False)


def test_the_reviewer_is_asked_outside_any_transaction(studio: Studio) -> None:
    studio.submit(studio.person(), studio.task())
    open_transactions = []

    class Watching:
        def review(self, _shown: Material) -> Advice:
            open_transactions.append(studio.harness.database._engine.pool.checkedout())  # type: ignore[attr-defined]
            return Advice(90, mock=True)

    reviews.advise_on_submissions(studio.harness.database, Watching(), studio.harness.resource(Rules))
    assert open_transactions == [0]


def test_the_mock_is_deterministic_marked_and_follows_its_formula() -> None:
    reviewer = MockReviewer()
    scores = Counter[int]()
    for _ in range(500):
        submission_id = SubmissionId(new_id())
        plain = reviewer.review(material("x" * 50, 0, submission_id))
        assert plain.mock
        assert plain == reviewer.review(material("x" * 50, 0, submission_id))
        assert plain.score is not None
        scores[plain.score] += 1
        with_file = reviewer.review(material("x" * 50, 1, submission_id)).score
        assert with_file == min(98, plain.score + 8)
        assert reviewer.review(material("x" * 101, 0, submission_id)).score == min(98, plain.score + 5)
        assert reviewer.review(material("x" * 201, 0, submission_id)).score == min(98, plain.score + 8)
        assert reviewer.review(material("x" * 19, 0, submission_id)).score == max(30, plain.score - 15)
    assert min(scores) >= 50
    assert max(scores) <= 94
    assert len(scores) > 30


def test_the_job_scores_what_was_handed_in(studio: Studio) -> None:
    studio.submit(studio.person(), studio.task())
    assert studio.harness.run_job("run_advisory_reviews") == 1
    assert studio.harness.run_job("run_advisory_reviews") == 0
    assert studio.harness.published("tasks.task.reviewed")[0].data["mock"] is True


def test_nobody_decides_on_their_own_work(studio: Studio) -> None:
    task = studio.task()
    made = studio.submitted(studio.admin, task)
    answer = studio.review(made, expected=403)
    assert answer["type"].endswith("/own-work-reviewed")
    studio.person(Role.ADMIN).post(f"/admin/submissions/{made['id']}/review", {"verdict": "APPROVE"})


def test_a_verdict_waits_for_the_advisory_review(studio: Studio) -> None:
    made = studio.submit(studio.person(), studio.task())
    assert studio.review(made, expected=409)["submission_status"] == "PENDING_AI"


def test_a_decided_submission_is_not_decided_again(studio: Studio) -> None:
    made = studio.submitted(studio.person(), studio.task())
    studio.review(made)
    studio.review(made, expected=409)
    studio.review(made, "REJECT", expected=409)
    assert studio.facts().count("task.validated") == 1
    with studio.harness.database.reader() as db:
        assert len(db.all(select(award))) == 1


def test_rejected_work_comes_back_with_a_new_deadline_and_a_lease_on_request(studio: Studio) -> None:
    ada, task = studio.person(), studio.task()
    first = ada.post(f"/tasks/{task['id']}/claim")
    made = studio.submit(ada, task, first["lease_token"])
    studio.harness.run_job("run_advisory_reviews")
    shown = studio.review(made, "REJECT")
    assert (shown["status"], shown["feedback"]) == ("REJECTED", "Seen.")
    mine = ada.get(f"/tasks/{task['id']}")
    assert (mine["status"], mine["mine"], mine["attempts_left"]) == ("CLAIMED", True, 2)
    assert mine["deadline"] > first["deadline"]
    path = f"/tasks/{task['id']}/submissions"
    ada.post(path, {"lease_token": first["lease_token"], "media_ids": [studio.upload(ada)]}, 409)
    again = ada.post(f"/tasks/{task['id']}/claim")
    assert again["deadline"] == mine["deadline"]
    ada.post(path, {"lease_token": again["lease_token"], "media_ids": [studio.upload(ada)]}, 201)


def test_feedback_is_told_to_the_contributor_and_to_administrators(studio: Studio) -> None:
    ada, task = studio.person(), studio.task()
    studio.review(studio.submitted(ada, task), "REJECT")
    path = f"/tasks/{task['id']}/submissions"
    for reader in (ada, studio.admin):
        assert [each["feedback"] for each in reader.get(path)["items"]] == ["Seen."]
    assert studio.person().get(path)["items"] == []
    ada.get(f"/tasks/{new_id()}/submissions", 404)


def test_after_the_third_rejection_the_task_is_open_to_others_only(studio: Studio) -> None:
    ada, bea, task = studio.person(), studio.person(), studio.task()
    for attempts_left in (2, 1, 0):
        studio.review(studio.submitted(ada, task), "REJECT")
        assert studio.harness.published("tasks.task.reviewed")[-1].data["attempts_left"] == attempts_left
    assert studio.harness.published("tasks.task.released")[0].data["reason"] == "EXHAUSTED"
    assert ada.post(f"/tasks/{task['id']}/claim", expected=403)["type"].endswith("/contributor-barred")
    assert bea.post(f"/tasks/{task['id']}/claim")["attempts_left"] == 3
    studio.validate(bea, task)


def test_giving_a_task_back_does_not_renew_the_attempts(studio: Studio) -> None:
    ada, task = studio.person(), studio.task()
    studio.review(studio.submitted(ada, task), "REJECT")
    ada.post(f"/tasks/{task['id']}/abandon", expected=204)
    assert ada.post(f"/tasks/{task['id']}/claim")["attempts_left"] == 2


def test_a_verdict_is_audited(studio: Studio) -> None:
    made = studio.submitted(studio.person(), studio.task())
    studio.review(made)
    audited = [each.data for each in studio.harness.published("tasks.audit.recorded")]
    assert [each["action"] for each in audited] == ["film.create", "tasks.plan", "submission.review"]
    assert {each["actor_id"] for each in audited} == {str(studio.admin.id)}
    assert audited[-1]["entity_id"] == made["id"]


def test_a_verdict_sent_again_with_its_key_gets_the_same_answer(studio: Studio) -> None:
    made = studio.submitted(studio.person(), studio.task())
    path, body = f"/admin/submissions/{made['id']}/review", {"verdict": "APPROVE"}
    key = {"Idempotency-Key": "verdict-one"}
    first = studio.admin.post(path, body, headers=key)
    assert studio.admin.post(path, body, headers=key) == first
    studio.admin.post(path, {**body, "feedback": "other"}, 422, headers=key)
    assert studio.facts().count("task.validated") == 1
