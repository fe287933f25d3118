"""Who runs this installation: its pages say what the operator's settings say, and call what is missing missing."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Operator:
    """None is what the operator has not stated."""

    legal_entity: str | None = None
    legal_address: str | None = None
    legal_contact: str | None = None
    legal_host: str | None = None
    security_contact: str | None = None
    security_policy: str | None = None
    event_retention_days: int = 90

    @property
    def unstated(self) -> list[str]:
        """The settings that a public installation owes its visitors and that are missing."""
        names = [each.name for each in fields(self) if getattr(self, each.name) is None and each.name != "security_policy"]
        return [f"GATEWAY_{name.upper()}" for name in names]
