"""Production's HTTP doors: parse, permit, one use case, render."""

from uuid import UUID

from libs.common.auth.policy import PUBLIC, SIGNED_IN, Idempotency, Rate, Role, Scope, Subject
from libs.common.db import Reader, Transaction
from libs.common.http import Created, NoContent, Page, PageQuery, RawBody, Routes, Tagged, page_of
from services.tasks.domain.rules import Rules
from services.tasks.domain.values import FilmId, SubmissionId, TaskId, UserId
from services.tasks.queries import shown
from services.tasks.schemas.inputs import FilmInput, ReviewInput, SubmissionInput, SubmissionQuery, TaskInput, TaskQuery
from services.tasks.schemas.plan import CSV, JSON, PLAN_BYTES, SHEET_EXAMPLE, read_plan
from services.tasks.schemas.views import (
    ClaimView,
    FilmView,
    PhaseView,
    PlannedFilmView,
    ProgressView,
    SubmissionView,
    TaskView,
)
from services.tasks.use_cases import films, planning, reviews, work

PLAN_SECONDS = 30
"""A plan of a thousand tasks is a few thousand rows and facts."""
WORKERS = frozenset({Role.CONTRIBUTOR, Role.ARTIST, Role.STUNT_PERFORMER, Role.ADMIN})

routes = Routes("tasks")


@routes.post("/admin/films", allow=Role.ADMIN, status=201)
def create_film(body: FilmInput, subject: Subject, tx: Transaction) -> Created[PlannedFilmView]:
    """Plan a film: its ten phases come with it, SCRIPT open and the others locked."""
    film_id = films.create_film(tx, body.draft(), UserId(subject.id))
    row = shown.film_by_reference(tx, str(film_id), every_film=True)
    return Created(PlannedFilmView.of(row), f"/api/v1/films/{film_id}")


@routes.get("/admin/films", allow=Role.ADMIN)
def list_planned_films(query: PageQuery, db: Reader) -> Page[PlannedFilmView]:
    """All films, public or not, newest first."""
    after = query.after(UUID)
    rows = shown.films(db, every_film=True, after=after[0] if after else None, limit=query.limit)
    return page_of(rows, query.limit, PlannedFilmView.of, lambda row: (row.id,))


@routes.get("/films", allow=PUBLIC, rate=Rate.PUBLIC)
def list_films(query: PageQuery, db: Reader) -> Page[FilmView]:
    """Public films, newest first."""
    after = query.after(UUID)
    rows = shown.films(db, every_film=False, after=after[0] if after else None, limit=query.limit)
    return page_of(rows, query.limit, FilmView.model_validate, lambda row: (row.id,))


@routes.get("/films/<film>", allow=PUBLIC, rate=Rate.PUBLIC)
def read_film(film: str, subject: Subject | None, db: Reader) -> Tagged[FilmView]:
    """One film, by id or slug. A film that is not public is there for administrators only."""
    row = shown.film_by_reference(db, film, every_film=is_administrator(subject))
    return Tagged(FilmView.model_validate(row), row.version)


@routes.get("/films/<film>/phases", allow=PUBLIC, rate=Rate.PUBLIC)
def list_phases(film: str, subject: Subject | None, db: Reader) -> Page[PhaseView]:
    """The ten phases of a film in order, with how much of their work is done; always one page."""
    row = shown.film_by_reference(db, film, every_film=is_administrator(subject))
    return Page(items=tuple(PhaseView.of(each) for each in shown.phases(db, FilmId(row.id))), next_cursor=None)


@routes.post("/admin/films/<film_id>/phases/<phase>/unlock", allow=Role.ADMIN)
def unlock_phase(film_id: UUID, phase: str, tx: Transaction) -> NoContent:
    """Open a locked phase before its turn; its tasks that wait for nothing open with it."""
    films.unlock_phase(tx, FilmId(film_id), phase)
    return NoContent()


@routes.post(
    "/admin/films/<film_id>/tasks",
    allow=Role.ADMIN,
    status=201,
    consumes=(JSON, CSV),
    body_type=TaskInput | list[TaskInput],
    body_example=SHEET_EXAMPLE,
    body_limit=PLAN_BYTES,
    timeout=PLAN_SECONDS,
)
def plan_tasks(film_id: UUID, content: RawBody, subject: Subject, tx: Transaction) -> Page[TaskView]:
    """Plan tasks, all or none: one object or an array as JSON, or a production sheet as CSV; the answer is always a list.

    A sheet is UTF-8 with a header line, RFC 4180: `title, description, type, difficulty, phase, price` (in units of the
    currency, `50` or `49.90`), and when wanted `currency, required_level, reference, depends_on` (references or titles,
    separated by semicolons). In JSON prices are in minor units and `depends_on` may also hold ids of tasks of the film.
    At most 1,000 tasks. Every fault is told at once, with its line.
    """
    ids = planning.plan_tasks(tx, FilmId(film_id), read_plan(content), UserId(subject.id))
    rows = shown.tasks_by_ids(tx, ids)
    return Page(items=tuple(view_of_task(row, subject) for row in rows), next_cursor=None)


