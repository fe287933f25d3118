"""What the ledger does: take a leaf in, seal what has arrived, and answer with proofs."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, any_, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from libs.common.db import Reader, Transaction
from libs.common.errors import BadRequest, Conflict, NotFound, Permanent, Unavailable
from libs.common.events import Envelope
from libs.common.ids import new_id
from libs.common.telemetry import logger
from services.ledger import queries
from services.ledger.domain import merkle, notes, proofs, tiles
from services.ledger.domain.leaves import LeafError, archive_form, is_logged, leaf_of
from services.ledger.domain.merkle import Node
from services.ledger.domain.notes import NoteSigner
from services.ledger.domain.restoring import STATEMENT_MAX, STATEMENT_MIN, TreeHead, contradicts
from services.ledger.domain.tiles import Tile
from services.ledger.events import LogResumed
from services.ledger.models import checkpoint, leaf, node, pending_leaf, restoration, resumption, sequenced

LEAF_CHANNEL = "leaf"
WITHHELD = "the database was restored: `lumiere ledger status` says what is to be done"
GROUP_MAX = 1024
"""Leaves that one checkpoint takes in at most: a backlog is sealed in groups, so that none holds the lock for long."""
RETRY_AFTER_SECONDS = 1

_ADD_SEQUENCED, _ADD_NODE, _ADD_CHECKPOINT = insert(sequenced), insert(node), insert(checkpoint)
_ADD_RESTORATION, _ADD_RESUMPTION = insert(restoration), insert(resumption)
_SEQUENCER_LOCK = select(func.pg_advisory_xact_lock(func.hashtext("lumiere.ledger.sequencer")))

# RETURNING makes SQLAlchemy send all rows as one statement.
_ADD_LEAVES = insert(leaf).on_conflict_do_nothing(index_elements=["event_id"]).returning(leaf.c.event_id)
_ADD_PENDING = insert(pending_leaf).returning(pending_leaf.c.event_id)
_OLDEST = select(pending_leaf.c.event_id).order_by(pending_leaf.c.event_id).limit(bindparam("group"))
# An array, not IN: statistics of a queue that was just empty make a join compare every row with every other.
_WANTED = pending_leaf.c.event_id == any_(func.array(_OLDEST.scalar_subquery()))
_TAKEN = delete(pending_leaf).where(_WANTED).returning(pending_leaf.c.event_id).cte("taken")
_TAKE_PENDING = (
    select(leaf.c.event_id, leaf.c.type, leaf.c.entity_id, leaf.c.leaf_hash)
    .join(_TAKEN, _TAKEN.c.event_id == leaf.c.event_id)
    .order_by(leaf.c.event_id)
)


log = logger(__name__)


class NotSealed(NotFound):
    """No proof of this event can be given: it is unknown, or not sealed yet."""

    def headers(self) -> dict[str, str]:
        """Retry-After in seconds: an event that has just happened is sealed within moments."""
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}


class NotWithheld(Conflict):
    """Nobody's word is waited for."""


class NoStatement(BadRequest):
    """The statement says too little, or more than a leaf should hold."""


class SecondHistory(Conflict):
    """The log must not go on under this name: somebody holds a checkpoint that its tree contradicts."""


class NoSuchTile(NotFound):
    """The log has no such tile, or not that much of it yet."""


class NoSuchTree(NotFound):
    """The log is not that large yet."""


def record_events(tx: Transaction, envelopes: Iterable[Envelope]) -> int:
    """Take the leaves of events in; each gets its index when it is sealed. Returns how many are new.

    Raises Permanent for an event that no leaf can hold, and for one that bears the id of another.
    """
    rows: dict[UUID, dict[str, Any]] = {}
    for envelope in envelopes:
        if is_logged(envelope.source, envelope.type):
            row = _leaf_row(envelope, tx.now)
            _require_same(envelope.id, rows.setdefault(envelope.id, row)["leaf_hash"], row["leaf_hash"])
    if not rows:
        return 0
    # Sorted, so that two replicas never wait for each other.
    added = {row.event_id for row in tx.execute(_ADD_LEAVES, [rows[event_id] for event_id in sorted(rows)])}
    for known in queries.leaf_hashes_of(tx, rows.keys() - added):
        _require_same(known.event_id, bytes(known.leaf_hash), rows[known.event_id]["leaf_hash"])
    if added:
        tx.execute(_ADD_PENDING, [{"event_id": event_id} for event_id in sorted(added)])
        tx.notify(LEAF_CHANNEL)
    return len(added)


