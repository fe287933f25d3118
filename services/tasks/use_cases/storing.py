"""Writing what a verb decided: conditional on the status and version it saw, with its facts."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Table, Update, bindparam, update

from libs.common.db import Transaction
from libs.common.errors import Conflict
from services.tasks.domain.review import Advice, Decision, Submission
from services.tasks.domain.task import Outcome, Task
from services.tasks.domain.values import SubmissionStatus
from services.tasks.models import submission, task


class ChangedMeanwhile(Conflict):
    """Somebody else moved the same thing at the same moment."""


def conditional_update(table: Table) -> Update:
    """An update of the row that still has the status and version seen; the caller adds the other columns as `new_<column>`."""
    seen = (
        table.c.id == bindparam("seen_id"),
        table.c.status == bindparam("seen_status"),
        table.c.version == bindparam("seen_version"),
    )
    return update(table).where(*seen).values(status=bindparam("new_status"), version=table.c.version + 1)


_STORE_TASK = conditional_update(task).values(
    claimant_id=bindparam("new_claimant_id"),
    deadline=bindparam("new_deadline"),
    lease_sha256=bindparam("new_lease_sha256"),
    attempts=bindparam("new_attempts"),
)
_ADVISED = conditional_update(submission).values(
    score=bindparam("new_score"),
    mock=bindparam("new_mock"),
    ai_flagged=bindparam("new_ai_flagged"),
    advised_at=bindparam("now"),
    advisory_due_at=None,
)
_REVIEWED = conditional_update(submission).values(
    reviewer_id=bindparam("new_reviewer_id"), feedback=bindparam("new_feedback"), reviewed_at=bindparam("now")
)


def require_one_row(tx: Transaction, statement: Update, parameters: dict[str, Any]) -> None:
    """Run a conditional update.

    Raises ChangedMeanwhile when the row is no longer as it was seen.
    """
    if tx.execute(statement, parameters).rowcount != 1:
        raise ChangedMeanwhile("Somebody changed this at the same moment; read it again and decide anew.")


def store_task(tx: Transaction, before: Task, outcome: Outcome) -> Task:
    """Write the task as it becomes and publish the facts; returns it as it now stands.

    Raises ChangedMeanwhile.
    """
    after = outcome.task
    parameters = {
        "seen_id": before.id,
        "seen_status": before.status,
        "seen_version": before.version,
        "new_status": after.status,
        "new_claimant_id": after.claimant_id,
        "new_deadline": after.deadline,
        "new_lease_sha256": after.lease_sha256,
        "new_attempts": after.attempts,
    }
    require_one_row(tx, _STORE_TASK, parameters)
    for fact in outcome.facts:
        tx.publish(fact)
    return replace(after, version=before.version + 1)


def store_advice(tx: Transaction, before: Submission, decision: Decision, advice: Advice) -> None:
    """Write the advisory opinion on a submission.

    Raises ChangedMeanwhile.
    """
    flagged = decision.status is SubmissionStatus.AI_FLAGGED
    opinion = {"new_score": advice.score, "new_mock": advice.mock, "new_ai_flagged": flagged, "now": tx.now}
    require_one_row(tx, _ADVISED, {**_seen(before, decision), **opinion})


def store_verdict(tx: Transaction, before: Submission, decision: Decision, reviewer_id: object, feedback: str) -> None:
    """Write a person's verdict on a submission.

    Raises ChangedMeanwhile.
    """
    parameters = {**_seen(before, decision), "new_reviewer_id": reviewer_id, "new_feedback": feedback, "now": tx.now}
    require_one_row(tx, _REVIEWED, parameters)


def _seen(before: Submission, decision: Decision) -> dict[str, Any]:
    return {
        "seen_id": before.id,
        "seen_status": before.status,
        "seen_version": before.version,
        "new_status": decision.status,
    }
