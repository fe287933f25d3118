"""What payments does: open what is owed, book Lumens, and keep what providers tell."""

from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Row, Text, Uuid, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP, insert
from sqlalchemy.exc import IntegrityError

from libs.common.db import Transaction
from libs.common.ids import new_id
from libs.common.money import Money
from services.payments.domain import (
    FLOORS,
    PLATFORM_REWARDS_ID,
    AccountId,
    AccountKind,
    InsufficientLumens,
    Payer,
    PaymentStatus,
    ProviderEvent,
    ProviderEventStatus,
    Transfer,
    TransferAlreadyBooked,
    is_owed,
    task_reward,
)
from services.payments.events import LumensChanged, PaymentCreated
from services.payments.models import payment, provider_event

_MOMENT = TIMESTAMP(timezone=True)

_OPEN_PAYMENT = (
    insert(payment)
    .values(status=PaymentStatus.PENDING, version=1)
    .on_conflict_do_nothing(index_elements=[payment.c.task_id])
    .returning(payment.c.id)
)

_RECEIVE_EVENT = (
    insert(provider_event)
    .values(status=ProviderEventStatus.RECEIVED)
    .on_conflict_do_nothing(index_elements=[provider_event.c.provider, provider_event.c.provider_event_id])
    .returning(provider_event.c.id)
)

_OPEN_ACCOUNT = select(
    func.payments.open_account(
        bindparam("id", type_=Uuid()),
        bindparam("kind", type_=Text()),
        bindparam("owner_id", type_=Uuid()),
        bindparam("floor", type_=BigInteger()),
        bindparam("opened_at", type_=_MOMENT),
    )
)

_POSTED = func.payments.post_transfer(
    bindparam("id", type_=Uuid()),
    bindparam("reference_kind", type_=Text()),
    bindparam("reference_id", type_=Uuid()),
    bindparam("booked_at", type_=_MOMENT),
    bindparam("accounts", type_=ARRAY(Uuid())),
    bindparam("amounts", type_=ARRAY(BigInteger())),
    bindparam("entry_ids", type_=ARRAY(Uuid())),
).table_valued("entry_id", "account_id", "amount", "balance_after")

_POST_TRANSFER = select(_POSTED.c.entry_id, _POSTED.c.account_id, _POSTED.c.amount, _POSTED.c.balance_after)


@dataclass(frozen=True, slots=True)
class Work:
    """Validated work that may leave something to pay."""

    task_id: UUID
    film_id: UUID
    contributor_id: UUID
    task_title: str
    film_title: str


def open_payable(tx: Transaction, work: Work, amount: Money, payer: Payer) -> UUID | None:
    """Open what a validated task leaves to be paid by `payer`, once a task.

    Returns the payment's id, or None when nothing is owed or it is open already.
    """
    if not is_owed(amount):
        return None
    values = {
        "id": new_id(),
        **asdict(work),
        "payer": payer,
        "amount_amount": amount.amount,
        "amount_currency": amount.currency,
        "created_at": tx.now,
        "updated_at": tx.now,
    }
    payment_id: UUID | None = tx.scalar(_OPEN_PAYMENT, values)
    if payment_id is not None:
        tx.publish(
            PaymentCreated(payment_id=payment_id, task_id=work.task_id, contributor_id=work.contributor_id, amount=amount)
        )
    return payment_id


def reward_lumens(tx: Transaction, *, task_id: UUID, contributor_id: UUID, lumens: int) -> None:
    """Book the Lumens that a validated task earns, once a task."""
    if lumens == 0:
        return
    open_account(tx, AccountKind.PLATFORM_REWARDS, None)
    contributor = open_account(tx, AccountKind.CONTRIBUTOR, contributor_id)
    reward = task_reward(task_id, contributor, lumens)
    for booked in post(tx, reward):
        if booked.account_id == contributor:
            tx.publish(
                LumensChanged(
                    user_id=contributor_id,
                    entry_id=booked.entry_id,
                    amount=booked.amount,
                    reason=reward.reason,
                    reference_id=reward.reference_id,
                    balance_after=booked.balance_after,
                )
            )


def open_account(tx: Transaction, kind: AccountKind, owner_id: UUID | None) -> AccountId:
    """The account of this kind and owner (None: the platform), opened empty when there is none."""
    wanted_id = PLATFORM_REWARDS_ID if kind is AccountKind.PLATFORM_REWARDS else new_id()
    values = {"id": wanted_id, "kind": kind, "owner_id": owner_id, "floor": FLOORS[kind], "opened_at": tx.now}
    return AccountId(tx.scalar(_OPEN_ACCOUNT, values))


def post(tx: Transaction, transfer: Transfer) -> list[Row[Any]]:
    """Book a transfer and return its entries (`entry_id, account_id, amount, balance_after`); none when it was booked before.

    Raises InsufficientLumens, TransferAlreadyBooked; either ends the transaction.
    """
    values = {
        "id": new_id(),
        "reference_kind": transfer.reason,
        "reference_id": transfer.reference_id,
        "booked_at": tx.now,
        "accounts": [leg.account_id for leg in transfer.legs],
        "amounts": [leg.amount for leg in transfer.legs],
        "entry_ids": [new_id() for _ in transfer.legs],
    }
    try:
        return tx.all(_POST_TRANSFER, values)
    except IntegrityError as error:
        refusal = _refusal(error)
        if refusal is None:
            raise
        raise refusal from error


def receive_event(tx: Transaction, event: ProviderEvent) -> bool:
    """Keep a provider's event, once; whether it is new."""
    return tx.scalar(_RECEIVE_EVENT, {"id": new_id(), **asdict(event), "received_at": tx.now}) is not None


def _refusal(error: IntegrityError) -> InsufficientLumens | TransferAlreadyBooked | None:
    """What a violated constraint means to the caller."""
    match getattr(getattr(error.orig, "diag", None), "constraint_name", None):
        case "ck_account_balance_floor":
            return InsufficientLumens("There are not enough Lumens on the account; ask for fewer.")
        case "uq_transfer_reference_kind_reference_id":
            return TransferAlreadyBooked(
                "This was booked before with other amounts; book the difference under its own reference."
            )
        case _:
            return None
