"""Signing keys: one that signs and one that comes next for all replicas, kept sealed; rotated, or withdrawn in an emergency."""

from datetime import timedelta
from math import ceil
from typing import Any

from sqlalchemy import Row, bindparam, insert, text, update

from libs.common.db import Transaction
from libs.common.errors import Problem
from services.auth import queries
from services.auth.domain.keys import PUBLISHED_BEFORE_USE, TRANSITIONS, KeyTooYoung, UnknownKey, due, matured
from services.auth.domain.secrets import MasterSecret
from services.auth.domain.tokens import KeyState, new_signing_key, seal_signing_key
from services.auth.events import KeyChanged
from services.auth.models import signing_key

_keys_lock = text("SELECT pg_advisory_xact_lock(hashtext('lumiere.auth.signing_keys'))")
_add = insert(signing_key).returning(signing_key)
_of_key = (signing_key.c.id == bindparam("key_id"), signing_key.c.state == bindparam("known"))
_activate = update(signing_key).where(*_of_key).values(state=KeyState.ACTIVE, activated_at=bindparam("now"))
# What will never sign again is not kept: its private half goes, whoever may read the table later.
_end = update(signing_key).where(*_of_key).values(private_sealed=b"")
_retire = _end.values(state=KeyState.RETIRED, retired_at=bindparam("now"))
_withdraw = _end.values(state=KeyState.WITHDRAWN, withdrawn_at=bindparam("now"))
_CHANGES = {
    KeyState.ACTIVE: (_activate, "ACTIVATED"),
    KeyState.RETIRED: (_retire, "RETIRED"),
    KeyState.WITHDRAWN: (_withdraw, "WITHDRAWN"),
}


def ensure_active_key(tx: Transaction, secret: MasterSecret) -> Row[Any]:
    """Return the key that signs; make it, and the one that comes next, when there is none. Replicas that race agree on one."""
    tx.execute(_keys_lock)
    active = queries.active_key(tx)
    if active is None:
        active = _move(tx, _next_key(tx, secret), KeyState.ACTIVE)
    _next_key(tx, secret)
    return active


def rotate_when_due(tx: Transaction, secret: MasterSecret, signs_for: timedelta) -> int:
    """Let the next key sign once the present one has signed for so long; returns how many keys changed hands.

    Also sees to it that there is a next key at all, so that one is known to everybody long before it is needed.
    """
    active = ensure_active_key(tx, secret)
    following = _next_key(tx, secret)
    if not due(active.activated_at, tx.now, signs_for) or not matured(following.published_at, tx.now):
        return 0
    _hand_over(tx, active, following, secret)
    return 1


def rotate(tx: Transaction, secret: MasterSecret) -> Row[Any] | Problem:
    """Let the next key sign now; returns it, or a remembered refusal while somebody may not know it yet.

    When this service's secret does not open the key that signs, nobody can sign in: then there is nothing to wait for.
    """
    active = ensure_active_key(tx, secret)
    following = _next_key(tx, secret)
    if active.secret_id == secret.id and not matured(following.published_at, tx.now):
        wait = ceil((following.published_at + PUBLISHED_BEFORE_USE - tx.now).total_seconds())
        tx.audit("key.rotate", "signing_key", active.id, outcome="refused", details={"reason": KeyTooYoung.__name__})
        return KeyTooYoung(f"The next key was published a moment ago and not everybody knows it yet; try again in {wait} s.")
    return _hand_over(tx, active, following, secret)


def withdraw(tx: Transaction, key_id: str, secret: MasterSecret) -> Row[Any] | Problem:
    """Let a key verify nothing any more, from now on and for good; returns the key that signs then, or a remembered refusal.

    Withdrawing a key again tells everybody again.
    """
    tx.execute(_keys_lock)
    key = queries.signing_key_by_id(tx, key_id)
    if key is None:
        tx.audit("key.withdraw", "signing_key", "none", outcome="refused", details={"reason": UnknownKey.__name__})
        return UnknownKey("There is no key of this id; `lumiere keys list` names them.")
    if KeyState.WITHDRAWN in TRANSITIONS[KeyState(key.state)]:
        _move(tx, key, KeyState.WITHDRAWN)
    else:
        tx.publish(KeyChanged(key_id=key.id, action="WITHDRAWN"))
    return ensure_active_key(tx, secret)


def _hand_over(tx: Transaction, active: Row[Any], following: Row[Any], secret: MasterSecret) -> Row[Any]:
    _move(tx, active, KeyState.RETIRED)
    signing = _move(tx, following, KeyState.ACTIVE)
    _next_key(tx, secret)
    return signing


def _next_key(tx: Transaction, secret: MasterSecret) -> Row[Any]:
    """The key that comes next, made when there is none that this secret opens."""
    following = queries.next_key(tx)
    if following is not None and following.secret_id == secret.id:
        return following
    if following is not None:
        _move(tx, following, KeyState.RETIRED)
    key = new_signing_key()
    added = tx.one(
        _add,
        {
            "id": key.kid,
            "public_jwk": key.as_dict(private=False),
            "private_sealed": seal_signing_key(key, secret),
            "secret_id": secret.id,
            "state": KeyState.PUBLISHED,
            "published_at": tx.now,
            "activated_at": None,
            "retired_at": None,
            "withdrawn_at": None,
        },
    )
    _tell(tx, added.id, "PUBLISHED")
    return added


def _move(tx: Transaction, key: Row[Any], to: KeyState) -> Row[Any]:
    """One transition, under the lock. Raises ValueError when the table of transitions does not know it."""
    if to not in TRANSITIONS[KeyState(key.state)]:
        raise ValueError(f"a key that is {key.state} never becomes {to}")
    change, action = _CHANGES[to]
    changed = tx.one(change.returning(signing_key), {"key_id": key.id, "known": key.state, "now": tx.now})
    _tell(tx, key.id, action)
    return changed


def _tell(tx: Transaction, key_id: str, action: str) -> None:
    tx.publish(KeyChanged(key_id=key_id, action=action))
    tx.audit(f"key.{action.lower()}", "signing_key", key_id)
