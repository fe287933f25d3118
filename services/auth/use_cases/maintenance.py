"""Shut the platform's door for maintenance, and open it again."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, bindparam, literal
from sqlalchemy.dialects.postgresql import insert

from libs.common.db import Reader, Transaction
from libs.common.errors import PreconditionFailed
from services.auth import queries
from services.auth.domain.maintenance import SCOPE, MaintenanceDecidedMeanwhile
from services.auth.events import MaintenanceChanged
from services.auth.models import maintenance

_values: dict[str, ColumnElement[Any]] = {
    name: bindparam(f"new_{name}") for name in ("enabled", "reason", "changed_by", "changed_at")
}
_first = insert(maintenance).values(scope=SCOPE, revision=bindparam("seen") + literal(1), **_values)
# The first decision makes the row; of two that saw the same state only one is written.
_write = _first.on_conflict_do_update(
    index_elements=[maintenance.c.scope],
    set_={"revision": maintenance.c.revision + 1, **_values},
    where=maintenance.c.revision == bindparam("seen"),
).returning(maintenance)


def current(db: Reader) -> Row[Any] | queries.NeverMaintained:
    """Return what was decided last."""
    return queries.maintenance_decision(db)


def decide(
    tx: Transaction, actor_id: UUID, enabled: bool, reason: str | None, expected_revision: int | None
) -> Row[Any] | queries.NeverMaintained:
    """Turn maintenance on or off, or give another reason. Deciding what holds already changes nothing and is told to nobody.

    Raises PreconditionFailed for another revision, MaintenanceDecidedMeanwhile when somebody was quicker.
    """
    before = queries.maintenance_decision(tx)
    if expected_revision is not None and expected_revision != before.revision:
        raise PreconditionFailed("It was changed since you read it; read it again and repeat your change.")
    if (enabled, reason) == (before.enabled, before.reason):
        return before
    values = {"enabled": enabled, "reason": reason, "changed_by": actor_id, "changed_at": tx.now}
    after = tx.first(_write, {"seen": before.revision, **{f"new_{name}": each for name, each in values.items()}})
    if after is None:
        raise MaintenanceDecidedMeanwhile("Somebody decided meanwhile; read it again.")
    tx.audit(
        "maintenance.decide",
        "maintenance",
        SCOPE,
        details={"was_enabled": before.enabled, "enabled": enabled, "reason": reason, "revision": after.revision},
    )
    tx.publish(
        MaintenanceChanged(
            scope=SCOPE,
            enabled=enabled,
            reason=reason,
            changed_by=actor_id,
            changed_at=after.changed_at,
            revision=after.revision,
        )
    )
    return after
