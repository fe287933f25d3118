"""HTTP doors of payments."""

from datetime import datetime
from typing import Any
from uuid import UUID

from libs.common.auth import PUBLIC, SIGNED_IN, Rate, Role, Scope, Subject
from libs.common.db import Database, Reader
from libs.common.http import Page, PageQuery, Produced, RawBody, RequestInfo, Routes, Streaming, Tagged, page_of
from services.payments import queries, use_cases
from services.payments.domain import PaymentId, ProviderEvents
from services.payments.schemas import (
    CSV_HEADER,
    EntryView,
    LumensView,
    PaymentChoice,
    PaymentQuery,
    PaymentView,
    ProviderEventView,
    payments_csv,
)

routes = Routes("payments")

BY_AGE = (datetime, UUID)
CSV = "text/csv; charset=utf-8"
CSV_EXAMPLE = (
    ",".join(CSV_HEADER)
    + "\r\n2026-03-02T09:30:00+00:00,0195561c-7800-7000-8000-2c8d1a7f3e90,0195561c-7800-7000-8000-8c1f9e7ab04d,"
    "Le Voyage dans la Lune,Write the quarrel at the Astronomic Club,80.00,EUR,PENDING,STRIPE\r\n"
)
STRIPE_SIGNATURE = "Stripe-Signature"
EVENT_BYTES_MAX = 256 * 1024
"""Longest event of a provider. Those that we know have a few kilobytes."""


@routes.get("/lumens", allow=SIGNED_IN, scope=Scope.PAYMENTS_READ)
def lumens(subject: Subject, db: Reader) -> LumensView:
    """Your Lumens.

    `balance` is all that you own, `held` what is set aside for something not settled yet, `available` the rest.
    """
    return LumensView.of(queries.lumens_of(db, subject.id))


@routes.get("/lumens/entries", allow=SIGNED_IN, scope=Scope.PAYMENTS_READ)
def lumen_entries(query: PageQuery, subject: Subject, db: Reader) -> Page[EntryView]:
    """The movements of your Lumens, newest first, each with the balance it left behind."""
    position = query.after(int)
    rows = queries.entries_of(db, subject.id, position[0] if position else None, query.limit + 1)
    return page_of(rows, query.limit, EntryView.of, lambda row: (row.account_version,))


@routes.get("/payments", allow=SIGNED_IN, scope=Scope.PAYMENTS_READ)
def own_payments(query: PageQuery, subject: Subject, db: Reader) -> Page[PaymentView]:
    """What you are or were owed, newest first."""
    rows = queries.payments_of(db, subject.id, query.after(*BY_AGE), query.limit + 1)
    return page_of(rows, query.limit, PaymentView.of, _position_of)


@routes.get("/payments/<payment_id>", allow=SIGNED_IN, scope=Scope.PAYMENTS_READ)
def own_payment(payment_id: UUID, subject: Subject, db: Reader) -> Tagged[PaymentView]:
    """One payment of yours."""
    row = queries.own_payment(db, PaymentId(payment_id), subject.id)
    return Tagged(PaymentView.of(row), row.version)


@routes.get("/admin/payments", allow=Role.ADMIN)
def all_payments(query: PaymentQuery, db: Reader) -> Page[PaymentView]:
    """Everybody's payments, newest first; by status and by when they were made."""
    rows = queries.payments(db, query.filter(), query.after(*BY_AGE), query.limit + 1)
    return page_of(rows, query.limit, PaymentView.of, _position_of)


@routes.get("/admin/payments.csv", allow=Role.ADMIN, produces=(Produced(CSV, CSV_EXAMPLE),))
def payments_as_csv(query: PaymentChoice, database: Database) -> Streaming:
    """Everybody's payments as a CSV file for spreadsheets; no cell acts as a formula."""
    chunks = payments_csv(queries.payments_in_pages(database, query.filter()))
    return Streaming(chunks, CSV, {"Content-Disposition": 'attachment; filename="payments.csv"'})


@routes.post(
    "/webhooks/stripe",
    allow=PUBLIC,
    rate=Rate.PUBLIC,
    root=True,
    concealed=True,
    consumes=("*/*",),
    body_limit=EVENT_BYTES_MAX,
)
def receive_stripe_event(
    content: RawBody, request: RequestInfo, database: Database, events: ProviderEvents
) -> ProviderEventView:
    """Receive an event from Stripe: the signature over the raw body is the permission.

    An event is kept once however often and in whichever order it comes; every delivery is answered alike. Nothing is done about
    it yet: its status is RECEIVED.
    """
    event = events.verified(content.data, request.headers.get(STRIPE_SIGNATURE, ""))
    with database.transaction() as tx:
        use_cases.receive_event(tx, event)
    return ProviderEventView.of(event)


def _position_of(row: Any) -> tuple[datetime, UUID]:
    return row.created_at, row.id
