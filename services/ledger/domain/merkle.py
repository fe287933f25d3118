"""The Merkle tree of RFC 6962 section 2.1: what is hashed, which stored nodes a proof needs, and how the tree grows.

Only nodes over full subtrees are ever stored: they never change once written. Whatever covers the ragged right edge is
folded from them when it is asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import chain
from typing import NamedTuple

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

_LEAF_PREFIX = b"\x00"
_NODE_PREFIX = b"\x01"


class Node(NamedTuple):
    """The root of the full subtree over the leaves `[number * 2**level, (number + 1) * 2**level)`."""

    level: int
    number: int


Range = tuple[Node, ...]
Plan = tuple[Range, ...]
Hashes = Mapping[Node, bytes]


def hash_leaf(leaf: bytes) -> bytes:
    """The hash of a leaf, apart from that of a node by its prefix (RFC 6962 section 2.1)."""
    return sha256(_LEAF_PREFIX + leaf).digest()


def hash_children(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node (RFC 6962 section 2.1)."""
    return sha256(_NODE_PREFIX + left + right).digest()


def frontier(size: int) -> Range:
    """The full subtrees that make up a tree of `size` leaves, from left to right: one for each bit set."""
    return _full_subtrees(0, size)


def inclusion_plan(index: int, size: int) -> Plan:
    """The subtrees whose hashes are PATH(index, D[size]) of RFC 6962 section 2.1.1, from the leaf's sibling upwards.

    Raises ValueError when the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError("the leaf must lie in the tree")
    path: list[Range] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_full_subtrees(middle, end))
            end = middle
        else:
            path.append(_full_subtrees(start, middle))
            start = middle
    return tuple(reversed(path))


def consistency_plan(first: int, second: int) -> Plan:
    """The subtrees whose hashes are PROOF(first, D[second]) of RFC 6962 section 2.1.2.

    Raises ValueError unless `0 < first <= second`.
    """
    if not 0 < first <= second:
        raise ValueError("the first tree must not be empty, nor larger than the second")
    path: list[Range] = []
    start, end = 0, second
    while end != first:
        middle = start + _split(end - start)
        if first <= middle:
            path.append(_full_subtrees(middle, end))
            end = middle
        else:
            path.append(_full_subtrees(start, middle))
            start = middle
    # A verifier who starts from the first root knows it already; any other common subtree must be named.
    if start > 0:
        path.append(_full_subtrees(start, end))
    return tuple(reversed(path))


def nodes_of(plan: Plan) -> set[Node]:
    """Every stored node that `evaluate` will look up."""
    return set(chain.from_iterable(plan))


def evaluate(plan: Plan, hashes: Hashes) -> list[bytes]:
    """The hashes of a planned proof. Raises KeyError when a node is missing."""
    return [_fold(subtrees, hashes) for subtrees in plan]


def root(size: int, hashes: Hashes) -> bytes:
    """MTH(D[size]) from the nodes of its frontier (RFC 6962 section 2.1)."""
    return _fold(frontier(size), hashes) if size else EMPTY_ROOT


def grow(size: int, edge: Hashes, leaf_hashes: Sequence[bytes]) -> dict[Node, bytes]:
    """All nodes that come into being when leaves are appended to a tree of `size`; `edge` holds the nodes of its frontier.

    Together, `edge` and the answer hold the frontier of the grown tree.
    """
    made = {Node(0, size + offset): leaf_hash for offset, leaf_hash in enumerate(leaf_hashes)}
    known = {**edge, **made}
    grown = size + len(leaf_hashes)
    level = 1
    while grown >> level > size >> level:
        for number in range(size >> level, grown >> level):
            parent = hash_children(known[Node(level - 1, 2 * number)], known[Node(level - 1, 2 * number + 1)])
            known[Node(level, number)] = made[Node(level, number)] = parent
        level += 1
    return made


def _split(size: int) -> int:
    """The largest power of two smaller than `size`: where RFC 6962 divides a tree."""
    return 1 << (size - 1).bit_length() - 1


def _full_subtrees(start: int, end: int) -> Range:
    return tuple(_walk(start, end))


def _walk(start: int, end: int) -> Iterator[Node]:
    """Divide a subtree of RFC 6962 into full ones; `start` is a multiple of the largest, so each lies on its own boundary."""
    while start < end:
        level = (end - start).bit_length() - 1
        yield Node(level, start >> level)
        start += 1 << level


def _fold(subtrees: Range, hashes: Hashes) -> bytes:
    *rest, last = (hashes[node] for node in subtrees)
    for left in reversed(rest):
        last = hash_children(left, last)
    return last
