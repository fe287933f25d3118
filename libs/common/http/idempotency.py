"""Idempotency keys (draft-ietf-httpapi-idempotency-key-header).

The first answer is kept in the transaction of its effect and given again.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Request, Response
from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from libs.common.auth.policy import Idempotency, Subject
from libs.common.db import Transaction
from libs.common.db.tables import KernelTables
from libs.common.errors import BadRequest, Conflict, Fault, Invalid

HEADER = "Idempotency-Key"
KEPT_FOR = timedelta(hours=24)
_KEY = re.compile(r"[\x21-\x7e]{8,255}")
_KEPT_HEADERS = ("Content-Type", "Location", "ETag")


class IdempotencyKeyRequired(BadRequest):
    """This request moves money or tokens."""


class IdempotencyKeyInUse(Conflict):
    """A request with this key is still running."""


@dataclass(frozen=True)
class Attempt:
    """One request under a key."""

    subject_id: UUID
    key: str
    fingerprint: bytes


def attempt_of(policy: Idempotency, request: Request, subject: Subject | None, body: bytes) -> Attempt | None:
    """The attempt this request is, or None when it carries no key. Raises IdempotencyKeyRequired, Invalid."""
    if policy is Idempotency.REFUSED or subject is None:
        return None
    key = request.headers.get(HEADER)
    if key is None:
        if policy is Idempotency.REQUIRED:
            raise IdempotencyKeyRequired(f"Send an {HEADER} header with a value made up once for this request, such as a UUID.")
        return None
    if not _KEY.fullmatch(key):
        raise Invalid([Fault(f"/header/{HEADER}", "must have 8 to 255 visible ASCII characters")])
    parts = (request.method.encode(), request.full_path.encode(), body)
    digest = hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()
    return Attempt(subject.id, key, digest)


def once(tx: Transaction, tables: KernelTables, attempt: Attempt, run: Callable[[], Response]) -> Response:
    """Run at most once for this key; later attempts get the first answer.

    Raises IdempotencyKeyInUse, and Invalid when the key came with another request before.
    """
    table = tables.idempotency_key
    lock = select(func.pg_try_advisory_xact_lock(func.hashtextextended(bindparam("name"), 0)))
    if not tx.scalar(lock, {"name": f"{table.schema}:{attempt.subject_id}:{attempt.key}"}):
        raise IdempotencyKeyInUse("A request with this key is still running; wait for its answer, then ask again.")
    columns = (table.c.subject_id == attempt.subject_id) & (table.c.key == attempt.key)
    kept = tx.first(select(table).where(columns, table.c.created_at > tx.now - KEPT_FOR))
    if kept is not None:
        if bytes(kept.fingerprint) != attempt.fingerprint:
            raise Invalid([Fault(f"/header/{HEADER}", "was used for another request; make up a new one")])
        return _again(kept)
    response = run()
    headers: Mapping[str, Any] = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    values = {
        "status": response.status_code,
        "headers": headers,
        "body": response.get_data(),
        "fingerprint": attempt.fingerprint,
        "created_at": tx.now,
    }
    tx.execute(delete(table).where(columns))
    tx.execute(insert(table).values(subject_id=attempt.subject_id, key=attempt.key, **values))
    return response


def _again(kept: Any) -> Response:
    response = Response(bytes(kept.body), status=kept.status, headers=dict(kept.headers))
    response.headers["Idempotency-Replayed"] = "true"
    return response


def purge(tx: Transaction, tables: KernelTables) -> int:
    """Forget answers older than a day; returns how many."""
    table = tables.idempotency_key
    return int(tx.execute(delete(table).where(table.c.created_at < tx.now - KEPT_FOR)).rowcount)
