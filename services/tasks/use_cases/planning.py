"""Planning the micro-tasks of a film, and dropping those that nobody has claimed."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, insert

from libs.common.db import Transaction
from libs.common.errors import Invalid
from libs.common.ids import new_id
from services.tasks.domain import planning
from services.tasks.domain.film import PhaseComplete
from services.tasks.domain.planning import Draft
from services.tasks.domain.task import Action, cancel, release
from services.tasks.domain.values import FilmId, Phase, PhaseStatus, ReleaseReason, TaskId, TaskStatus, UserId
from services.tasks.events import TaskCreated
from services.tasks.models import task, task_dependency
from services.tasks.queries import state
from services.tasks.use_cases.films import advance, open_ready_tasks
from services.tasks.use_cases.storing import store_task

_INSERT_TASK = insert(task)
_INSERT_DEPENDENCY = insert(task_dependency)


def plan_tasks(tx: Transaction, film_id: FilmId, drafts: Sequence[Draft], created_by: UserId) -> list[TaskId]:
    """Create tasks, all or none, and open those that wait for nothing; returns their ids in the order of the drafts.

    Raises FilmNotFound, PhaseComplete, Invalid (every fault of the dependencies).
    """
    state.lock_film(tx, film_id)
    phases = {Phase(row.name): row for row in state.phases(tx, film_id)}
    closed = sorted({each.phase.value for each in drafts if phases[each.phase].status == PhaseStatus.COMPLETED})
    if closed:
        raise PhaseComplete(f"These phases are complete and take no more tasks: {', '.join(closed)}.", phases=closed)
    ids = sorted(TaskId(new_id()) for _ in drafts)
    plan = planning.resolve(drafts, ids, state.planned_tasks(tx, film_id))
    if plan.faults:
        raise Invalid(plan.faults)
    tx.execute(_INSERT_TASK, [_row(tx, *each, phases, created_by) for each in zip(ids, drafts, strict=True)])
    waits = [(task_id, other) for task_id, others in zip(ids, plan.depends_on, strict=True) for other in others]
    if waits:
        tx.execute(_INSERT_DEPENDENCY, [{"task_id": task_id, "depends_on_id": other} for task_id, other in waits])
    for task_id, draft in zip(ids, drafts, strict=True):
        tx.publish(_created(task_id, film_id, draft))
    open_ready_tasks(tx, film_id)
    tx.audit("tasks.plan", "film", film_id, details={"tasks": len(ids)})
    return ids


def cancel_task(tx: Transaction, task_id: TaskId) -> None:
    """Drop a task that nobody has claimed; what waited for it waits no more.

    Raises TaskNotFound, TransitionRefused, ChangedMeanwhile.
    """
    found = state.task_by_id(tx, task_id)
    state.lock_film(tx, found.film_id)
    before = state.task_by_id(tx, task_id)
    store_task(tx, before, cancel(before))
    advance(tx, before.film_id, before.film_title)
    tx.audit("task.cancel", "task", task_id)


def reassign_task(tx: Transaction, task_id: TaskId) -> None:
    """Take a claimed task from its contributor, so that others may claim it.

    Raises TaskNotFound, TransitionRefused, ChangedMeanwhile.
    """
    before = state.task_by_id(tx, task_id)
    outcome = release(before, Action.REASSIGN, ReleaseReason.REASSIGNED)
    store_task(tx, before, outcome)
    tx.audit("task.reassign", "task", task_id, details={"contributor_id": str(before.claimant_id)})


def _row(
    tx: Transaction, task_id: TaskId, draft: Draft, phases: Mapping[Phase, Row[Any]], created_by: UserId
) -> dict[str, Any]:
    return {
        "id": task_id,
        "film_id": phases[draft.phase].film_id,
        "phase_id": phases[draft.phase].id,
        "reference": draft.reference,
        "title": draft.title,
        "description": draft.description,
        "type": draft.type,
        "difficulty": draft.difficulty,
        "price_amount": draft.price.amount,
        "price_currency": draft.price.currency,
        "required_level": draft.required_level,
        "status": TaskStatus.LOCKED,
        "attempts": 0,
        "created_by": created_by,
        "created_at": tx.now,
        "version": 1,
    }


def _created(task_id: TaskId, film_id: FilmId, draft: Draft) -> TaskCreated:
    return TaskCreated(
        task_id=task_id, film_id=film_id, phase=draft.phase, type=draft.type, difficulty=draft.difficulty, price=draft.price
    )