def _leaf_row(envelope: Envelope, now: datetime) -> dict[str, Any]:
    try:
        content = leaf_of(archive_form(json.loads(envelope.encode())))
    except LeafError as error:
        raise Permanent(str(error)) from None
    return {
        "event_id": envelope.id,
        "type": envelope.type,
        "entity_id": envelope.subject,
        "occurred_at": envelope.time,
        "recorded_at": now,
        "leaf": content,
        "leaf_hash": merkle.hash_leaf(content),
    }


def _require_same(event_id: UUID, known: bytes, given: bytes) -> None:
    if known != given:
        raise Permanent(f"event {event_id} is in the log already, with another content")


def seal(tx: Transaction, signer: NoteSigner) -> int:
    """Give the waiting leaves their indexes, grow the tree and sign it: all in this transaction. Returns how many were sealed.

    None while the log must not sign, because its database was restored and nobody has said yet how it goes on.
    Safe to run at once in several processes: they take turns, and each sees what the one before has committed.
    """
    tx.execute(_SEQUENCER_LOCK)
    if not queries.may_sign(tx, signer.name):
        log.warning("log.withheld", origin=signer.name, reason=WITHHELD)
        return 0
    latest = queries.latest_checkpoint(tx)
    size = latest.size if latest else 0
    taken = tx.all(_TAKE_PENDING, {"group": GROUP_MAX})
    if not taken and latest:
        return 0
    edge = queries.hashes_of(tx, merkle.frontier(size))
    made = merkle.grow(size, edge, [bytes(row.leaf_hash) for row in taken])
    if taken:
        tx.execute(_ADD_SEQUENCED, [_place(row, index) for index, row in enumerate(taken, start=size)])
        tx.execute(_ADD_NODE, [{"level": each.level, "number": each.number, "hash": value} for each, value in made.items()])
    _sign(tx, signer, size + len(taken), {**edge, **made})
    if len(taken) == GROUP_MAX:
        tx.notify(LEAF_CHANNEL)
    return len(taken)


def _place(row: Row[Any], index: int) -> dict[str, Any]:
    previous = index - 1 if index else None
    return {
        "leaf_index": index,
        "previous_index": previous,
        "event_id": row.event_id,
        "type": row.type,
        "entity_id": row.entity_id,
    }


def _sign(tx: Transaction, signer: NoteSigner, size: int, hashes: dict[Node, bytes]) -> None:
    root_hash = merkle.root(size, hashes)
    note = signer.sign(notes.checkpoint_text(signer.name, size, root_hash))
    tx.execute(_ADD_CHECKPOINT, {"size": size, "root_hash": root_hash, "note": note, "signed_at": tx.now})


def record_restoration(tx: Transaction, source: str, name: str, published: TreeHead | None) -> UUID:
    """Remember that the database was restored from `source`; from now on nothing is signed until `resume`.

    `name` is the log's name now, for a log that had signed nothing yet; `published` the newest head that is known to be out.
    """
    tx.execute(_SEQUENCER_LOCK)
    own = own_head(tx) or TreeHead(name, 0, merkle.EMPTY_ROOT)
    identity = new_id()
    row = {
        "id": identity,
        "restored_at": tx.now,
        "source": source,
        "origin": own.origin,
        "size": own.size,
        "root_hash": own.root_hash,
        "published_origin": published.origin if published else None,
        "published_size": published.size if published else None,
        "published_root_hash": published.root_hash if published else None,
    }
    tx.execute(_ADD_RESTORATION, row)
    tx.audit("log.restored", "log", own.origin, details={"source": source, "size": own.size})
    return identity


def resume(tx: Transaction, signer: NoteSigner, statement: str) -> int:
    """Let the log sign again, under the name of `signer`, and leave the operator's statement in it. Returns how many
    restorations are settled by that. Raises NotWithheld, SecondHistory, NoStatement.
    """
    if not STATEMENT_MIN <= len(statement) <= STATEMENT_MAX:
        raise NoStatement(f"Say what happened in {STATEMENT_MIN} to {STATEMENT_MAX} characters: it becomes a leaf of the log.")
    tx.execute(_SEQUENCER_LOCK)
    waiting = [row for row in queries.restorations(tx) if row.resumed_as is None]
    if not waiting:
        raise NotWithheld("The log waits for nobody's word: it was not restored, or somebody has said how it goes on.")
    own = own_head(tx)
    size = own.size if own else 0
    for row in waiting:
        published = published_head(row)
        if published and published.origin == signer.name and contradicts(published, size, _root_at(tx, published.size, size)):
            raise SecondHistory(
                f"{signer.name} has signed {published.size} leaves and this database holds {size} of them: to go on under "
                "this name would be a second history. Give the log a new name and key: `lumiere ledger resume --new-name NAME`."
            )
    for row in waiting:
        _settle(tx, row, signer.name, statement, size)
    return len(waiting)


