"""What a fault run has to say, whether it went well or not: the seed that replays it, and what Postgres counted."""

from collections.abc import Iterable
from typing import Any, Final

PROPERTY: Final = "fault run"
"""The name under which lines travel with a test's reports, also from another process."""
TOLD: Final[list[str]] = []


def tell(line: str) -> None:
    """Say this at the end of the test run."""
    TOLD.append(line)


def told_by_tests(reports: Iterable[Any]) -> list[str]:
    """The lines that tests told, each once: a test's last report carries all of its own."""
    last = (report for report in reports if getattr(report, "when", None) == "teardown")
    return [str(value) for report in last for name, value in report.user_properties if name == PROPERTY]
