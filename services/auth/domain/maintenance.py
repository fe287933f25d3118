"""Maintenance: whether the platform's door is shut to all but those who maintain it, and why."""

from libs.common.errors import Conflict

SCOPE = "platform"
"""What is maintained: the whole, there are no parts yet."""
REASON_MAXIMUM = 500


class MaintenanceDecidedMeanwhile(Conflict):
    """Another administrator decided between reading and writing."""


def reason(text: str) -> str:
    """Return the reason when it may be kept and shown to colleagues; raises ValueError."""
    if text != text.strip() or not text:
        raise ValueError("must say something, without spaces around it")
    if len(text) > REASON_MAXIMUM:
        raise ValueError(f"must have at most {REASON_MAXIMUM} characters")
    if not text.isprintable():
        raise ValueError("must be one line without control characters")
    return text
