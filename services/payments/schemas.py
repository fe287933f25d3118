"""What the routes of payments take and answer."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, Self
from uuid import UUID

from pydantic import AwareDatetime, Field

from libs.common.http import Input, PageQuery, View
from libs.common.http.texts import FilmTitleText, TaskTitleText
from libs.common.money import Currency, Money
from services.payments.domain import (
    Payer,
    PaymentFilter,
    PaymentStatus,
    ProviderEvent,
    ProviderEventStatus,
    first_moment,
    last_moment,
    spreadsheet_text,
)


class ProviderEventView(View):
    """That a provider's event is kept, now or since an earlier delivery."""

    id: str = Field(examples=["evt_1PgafmB7WZ01zgkWEJZ0Nc1f"])
    status: ProviderEventStatus

    @classmethod
    def of(cls, event: ProviderEvent) -> Self:
        """Of an event that was received."""
        return cls(id=event.provider_event_id, status=ProviderEventStatus.RECEIVED)


class LumensView(View):
    """A person's Lumens: all of them, what may be spent, what is set aside."""

    balance: int
    available: int
    held: int

    @classmethod
    def of(cls, row: Any) -> Self:
        """From the sums over a person's accounts."""
        balance, held = int(row.balance), int(row.held)
        return cls(balance=balance, available=balance - held, held=held)


class EntryView(View):
    """One line of a person's Lumens account."""

    id: UUID
    amount: int = Field(description="Whole Lumens; negative when they left the account")
    reason: str = Field(examples=["TASK_REWARD"])
    reference_id: UUID
    balance_after: int
    booked_at: datetime

    @classmethod
    def of(cls, row: Any) -> Self:
        """From a row of the book."""
        return cls(
            id=row.id,
            amount=row.amount,
            reason=row.reference_kind,
            reference_id=row.reference_id,
            balance_after=row.balance_after,
            booked_at=row.booked_at,
        )


class PaymentView(View):
    """What a contributor is or was owed for a task."""

    id: UUID
    task_id: UUID
    film_id: UUID
    contributor_id: UUID
    task_title: TaskTitleText
    film_title: FilmTitleText
    amount: Money
    status: PaymentStatus
    payer: Payer = Field(description="Who is to move the money; MOCK is a stand-in that moves none")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Any) -> Self:
        """From a payment's row."""
        return cls(
            id=row.id,
            task_id=row.task_id,
            film_id=row.film_id,
            contributor_id=row.contributor_id,
            task_title=row.task_title,
            film_title=row.film_title,
            amount=money_of(row),
            status=PaymentStatus(row.status),
            payer=Payer(row.payer),
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


def money_of(row: Any) -> Money:
    """The amount of a payment's row."""
    return Money(amount=row.amount_amount, currency=Currency(row.amount_currency))


class PaymentChoice(Input):
    """Which payments are meant. A date stands for its whole day, UTC; `from` is inclusive, a moment in `to` is exclusive."""

    status: PaymentStatus | None = None
    first: AwareDatetime | date | None = Field(default=None, alias="from")
    last: AwareDatetime | date | None = Field(default=None, alias="to")

    def filter(self) -> PaymentFilter:
        """What to look for."""
        return PaymentFilter(self.status, first_moment(self.first), last_moment(self.last))


class PaymentQuery(PageQuery, PaymentChoice):
    """A page of the payments that are meant."""


CSV_HEADER = ("created_at", "payment_id", "contributor_id", "film", "task", "amount", "currency", "status", "payer")


def payments_csv(pages: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """Payments as CSV (RFC 4180) for spreadsheets, a chunk a page. Titles were written by people: none may act as a formula."""
    yield _csv_lines([CSV_HEADER])
    for page in pages:
        yield _csv_lines([_csv_cells(row) for row in page])


def _csv_cells(row: Any) -> tuple[str, ...]:
    return (
        row.created_at.isoformat(),
        str(row.id),
        str(row.contributor_id),
        spreadsheet_text(row.film_title),
        spreadsheet_text(row.task_title),
        money_of(row).decimal,
        row.amount_currency,
        row.status,
        row.payer,
    )


def _csv_lines(lines: Iterable[Sequence[str]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(lines)
    return buffer.getvalue().encode()
