"""A log that was restored from a backup: what it may sign, and under which name.

A log that loses leaves and goes on under its name would sign, for sizes that it has signed before, trees with other roots.
Whoever holds one of each has the proof that the log told two histories. So it signs nothing until somebody has said how it
goes on.
"""

from dataclasses import dataclass
from typing import Final

STATEMENT_MIN: Final = 10
STATEMENT_MAX: Final = 1_000
"""Characters of an operator's statement, which becomes a leaf that everybody can read."""


@dataclass(frozen=True, slots=True)
class TreeHead:
    """What a checkpoint says: whose tree, how large, and the root over it."""

    origin: str
    size: int
    root_hash: bytes


def contradicts(published: TreeHead, size: int, own_root_there: bytes | None) -> bool:
    """Whether a tree of `size` leaves could not go on under the name of a published head without a second history.

    `own_root_there` is the root of its first `published.size` leaves, None when it has not as many.
    """
    return published.size > size or own_root_there != published.root_hash
