"""The rules of pay: how a payment may move, what a transfer of Lumens is made of, what a spreadsheet may be told."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import NewType, Protocol
from uuid import UUID

from libs.common.errors import BadRequest, Conflict, NotFound
from libs.common.money import Money

AccountId = NewType("AccountId", UUID)
PaymentId = NewType("PaymentId", UUID)

# The issuing account sorts before every UUIDv7. Postings lock accounts in the order of their ids, so each one takes the
# shared row first: two transactions that book many rewards queue up behind it and cannot lock each other out.
PLATFORM_REWARDS_ID = AccountId(UUID(int=1))

TRANSFER_AMOUNT_LIMIT = 10**12  # Lumens in one leg; a million such legs on one account still fit a Postgres bigint


class AccountKind(StrEnum):
    """What an account of the Lumens book is for."""

    PLATFORM_REWARDS = "PLATFORM_REWARDS"  # issues Lumens: its balance is minus everything ever rewarded
    CONTRIBUTOR = "CONTRIBUTOR"  # what a person may spend
    HELD = "HELD"  # what a person has set aside until the matter it is for is settled


# The lowest balance an account may have, in Lumens; None has no floor.
FLOORS: Mapping[AccountKind, int | None] = {
    AccountKind.PLATFORM_REWARDS: None,
    AccountKind.CONTRIBUTOR: 0,
    AccountKind.HELD: 0,
}


class TransferReason(StrEnum):
    """Why Lumens moved. With the reference id it names a transfer once and for all."""

    TASK_REWARD = "TASK_REWARD"


class PaymentStatus(StrEnum):
    """Where a payment stands."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


FINAL_STATUSES = frozenset({PaymentStatus.COMPLETED})

# A failed transfer of money leaves the debt standing, so it may be tried again.
TRANSITIONS: Mapping[PaymentStatus, frozenset[PaymentStatus]] = {
    PaymentStatus.PENDING: frozenset({PaymentStatus.PROCESSING}),
    PaymentStatus.PROCESSING: frozenset({PaymentStatus.COMPLETED, PaymentStatus.FAILED}),
    PaymentStatus.FAILED: frozenset({PaymentStatus.PROCESSING}),
    PaymentStatus.COMPLETED: frozenset(),
}


class InsufficientLumens(Conflict):
    """An account would fall below its floor."""


class TransferAlreadyBooked(Conflict):
    """The same reason and reference were booked before with other legs."""


class PaymentNotFound(NotFound):
    """No such payment, or it is another person's."""


class UnbalancedTransfer(ValueError):
    """Legs that do not sum to zero, name an account twice, or lie outside the limits."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One side of a transfer: a signed number of whole Lumens on one account."""

    account_id: AccountId
    amount: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """Lumens moving between accounts: two legs or more, one an account, none zero, the sum zero.

    Raises UnbalancedTransfer.
    """

    reason: TransferReason
    reference_id: UUID
    legs: tuple[Leg, ...]

    def __post_init__(self) -> None:
        if len(self.legs) < 2 or len({leg.account_id for leg in self.legs}) != len(self.legs):
            raise UnbalancedTransfer("A transfer needs at least two legs, each on an account of its own")
        if any(leg.amount == 0 or abs(leg.amount) > TRANSFER_AMOUNT_LIMIT for leg in self.legs):
            raise UnbalancedTransfer(f"A leg moves between 1 and {TRANSFER_AMOUNT_LIMIT} Lumens")
        if sum(leg.amount for leg in self.legs) != 0:
            raise UnbalancedTransfer("The legs of a transfer sum to zero")


@dataclass(frozen=True, slots=True)
class PaymentFilter:
    """Which payments are asked for: made at `first` or later and before `last`."""

    status: PaymentStatus | None = None
    first: datetime | None = None
    last: datetime | None = None


def task_reward(task_id: UUID, contributor: AccountId, lumens: int) -> Transfer:
    """The Lumens that a validated task earns, issued by the platform."""
    legs = (Leg(PLATFORM_REWARDS_ID, -lumens), Leg(contributor, lumens))
    return Transfer(TransferReason.TASK_REWARD, task_id, legs)


def may_become(current: PaymentStatus, wanted: PaymentStatus) -> bool:
    """Whether a payment may move from one status to the other."""
    return wanted in TRANSITIONS[current]


def is_owed(amount: Money) -> bool:
    """Whether a price leaves something to pay; a task may be rewarded in Lumens alone."""
    return amount.amount > 0


def first_moment(moment: datetime | date | None) -> datetime | None:
    """The inclusive beginning of a period: a date stands for its midnight, UTC."""
    if moment is None or isinstance(moment, datetime):
        return moment
    return datetime.combine(moment, time(), UTC)


def last_moment(moment: datetime | date | None) -> datetime | None:
    """The exclusive end of a period: a date stands for the midnight after it, UTC, so that the day itself is included."""
    if moment is None or isinstance(moment, datetime):
        return moment
    return datetime.combine(moment + timedelta(days=1), time(), UTC)


FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def spreadsheet_text(value: str) -> str:
    """A text cell that no spreadsheet takes for a formula (OWASP, CSV Injection): such a start gets an apostrophe."""
    return f"'{value}" if value.lstrip(" ").startswith(FORMULA_STARTS) else value


class Payer(StrEnum):
    """Who is to move the money of a payment."""

    MOCK = "MOCK"  # a stand-in that moves none: no provider was configured when the payment was opened
    STRIPE = "STRIPE"


class Provider(StrEnum):
    """Who moves money for us and tells us of it."""

    STRIPE = "STRIPE"


class ProviderEventStatus(StrEnum):
    """What has been done about an event of a provider."""

    RECEIVED = "RECEIVED"  # kept, nobody has acted on it


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """Something that happened at a provider. Events come in any order and more than once: what holds is asked there."""

    provider: Provider
    provider_event_id: str
    type: str
    object_kind: str
    object_id: str | None
    live: bool
    occurred_at: datetime


class SignatureRefused(BadRequest):
    """The sender of a provider's event did not sign it, or not lately."""


class UnreadableProviderEvent(BadRequest):
    """A provider signed something that is no event."""


class ProviderEvents(Protocol):
    """Reads a provider's signed events."""

    def verified(self, body: bytes, signature: str) -> ProviderEvent:
        """The event in `body`, which must be as it was signed. Raises SignatureRefused, UnreadableProviderEvent."""
