"""What holds when people act at the same moment: real threads, real Postgres."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier
from uuid import UUID

from libs.common.auth.policy import Role
from libs.common.errors import Problem
from libs.common.testing import Harness
from services.tasks.domain.rules import Rules
from services.tasks.domain.values import MediaId, SubmissionId, TaskId, UserId, Verdict
from services.tasks.tests.studio import FILM, Person, Studio, pass_deadline
from services.tasks.use_cases import reviews, work
from services.tasks.use_cases.work import Delivery

CONTRIBUTOR = frozenset({Role.CONTRIBUTOR})


def together(actions: Sequence[Callable[[], object]]) -> list[object]:
    """Run all actions at the same moment; the answers in order, a refusal as its exception."""
    barrier = Barrier(len(actions))

    def run(action: Callable[[], object]) -> object:
        barrier.wait(timeout=30)
        try:
            return action()
        except Problem as problem:
            return problem

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))


def claiming(harness: Harness, task_id: str, person_id: UserId) -> Callable[[], object]:
    rules = harness.resource(Rules)

    def act() -> object:
        with harness.transaction() as tx:
            return work.claim_task(tx, TaskId(UUID(task_id)), person_id, CONTRIBUTOR, rules)

    return act


def refused(answers: Sequence[object]) -> list[str]:
    return [type(each).__name__ for each in answers if isinstance(each, Problem)]


def test_twenty_claimants_of_one_task_make_one_lease(studio: Studio) -> None:
    task = studio.task()
    people = [studio.person() for _ in range(20)]
    answers = together([claiming(studio.harness, task["id"], UserId(person.id)) for person in people])
    assert len(refused(answers)) == 19
    assert set(refused(answers)) <= {"ChangedMeanwhile", "TransitionRefused"}
    assert studio.facts().count("task.claimed") == 1
    winner = next(person for person, answer in zip(people, answers, strict=True) if not isinstance(answer, Problem))
    assert studio.admin.get(f"/tasks/{task['id']}")["claimant_id"] == str(winner.id)


def test_one_person_claiming_ten_tasks_in_parallel_gets_three(studio: Studio) -> None:
    tasks = studio.plan(studio.film(), *[{}] * 10)
    ada = studio.person()
    answers = together([claiming(studio.harness, task["id"], UserId(ada.id)) for task in tasks])
    assert refused(answers) == ["TooManyActiveTasks"] * 7
    assert studio.facts().count("task.claimed") == 3
    assert ada.get("/profile/progress")["claimed"] == 3


def test_one_person_claiming_one_task_twice_in_parallel_holds_one_working_token(studio: Studio) -> None:
    task, ada = studio.task(), studio.person()
    answers = together([claiming(studio.harness, task["id"], UserId(ada.id))] * 2)
    assert refused(answers) == []
    assert studio.facts().count("task.claimed") == 1
    media_id = studio.upload(ada)
    statuses = [
        ada.client.post(
            f"/api/v1/tasks/{task['id']}/submissions",
            json={"lease_token": getattr(answer, "token", ""), "media_ids": [media_id]},
        ).status_code
        for answer in answers
    ]
    assert sorted(statuses) == [201, 409]


def test_two_approvals_in_parallel_validate_once(studio: Studio) -> None:
    ada = studio.person()
    submission = studio.submitted(ada, studio.task())
    answers = together([deciding(studio.harness, submission["id"], Verdict.APPROVE) for _ in range(4)])
    assert refused(answers) == ["NotUnderReview"] * 3
    assert studio.facts().count("task.validated") == 1
    assert ada.get("/profile/progress")["points"] == 50


def test_approval_and_rejection_in_parallel_leave_one_verdict(studio: Studio) -> None:
    submission = studio.submitted(studio.person(), studio.task())
    answers = together([deciding(studio.harness, submission["id"], verdict) for verdict in (Verdict.APPROVE, Verdict.REJECT)])
    assert len(refused(answers)) == 1
    told = studio.harness.published("tasks.task.reviewed")
    assert [each.data["stage"] for each in told] == ["ADVISORY", "HUMAN"]


def test_the_last_two_tasks_of_a_phase_approved_in_parallel_complete_it_once(studio: Studio) -> None:
    tasks = studio.plan(studio.film(), {}, {})
    submissions = [studio.submitted(studio.person(), task) for task in tasks]
    answers = together([deciding(studio.harness, each["id"], Verdict.APPROVE) for each in submissions])
    assert refused(answers) == []
    assert studio.facts().count("phase.completed") == 1
    assert studio.facts().count("phase.unlocked") == 2


def test_two_dependencies_approved_in_parallel_open_what_waits_for_both(studio: Studio) -> None:
    first, second, last = studio.plan(
        studio.film(), {"reference": "a"}, {"reference": "b"}, {"reference": "c", "depends_on": ["a", "b"]}
    )
    assert last["status"] == "LOCKED"
    submissions = [studio.submitted(studio.person(), task) for task in (first, second)]
    assert refused(together([deciding(studio.harness, each["id"], Verdict.APPROVE) for each in submissions])) == []
    assert studio.admin.get(f"/tasks/{last['id']}")["status"] == "AVAILABLE"


def test_expiry_against_a_submission_begun_before_the_deadline_leaves_one_of_them(studio: Studio) -> None:
    for _ in range(8):
        task, ada = studio.task(), studio.person()
        token, media_id = studio.claim(ada, task), studio.upload(ada)
        begun = pass_deadline(studio.harness, task["id"])
        before = len(studio.facts())
        answers = together(
            [
                submitting(studio.harness, ada, task["id"], token, media_id, begun),
                lambda: studio.harness.run_job("release_expired_claims"),
            ]
        )
        told = studio.facts()[before:]
        assert told in (["task.released"], ["task.submitted"])
        assert len(refused(answers)) == (told == ["task.released"])


def test_abandoning_against_submission_leaves_one_of_them(studio: Studio) -> None:
    for _ in range(5):
        task, ada = studio.task(), studio.person()
        token, media_id = studio.claim(ada, task), studio.upload(ada)
        before = len(studio.facts())
        answers = together(
            [submitting(studio.harness, ada, task["id"], token, media_id), abandoning(studio.harness, ada, task["id"])]
        )
        assert len(refused(answers)) == 1
        assert studio.facts()[before:] in (["task.released"], ["task.submitted"])


def test_the_same_submission_sent_five_times_at_once_is_one_attempt(studio: Studio) -> None:
    task, ada = studio.task(), studio.person()
    token, media_id = studio.claim(ada, task), studio.upload(ada)
    answers = together([submitting(studio.harness, ada, task["id"], token, media_id)] * 5)
    assert len(refused(answers)) == 4
    assert ada.get("/profile/progress")["submitted"] == 1


def test_films_of_one_title_planned_in_parallel_get_slugs_of_their_own(studio: Studio) -> None:
    slugs = together([lambda: studio.person(Role.ADMIN).post("/admin/films", FILM, 201)["slug"]] * 4)
    assert sorted(map(str, slugs)) == ["le-voyage-dans-la-lune"] + [f"le-voyage-dans-la-lune-{number}" for number in (2, 3, 4)]


def deciding(harness: Harness, submission_id: str, verdict: Verdict) -> Callable[[], object]:
    rules = harness.resource(Rules)
    reviewer = UserId(harness.subject(Role.ADMIN).id)

    def act() -> object:
        with harness.transaction() as tx:
            submission = SubmissionId(UUID(submission_id))
            reviews.review_submission(tx, submission, verdict, "Seen.", reviewer_id=reviewer, rules=rules)
        return None

    return act


def submitting(
    harness: Harness, person: Person, task_id: str, token: str, media_id: str, now: datetime | None = None
) -> Callable[[], object]:
    delivery = Delivery(lease_token=token, media_ids=(MediaId(UUID(media_id)),), notes="")

    def act() -> object:
        with harness.transaction() as tx:
            tx.now = now or tx.now
            return work.submit_work(tx, TaskId(UUID(task_id)), UserId(person.id), delivery)

    return act


def abandoning(harness: Harness, person: Person, task_id: str) -> Callable[[], object]:
    def act() -> object:
        with harness.transaction() as tx:
            work.abandon_task(tx, TaskId(UUID(task_id)), UserId(person.id))
        return None

    return act
