"""The tables of payments: payables, the book of Lumens in double entry, and what providers told us."""

from enum import StrEnum

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Index, Table, Text, UniqueConstraint, Uuid

from libs.common.db import APPEND_ONLY, id_column, money_columns, new_metadata, timestamp
from services.payments.domain import AccountKind, Payer, PaymentStatus, Provider, ProviderEventStatus

metadata = new_metadata("payments")


def _one_of(column: str, values: type[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


payment = Table(
    "payment",
    metadata,
    id_column(),
    Column("task_id", Uuid, nullable=False),
    Column("film_id", Uuid, nullable=False),
    Column("contributor_id", Uuid, nullable=False),
    *money_columns("amount"),
    Column("task_title", Text, nullable=False),
    Column("film_title", Text, nullable=False),
    Column("status", Text, nullable=False),
    # With a default, so that the release before this one may still write while both run.
    Column("payer", Text, nullable=False, server_default=Payer.MOCK),
    Column("version", BigInteger, nullable=False),
    timestamp("created_at"),
    timestamp("updated_at"),
    UniqueConstraint("task_id"),
    CheckConstraint(_one_of("payer", Payer), name="payer_known"),
    CheckConstraint(_one_of("status", PaymentStatus), name="status_known"),
    CheckConstraint("amount_amount > 0", name="amount_positive"),
    Index(None, "contributor_id", "created_at", "id"),
    Index(None, "created_at", "id"),
    Index(None, "status", "created_at", "id"),
)

# `balance` and `version` are the sums of the entries, kept so that reading and checking them costs one row. Only the
# posting function moves them; the database compares them with the entries before every commit.
account = Table(
    "account",
    metadata,
    id_column(),
    Column("kind", Text, nullable=False),
    Column("owner_id", Uuid, nullable=True),
    Column("floor", BigInteger, nullable=True),
    Column("balance", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    timestamp("opened_at"),
    UniqueConstraint("kind", "owner_id", postgresql_nulls_not_distinct=True),
    CheckConstraint(_one_of("kind", AccountKind), name="kind_known"),
    CheckConstraint("(kind = 'PLATFORM_REWARDS') = (owner_id IS NULL)", name="owner_of_kind"),
    CheckConstraint("floor IS NULL OR balance >= floor", name="balance_floor"),
    Index(None, "owner_id"),
)

transfer = Table(
    "transfer",
    metadata,
    id_column(),
    Column("reference_kind", Text, nullable=False),
    Column("reference_id", Uuid, nullable=False),
    timestamp("booked_at"),
    UniqueConstraint("reference_kind", "reference_id"),
    info=APPEND_ONLY,
)

entry = Table(
    "entry",
    metadata,
    id_column(),
    Column("transfer_id", Uuid, ForeignKey("payments.transfer.id"), nullable=False),
    Column("account_id", Uuid, ForeignKey("payments.account.id"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("balance_after", BigInteger, nullable=False),
    Column("account_version", BigInteger, nullable=False),
    UniqueConstraint("transfer_id", "account_id"),
    UniqueConstraint("account_id", "account_version"),
    CheckConstraint("amount <> 0", name="amount_not_zero"),
    info=APPEND_ONLY,
)

# No content of the event: it is a snapshot, it is personal, and the provider is asked again before anybody acts on it.
provider_event = Table(
    "provider_event",
    metadata,
    id_column(),
    Column("provider", Text, nullable=False),
    Column("provider_event_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("object_kind", Text, nullable=False),
    Column("object_id", Text, nullable=True),
    Column("live", Boolean, nullable=False),
    Column("status", Text, nullable=False),
    timestamp("occurred_at"),
    timestamp("received_at"),
    UniqueConstraint("provider", "provider_event_id"),
    CheckConstraint(_one_of("provider", Provider), name="provider_known"),
    CheckConstraint(_one_of("status", ProviderEventStatus), name="status_known"),
    Index(None, "status", "received_at", "id"),
)
