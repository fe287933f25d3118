"""Signing keys: made once for all replicas, kept sealed."""

from typing import Any

from sqlalchemy import Row, insert, text

from libs.common.db import Transaction
from services.auth import queries
from services.auth.domain.secrets import MasterSecret
from services.auth.domain.tokens import KeyState, new_signing_key, seal_signing_key
from services.auth.events import KeyChanged
from services.auth.models import signing_key

_keys_lock = text("SELECT pg_advisory_xact_lock(hashtext('lumiere.auth.signing_keys'))")
_add_key = insert(signing_key).returning(signing_key)


def ensure_active_key(tx: Transaction, secret: MasterSecret) -> Row[Any]:
    """Return the key that signs; make one when there is none. Replicas that start together agree on one."""
    tx.execute(_keys_lock)
    active = queries.active_key(tx)
    if active is not None:
        return active
    key = new_signing_key()
    added = tx.one(
        _add_key,
        {
            "id": key.kid,
            "public_jwk": key.as_dict(private=False),
            "private_sealed": seal_signing_key(key, secret),
            "secret_id": secret.id,
            "state": KeyState.ACTIVE,
            "published_at": tx.now,
            "activated_at": tx.now,
            "retired_at": None,
            "withdrawn_at": None,
        },
    )
    tx.publish(KeyChanged(key_id=added.id, action="PUBLISHED"))
    tx.publish(KeyChanged(key_id=added.id, action="ACTIVATED"))
    return added
