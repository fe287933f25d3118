"""Addresses and contents of tiles, as C2SP tlog-tiles words them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.domain import merkle, tiles
from services.ledger.domain.merkle import Node
from services.ledger.domain.tiles import Tile

LEAF_HASHES = [merkle.hash_leaf(index.to_bytes(4, "big")) for index in range(70_000)]
NODES = merkle.grow(0, {}, LEAF_HASHES)


def published(size: int) -> dict[Tile, list[bytes]]:
    """Every tile of hashes that a log of this size has."""
    found: dict[Tile, list[bytes]] = {}
    for level in range(8):
        total = size >> 8 * level
        all_tiles = [Tile(level, number) for number in range(total // 256)]
        if total % 256:
            all_tiles.append(Tile(level, total // 256, total % 256))
        found |= {tile: [NODES[node] for node in tile.nodes()] for tile in all_tiles}
    return found


def test_seventy_thousand_entries_make_the_tiles_of_the_example_in_the_specification() -> None:
    found = published(70_000)

    assert sum(tile.level == 0 and tile.width == 256 for tile in found) == 273
    assert sum(tile.level == 1 and tile.width == 256 for tile in found) == 1
    assert tiles.partial_widths(70_000) == {0: 112, 1: 17, 2: 1}
    assert {tile.level: tile.width for tile in found if tile.width < 256} == {0: 112, 1: 17, 2: 1}
    assert tiles.partial_widths(256) == {1: 1}


def test_a_tile_above_holds_the_roots_of_the_full_tiles_below() -> None:
    found = published(70_000)

    for tile, hashes in found.items():
        for position, value in enumerate(hashes):
            if tile.level:
                below = found[Tile(tile.level - 1, tile.start + position)]
                assert merkle.root(256, merkle.grow(0, {}, below)) == value


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 70_000])
def test_the_tiles_alone_give_the_root(size: int) -> None:
    """A client who has fetched every tile, and nothing else, arrives at the signed root."""
    known: dict[Node, bytes] = {}
    for tile, hashes in published(size).items():
        inner = merkle.grow(0, {}, hashes)
        level, start = 8 * (tile.level or 0), tile.start
        known |= {Node(level + node.level, (start >> node.level) + node.number): value for node, value in inner.items()}

    assert merkle.root(size, known) == merkle.root(size, NODES)


@pytest.mark.parametrize(
    ("path", "tile"),
    [
        ("0/000", Tile(0, 0)),
        ("0/000.p/1", Tile(0, 0, 1)),
        ("0/000.p/255", Tile(0, 0, 255)),
        ("63/999", Tile(63, 999)),
        ("0/x001/000", Tile(0, 1000)),
        ("1/x001/x234/067", Tile(1, 1_234_067)),
        ("1/x001/x234/067.p/8", Tile(1, 1_234_067, 8)),
        ("entries/x001/x234/067", Tile(None, 1_234_067)),
        ("entries/000.p/12", Tile(None, 0, 12)),
    ],
)
def test_an_address_names_one_tile_and_a_tile_has_one_address(path: str, tile: Tile) -> None:
    assert tiles.parse_path(path) == tile
    assert tiles.format_path(tile) == path


@pytest.mark.parametrize(
    "path",
    [
        *("", "0", "0/", "/000", "0/0", "0/00", "0/0000", "00/000", "01/000", "64/000", "-1/000", "100/000", "a/000", "0/-01"),
        *("0/000.p/0", "0/000.p/256", "0/000.p/01", "0/000.p/", "0/000.p", "0/000.P/1", "0/000/", "0/001/000", "0/x001"),
        *(
            "0/x000/001",
            "0/x000/x001/001",
            "0/X001/000",
            "entries/0",
            "Entries/000",
            "0/000.p/1/",
            " 0/000",
            "0/000\n",
            "0/٠٠٠",
        ),
        "0/x001/x001/x001/x001/x001/x001/x001/000",
    ],
)
def test_a_second_spelling_or_a_size_out_of_bounds_names_no_tile(path: str) -> None:
    assert tiles.parse_path(path) is None


@given(
    st.builds(
        Tile,
        st.one_of(st.none(), st.integers(0, 63)),
        st.integers(0, 10**21 - 1),
        st.integers(1, 256),
    )
)
def test_every_tile_is_found_by_its_address(tile: Tile) -> None:
    assert tiles.parse_path(tiles.format_path(tile)) == tile


@pytest.mark.parametrize(
    ("tile", "size", "within"),
    [
        (Tile(0, 0, 1), 0, False),
        (Tile(0, 0, 1), 1, True),
        (Tile(0, 0, 2), 1, False),
        (Tile(0, 0), 255, False),
        (Tile(0, 0), 256, True),
        (Tile(1, 0, 1), 255, False),
        (Tile(1, 0, 1), 256, True),
        (Tile(None, 0, 3), 3, True),
        (Tile(None, 1, 1), 256, False),
        (Tile(63, 0, 1), 2**63, False),
    ],
)
def test_a_log_has_the_tiles_that_its_size_has_filled(tile: Tile, size: int, within: bool) -> None:
    assert tile.is_within(size) is within


def test_a_bundle_is_entries_behind_their_lengths() -> None:
    assert tiles.bundle([]) == b""
    assert tiles.bundle([b"", b"a", b"bc"]) == b"\x00\x00\x00\x01a\x00\x02bc"


def test_a_bundle_takes_an_entry_up_to_the_limit() -> None:
    longest = b"a" * tiles.ENTRY_BYTES_MAX
    assert tiles.bundle([longest]) == b"\xff\xff" + longest
    with pytest.raises(ValueError, match="65535"):
        tiles.bundle([longest + b"a"])
