"""Every SELECT of the ledger, named by its question."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Row, Select, SmallInteger, and_, bindparam, func, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from libs.common.db import Reader
from services.ledger.domain.merkle import Node
from services.ledger.models import checkpoint, leaf, node, pending_leaf, restoration, resumption, sequenced

_LATEST_CHECKPOINT = select(checkpoint.c.size, checkpoint.c.note).order_by(checkpoint.c.size.desc()).limit(1)

_NEWEST_CHECKPOINT = select(checkpoint.c.size, checkpoint.c.signed_at).order_by(checkpoint.c.size.desc()).limit(1)
_PENDING = select(func.count().label("leaves"), func.min(leaf.c.recorded_at).label("oldest")).join_from(
    pending_leaf, leaf, leaf.c.event_id == pending_leaf.c.event_id
)

_WANTED = (
    func.unnest(
        bindparam("levels", type_=ARRAY(SmallInteger)),
        bindparam("numbers", type_=ARRAY(BigInteger)),
    )
    .table_valued("level", "number", name="wanted")
    .render_derived()
)
_NODES = select(node.c.level, node.c.number, node.c.hash).join(
    _WANTED, and_(node.c.level == _WANTED.c.level, node.c.number == _WANTED.c.number)
)

_HASHES_BETWEEN = (
    select(node.c.hash)
    .where(node.c.level == bindparam("level"), node.c.number >= bindparam("start"), node.c.number < bindparam("end"))
    .order_by(node.c.number)
)

_LEAVES_BETWEEN = (
    select(leaf.c.leaf)
    .join(sequenced, sequenced.c.event_id == leaf.c.event_id)
    .where(sequenced.c.leaf_index >= bindparam("start"), sequenced.c.leaf_index < bindparam("end"))
    .order_by(sequenced.c.leaf_index)
)

_SEALED_LEAF = (
    select(sequenced.c.leaf_index, leaf.c.leaf)
    .join(leaf, leaf.c.event_id == sequenced.c.event_id)
    .where(sequenced.c.event_id == bindparam("event_id"))
)

_LEAF_HASHES = select(leaf.c.event_id, leaf.c.leaf_hash).where(leaf.c.event_id.in_(bindparam("event_ids", expanding=True)))

_LISTED = (
    select(
        sequenced.c.event_id,
        sequenced.c.type,
        sequenced.c.entity_id,
        sequenced.c.leaf_index,
        leaf.c.occurred_at,
        leaf.c.leaf_hash,
    )
    .join(leaf, leaf.c.event_id == sequenced.c.event_id)
    .where(sequenced.c.leaf_index < bindparam("before"))
    .order_by(sequenced.c.leaf_index.desc())
    .limit(bindparam("rows"))
)
_FILTERS = {"type": sequenced.c.type == bindparam("type"), "entity_id": sequenced.c.entity_id == bindparam("entity_id")}
_LISTED_BY: dict[tuple[str, ...], Select[Any]] = {
    names: _LISTED.where(and_(true(), *(_FILTERS[name] for name in names)))
    for names in ((), ("type",), ("entity_id",), ("type", "entity_id"))
}


_NEWEST_RESTORATION = select(restoration.c.id).order_by(restoration.c.restored_at.desc(), restoration.c.id.desc()).limit(1)
_WITH_RESUMPTION = restoration.outerjoin(resumption, resumption.c.restoration_id == restoration.c.id)
_RESTORATIONS = (
    select(restoration, resumption.c.origin.label("resumed_as"), resumption.c.resumed_at, resumption.c.statement)
    .select_from(_WITH_RESUMPTION)
    .order_by(restoration.c.restored_at, restoration.c.id)
)
_WITHHELD = (
    select(restoration.c.id, resumption.c.origin.label("resumed_as"))
    .select_from(_WITH_RESUMPTION)
    .where(or_(resumption.c.origin.is_(None), restoration.c.id == _NEWEST_RESTORATION.scalar_subquery()))
    .order_by(restoration.c.restored_at.desc(), restoration.c.id.desc())
)


def restorations(db: Reader) -> list[Row[Any]]:
    """Every restoration from a backup, oldest first; `resumed_as` is None while nobody has said how the log goes on."""
    return db.all(_RESTORATIONS)


def may_sign(db: Reader, origin: str) -> bool:
    """Whether a log of this name may sign: no restoration waits for an operator's word, and the last word named this log."""
    return all(row.resumed_as == origin for row in db.all(_WITHHELD))


def newest_checkpoint(db: Reader) -> Row[Any] | None:
    """`size` and `signed_at` of the newest checkpoint; None before the first."""
    return db.first(_NEWEST_CHECKPOINT)


def pending(db: Reader) -> Row[Any]:
    """`leaves` without an index, and when the `oldest` of them was recorded."""
    return db.one(_PENDING)


def latest_checkpoint(db: Reader) -> Row[Any] | None:
    """The newest signed tree head: `size`, `note`."""
    return db.first(_LATEST_CHECKPOINT)


def hashes_of(db: Reader, nodes: Iterable[Node]) -> dict[Node, bytes]:
    """The stored hash of each of these nodes."""
    wanted = sorted(nodes)
    if not wanted:
        return {}
    parameters = {"levels": [each.level for each in wanted], "numbers": [each.number for each in wanted]}
    return {Node(row.level, row.number): bytes(row.hash) for row in db.all(_NODES, parameters)}


def hashes_between(db: Reader, level: int, start: int, end: int) -> list[bytes]:
    """Stored hashes of one level of the tree, in order."""
    return [bytes(row.hash) for row in db.all(_HASHES_BETWEEN, {"level": level, "start": start, "end": end})]


def leaves_between(db: Reader, start: int, end: int) -> list[bytes]:
    """Leaves of the log, in order."""
    return [bytes(row.leaf) for row in db.all(_LEAVES_BETWEEN, {"start": start, "end": end})]


def sealed_leaf(db: Reader, event_id: UUID) -> Row[Any] | None:
    """The leaf of an event and its index, once it has one."""
    return db.first(_SEALED_LEAF, {"event_id": event_id})


def leaf_hashes_of(db: Reader, event_ids: Collection[UUID]) -> list[Row[Any]]:
    """`event_id` and `leaf_hash` of those of these events that have arrived."""
    return db.all(_LEAF_HASHES, {"event_ids": list(event_ids)}) if event_ids else []


def listed(db: Reader, filters: Mapping[str, str | None], before: int, rows: int) -> list[Row[Any]]:
    """Sealed events, newest first, below an index; by type, by entity, by both or all."""
    given = {name: value for name, value in filters.items() if value is not None}
    statement = _LISTED_BY[tuple(name for name in _FILTERS if name in given)]
    return db.all(statement, {**given, "before": before, "rows": rows})
