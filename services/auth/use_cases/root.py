"""The root of all keys: made once, kept sealed under AUTH_SECRET, which can be rotated while everything stays readable."""

from datetime import timedelta
from typing import Final

from sqlalchemy import bindparam, delete, insert, text

from libs.common.db import Transaction
from libs.common.errors import Unavailable
from libs.common.telemetry import logger
from services.auth import queries
from services.auth.domain.secrets import MasterSecret, SealingSecrets, new_root, seal_root, unseal_root
from services.auth.domain.tokens import KeyState
from services.auth.models import root_key

FORGOTTEN_AFTER: Final = timedelta(hours=1)
"""A secret that nobody names any more opens the root for so long after the present one does: replicas start one by one."""

log = logger(__name__)

_root_lock = text("SELECT pg_advisory_xact_lock(hashtext('lumiere.auth.root'))")
_keep = insert(root_key)
_forget = delete(root_key).where(root_key.c.created_at < bindparam("sealed_at"))


class SealedUnderAnotherSecret(Unavailable):
    """AUTH_SECRET is not the one that the keys were sealed under: put it back, or name it as AUTH_SECRET_PREVIOUS."""


def open_root(tx: Transaction, secrets: SealingSecrets) -> bytes:
    """Return the root, made when there is none; from now on the present secret opens it too. Replicas that race agree.

    Raises SealedUnderAnotherSecret.
    """
    tx.execute(_root_lock)
    rows = queries.roots(tx)
    if not rows:
        root = _first_root(tx, secrets)
    else:
        row = next((row for row in rows if row.secret_id in secrets.known), None)
        if row is None:
            raise _sealed_under_another([row.secret_id for row in rows])
        root = unseal_root(bytes(row.sealed), secrets.known[row.secret_id])
    if secrets.current.id not in {row.secret_id for row in rows}:
        _seal(tx, root, secrets.current)
    return root


def forget_secrets(tx: Transaction, secrets: SealingSecrets) -> int:
    """Let secrets from before the present one open nothing any more; returns how many were forgotten.

    Not while one is still named, and not before every replica has had the time to start with the present one. Secrets that came
    after it stay: a replica that was not restarted yet takes them for strangers.
    """
    tx.execute(_root_lock)
    present = next((row for row in queries.roots(tx) if row.secret_id == secrets.current.id), None)
    if secrets.previous is not None or present is None or tx.now - present.created_at < FORGOTTEN_AFTER:
        return 0
    forgotten = tx.execute(_forget, {"sealed_at": present.created_at}).rowcount
    if forgotten:
        tx.audit("root.secrets_forgotten", "root_key", secrets.current.id)
    return forgotten


def _first_root(tx: Transaction, secrets: SealingSecrets) -> bytes:
    """Random; but where keys were derived from AUTH_SECRET itself, before there was a root, they stay readable.

    Raises SealedUnderAnotherSecret where that was a secret that nobody names: with another root every password would be wrong.
    """
    before_roots = queries.keys(tx)
    secret = next((secrets.known[key.secret_id] for key in before_roots if key.secret_id in secrets.known), None)
    if secret is not None:
        return secret.material
    in_use = [key.secret_id for key in before_roots if key.state in {KeyState.PUBLISHED, KeyState.ACTIVE}]
    if in_use:
        raise _sealed_under_another(in_use)
    return new_root()


def _sealed_under_another(known: list[str]) -> SealedUnderAnotherSecret:
    log.error("auth.root.sealed_under_another_secret", opened_by=known)
    return SealedUnderAnotherSecret("Nobody can sign in at this moment; the operators see why in the log.", retry_after=60)


def _seal(tx: Transaction, root: bytes, secret: MasterSecret) -> None:
    tx.execute(_keep, {"secret_id": secret.id, "sealed": seal_root(root, secret), "created_at": tx.now})
    tx.audit("root.sealed", "root_key", secret.id)
