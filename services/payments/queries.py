"""Every question that payments asks its tables."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, and_, bindparam, case, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.types import Uuid

from libs.common.db import Database, Reader
from services.payments.domain import AccountKind, PaymentFilter, PaymentId, PaymentNotFound
from services.payments.models import account, entry, payment, transfer

_MOMENT = TIMESTAMP(timezone=True)

EXPORT_PAGE_ROWS = 1_000

Position = tuple[datetime, UUID]  # of a payment in a list that is newest first: when it was made, and its id

_LUMENS_OF = select(
    func.coalesce(func.sum(account.c.balance), 0).label("balance"),
    func.coalesce(func.sum(case((account.c.kind == AccountKind.HELD, account.c.balance), else_=0)), 0).label("held"),
).where(account.c.owner_id == bindparam("owner_id"))

_ENTRIES_OF = (
    select(
        entry.c.id,
        entry.c.amount,
        entry.c.balance_after,
        entry.c.account_version,
        transfer.c.reference_kind,
        transfer.c.reference_id,
        transfer.c.booked_at,
    )
    .join_from(entry, account, account.c.id == entry.c.account_id)
    .join(transfer, transfer.c.id == entry.c.transfer_id)
    .where(
        account.c.owner_id == bindparam("owner_id"),
        account.c.kind == AccountKind.CONTRIBUTOR,
        or_(bindparam("before", type_=entry.c.account_version.type).is_(None), entry.c.account_version < bindparam("before")),
    )
    .order_by(entry.c.account_version.desc())
    .limit(bindparam("limit"))
)

_OWN_PAYMENT = select(payment).where(
    payment.c.id == bindparam("payment_id"), payment.c.contributor_id == bindparam("contributor_id")
)


def _newest_first(statement: Select[Any]) -> Select[Any]:
    return (
        statement.where(
            or_(
                bindparam("after_id", type_=Uuid()).is_(None),
                tuple_(payment.c.created_at, payment.c.id)
                < tuple_(bindparam("after_created_at", type_=_MOMENT), bindparam("after_id", type_=Uuid())),
            )
        )
        .order_by(payment.c.created_at.desc(), payment.c.id.desc())
        .limit(bindparam("limit"))
    )


_PAYMENTS_OF = _newest_first(select(payment).where(payment.c.contributor_id == bindparam("contributor_id")))

_PAYMENTS = _newest_first(
    select(payment).where(
        and_(
            or_(bindparam("status", type_=payment.c.status.type).is_(None), payment.c.status == bindparam("status")),
            or_(bindparam("first", type_=_MOMENT).is_(None), payment.c.created_at >= bindparam("first")),
            or_(bindparam("last", type_=_MOMENT).is_(None), payment.c.created_at < bindparam("last")),
        )
    )
)

_ENTERED = select(entry.c.account_id, func.sum(entry.c.amount).label("amount")).group_by(entry.c.account_id).subquery("entered")
_BOOK = (
    select(
        account.c.kind,
        func.sum(account.c.balance).label("balance"),
        func.coalesce(func.sum(_ENTERED.c.amount), 0).label("entered"),
        func.count().filter(account.c.balance != func.coalesce(_ENTERED.c.amount, 0)).label("wrong"),
    )
    .outerjoin_from(account, _ENTERED, _ENTERED.c.account_id == account.c.id)
    .group_by(account.c.kind)
)
_PAYMENTS_BY_STATUS = select(
    payment.c.amount_currency,
    payment.c.status,
    func.count().label("payments"),
    func.sum(payment.c.amount_amount).label("amount"),
).group_by(payment.c.amount_currency, payment.c.status)


def book(db: Reader) -> list[Row[Any]]:
    """By `kind` of account: the sum of the balances (`balance`), that of the entries (`entered`), and how many accounts hold
    something else than their entries say (`wrong`). One statement, so one moment; it reads every entry."""
    return db.all(_BOOK)


def payments_by_status(db: Reader) -> list[Row[Any]]:
    """`amount_currency`, `status`, `payments`, `amount`: how many, and how much in minor units."""
    return db.all(_PAYMENTS_BY_STATUS)


def lumens_of(db: Reader, owner_id: UUID) -> Row[Any]:
    """A person's Lumens over all their accounts: `balance`, and of it `held`."""
    return db.one(_LUMENS_OF, {"owner_id": owner_id})


def entries_of(db: Reader, owner_id: UUID, before: int | None, limit: int) -> list[Row[Any]]:
    """A person's entries, newest first, below account version `before`."""
    return db.all(_ENTRIES_OF, {"owner_id": owner_id, "before": before, "limit": limit})


def own_payment(db: Reader, payment_id: PaymentId, contributor_id: UUID) -> Row[Any]:
    """One payment of this person. Raises PaymentNotFound, also when it is another person's."""
    row = db.first(_OWN_PAYMENT, {"payment_id": payment_id, "contributor_id": contributor_id})
    if row is None:
        raise PaymentNotFound("You have no payment with this id; see the list of your payments.")
    return row


def payments_of(db: Reader, contributor_id: UUID, after: Position | None, limit: int) -> list[Row[Any]]:
    """What a person is or was owed, newest first."""
    return db.all(_PAYMENTS_OF, {"contributor_id": contributor_id, **_position(after), "limit": limit})


def payments(db: Reader, wanted: PaymentFilter, after: Position | None, limit: int) -> list[Row[Any]]:
    """Everybody's payments, newest first."""
    return db.all(
        _PAYMENTS, {"status": wanted.status, "first": wanted.first, "last": wanted.last, **_position(after), "limit": limit}
    )


def payments_in_pages(database: Database, wanted: PaymentFilter) -> Iterator[list[Row[Any]]]:
    """Everybody's payments, newest first, a page at a time: between two pages no connection is held."""
    after: Position | None = None
    while True:
        with database.reader() as db:
            page = payments(db, wanted, after, EXPORT_PAGE_ROWS)
        if page:
            yield page
        if len(page) < EXPORT_PAGE_ROWS:
            return
        after = (page[-1].created_at, page[-1].id)


def _position(after: Position | None) -> dict[str, Any]:
    return {"after_created_at": after[0] if after else None, "after_id": after[1] if after else None}
