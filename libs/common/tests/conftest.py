"""A small service of the tests' own on a real database."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from markupsafe import escape
from pydantic import Field, SecretStr
from sqlalchemy import Column, Integer, Table, Text, bindparam, insert, select, text, update
from sqlalchemy.engine import make_url

from libs.common.audit import Auditor
from libs.common.auth import (
    PUBLIC,
    SERVICE,
    SIGNED_IN,
    Assurance,
    Idempotency,
    Rate,
    Revocations,
    Role,
    Scope,
    Subject,
    TokenVerifier,
)
from libs.common.auth.browser import COOKIE_PREFIX
from libs.common.config import process_environment
from libs.common.db import APPEND_ONLY, Database, Reader, Transaction, id_column, kernel_tables, new_metadata, provision
from libs.common.db.append_only import REFUSE_CHANGE
from libs.common.db.database import single_connection_engine
from libs.common.db.migrate import complete_schema
from libs.common.errors import Conflict, NotFound
from libs.common.events import Recipient
from libs.common.events.audited import AuditEvent
from libs.common.events.outbox import Outbox
from libs.common.events.personal import generate_key_pair
from libs.common.http import (
    Cookie,
    Cookies,
    Created,
    Html,
    IfMatch,
    Input,
    NoContent,
    Page,
    PageQuery,
    RawBody,
    Redirect,
    RequestInfo,
    Routes,
    Submitted,
    Tagged,
    View,
    page_of,
)
from libs.common.http.application import Runtime, create_application
from libs.common.http.health import Health
from libs.common.ids import new_id
from libs.common.testing import TestKeys, a_subject, claims_for, mint

ISSUER = "http://127.0.0.1:8080"
SERVICE_TOKEN = "service-token-of-tests-0123456789abcdef"
PASSWORD = "a-password-for-databases-of-tests-only"
PREFIX = "lumiere_kernel_test"
REMEMBERED = f"{COOKIE_PREFIX}name"

metadata = new_metadata("sample")
note = Table("note", metadata, id_column(), Column("body", Text, nullable=False), Column("version", Integer, nullable=False))
stone = Table("stone", metadata, id_column(), Column("body", Text, nullable=False), info=APPEND_ONLY)

FIND = select(note).where(note.c.id == bindparam("note_id"))
LIST = select(note).order_by(note.c.id)
CHANGE = update(note).where(note.c.id == bindparam("note_id"), note.c.version == bindparam("known"))


class SampleAudited(AuditEvent, type="sample.audit.recorded", version=1, aggregate="audit_id"):
    """Somebody did something administrative."""


class NoteInput(Input):
    """A note to keep."""

    body: str = Field(min_length=1, max_length=20)
    weight: int = Field(default=1, ge=1, le=9)


class NoteView(View):
    """A note."""

    id: UUID
    body: str
    version: int


class NoteQuery(PageQuery):
    """Filters of the list."""

    contains: str | None = None


class NoteTaken(Conflict):
    """Somebody else changed the note."""


routes = Routes("sample")


@routes.post("/notes", allow={Role.ARTIST, Role.ADMIN})
def create_note(body: NoteInput, tx: Transaction) -> Created[NoteView]:
    """Keep a note."""
    view = NoteView(id=new_id(), body=body.body, version=1)
    tx.execute(insert(note), view.model_dump())
    if body.body == "explode":
        raise RuntimeError("secret details")
    return Created(view, f"/api/v1/notes/{view.id}")


@routes.get("/notes", allow=SIGNED_IN)
def list_notes(query: NoteQuery, db: Reader) -> Page[NoteView]:
    """List notes."""
    after = query.after(UUID)
    statement = LIST.where(note.c.id > after[0]) if after else LIST
    rows = db.all(statement.limit(query.limit + 1))
    return page_of(rows, query.limit, NoteView.model_validate, lambda row: (row.id,))


@routes.get("/notes/<note_id>", allow=SIGNED_IN)
def show_note(note_id: UUID, db: Reader) -> Tagged[NoteView]:
    """Show a note."""
    row = db.first(FIND, {"note_id": note_id})
    if row is None:
        raise NotFound("There is no such note.")
    return Tagged(NoteView.model_validate(row), row.version)


@routes.patch("/notes/<note_id>", allow=Role.ADMIN)
def change_note(note_id: UUID, body: NoteInput, if_match: IfMatch, tx: Transaction) -> Tagged[NoteView]:
    """Change a note."""
    row = tx.one(FIND, {"note_id": note_id})
    if_match.check(row.version)
    tx.execute(CHANGE.values(body=body.body, version=row.version + 1), {"note_id": note_id, "known": row.version})
    tx.audit("note.change", "note", note_id, details={"weight": body.weight})
    return Tagged(NoteView(id=note_id, body=body.body, version=row.version + 1), row.version + 1)


@routes.delete("/notes/<note_id>", allow=Role.ADMIN)
def delete_note(note_id: UUID, subject: Subject, tx: Transaction) -> NoContent:
    """Refuse to delete a note."""
    raise NoteTaken(f"The note {note_id} is taken.", holder=str(subject.id))


@routes.post("/payouts", allow=SIGNED_IN, idempotency=Idempotency.REQUIRED)
def pay_out(body: NoteInput, tx: Transaction) -> Created[NoteView]:
    """Something that moves money."""
    made: Created[NoteView] = create_note(body, tx)
    return made


@routes.get("/greeting", allow=PUBLIC)
def greet(subject: Subject | None, request: RequestInfo) -> NoteView:
    """Greet whoever comes."""
    return NoteView(id=subject.id if subject else UUID(int=0), body=request.user_agent, version=1)


@routes.post("/sheets", allow=Role.ADMIN, consumes=("text/csv",), body_limit=64)
def read_sheet(content: RawBody) -> NoteView:
    """Read a sheet."""
    return NoteView(id=UUID(int=0), body=content.data.decode(), version=len(content.data))


@routes.put("/reels", allow=Role.ADMIN, rate=Rate.UPLOAD, consumes=("video/mp4",), body_limit=64, stream=True)
def read_reel(content: RawBody) -> NoteView:
    """Read a reel piece by piece."""
    pieces = iter(lambda: content.stream.read(10), b"")
    return NoteView(id=UUID(int=0), body=content.media_type, version=sum(map(len, pieces)))


@routes.get("/internal/list", allow=SERVICE, root=True)
def internal_list() -> NoteView:
    """For services."""
    return NoteView(id=UUID(int=0), body="internal", version=1)


class SignUp(Input):
    """A form."""

    name: str = Field(min_length=2, max_length=5)
    secret: SecretStr = Field(min_length=3)
    age: int | None = Field(default=None, ge=1)
    tags: tuple[str, ...] = ()
    agreed: bool = False


@routes.get("/sign-up", allow=PUBLIC, root=True, page=True)
def show_form(cookies: Cookies) -> Html:
    """Show the form to somebody, and to those whom the browser remembers the name that they gave."""
    return Html(f"<p>{escape(cookies.get(REMEMBERED) or 'nobody')}</p>", "en")


@routes.post("/sign-up", allow=PUBLIC, root=True, page=True)
def send_form(form: Submitted[SignUp], tx: Transaction) -> Html | Redirect:
    """Take the form, or show it again with its faults."""
    tx.execute(text("SELECT 1"))
    if form.value is None:
        told = " ".join(f"{each.pointer}: {each.detail};" for each in form.faults)
        return Html(f"<p>{escape(told)}</p><p>{escape(form.given.get('name', ''))}</p>", "en", 422)
    kept = Cookie(REMEMBERED, form.value.name, 60)
    return Redirect(f"/welcome/{form.value.age}/{len(form.value.tags)}", 303, (kept, Cookie.forgotten(f"{COOKIE_PREFIX}old")))


@routes.get("/broken", allow=SIGNED_IN, root=True, page=True)
def broken_page() -> Html:
    """Refuse."""
    raise NoteTaken("<b>No.</b>")


@routes.post("/token", allow=PUBLIC, root=True)
def exchange(form: Submitted[SignUp]) -> NoteView:
    """Take a form from programs."""
    return NoteView(id=UUID(int=0), body="faults" if form.value is None else form.value.name, version=len(form.faults))


@routes.post("/fresh", allow=SIGNED_IN, step_up=300)
def fresh(tx: Transaction) -> NoContent:
    """Needs a recent sign-in."""
    tx.execute(text("SELECT 1"))
    return NoContent()


@routes.get("/scoped", allow={Role.ARTIST, Role.VIEWER}, scope=Scope.TASKS_READ)
def scoped(subject: Subject) -> NoteView:
    """For tokens of other clients too."""
    return NoteView(id=subject.id, body="scoped", version=1)


@routes.get("/catalogue", allow=SIGNED_IN, scope=Scope.TASKS_READ, machines=True)
def catalogue(subject: Subject) -> NoteView:
    """For clients that speak for themselves too."""
    return NoteView(id=subject.id, body="catalogue", version=1)


@routes.delete("/fresh", allow=SIGNED_IN, step_up=300, step_up_acr=Assurance.SECOND_FACTOR)
def fresh_with_a_second_factor(tx: Transaction) -> NoContent:
    """Needs a recent sign-in with a second factor."""
    tx.execute(text("SELECT 1"))
    return NoContent()


@routes.post("/enrolment", allow=SIGNED_IN, enrolment=True)
def enrol(tx: Transaction) -> NoContent:
    """Open also to whose role is withheld."""
    tx.execute(text("SELECT 1"))
    return NoContent()


@dataclass
class Sample:
    """The sample service and its doors."""

    database: Database
    superuser_url: str
    keys: TestKeys = field(default_factory=TestKeys)
    revocations: Revocations = field(default_factory=Revocations)

    def __post_init__(self) -> None:
        self.health = Health({"database": lambda: "ok"})
        verifier = TokenVerifier(ISSUER, "lumiere", self.keys, self.revocations)
        runtime = Runtime("sample", self.database, verifier, SERVICE_TOKEN, {}, self.health)
        self.application = create_application(runtime, routes.routes)

    def client(self, *roles: Role, subject: Subject | None = None, **claims: object) -> FlaskClient:
        """A client with these roles; none and no subject is anonymous."""
        client = self.application.test_client()
        if roles or subject:
            token = mint(self.keys, claims_for(subject or a_subject(*roles), ISSUER, "lumiere", **claims))
            client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        return client

    def count(self, table: Table) -> int:
        """Rows of a table."""
        with self.database.reader() as db:
            return len(db.all(select(table)))


@pytest.fixture(scope="session")
def sample_database() -> Iterator[tuple[Database, str]]:
    admin = process_environment().get("DATABASE_URL")
    if not admin:
        pytest.fail("DATABASE_URL is not set; run the tests with `make test`, which starts what they need.")
    name = f"test_kernel_{new_id().hex[-12:]}"
    engine = single_connection_engine(admin)
    with engine.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    url = make_url(admin).set(database=name)
    superuser_url = url.render_as_string(hide_password=False)
    provision(superuser_url, "sample", PASSWORD, PASSWORD, prefix=PREFIX)
    owner = single_connection_engine(url.set(username=f"{PREFIX}_sample_owner", password=PASSWORD).render_as_string(False))
    with owner.connect() as connection:
        connection.execute(text(REFUSE_CHANGE.format(schema="sample")))
        metadata.create_all(connection)
        complete_schema(connection, metadata)
    owner.dispose()
    _, public_key = generate_key_pair()
    runtime = url.set(username=f"{PREFIX}_sample", password=PASSWORD).render_as_string(False)
    outbox = Outbox(metadata, Recipient(public_key))
    database = Database(runtime, metadata, outbox=outbox, audit_trail=Auditor(kernel_tables(metadata), SampleAudited))
    yield database, superuser_url
    database.dispose()
    with engine.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    engine.dispose()


@pytest.fixture
def sample(sample_database: tuple[Database, str]) -> Sample:
    database, superuser_url = sample_database
    engine = single_connection_engine(superuser_url)
    with engine.connect() as connection:
        tables = ", ".join(f'sample."{table.name}"' for table in metadata.sorted_tables)
        connection.execute(text("SET session_replication_role = replica"))
        connection.execute(text(f"TRUNCATE {tables}"))
    engine.dispose()
    return Sample(database, superuser_url)