def _settle(tx: Transaction, row: Row[Any], origin: str, statement: str, size: int) -> None:
    settled = {"restoration_id": row.id, "origin": origin, "statement": statement, "resumed_at": tx.now}
    tx.execute(_ADD_RESUMPTION, settled)
    published = published_head(row)
    lost = published is not None and published.size > size
    tx.publish(
        LogResumed(
            restoration_id=row.id,
            restored_at=row.restored_at,
            origin=origin,
            previous_origin=row.origin,
            size=row.size,
            root_hash=b64encode(bytes(row.root_hash)).decode(),
            published_size=published.size if published else None,
            published_root_hash=b64encode(published.root_hash).decode() if published else None,
            lost_from=size if lost else None,
            lost_to=published.size - 1 if published and lost else None,
            statement=statement,
        )
    )
    tx.audit("log.resumed", "log", origin, details={"restoration": str(row.id), "statement": statement})


def own_head(db: Reader) -> TreeHead | None:
    """The newest head that this database has signed; None for a log that has signed nothing."""
    latest = queries.latest_checkpoint(db)
    if latest is None:
        return None
    origin, _, root = latest.note.split("\n", 3)[:3]
    return TreeHead(origin, latest.size, b64decode(root))


def published_head(row: Row[Any]) -> TreeHead | None:
    """The newest head that was known at a restoration."""
    if row.published_origin is None:
        return None
    return TreeHead(row.published_origin, row.published_size, bytes(row.published_root_hash))


def _root_at(db: Reader, wanted: int, size: int) -> bytes | None:
    return merkle.root(wanted, queries.hashes_of(db, merkle.frontier(wanted))) if wanted <= size else None


def current_checkpoint(db: Reader) -> tuple[int, str]:
    """Size and signed note of the newest checkpoint. Raises Unavailable before the first is signed."""
    latest = queries.latest_checkpoint(db)
    if latest is None:
        raise Unavailable("The log has signed no checkpoint yet; ask again in a moment.", retry_after=RETRY_AFTER_SECONDS)
    return latest.size, latest.note


def prove_event(db: Reader, event_id: UUID) -> str:
    """The proof file of an event, in the newest checkpoint. Raises NotSealed."""
    sealed = queries.sealed_leaf(db, event_id)
    if sealed is None:
        raise NotSealed("No sealed event has this id. If it has just happened, it is being sealed: ask again in a second.")
    size, note = current_checkpoint(db)
    plan = merkle.inclusion_plan(sealed.leaf_index, size)
    hashes = merkle.evaluate(plan, queries.hashes_of(db, merkle.nodes_of(plan)))
    return proofs.proof_file(bytes(sealed.leaf), sealed.leaf_index, hashes, note)


def prove_consistency(db: Reader, first: int, second: int) -> list[str]:
    """The base64 hashes that show the tree of size `first` to be the beginning of that of `second`. Raises NoSuchTree."""
    size, _ = current_checkpoint(db)
    if second > size:
        raise NoSuchTree(f"The log has {size} entries; ask for sizes up to that.")
    plan = merkle.consistency_plan(first, second)
    return [b64encode(each).decode() for each in merkle.evaluate(plan, queries.hashes_of(db, merkle.nodes_of(plan)))]


def read_tile(db: Reader, path: str) -> tuple[Tile, bytes]:
    """A tile of hashes or of entries by its address. Raises NoSuchTile."""
    tile = tiles.parse_path(path)
    if tile is None:
        raise NoSuchTile("No tile has this address; see https://c2sp.org/tlog-tiles for how they are written.")
    size, _ = current_checkpoint(db)
    if not tile.is_within(size):
        raise NoSuchTile(f"The log has {size} entries, which do not fill this tile.")
    if tile.level is None:
        return tile, tiles.bundle(queries.leaves_between(db, tile.start, tile.end))
    return tile, b"".join(queries.hashes_between(db, tiles.TILE_HEIGHT * tile.level, tile.start, tile.end))
