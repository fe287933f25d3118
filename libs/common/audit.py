"""Who did what to which entity, with what outcome: a row in the service's own trail, and a fact whose digest the log keeps."""

import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
import rfc8785
from sqlalchemy import insert

from libs.common.db import Transaction
from libs.common.db.tables import KernelTables
from libs.common.events.audited import AuditEvent
from libs.common.ids import new_id
from libs.common.telemetry import context


class Auditor:
    """Writes audit records of one service."""

    def __init__(self, tables: KernelTables, event: type[AuditEvent]) -> None:
        self._insert = insert(tables.audit_record)
        self._event = event

    def record(self, tx: Transaction, entry: Mapping[str, Any]) -> UUID:
        """One record with its fact, in the transaction of the act itself."""
        current = context.current()
        actor = (current.actor or "").removeprefix("user:")
        audit_id = new_id()
        common = {
            "actor_id": UUID(actor) if current.actor and current.actor.startswith("user:") else None,
            "roles": current.roles or current.actor or "",
            "action": entry["action"],
            "entity": entry["entity"],
            "entity_id": entry["entity_id"],
            "outcome": entry["outcome"],
            "occurred_at": tx.now,
        }
        session_id = UUID(current.session_id) if current.session_id else None
        details = orjson.loads(orjson.dumps(entry["details"], default=str))
        identity = {"id": audit_id, "session_id": session_id, "request_id": current.request_id}
        row = {**common, **identity, "details": details}
        tx.execute(self._insert, row)
        digest = hashlib.sha256(rfc8785.dumps(details)).hexdigest()
        tx.publish(self._event(audit_id=audit_id, details_sha256=digest, **common))
        return audit_id
