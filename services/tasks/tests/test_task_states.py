"""The state machine of a task: as a table, and lived through in any order that people and clocks may choose."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from libs.common.auth.policy import Role
from libs.common.errors import Problem
from libs.common.ids import new_id
from libs.common.money import Currency, Money
from services.tasks.domain import review, task
from services.tasks.domain.review import Advice, Media, Submission
from services.tasks.domain.task import CLAIM_DURATION, FINAL, MAX_ATTEMPTS, TRANSITIONS, Claimant, Outcome, Task
from services.tasks.domain.values import (
    Difficulty,
    FilmId,
    Level,
    MediaId,
    Phase,
    SubmissionId,
    SubmissionStatus,
    TaskId,
    TaskStatus,
    TaskType,
    UserId,
)

PEOPLE = [UserId(new_id()) for _ in range(3)]
REVIEWER = UserId(new_id())
START = datetime(2030, 1, 1, tzinfo=UTC)
THRESHOLD = 70


def a_task(status: TaskStatus = TaskStatus.LOCKED) -> Task:
    return Task(
        id=TaskId(new_id()),
        film_id=FilmId(new_id()),
        film_title="Le Voyage dans la Lune",
        phase=Phase.SCRIPT,
        title="The shell",
        type=TaskType.IMAGE_GEN,
        difficulty=Difficulty.EASY,
        price=Money(amount=5_000, currency=Currency.EUR),
        required_level=Level.ROOKIE,
        status=status,
        version=1,
    )


def a_claimant(person: UserId, *roles: Role, **changes: object) -> Claimant:
    usual = Claimant(
        id=person,
        roles=frozenset(roles or (Role.CONTRIBUTOR,)),
        level=Level.ROOKIE,
        active=0,
        attempts=0,
        barred=False,
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def test_only_validated_and_cancelled_are_absorbing() -> None:
    left = {status for status, _ in TRANSITIONS}
    assert set(TaskStatus) - left == FINAL == {TaskStatus.VALIDATED, TaskStatus.CANCELLED}


@pytest.mark.parametrize("status", sorted(set(TaskStatus) - FINAL))
def test_validation_can_be_reached_from_every_state_that_is_not_final(status: TaskStatus) -> None:
    assert TaskStatus.VALIDATED in reachable(status)


def reachable(status: TaskStatus) -> set[TaskStatus]:
    reached, frontier = {status}, {status}
    while frontier:
        frontier = {after for (before, _), after in TRANSITIONS.items() if before in frontier} - reached
        reached |= frontier
    return reached


class OneTask(RuleBasedStateMachine):
    """One task, three contributors, one administrator, and a clock."""

    def __init__(self) -> None:
        super().__init__()
        self.task = a_task()
        self.now = START
        self.tokens = 0
        self.current_token: str | None = None
        self.attempts = dict.fromkeys(PEOPLE, 0)
        self.barred: set[UserId] = set()
        self.submission: Submission | None = None
        self.validations = 0
        self.facts: list[str] = []

    def take(self, outcome: Outcome) -> None:
        self.task = replace(outcome.task, version=self.task.version + 1)
        self.facts += [type(fact).__name__ for fact in outcome.facts]

    def new_token(self) -> str:
        self.tokens += 1
        return f"token {self.tokens}"

    @precondition(lambda self: self.task.status is TaskStatus.LOCKED)
    @rule()
    def open(self) -> None:
        self.take(task.open_task(self.task))

    @rule(hours=st.integers(1, 60))
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(person=st.sampled_from(PEOPLE))
    def claim(self, person: UserId) -> None:
        claimant = a_claimant(person, attempts=self.attempts[person], barred=person in self.barred)
        token = self.new_token()
        allowed = self.task.status is TaskStatus.AVAILABLE and person not in self.barred
        try:
            self.take(task.claim(self.task, claimant, lease_sha256=token, now=self.now, max_active=3))
        except Problem:
            assert not allowed
        else:
            assert allowed
            self.current_token = token
            assert self.task.deadline == self.now + CLAIM_DURATION

    @rule(person=st.sampled_from(PEOPLE))
    def ask_for_the_token_again(self, person: UserId) -> None:
        token, deadline = self.new_token(), self.task.deadline
        try:
            self.take(task.reissue_lease(self.task, person, lease_sha256=token, now=self.now))
        except Problem:
            assert self.task.claimant_id != person or not self.lease_is_live()
        else:
            self.current_token = token
            assert self.task.deadline == deadline

    @rule(person=st.sampled_from(PEOPLE), age=st.integers(0, 3))
    def submit(self, person: UserId, age: int) -> None:
        token = f"token {self.tokens - age}"
        media = [Media(MediaId(new_id()), person, True, "ab" * 32, "image/png", 1)]
        submission_id = SubmissionId(new_id())
        try:
            task.require_lease(self.task, person, token, self.now)
            outcome = review.submit(self.task, submission_id, media, "", lease_sha256=token, now=self.now)
        except Problem:
            assert token != self.current_token or self.task.claimant_id != person or not self.lease_is_live()
            return
        assert token == self.current_token
        assert self.task.claimant_id == person
        assert self.lease_is_live()
        self.take(outcome)
        self.attempts[person] += 1
        assert self.task.attempts == self.attempts[person]
        self.submission = Submission(id=submission_id, contributor_id=person, status=SubmissionStatus.PENDING_AI, version=1)

    @precondition(lambda self: self.task.status is TaskStatus.AI_REVIEW)
    @rule(score=st.one_of(st.none(), st.integers(0, 100)))
    def advise(self, score: int | None) -> None:
        assert self.submission is not None
        decision = review.advise(self.task, self.submission, Advice(score, mock=True), THRESHOLD)
        flagged = score is None or score < THRESHOLD
        assert decision.status is (SubmissionStatus.AI_FLAGGED if flagged else SubmissionStatus.AI_APPROVED)
        assert decision.outcome.task.status is TaskStatus.HUMAN_REVIEW
        self.take(decision.outcome)
        self.submission = replace(self.submission, status=decision.status)

    @rule(approve=st.booleans(), reviewer=st.sampled_from([REVIEWER, *PEOPLE]))
    def decide(self, approve: bool, reviewer: UserId) -> None:
        if self.submission is None:
            return
        allowed = self.task.status is TaskStatus.HUMAN_REVIEW and reviewer != self.submission.contributor_id
        token = self.new_token()
        try:
            if approve:
                decision = review.approve(self.task, self.submission, reviewer, 10)
            else:
                decision = review.reject(self.task, self.submission, reviewer, lease_sha256=token, now=self.now)
        except Problem:
            assert not allowed
            return
        assert allowed
        if not approve and not decision.barred:
            self.current_token = token
        if decision.barred:
            self.barred.add(self.submission.contributor_id)
        self.validations += approve
        self.take(decision.outcome)
        self.submission = replace(self.submission, status=decision.status)

    @rule(person=st.sampled_from(PEOPLE))
    def abandon(self, person: UserId) -> None:
        try:
            self.take(task.abandon(self.task, person))
        except Problem:
            assert self.task.status is not TaskStatus.CLAIMED or self.task.claimant_id != person

    @rule()
    def expire(self) -> None:
        outcome = task.expire(self.task, self.now)
        due = self.task.status is TaskStatus.CLAIMED and not self.lease_is_live()
        assert (outcome is not None) == due
        if outcome is not None:
            self.take(outcome)

    def lease_is_live(self) -> bool:
        return self.task.status is TaskStatus.CLAIMED and self.task.deadline is not None and self.now <= self.task.deadline

    @invariant()
    def a_lease_exists_exactly_while_claimed(self) -> None:
        claimed = self.task.status is TaskStatus.CLAIMED
        assert claimed == (self.task.lease_sha256 is not None) == (self.task.deadline is not None)

    @invariant()
    def the_latest_lease_is_the_only_one(self) -> None:
        if self.task.status is TaskStatus.CLAIMED:
            assert self.task.lease_sha256 == self.current_token

    @invariant()
    def nobody_gets_more_attempts_than_allowed(self) -> None:
        assert max(self.attempts.values()) <= MAX_ATTEMPTS
        assert all(self.attempts[person] == MAX_ATTEMPTS for person in self.barred)

    @invariant()
    def work_is_validated_at_most_once_and_told_once(self) -> None:
        assert self.validations <= 1
        assert self.facts.count("TaskValidated") == self.validations
        assert (self.task.status is TaskStatus.VALIDATED) == (self.validations == 1)

    @invariant()
    def everything_but_final_states_can_still_move(self) -> None:
        assert self.task.status in FINAL or any(status is self.task.status for status, _ in TRANSITIONS)


OneTask.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestOneTask = OneTask.TestCase


MATRIX = {
    Role.ADMIN: set(TaskType),
    Role.CONTRIBUTOR: {
        TaskType.PROMPT_WRITING,
        TaskType.IMAGE_GEN,
        TaskType.VIDEO_REVIEW,
        TaskType.DIALOGUE_EDIT,
        TaskType.CONTINUITY_CHECK,
        TaskType.QA_REVIEW,
        TaskType.TRANSLATION,
        TaskType.SUBTITLE,
    },
    Role.STUNT_PERFORMER: {TaskType.STUNT_CAPTURE, TaskType.DANCE_CAPTURE, TaskType.MOTION_REF},
    Role.VIEWER: set(),
    Role.SCREENWRITER: set(),
    Role.CREATOR: set(),
}
MATRIX[Role.ARTIST] = MATRIX[Role.CONTRIBUTOR] | {
    TaskType.CHARACTER_DESIGN,
    TaskType.ENV_DESIGN,
    TaskType.COLOR_GRADE,
    TaskType.COMPOSITING,
    TaskType.SOUND_DESIGN,
}


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("kind", list(TaskType))
def test_each_role_works_on_its_own_families_only(role: Role, kind: TaskType) -> None:
    wanted = replace(a_task(TaskStatus.AVAILABLE), type=kind)
    assert permitted(wanted, a_claimant(PEOPLE[0], role)) == (kind in MATRIX[role])


@given(roles=st.sets(st.sampled_from(list(Role))), kind=st.sampled_from(list(TaskType)))
def test_several_roles_permit_what_any_of_them_permits(roles: set[Role], kind: TaskType) -> None:
    wanted = replace(a_task(TaskStatus.AVAILABLE), type=kind)
    claimant = replace(a_claimant(PEOPLE[0]), roles=frozenset(roles))
    assert permitted(wanted, claimant) == any(kind in MATRIX[role] for role in roles)


@given(required=st.sampled_from(list(Level)), level=st.sampled_from(list(Level)))
def test_a_level_is_enough_from_the_required_one_upwards(required: Level, level: Level) -> None:
    wanted = replace(a_task(TaskStatus.AVAILABLE), required_level=required)
    order = [Level.ROOKIE, Level.PRO, Level.EXPERT, Level.VIP]
    assert permitted(wanted, a_claimant(PEOPLE[0], level=level)) == (order.index(level) >= order.index(required))
    assert permitted(wanted, a_claimant(PEOPLE[0], Role.ADMIN, level=level))


@pytest.mark.parametrize(("active", "allowed"), [(1, True), (2, True), (3, False), (4, False)])
def test_a_person_works_on_three_tasks_at_most(active: int, allowed: bool) -> None:
    wanted, claimant = a_task(TaskStatus.AVAILABLE), a_claimant(PEOPLE[0], active=active)
    assert succeeds(lambda: task.claim(wanted, claimant, lease_sha256="x", now=START, max_active=3)) == allowed


@pytest.mark.parametrize(("microseconds", "live"), [(-1, True), (0, True), (1, False)])
def test_a_lease_lives_until_its_deadline_and_expires_right_after(microseconds: int, live: bool) -> None:
    claimed = task.claim(a_task(TaskStatus.AVAILABLE), a_claimant(PEOPLE[0]), lease_sha256="x", now=START, max_active=3).task
    now = START + timedelta(hours=48, microseconds=microseconds)
    assert succeeds(lambda: task.require_lease(claimed, PEOPLE[0], "x", now)) == live
    assert (task.expire(claimed, now) is None) == live


def permitted(wanted: Task, claimant: Claimant) -> bool:
    return succeeds(lambda: task.permit(wanted, claimant))


def succeeds(verb: object) -> bool:
    try:
        verb()  # type: ignore[operator]
    except Problem:
        return False
    return True


def names(facts: Iterable[object]) -> list[str]:
    return [type(fact).__name__ for fact in facts]


@pytest.mark.parametrize(
    ("attempts", "facts"),
    [
        (1, ["SubmissionReviewed", "TaskClaimed"]),
        (2, ["SubmissionReviewed", "TaskClaimed"]),
        (3, ["SubmissionReviewed", "TaskReleased"]),
    ],
)
def test_rejected_work_goes_back_to_its_contributor_until_the_third_attempt(attempts: int, facts: list[str]) -> None:
    under_review = replace(a_task(TaskStatus.HUMAN_REVIEW), claimant_id=PEOPLE[0], attempts=attempts)
    submission = Submission(id=SubmissionId(new_id()), contributor_id=PEOPLE[0], status=SubmissionStatus.AI_FLAGGED, version=2)
    decision = review.reject(under_review, submission, REVIEWER, lease_sha256="x", now=START)
    assert names(decision.outcome.facts) == facts
    assert decision.barred == (attempts == 3)
    assert decision.outcome.task.claimant_id == (None if attempts == 3 else PEOPLE[0])
