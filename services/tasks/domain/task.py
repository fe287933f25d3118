"""A micro-task and the only ways it moves.

Each verb takes the task as it stands and returns the task as it becomes with the facts to publish; storing is
conditional on the status and version that the verb saw.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from libs.common.auth.policy import Role
from libs.common.errors import Conflict, Forbidden, NotFound
from libs.common.events import Event
from libs.common.money import Money
from services.tasks.domain.progress import rank
from services.tasks.domain.values import (
    Difficulty,
    Family,
    FilmId,
    Level,
    Phase,
    ReleaseReason,
    TaskId,
    TaskStatus,
    TaskType,
    UserId,
)
from services.tasks.events import TaskCancelled, TaskClaimed, TaskOpened, TaskReleased

CLAIM_DURATION = timedelta(hours=48)
MAX_ATTEMPTS = 3
"""Submissions that one contributor may make for one task."""


class Action(StrEnum):
    """What can happen to a task."""

    OPEN = "OPEN"
    CLAIM = "CLAIM"
    SUBMIT = "SUBMIT"
    ADVISE = "ADVISE"
    APPROVE = "APPROVE"
    RETURN = "RETURN"
    EXHAUST = "EXHAUST"
    ABANDON = "ABANDON"
    EXPIRE = "EXPIRE"
    REASSIGN = "REASSIGN"
    CANCEL = "CANCEL"


_S, _A = TaskStatus, Action
TRANSITIONS: Mapping[tuple[TaskStatus, Action], TaskStatus] = MappingProxyType(
    {
        (_S.LOCKED, _A.OPEN): _S.AVAILABLE,
        (_S.AVAILABLE, _A.CLAIM): _S.CLAIMED,
        (_S.CLAIMED, _A.SUBMIT): _S.AI_REVIEW,
        (_S.CLAIMED, _A.ABANDON): _S.AVAILABLE,
        (_S.CLAIMED, _A.EXPIRE): _S.AVAILABLE,
        (_S.CLAIMED, _A.REASSIGN): _S.AVAILABLE,
        (_S.AI_REVIEW, _A.ADVISE): _S.HUMAN_REVIEW,
        (_S.HUMAN_REVIEW, _A.APPROVE): _S.VALIDATED,
        (_S.HUMAN_REVIEW, _A.RETURN): _S.CLAIMED,
        (_S.HUMAN_REVIEW, _A.EXHAUST): _S.AVAILABLE,
        (_S.LOCKED, _A.CANCEL): _S.CANCELLED,
        (_S.AVAILABLE, _A.CANCEL): _S.CANCELLED,
    }
)
FINAL = frozenset({TaskStatus.VALIDATED, TaskStatus.CANCELLED})
ACTIVE = frozenset({TaskStatus.CLAIMED, TaskStatus.AI_REVIEW, TaskStatus.HUMAN_REVIEW})
"""A task in one of these counts against its claimant's limit."""

_PERFORMANCE = {TaskType.STUNT_CAPTURE, TaskType.DANCE_CAPTURE, TaskType.MOTION_REF}
_CREATIVE = {TaskType.CHARACTER_DESIGN, TaskType.ENV_DESIGN, TaskType.COLOR_GRADE, TaskType.COMPOSITING, TaskType.SOUND_DESIGN}
FAMILIES: Mapping[TaskType, Family] = MappingProxyType(
    {
        kind: Family.PERFORMANCE if kind in _PERFORMANCE else Family.CREATIVE if kind in _CREATIVE else Family.GENERAL
        for kind in TaskType
    }
)
ROLE_FAMILIES: Mapping[Role, frozenset[Family]] = MappingProxyType(
    {
        Role.ADMIN: frozenset(Family),
        Role.CONTRIBUTOR: frozenset({Family.GENERAL}),
        Role.ARTIST: frozenset({Family.GENERAL, Family.CREATIVE}),
        Role.STUNT_PERFORMER: frozenset({Family.PERFORMANCE}),
        Role.VIEWER: frozenset(),
        Role.SCREENWRITER: frozenset(),
        Role.CREATOR: frozenset(),
    }
)
"""The families that a role may work on. Reviewing is another matter: nobody reviews their own work."""


class TaskNotFound(NotFound):
    """No task has that id."""


class TransitionRefused(Conflict):
    """The task is not in a state that allows this; read it again."""


class RoleNotPermitted(Forbidden):
    """None of the caller's roles works on tasks of this type."""


class LevelTooLow(Forbidden):
    """The task asks for a higher level than the caller has reached."""


class ContributorBarred(Forbidden):
    """The caller has used every attempt at this task."""


class TooManyActiveTasks(Conflict):
    """The caller already works on as many tasks as one person may."""


class NotYourClaim(Conflict):
    """The caller does not hold this task."""


class StaleLease(Conflict):
    """The lease token is not the current one of this claim."""


