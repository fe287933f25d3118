"""The numbers of production that an operator may set."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What bounds and rewards work."""

    max_active_tasks: int
    """Tasks that one person may hold or have under review at once."""
    advisory_threshold: int
    """Advisory score, 0 to 100, from which a submission is not flagged."""
    lumens_per_task: int
    """Lumens that a validated task earns."""
