"""Metadata of a service's schema: naming convention, column helpers and the kernel's own tables."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Index, LargeBinary, MetaData, PrimaryKeyConstraint, String, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, UUID

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
APPEND_ONLY = {"append_only": True}


def id_column(name: str = "id", *, primary_key: bool = True, nullable: bool = False, **options: Any) -> Column[Any]:
    """A UUID column."""
    return Column(name, UUID(as_uuid=True), primary_key=primary_key, nullable=nullable, **options)


def timestamp(name: str, *, nullable: bool = False, **options: Any) -> Column[Any]:
    """A moment with time zone; Python writes it, so that tests and replicas agree on the clock."""
    return Column(name, DateTime(timezone=True), nullable=nullable, **options)


def money_columns(name: str, *, nullable: bool = False) -> tuple[Column[Any], Column[Any]]:
    """`<name>_amount` in minor units and `<name>_currency`."""
    return Column(f"{name}_amount", BigInteger, nullable=nullable), Column(f"{name}_currency", String(3), nullable=nullable)


@dataclass(frozen=True)
class KernelTables:
    """The tables that the kernel keeps in every service's schema."""

    outbox: Table
    event_archive: Table
    inbox: Table
    sequence_gate: Table
    parked_events: Table
    aggregate_sequence: Table
    personal_commitment: Table
    idempotency_key: Table
    audit_record: Table
    used_proof: Table


def new_metadata(service: str) -> MetaData:
    """Metadata bound to the schema of `service`, with the kernel's tables in it."""
    metadata = MetaData(schema=service, naming_convention=NAMING)
    metadata.info["kernel"] = KernelTables(**_event_tables(metadata), **_request_tables(metadata))
    return metadata


def kernel_tables(metadata: MetaData) -> KernelTables:
    """The kernel's tables in this metadata."""
    tables = metadata.info["kernel"]
    assert isinstance(tables, KernelTables)  # noqa: S101 — new_metadata is the only maker
    return tables


def _event_tables(metadata: MetaData) -> dict[str, Table]:
    return {
        "outbox": Table(
            "outbox",
            metadata,
            Column("id", BigInteger, primary_key=True, autoincrement=True),
            id_column("event_id", primary_key=False),
            *_aggregate_columns(),
            Column("body", LargeBinary, nullable=False),
            Column("archive_body", LargeBinary, nullable=False),
            timestamp("created_at"),
        ),
        "event_archive": Table(
            "event_archive",
            metadata,
            id_column("event_id", primary_key=False),
            *_aggregate_columns(),
            Column("body", LargeBinary, nullable=False),
            timestamp("recorded_at"),
            PrimaryKeyConstraint("event_id", "recorded_at"),  # a partitioned table's key holds what it is partitioned by
            Index(None, "type", "recorded_at"),
            Index(None, "aggregate_type", "aggregate_id", "sequence"),
            info=APPEND_ONLY,
            postgresql_partition_by="RANGE (recorded_at)",
        ),
        "inbox": Table(
            "inbox",
            metadata,
            Column("subscription", Text, primary_key=True),
            id_column("event_id"),
            timestamp("applied_at"),
        ),
        "sequence_gate": Table(
            "sequence_gate",
            metadata,
            Column("subscription", Text, primary_key=True),
            Column("aggregate_id", Text, primary_key=True),
            Column("last_sequence", BigInteger, nullable=False),
        ),
        "parked_events": Table(
            "parked_events",
            metadata,
            Column("subscription", Text, primary_key=True),
            Column("aggregate_id", Text, primary_key=True),
            Column("sequence", BigInteger, primary_key=True, autoincrement=False),
            id_column("event_id", primary_key=False),
            Column("body", LargeBinary, nullable=False),
            timestamp("parked_at"),
        ),
        "aggregate_sequence": Table(
            "aggregate_sequence",
            metadata,
            Column("aggregate_type", Text, primary_key=True),
            Column("aggregate_id", Text, primary_key=True),
            Column("last_sequence", BigInteger, nullable=False),
        ),
        "personal_commitment": Table(
            "personal_commitment",
            metadata,
            id_column("event_id"),
            Column("field", Text, primary_key=True),
            id_column("about", primary_key=False, index=True),
            Column("salt", LargeBinary, nullable=False),
        ),
    }


def _aggregate_columns() -> tuple[Column[Any], ...]:
    return (
        Column("type", Text, nullable=False),
        Column("aggregate_type", Text, nullable=False),
        Column("aggregate_id", Text, nullable=False),
        Column("sequence", BigInteger, nullable=False),
    )


def _request_tables(metadata: MetaData) -> dict[str, Table]:
    return {
        "idempotency_key": Table(
            "idempotency_key",
            metadata,
            id_column("subject_id"),
            Column("key", Text, primary_key=True),
            Column("fingerprint", LargeBinary, nullable=False),
            Column("status", BigInteger, nullable=False),
            Column("headers", JSONB, nullable=False),
            Column("body", LargeBinary, nullable=False),
            timestamp("created_at", index=True),
        ),
        "used_proof": Table(
            "used_proof",
            metadata,
            Column("digest", LargeBinary, primary_key=True),
            timestamp("forgotten_at", index=True),
        ),
        "audit_record": Table(
            "audit_record",
            metadata,
            id_column(),
            id_column("actor_id", primary_key=False, nullable=True),
            Column("roles", Text, nullable=False),
            id_column("session_id", primary_key=False, nullable=True),
            Column("request_id", Text, nullable=True),
            Column("action", Text, nullable=False),
            Column("entity", Text, nullable=False),
            Column("entity_id", Text, nullable=False),
            Column("outcome", Text, nullable=False),
            Column("details", JSONB, nullable=False),
            timestamp("occurred_at"),
            Index(None, "entity", "entity_id", "occurred_at"),
            info=APPEND_ONLY,
        ),
    }
