"""What auth asks of identities at other providers."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, func, select

from libs.common.db import Reader
from services.auth.models import federated_identity, passkey, password_credential

_identity = select(federated_identity).where(federated_identity.c.subject_hash == bindparam("subject_hash"))
_identities = (
    select(federated_identity)
    .where(federated_identity.c.user_id == bindparam("user_id"))
    .order_by(federated_identity.c.linked_at, federated_identity.c.id)
)
_ways_in = select(
    select(func.count())
    .select_from(password_credential)
    .where(password_credential.c.user_id == bindparam("user_id"))
    .scalar_subquery()
    + select(func.count())
    .select_from(federated_identity)
    .where(federated_identity.c.user_id == bindparam("user_id"))
    .scalar_subquery()
    + select(func.count()).select_from(passkey).where(passkey.c.user_id == bindparam("user_id")).scalar_subquery()
)


def identity(db: Reader, subject_hash: bytes) -> Row[Any] | None:
    """Whose is this identity at a provider?"""
    return db.first(_identity, {"subject_hash": subject_hash})


def identities(db: Reader, user_id: UUID) -> list[Row[Any]]:
    """Which identities open this account, oldest first? There is at most one for each provider."""
    return db.all(_identities, {"user_id": user_id})


def ways_in(db: Reader, user_id: UUID) -> int:
    """With how many things could this person begin to sign in: a password, each identity, each passkey?"""
    return int(db.scalar(_ways_in, {"user_id": user_id}))
