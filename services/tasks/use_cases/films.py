"""Planning films and moving them through their phases."""

from dataclasses import dataclass

from sqlalchemy import bindparam, insert, update
from sqlalchemy.dialects.postgresql import insert as upsert

from libs.common.db import Transaction
from libs.common.ids import new_id
from libs.common.money import Money
from services.tasks.domain.film import (
    PhaseNotLocked,
    film_status,
    next_locked,
    phase_complete,
    progress_percent,
    slug_candidates,
)
from services.tasks.domain.task import open_task
from services.tasks.domain.values import Catalogue, FilmId, FilmStatus, Genre, Origin, Phase, PhaseStatus, UserId
from services.tasks.events import FilmCompleted, FilmCreated, PhaseCompleted, PhaseUnlocked
from services.tasks.models import film, phase
from services.tasks.queries import state
from services.tasks.use_cases.storing import conditional_update, require_one_row, store_task

_INSERT_FILM = upsert(film).on_conflict_do_nothing(index_elements=["slug"]).returning(film.c.slug)
_INSERT_PHASE = insert(phase)
_UNLOCK = conditional_update(phase).values(unlocked_at=bindparam("now"))
_COMPLETE = conditional_update(phase).values(completed_at=bindparam("now"))
_PROGRESS = update(film).where(film.c.id == bindparam("film_id"))
_PROGRESS = _PROGRESS.values(status=bindparam("film_status"), progress_percent=bindparam("percent"), version=film.c.version + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmDraft:
    """A film to be planned."""

    title: str
    synopsis: str
    genre: Genre
    catalogue: Catalogue
    budget: Money
    is_public: bool


def create_film(tx: Transaction, draft: FilmDraft, created_by: UserId) -> FilmId:
    """Plan a film with its ten phases, the first of them open."""
    film_id = FilmId(new_id())
    slug = _insert_film(tx, film_id, draft, created_by)
    tx.publish(
        FilmCreated(
            film_id=film_id,
            title=draft.title,
            slug=slug,
            genre=draft.genre,
            catalogue=draft.catalogue,
            origin=Origin.ADMIN,
            source_id=None,
            budget=draft.budget,
            created_by=created_by,
        )
    )
    phases = [
        {
            "id": new_id(),
            "film_id": film_id,
            "name": name,
            "position": name.position,
            "status": PhaseStatus.LOCKED,
            "version": 1,
        }
        for name in Phase
    ]
    tx.execute(_INSERT_PHASE, phases)
    _unlock(tx, film_id, Phase.SCRIPT)
    tx.audit("film.create", "film", film_id, details={"slug": slug, "budget": draft.budget.model_dump(mode="json")})
    return film_id


def _insert_film(tx: Transaction, film_id: FilmId, draft: FilmDraft, created_by: UserId) -> str:
    """Insert the film under the first slug that is free; the last candidate holds the film's own id."""
    values = {
        "id": film_id,
        "title": draft.title,
        "synopsis": draft.synopsis,
        "genre": draft.genre,
        "catalogue": draft.catalogue,
        "origin": Origin.ADMIN,
        "source_id": None,
        "status": FilmStatus.PRE_PRODUCTION,
        "budget_amount": draft.budget.amount,
        "budget_currency": draft.budget.currency,
        "is_public": draft.is_public,
        "progress_percent": 0,
        "created_by": created_by,
        "created_at": tx.now,
        "version": 1,
    }
    slugs = (tx.scalar(_INSERT_FILM, {**values, "slug": slug}) for slug in slug_candidates(draft.title, film_id))
    return next(str(slug) for slug in slugs if slug is not None)


def unlock_phase(tx: Transaction, film_id: FilmId, name: str) -> None:
    """Open a locked phase before its turn.

    Raises FilmNotFound, PhaseNotFound, PhaseNotLocked.
    """
    state.lock_film(tx, film_id)
    row = state.phase_named(state.phases(tx, film_id), name)
    if row.status != PhaseStatus.LOCKED:
        raise PhaseNotLocked(f"The phase {name} is {row.status} already.", phase_status=row.status)
    _unlock(tx, film_id, Phase(name))
    _record_progress(tx, film_id)
    open_ready_tasks(tx, film_id)
    tx.audit("phase.unlock", "film", film_id, details={"phase": name})


def advance(tx: Transaction, film_id: FilmId, film_title: str) -> None:
    """After work is done: complete phases, unlock the next ones, open tasks that wait for nothing any more.

    The caller holds the film's lock, so that two last tasks of a phase cannot both miss that they were the last.
    """
    completed = [row for row in state.phases(tx, film_id) if row.status == PhaseStatus.ACTIVE and _is_complete(tx, row.id)]
    for row in completed:
        _complete(tx, film_id, Phase(row.name))
    if completed and _record_progress(tx, film_id) is FilmStatus.COMPLETED:
        tx.publish(FilmCompleted(film_id=film_id, title=film_title))
    open_ready_tasks(tx, film_id)


def open_ready_tasks(tx: Transaction, film_id: FilmId) -> None:
    """Open every locked task whose phase is active and that waits for nothing."""
    for task in state.ready_to_open(tx, film_id):
        store_task(tx, task, open_task(task))


def _is_complete(tx: Transaction, phase_id: object) -> bool:
    return phase_complete(state.task_statuses(tx, phase_id))


def _statuses(tx: Transaction, film_id: FilmId) -> dict[Phase, PhaseStatus]:
    return {Phase(row.name): PhaseStatus(row.status) for row in state.phases(tx, film_id)}


def _complete(tx: Transaction, film_id: FilmId, name: Phase) -> None:
    row = state.phase_named(state.phases(tx, film_id), name)
    seen = {"seen_id": row.id, "seen_status": row.status, "seen_version": row.version}
    require_one_row(tx, _COMPLETE, {**seen, "new_status": PhaseStatus.COMPLETED, "now": tx.now})
    statuses = _statuses(tx, film_id)
    tx.publish(
        PhaseCompleted(
            phase_id=row.id,
            film_id=film_id,
            phase=name,
            position=name.position,
            progress_percent=progress_percent(statuses),
        )
    )
    following = next_locked(statuses)
    if following is not None:
        _unlock(tx, film_id, following)


def _unlock(tx: Transaction, film_id: FilmId, name: Phase) -> None:
    row = state.phase_named(state.phases(tx, film_id), name)
    seen = {"seen_id": row.id, "seen_status": row.status, "seen_version": row.version}
    require_one_row(tx, _UNLOCK, {**seen, "new_status": PhaseStatus.ACTIVE, "now": tx.now})
    tx.publish(PhaseUnlocked(phase_id=row.id, film_id=film_id, phase=name, position=name.position))


def _record_progress(tx: Transaction, film_id: FilmId) -> FilmStatus:
    statuses = _statuses(tx, film_id)
    status = film_status(statuses)
    tx.execute(_PROGRESS, {"film_id": film_id, "film_status": status, "percent": progress_percent(statuses)})
    return status
