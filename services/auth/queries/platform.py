"""What auth asks of signing keys and of maintenance."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, bindparam, or_, select

from libs.common.db import Reader
from services.auth.domain.tokens import KeyState
from services.auth.models import (
    maintenance,
    root_key,
    signing_key,
)

_active_key = select(signing_key).where(signing_key.c.state == KeyState.ACTIVE)
_next_key = select(signing_key).where(signing_key.c.state == KeyState.PUBLISHED)
_key_by_id = select(signing_key).where(signing_key.c.id == bindparam("key_id"))
_keys = select(signing_key).order_by(signing_key.c.published_at, signing_key.c.id)
_verification_keys = (
    select(signing_key.c.public_jwk)
    .where(
        or_(
            signing_key.c.state.in_([KeyState.PUBLISHED, KeyState.ACTIVE]),
            and_(signing_key.c.state == KeyState.RETIRED, signing_key.c.retired_at > bindparam("since")),
        )
    )
    .order_by(signing_key.c.published_at)
)

_roots = select(root_key).order_by(root_key.c.created_at, root_key.c.secret_id)

_maintenance = select(maintenance)


def active_key(db: Reader) -> Row[Any] | None:
    """Which key signs?"""
    return db.first(_active_key)


def verification_keys(db: Reader, since: datetime) -> list[dict[str, Any]]:
    """Which public keys verify tokens that may be alive: published, active, or retired since then?"""
    return [row.public_jwk for row in db.all(_verification_keys, {"since": since})]


def next_key(db: Reader) -> Row[Any] | None:
    """Which key signs next?"""
    return db.first(_next_key)


def signing_key_by_id(db: Reader, key_id: str) -> Row[Any] | None:
    """What is known of this key?"""
    return db.first(_key_by_id, {"key_id": key_id})


def keys(db: Reader) -> list[Row[Any]]:
    """Which keys were ever made, oldest first?"""
    return db.all(_keys)


@dataclass(frozen=True, slots=True)
class NeverMaintained:
    """What holds until somebody decides for the first time."""

    enabled: bool = False
    reason: str | None = None
    changed_by: UUID | None = None
    changed_at: datetime | None = None
    revision: int = 0


def maintenance_decision(db: Reader) -> Row[Any] | NeverMaintained:
    """Is the platform being maintained, and who decided so when and why?"""
    return db.first(_maintenance) or NeverMaintained()


def roots(db: Reader) -> list[Row[Any]]:
    """Under which secrets is the root sealed, oldest first?"""
    return db.all(_roots)
