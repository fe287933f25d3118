"""The doors of administrators to clients, and of people to what they let clients do."""

from typing import Any
from uuid import UUID

from libs.common.auth.policy import SIGNED_IN, Idempotency, Role, Subject
from libs.common.db import Reader, Transaction
from libs.common.http import Created, IfMatch, NoContent, Page, PageQuery, Routes, Tagged, page_of
from services.auth import queries, schemas
from services.auth.routes.accounts import STEP_UP_SECONDS
from services.auth.use_cases import clients, consents

routes = Routes("auth")

CLIENTS = "/admin/oauth/clients"
CLIENT = "/admin/oauth/clients/<client_id>"


@routes.get(CLIENTS, allow=Role.ADMIN)
def list_clients(query: PageQuery, db: Reader) -> Page[schemas.ClientView]:
    """List clients, newest first."""
    after = query.after(UUID)
    rows = queries.clients_page(db, query.limit, after[0] if after else None)
    return page_of(rows, query.limit, schemas.ClientView.model_validate, lambda row: (row.id,))


# An answer with a secret is not kept for whoever repeats the request: no Idempotency-Key is taken.
@routes.post(CLIENTS, allow=Role.ADMIN, step_up=STEP_UP_SECONDS, status=201, idempotency=Idempotency.REFUSED)
def register_client(body: schemas.NewClient, tx: Transaction) -> Created[schemas.RegisteredClient]:
    """Register a client. Its secret is shown in this answer and never again."""
    made = clients.register(tx, body.model_dump())
    view = schemas.RegisteredClient(client=schemas.ClientView.model_validate(made.row), client_secret=made.secret)
    return Created(view, f"/api/v1{CLIENTS}/{made.row.id}")


@routes.get(CLIENT, allow=Role.ADMIN)
def read_client(client_id: UUID, db: Reader) -> Tagged[schemas.ClientView]:
    """Read a client."""
    return _client(queries.client_row(db, client_id))


@routes.patch(CLIENT, allow=Role.ADMIN, step_up=STEP_UP_SECONDS)
def change_client(
    client_id: UUID, body: schemas.ChangeClient, if_match: IfMatch, tx: Transaction
) -> Tagged[schemas.ClientView]:
    """Change a client. When it may do less from now on, its sessions and tokens end."""
    changes = body.model_dump(include=body.model_fields_set)
    return _client(clients.change(tx, client_id, changes, if_match.version))


@routes.delete(CLIENT, allow=Role.ADMIN, step_up=STEP_UP_SECONDS)
def remove_client(client_id: UUID, tx: Transaction) -> NoContent:
    """Remove a client: its sessions and tokens end at once, and what people let it do is forgotten."""
    clients.remove(tx, client_id)
    return NoContent()


@routes.post(f"{CLIENT}/secrets", allow=Role.ADMIN, step_up=STEP_UP_SECONDS, status=201, idempotency=Idempotency.REFUSED)
def give_secret(client_id: UUID, body: schemas.NewSecret, tx: Transaction) -> schemas.SecretGiven:
    """Give a client another secret, shown once. The one before counts for 24 hours more, or ends at once."""
    secret, until = clients.give_secret(tx, client_id, at_once=body.at_once)
    return schemas.SecretGiven(client_secret=secret, earlier_ends_at=until)


@routes.get("/auth/consents", allow=SIGNED_IN)
def list_consents(query: PageQuery, subject: Subject, db: Reader) -> Page[schemas.ConsentView]:
    """List the clients that one lets act for oneself."""
    after = query.after(UUID)
    rows = queries.consents_page(db, subject.id, query.limit, after[0] if after else None)
    return page_of(rows, query.limit, _consent, lambda row: (row.client_id,))


@routes.delete("/auth/consents/<client_id>", allow=SIGNED_IN)
def withdraw_consent(client_id: UUID, subject: Subject, tx: Transaction) -> NoContent:
    """Let a client act for oneself no longer: its sessions end at once."""
    consents.withdraw(tx, subject.id, client_id)
    return NoContent()


def _client(row: Any) -> Tagged[schemas.ClientView]:
    return Tagged(schemas.ClientView.model_validate(row), row.version)


def _consent(row: Any) -> schemas.ConsentView:
    return schemas.ConsentView(
        client_id=row.client_id, name=row.name, address=row.address, scopes=row.scope.split(), granted_at=row.granted_at
    )