@routes.get("/tasks", allow=SIGNED_IN, scope=Scope.TASKS_READ, machines=True)
def list_tasks(query: TaskQuery, subject: Subject, db: Reader) -> Page[TaskView]:
    """Tasks in the order they were planned, by status, type, film, or one's own."""
    after = query.after(UUID)
    filters = query.filters(UserId(subject.id))
    rows = shown.tasks(db, filters, after=after[0] if after else None, limit=query.limit)
    return page_of(rows, query.limit, lambda row: view_of_task(row, subject), lambda row: (row.id,))


@routes.get("/tasks/<task_id>", allow=SIGNED_IN, scope=Scope.TASKS_READ, machines=True)
def read_task(task_id: UUID, subject: Subject, db: Reader) -> Tagged[TaskView]:
    """One task."""
    row = shown.task_by_id(db, TaskId(task_id))
    return Tagged(view_of_task(row, subject), row.version)


@routes.post("/admin/tasks/<task_id>/cancel", allow=Role.ADMIN)
def cancel_task(task_id: UUID, tx: Transaction) -> NoContent:
    """Drop a task that nobody has claimed; what waited for it waits no more."""
    planning.cancel_task(tx, TaskId(task_id))
    return NoContent()


@routes.post("/admin/tasks/<task_id>/reassign", allow=Role.ADMIN)
def reassign_task(task_id: UUID, tx: Transaction) -> NoContent:
    """Take a claimed task from its contributor, so that others may claim it."""
    planning.reassign_task(tx, TaskId(task_id))
    return NoContent()


@routes.post("/tasks/<task_id>/claim", allow=WORKERS, scope=Scope.TASKS_WRITE, idempotency=Idempotency.REFUSED)
def claim_task(task_id: UUID, subject: Subject, tx: Transaction, rules: Rules) -> ClaimView:
    """Claim an open task for 48 hours.

    The lease token of the answer is what a submission is made with. Whoever holds the task already may call this again,
    after a rejection too: they get a new token, the deadline stays, and every earlier token is void. That makes the call
    repeatable, so it takes no Idempotency-Key: the token is never kept.
    """
    return ClaimView.of(work.claim_task(tx, TaskId(task_id), UserId(subject.id), subject.roles, rules))


@routes.post("/tasks/<task_id>/abandon", allow=WORKERS, scope=Scope.TASKS_WRITE)
def abandon_task(task_id: UUID, subject: Subject, tx: Transaction) -> NoContent:
    """Give a claimed task back, so that others may claim it."""
    work.abandon_task(tx, TaskId(task_id), UserId(subject.id))
    return NoContent()


@routes.post("/tasks/<task_id>/submissions", allow=WORKERS, scope=Scope.TASKS_WRITE, status=201)
def submit_work(task_id: UUID, body: SubmissionInput, subject: Subject, tx: Transaction) -> SubmissionView:
    """Hand in work: uploads of one's own that are ready, and notes. It goes to the advisory review, then to a person."""
    submission_id = work.submit_work(tx, TaskId(task_id), UserId(subject.id), body.delivery())
    return SubmissionView.of(shown.submission_by_id(tx, submission_id))


@routes.get("/tasks/<task_id>/submissions", allow=SIGNED_IN, scope=Scope.TASKS_READ)
def list_submissions_for_task(task_id: UUID, query: PageQuery, subject: Subject, db: Reader) -> Page[SubmissionView]:
    """What one has handed in for a task, with the feedback; administrators see everybody's. The oldest first."""
    shown.task_by_id(db, TaskId(task_id))
    after = query.after(UUID)
    filters = {"task_id": task_id, "contributor_id": None if is_administrator(subject) else subject.id}
    rows = shown.submissions(db, filters, after=after[0] if after else None, limit=query.limit)
    return page_of(rows, query.limit, SubmissionView.of, lambda row: (row.id,))


@routes.get("/admin/submissions", allow=Role.ADMIN)
def list_submissions(query: SubmissionQuery, db: Reader) -> Page[SubmissionView]:
    """Submissions, the oldest first."""
    after = query.after(UUID)
    rows = shown.submissions(db, {"status": query.status}, after=after[0] if after else None, limit=query.limit)
    return page_of(rows, query.limit, SubmissionView.of, lambda row: (row.id,))


@routes.post("/admin/submissions/<submission_id>/review", allow=Role.ADMIN)
def review_submission(
    submission_id: UUID, body: ReviewInput, subject: Subject, tx: Transaction, rules: Rules
) -> SubmissionView:
    """Decide on a submission: approved work is final and payable, rejected work goes back with feedback. Never one's own."""
    reviewed, reviewer = SubmissionId(submission_id), UserId(subject.id)
    reviews.review_submission(tx, reviewed, body.verdict, body.feedback, reviewer_id=reviewer, rules=rules)
    return SubmissionView.of(shown.submission_by_id(tx, reviewed))


@routes.get("/profile/progress", allow=SIGNED_IN, scope=Scope.TASKS_READ)
def read_progress(subject: Subject, db: Reader) -> ProgressView:
    """One's own points, level and counts of tasks and submissions."""
    return ProgressView.of(shown.progress(db, UserId(subject.id)))


def is_administrator(subject: Subject | None) -> bool:
    """Whether an administrator asks."""
    return subject is not None and subject.has(Role.ADMIN)


def view_of_task(row: object, subject: Subject) -> TaskView:
    """A task as this person may see it."""
    return TaskView.of(row, UserId(subject.id), administrator=is_administrator(subject))
