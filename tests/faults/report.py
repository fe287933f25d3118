"""What a fault run has to say, whether it went well or not: the seed that replays it, and what Postgres counted."""

from typing import Final

TOLD: Final[list[str]] = []


def tell(line: str) -> None:
    """Say this at the end of the test run."""
    TOLD.append(line)
