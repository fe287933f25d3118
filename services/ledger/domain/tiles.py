"""Addresses and contents of static resources of the log, after C2SP tlog-tiles (https://c2sp.org/tlog-tiles)."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from services.ledger.domain.merkle import Node

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
LEVEL_MAX = 63
ENTRY_BYTES_MAX = 65_535

_ENTRIES = "entries"
# A path longer than seven elements would name a tile beyond what 64 bits can count.
_PATH = re.compile(r"(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)


class Tile(NamedTuple):
    """A run of consecutive hashes of one tile level, or of entries when `level` is None."""

    level: int | None
    number: int
    width: int = TILE_WIDTH

    @property
    def start(self) -> int:
        """Position of the first hash within the tile level (of the first entry within the log)."""
        return self.number * TILE_WIDTH

    @property
    def end(self) -> int:
        """Position after the last."""
        return self.start + self.width

    def is_within(self, size: int) -> bool:
        """Whether a log of `size` entries has every hash of this tile."""
        return self.end <= size >> TILE_HEIGHT * (self.level or 0)

    def nodes(self) -> list[Node]:
        """The tree nodes that a tile of hashes consists of."""
        level = TILE_HEIGHT * (self.level or 0)
        return [Node(level, number) for number in range(self.start, self.end)]


def parse_path(path: str) -> Tile | None:
    """The tile that an address names after `tile/`, or None. One address a tile: a second spelling names nothing."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    level, number, width = match.groups()
    tile = Tile(
        level=None if level == _ENTRIES else int(level),
        number=int(number.replace("x", "").replace("/", "")),
        width=TILE_WIDTH if width is None else int(width),
    )
    in_bounds = (tile.level or 0) <= LEVEL_MAX and (width is None or tile.width < TILE_WIDTH)
    return tile if in_bounds and format_path(tile) == path else None


def format_path(tile: Tile) -> str:
    """The address of a tile after `tile/`: `<L>/<N>[.p/<W>]`, with N in groups of three digits."""
    groups = [f"{tile.number % 1000:03d}"]
    rest = tile.number // 1000
    while rest:
        groups.append(f"x{rest % 1000:03d}")
        rest //= 1000
    level = _ENTRIES if tile.level is None else str(tile.level)
    partial = f".p/{tile.width}" if tile.width < TILE_WIDTH else ""
    return f"{level}/{'/'.join(reversed(groups))}{partial}"


def partial_widths(size: int) -> dict[int, int]:
    """Tile level → width of the partial tile at the right edge of a log of `size` entries; levels without one are left out."""
    widths = {level: (size >> TILE_HEIGHT * level) % TILE_WIDTH for level in range(LEVEL_MAX + 1)}
    return {level: width for level, width in widths.items() if width}


def bundle(entries: Sequence[bytes]) -> bytes:
    """Entries, each behind its length as a big-endian uint16. Raises ValueError for one that is too long."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > ENTRY_BYTES_MAX:
            raise ValueError(f"an entry holds at most {ENTRY_BYTES_MAX} bytes")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)
