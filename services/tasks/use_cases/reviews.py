"""Both reviews of a submission: the advisory opinion, then an administrator's verdict."""

from sqlalchemy import bindparam, insert, update
from sqlalchemy.dialects.postgresql import insert as upsert

from libs.common.db import Database, Transaction
from libs.common.ids import random_token
from libs.common.telemetry import logger
from services.tasks.domain import review
from services.tasks.domain.progress import points_for, raised
from services.tasks.domain.review import ADVISORY_RETRY, ADVISORY_TRIES, Advice, Reviewer, Submission
from services.tasks.domain.rules import Rules
from services.tasks.domain.task import Task
from services.tasks.domain.values import Level, SubmissionId, SubmissionStatus, UserId, Verdict
from services.tasks.models import award, barred_contributor, contributor, submission
from services.tasks.queries import state
from services.tasks.use_cases.films import advance
from services.tasks.use_cases.storing import store_advice, store_task, store_verdict
from services.tasks.use_cases.work import lease_digest

ADVISORY_BATCH = 20

log = logger(__name__)

_BAR = insert(barred_contributor)
_AWARD = insert(award)
_FIRST_STANDING = upsert(contributor).on_conflict_do_nothing()
_RAISE = update(contributor).where(contributor.c.id == bindparam("contributor_id"))
_RAISE = _RAISE.values(
    points=bindparam("new_points"),
    level=bindparam("new_level"),
    validated=contributor.c.validated + 1,
    version=contributor.c.version + 1,
)
_POSTPONE = update(submission).where(submission.c.id == bindparam("submission_id"))
_POSTPONE = _POSTPONE.where(submission.c.status == SubmissionStatus.PENDING_AI)
_POSTPONE = _POSTPONE.values(advisory_tries=submission.c.advisory_tries + 1, advisory_due_at=bindparam("due_at"))


def review_submission(
    tx: Transaction, submission_id: SubmissionId, verdict: Verdict, feedback: str, *, reviewer_id: UserId, rules: Rules
) -> None:
    """Decide on a submission: approved work is final and payable, rejected work goes back.

    Raises SubmissionNotFound, OwnWorkReviewed, NotUnderReview, ChangedMeanwhile.
    """
    _, task_id = state.submission_by_id(tx, submission_id)
    state.lock_film(tx, state.task_by_id(tx, task_id).film_id)
    task, submitted = state.task_by_id(tx, task_id), state.submission_by_id(tx, submission_id)[0]
    if verdict is Verdict.APPROVE:
        _approve(tx, task, submitted, feedback, reviewer_id, rules)
    else:
        _reject(tx, task, submitted, feedback, reviewer_id)
    tx.audit("submission.review", "submission", submission_id, details={"verdict": verdict, "task_id": str(task_id)})


def _approve(tx: Transaction, task: Task, submitted: Submission, feedback: str, reviewer_id: UserId, rules: Rules) -> None:
    decision = review.approve(task, submitted, reviewer_id, rules.lumens_per_task)
    store_verdict(tx, submitted, decision, reviewer_id, feedback)
    store_task(tx, task, decision.outcome)
    _reward(tx, task, submitted, rules)
    advance(tx, task.film_id, task.film_title)


def _reject(tx: Transaction, task: Task, submitted: Submission, feedback: str, reviewer_id: UserId) -> None:
    # The new lease begins now, but its token is told only to its holder, who asks for one by claiming again.
    untold = lease_digest(random_token())
    decision = review.reject(task, submitted, reviewer_id, lease_sha256=untold, now=tx.now)
    store_verdict(tx, submitted, decision, reviewer_id, feedback)
    store_task(tx, task, decision.outcome)
    if decision.barred:
        tx.execute(_BAR, {"task_id": task.id, "contributor_id": submitted.contributor_id, "barred_at": tx.now})


def _reward(tx: Transaction, task: Task, submitted: Submission, rules: Rules) -> None:
    """Points for the contributor; the award's key is the task, so that it is earned once whatever happens."""
    points = points_for(task.price)
    earned = {"points": points, "lumens": rules.lumens_per_task, "awarded_at": tx.now}
    tx.execute(
        _AWARD, {"task_id": task.id, "submission_id": submitted.id, "contributor_id": submitted.contributor_id, **earned}
    )
    tx.execute(
        _FIRST_STANDING, {"id": submitted.contributor_id, "points": 0, "level": Level.ROOKIE, "validated": 0, "version": 1}
    )
    standing = state.contributor_locked(tx, submitted.contributor_id)
    total = standing.points + points
    level = raised(Level(standing.level), total)
    tx.execute(_RAISE, {"contributor_id": submitted.contributor_id, "new_points": total, "new_level": level})


def advise_on_submissions(database: Database, reviewer: Reviewer, rules: Rules) -> int:
    """Ask the advisory reviewer about what waits for it; returns how many submissions went on to a person.

    The reviewer is asked outside any transaction: it may be slow, and it may fail.
    """
    with database.transaction() as tx:
        waiting = state.due_for_advice(tx, ADVISORY_BATCH)
    return sum(_advise(database, reviewer, submission_id, rules) for submission_id in waiting)


def _advise(database: Database, reviewer: Reviewer, submission_id: SubmissionId, rules: Rules) -> bool:
    with database.transaction() as tx:
        material = state.material(tx, submission_id)
    try:
        advice = reviewer.review(material)
    except Exception as error:  # noqa: BLE001 — one submission that cannot be judged must not hold up the others
        log.warning("advisory_review.failed", submission_id=str(submission_id), reason=type(error).__name__)
        return _without_answer(database, submission_id, rules)
    return _pass_on(database, submission_id, advice, rules)


def _without_answer(database: Database, submission_id: SubmissionId, rules: Rules) -> bool:
    """Ask again later; after the last try a person decides without a score, so that no work is ever stuck."""
    with database.transaction() as tx:
        tries = state.advisory_tries(tx, submission_id) + 1
        if tries < ADVISORY_TRIES:
            tx.execute(_POSTPONE, {"submission_id": submission_id, "due_at": tx.now + tries * ADVISORY_RETRY})
            return False
    return _pass_on(database, submission_id, Advice(score=None, mock=False), rules)


def _pass_on(database: Database, submission_id: SubmissionId, advice: Advice, rules: Rules) -> bool:
    with database.transaction() as tx:
        submitted, task_id = state.submission_by_id(tx, submission_id)
        if submitted.status is not SubmissionStatus.PENDING_AI:
            return False
        task = state.task_by_id(tx, task_id)
        decision = review.advise(task, submitted, advice, rules.advisory_threshold)
        store_advice(tx, submitted, decision, advice)
        store_task(tx, task, decision.outcome)
        return True
