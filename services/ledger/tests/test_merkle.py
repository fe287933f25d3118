"""The tree against the recursive definitions of RFC 6962, for every size and index in reach."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.domain import merkle
from services.ledger.domain.merkle import Node

SIZE = 260
CONSISTENCY_SIZE = 70

# Inputs and roots of the reference tree that RFC 6962 implementations share.
REFERENCE_LEAVES = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")] + [
    bytes.fromhex("606162636465666768696a6b6c6d6e6f")
]
REFERENCE_ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def leaf_hash(index: int) -> bytes:
    return merkle.hash_leaf(index.to_bytes(4, "big"))


LEAF_HASHES = [leaf_hash(index) for index in range(SIZE)]
NODES = merkle.grow(0, {}, LEAF_HASHES)


def defined_root(leaf_hashes: list[bytes]) -> bytes:
    """MTH as RFC 6962 section 2.1 defines it."""
    if not leaf_hashes:
        return sha256(b"").digest()
    if len(leaf_hashes) == 1:
        return leaf_hashes[0]
    middle = split(len(leaf_hashes))
    return sha256(b"\x01" + defined_root(leaf_hashes[:middle]) + defined_root(leaf_hashes[middle:])).digest()


def defined_path(index: int, leaf_hashes: list[bytes]) -> list[bytes]:
    """PATH as RFC 6962 section 2.1.1 defines it."""
    if len(leaf_hashes) == 1:
        return []
    middle = split(len(leaf_hashes))
    if index < middle:
        return [*defined_path(index, leaf_hashes[:middle]), defined_root(leaf_hashes[middle:])]
    return [*defined_path(index - middle, leaf_hashes[middle:]), defined_root(leaf_hashes[:middle])]


def defined_proof(first: int, leaf_hashes: list[bytes], known: bool = True) -> list[bytes]:
    """SUBPROOF as RFC 6962 section 2.1.2 defines it."""
    if first == len(leaf_hashes):
        return [] if known else [defined_root(leaf_hashes)]
    middle = split(len(leaf_hashes))
    if first <= middle:
        return [*defined_proof(first, leaf_hashes[:middle], known), defined_root(leaf_hashes[middle:])]
    return [*defined_proof(first - middle, leaf_hashes[middle:], False), defined_root(leaf_hashes[:middle])]


def split(size: int) -> int:
    power = 1
    while power * 2 < size:
        power *= 2
    return power


def test_leaves_and_nodes_hash_as_published() -> None:
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.hash_leaf(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle.hash_leaf(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    assert merkle.hash_children(b"N123", b"N456").hex() == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"


@pytest.mark.parametrize("size", sorted(REFERENCE_ROOTS))
def test_the_reference_tree_has_its_published_roots(size: int) -> None:
    nodes = merkle.grow(0, {}, [merkle.hash_leaf(leaf) for leaf in REFERENCE_LEAVES[:size]])

    assert merkle.root(size, nodes).hex() == REFERENCE_ROOTS[size]


def test_every_size_has_the_root_of_its_definition() -> None:
    for size in range(SIZE + 1):
        assert merkle.root(size, NODES) == defined_root(LEAF_HASHES[:size])


def test_every_leaf_of_every_size_has_the_path_of_its_definition() -> None:
    for size in (*range(1, 66), 127, 128, 129, 255, 256, 257, SIZE):
        for index in range(size):
            plan = merkle.inclusion_plan(index, size)

            assert merkle.evaluate(plan, NODES) == defined_path(index, LEAF_HASHES[:size])


def test_every_pair_of_sizes_has_the_consistency_proof_of_its_definition() -> None:
    for second in range(1, CONSISTENCY_SIZE):
        for first in range(1, second + 1):
            plan = merkle.consistency_plan(first, second)

            assert merkle.evaluate(plan, NODES) == defined_proof(first, LEAF_HASHES[:second])


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_a_tree_grown_in_groups_is_the_tree_grown_at_once(groups: list[int]) -> None:
    stored: dict[Node, bytes] = {}
    size = 0
    for group in groups:
        edge = {node: stored[node] for node in merkle.frontier(size)}
        made = merkle.grow(size, edge, LEAF_HASHES[size : size + group])
        assert not stored.keys() & made.keys(), "a node is written once"
        stored |= made
        size += group

    assert stored == merkle.grow(0, {}, LEAF_HASHES[:size])


@given(st.integers(1, 2**40), st.data())
def test_a_proof_asks_for_no_more_nodes_than_the_tree_is_high_twice(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    height = size.bit_length()

    plan = merkle.inclusion_plan(index, size)

    assert len(plan) <= height
    assert len(merkle.nodes_of(plan)) <= 2 * height
    assert all((node.number + 1) << node.level <= size for node in merkle.nodes_of(plan)), "only full subtrees are stored"


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 1), (8, 7)])
def test_a_leaf_outside_the_tree_has_no_path(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="lie in the tree"):
        merkle.inclusion_plan(index, size)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 1), (2, 1), (-1, 1)])
def test_sizes_out_of_order_have_no_consistency_proof(first: int, second: int) -> None:
    with pytest.raises(ValueError, match="first tree"):
        merkle.consistency_plan(first, second)
