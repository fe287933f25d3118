"""Bring a stored password up to date when its owner shows it: the only moment at which it is known."""

from typing import Any

from sqlalchemy import Row, bindparam, update

from libs.common.db import Database
from libs.common.errors import Unavailable
from libs.common.telemetry import logger
from services.auth.domain.passwords import PasswordHasher
from services.auth.models import password_credential

log = logger(__name__)

_replace_hash = (
    update(password_credential)
    .where(password_credential.c.user_id == bindparam("owner"), password_credential.c.password_hash == bindparam("seen"))
    .values(password_hash=bindparam("anew"))
)


def keep_current(database: Database, account: Row[Any], password: str, hasher: PasswordHasher) -> None:
    """Hash a password that was right anew where cost, pre-hash or secret have changed since; never an obstacle.

    Hashed outside of any transaction. Written only over the hash that was checked: a password that was changed meanwhile
    stays. `changed_at` stays too, since the password is the same; whoever signs in at this moment is let in.
    """
    if account.password_hash is None or not hasher.outdated(account.password_hash):
        return
    try:
        anew = hasher.hash(password)
    except Unavailable:
        return  # the next sign-in does it
    with database.transaction() as tx:
        tx.execute(_replace_hash, {"owner": account.id, "seen": account.password_hash, "anew": anew})
    log.info("auth.password.rehashed", user_id=account.id)