class ClaimExpired(Conflict):
    """The deadline of this claim has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A micro-task as one transaction sees it."""

    id: TaskId
    film_id: FilmId
    film_title: str
    phase: Phase
    title: str
    type: TaskType
    difficulty: Difficulty
    price: Money
    required_level: Level
    status: TaskStatus
    version: int
    claimant_id: UserId | None = None
    deadline: datetime | None = None
    lease_sha256: str | None = None
    attempts: int = 0
    """Submissions that the present claimant has made for this task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """The person who asks for a task, and what bears on the answer."""

    id: UserId
    roles: frozenset[Role]
    level: Level
    active: int
    attempts: int
    barred: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """A task as it becomes, and the facts to publish, in order."""

    task: Task
    facts: tuple[Event, ...] = ()


def moved(task: Task, action: Action) -> TaskStatus:
    """The status that `action` leads to.

    Raises TransitionRefused.
    """
    status = TRANSITIONS.get((task.status, action))
    if status is None:
        raise TransitionRefused(f"This cannot be done while the task is {task.status}.", task_status=task.status)
    return status


def open_task(task: Task) -> Outcome:
    """Make a locked task claimable: its phase is active and nothing it depends on is left to do."""
    after = replace(task, status=moved(task, Action.OPEN))
    return Outcome(after, (TaskOpened(task_id=task.id, film_id=task.film_id),))


def claim(task: Task, claimant: Claimant, *, lease_sha256: str, now: datetime, max_active: int) -> Outcome:
    """Give the only lease on an open task to a person who may work on it.

    Raises TransitionRefused, RoleNotPermitted, LevelTooLow, ContributorBarred, TooManyActiveTasks.
    """
    status = moved(task, Action.CLAIM)
    permit(task, claimant)
    if claimant.active >= max_active:
        raise TooManyActiveTasks(
            f"You already work on {claimant.active} tasks and the limit is {max_active}; "
            "finish or abandon one, or wait for the verdict on one under review.",
            limit=max_active,
        )
    return _leased(task, claimant.id, replace(task, status=status, attempts=claimant.attempts), lease_sha256, now)


def permit(task: Task, claimant: Claimant) -> None:
    """Check role, level and earlier attempts. An administrator may work on everything.

    Raises RoleNotPermitted, LevelTooLow, ContributorBarred.
    """
    family = FAMILIES[task.type]
    if not any(family in ROLE_FAMILIES[role] for role in claimant.roles):
        raise RoleNotPermitted(f"Tasks of type {task.type} are {family} work, which none of your roles does.")
    if Role.ADMIN not in claimant.roles and rank(claimant.level) < rank(task.required_level):
        raise LevelTooLow(f"This task asks for level {task.required_level}; yours is {claimant.level}.")
    if claimant.barred:
        raise ContributorBarred("You have used every attempt at this task; it is open to others.")


def reissue_lease(task: Task, claimant_id: UserId, *, lease_sha256: str, now: datetime) -> Outcome:
    """Give the holder a new lease token for the running claim; the deadline stays and the former token is void.

    Raises NotYourClaim, ClaimExpired.
    """
    require_claim(task, claimant_id, now)
    return Outcome(replace(task, lease_sha256=lease_sha256))


def require_claim(task: Task, contributor_id: UserId, now: datetime) -> None:
    """Check that this person holds a running claim.

    Raises NotYourClaim, ClaimExpired.
    """
    if task.status is not TaskStatus.CLAIMED or task.claimant_id != contributor_id:
        raise NotYourClaim("You do not hold this task; claim it first.")
    if task.deadline is None or now > task.deadline:
        raise ClaimExpired("The deadline has passed and the task goes back to everyone; claim it again if it is open.")


def require_lease(task: Task, contributor_id: UserId, lease_sha256: str, now: datetime) -> None:
    """Check that this person holds a running claim by its current lease token.

    Raises NotYourClaim, ClaimExpired, StaleLease.
    """
    require_claim(task, contributor_id, now)
    if not hmac.compare_digest(task.lease_sha256 or "", lease_sha256):
        raise StaleLease("This lease token is void; ask for the current one by claiming the task again.")


def abandon(task: Task, contributor_id: UserId) -> Outcome:
    """Give a claimed task back.

    Raises NotYourClaim.
    """
    if task.status is not TaskStatus.CLAIMED or task.claimant_id != contributor_id:
        raise NotYourClaim("You do not hold this task, so there is nothing to give back.")
    return release(task, Action.ABANDON, ReleaseReason.ABANDONED)


def expire(task: Task, now: datetime) -> Outcome | None:
    """Take a claimed task back once its deadline has passed; none while it has not."""
    if task.status is not TaskStatus.CLAIMED or task.deadline is None or now <= task.deadline:
        return None
    return release(task, Action.EXPIRE, ReleaseReason.EXPIRED)


def release(task: Task, action: Action, reason: ReleaseReason) -> Outcome:
    """Take the task from its claimant, so that others may claim it.

    Raises TransitionRefused.
    """
    status = moved(task, action)
    fact = TaskReleased(task_id=task.id, film_id=task.film_id, contributor_id=held_by(task), reason=reason)
    after = replace(task, status=status, claimant_id=None, deadline=None, lease_sha256=None, attempts=0)
    return Outcome(after, (fact,))


def cancel(task: Task) -> Outcome:
    """Drop a task that nobody has claimed.

    Raises TransitionRefused.
    """
    after = replace(task, status=moved(task, Action.CANCEL))
    return Outcome(after, (TaskCancelled(task_id=task.id, film_id=task.film_id),))


def returned(task: Task, *, lease_sha256: str, now: datetime) -> Outcome:
    """Hand rejected work back to its contributor for another attempt, with a whole new deadline.

    Raises TransitionRefused.
    """
    return _leased(task, held_by(task), replace(task, status=moved(task, Action.RETURN)), lease_sha256, now)


def held_by(task: Task) -> UserId:
    """The person who works on the task or has done so.

    Raises NotYourClaim when there is none.
    """
    if task.claimant_id is None:
        raise NotYourClaim("Nobody holds this task.")
    return task.claimant_id


def _leased(task: Task, contributor_id: UserId, after: Task, lease_sha256: str, now: datetime) -> Outcome:
    deadline = now + CLAIM_DURATION
    fact = TaskClaimed(task_id=task.id, film_id=task.film_id, contributor_id=contributor_id, deadline=deadline)
    return Outcome(replace(after, claimant_id=contributor_id, deadline=deadline, lease_sha256=lease_sha256), (fact,))
