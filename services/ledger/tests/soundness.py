"""Whether the stored log is what its leaves, in their order, give."""

from sqlalchemy import select

from libs.common.testing import Harness
from services.ledger import queries
from services.ledger.domain import merkle
from services.ledger.domain.merkle import Node
from services.ledger.models import checkpoint, node, sequenced


def indexes(harness: Harness) -> list[int]:
    """The indexes given out so far, in order."""
    with harness.database.reader() as db:
        return [row.leaf_index for row in db.all(select(sequenced.c.leaf_index).order_by(sequenced.c.leaf_index))]


def assert_tree_is_sound(harness: Harness) -> None:
    """The stored nodes and the newest root are what the leaves, in their order, give."""
    with harness.database.reader() as db:
        leaves = queries.leaves_between(db, 0, 2**40)
        stored = {Node(row.level, row.number): bytes(row.hash) for row in db.all(select(node))}
        signed = db.one(select(checkpoint).order_by(checkpoint.c.size.desc()).limit(1))
    expected = merkle.grow(0, {}, [merkle.hash_leaf(each) for each in leaves])
    assert stored == expected
    assert (signed.size, bytes(signed.root_hash)) == (len(leaves), merkle.root(len(leaves), expected))
